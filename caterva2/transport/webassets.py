"""The built files of the web page: found by name, compressed when they were built, served as they are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

INDEX = "index.html"

MEDIA: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_HASHED = re.compile(r"-[A-Z0-9]{8}\.[a-z]+$")


class Sent(NamedTuple):
    """What leaves for a file: body, ``ETag``, and how it is encoded (None: as it is)."""

    body: bytes
    etag: str
    encoding: str | None


class Asset(NamedTuple):
    """A built file.

    Attributes
    ----------
    media
        Value of ``Content-Type``.
    immutable
        Its name has a hash of its content, so it never changes.
    forms
        By encoding, the best first; the last one is the file itself.
    """

    media: str
    immutable: bool
    forms: tuple[Sent, ...]

    def form(self, accept: str) -> Sent:
        """Return the best form for a value of ``Accept-Encoding``."""
        accepted = {
            token.strip().lower()
            for token, _, weight in (part.partition(";") for part in accept.split(","))
            if not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
        }
        return next(form for form in self.forms if form.encoding is None or form.encoding in accepted)


class WebAssets:
    """All built files, in memory: there are few, and a name that is none of theirs is nothing.

    Parameters
    ----------
    files
        By their path below the directory, with slashes.
    """

    def __init__(self, files: Mapping[str, Asset]) -> None:
        self._files = files

    @classmethod
    def load(cls, directory: Path) -> WebAssets:
        """Read a directory; one that does not exist has no files. Blocking."""
        files: dict[str, Asset] = {}
        for path in sorted(directory.rglob("*")) if directory.is_dir() else ():
            media = MEDIA.get(path.suffix)
            if media is None or not path.is_file():
                continue
            plain = path.read_bytes()
            digest = hashlib.sha256(plain).hexdigest()[:16]
            forms = [
                Sent(packed.read_bytes(), f"{digest}-{encoding}", encoding)
                for encoding, suffix in _ENCODINGS
                if (packed := path.with_name(path.name + suffix)).is_file()
            ]
            name = path.relative_to(directory).as_posix()
            files[name] = Asset(
                media, _HASHED.search(name) is not None, (*forms, Sent(plain, digest, encoding=None))
            )
        return cls(files)

    @property
    def index(self) -> str | None:
        """The page itself; None if it is not built."""
        found = self._files.get(INDEX)
        return None if found is None else found.forms[-1].body.decode("utf-8")

    def find(self, name: str) -> Asset | None:
        """Return a file, or None."""
        return self._files.get(name)
