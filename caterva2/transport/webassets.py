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
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
"""What a build may leave; the suffix of another file is told as ``application/octet-stream``."""
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_PACKED = frozenset(suffix for _, suffix in _ENCODINGS)
_HASHED = re.compile(r"-[A-Z0-9]{8}\.[a-z0-9]+$")
_CODING = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


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
        """Return the form that a value of ``Accept-Encoding`` likes best; of equals the smallest.

        The file itself is sent if nothing else is taken, even to who refuses it: he could say no more.
        """
        weights = _weights(accept)
        rest = weights.get("*", 0.0)

        def weight(form: Sent) -> float:
            if form.encoding is None:
                return weights.get("identity", 1e-9)
            return weights.get(form.encoding, rest)

        best = max(self.forms, key=weight)  # the first of equals
        return best if weight(best) > 0 else self.forms[-1]


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
            if path.suffix in _PACKED or not path.is_file():
                continue
            media = MEDIA.get(path.suffix, "application/octet-stream")
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


def _weights(accept: str) -> dict[str, float]:
    """Return how much each encoding is wanted (RFC 9110, 12.5.3); what can not be read is not wanted."""
    found = {}
    for part in accept.split(","):
        match = _CODING.fullmatch(part.strip())
        if match is not None:
            name = match[1].lower().removeprefix("x-")
            found[name] = float(match[2]) if match[2] else 1.0
    return found
