"""Tokens kept for scripts and notebooks: one file, readable by its owner only.

``$XDG_CONFIG_HOME/caterva2/tokens.json``, or ``~/.config/caterva2/tokens.json``.
``cat2cli login`` writes it; every client that is given no other credentials reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from caterva2.errors import ConfigError

LOCK_S = 5.0
"""Others who store a token are waited for so long."""


class KeptToken(NamedTuple):
    """A token, whose it is, and its id at the server."""

    token: str
    username: str
    id: str


def token_file() -> Path:
    """Return where the file is."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(home) / "caterva2" / "tokens.json"


def kept_token(urlbase: str, path: Path | None = None) -> KeptToken | None:
    """Return the token for a server, or None.

    Parameters
    ----------
    path
        The file, if it is not `token_file`.

    Raises
    ------
    ConfigError
        The file is broken, or others may read it.
    """
    found = _read(path or token_file()).get(urlbase.rstrip("/"))
    return None if found is None else KeptToken(*found)


def keep_token(urlbase: str, token: KeptToken | None, path: Path | None = None) -> Path:
    """Store the token for a server, or remove it (None); the file is written whole or not at all."""
    import tempfile  # others who only read do not need it

    path = path or token_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(path.parent):
        values = _read(path)
        values.pop(urlbase.rstrip("/"), None)
        if token is not None:
            values[urlbase.rstrip("/")] = list(token)
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 600
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(values, file, indent=1)
            os.replace(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
    return path


@contextlib.contextmanager
def _locked(directory: Path) -> Generator[None, None, None]:
    """Let one thread or process at a time change what is in a directory, as far as the system can."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    handle = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + LOCK_S
        while time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:  # a file system without locks
                break
            else:
                break
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise ConfigError(f"others may read {path}, which holds tokens", hint=f"chmod 600 {path}")
            values = json.load(file)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except (ValueError, OSError) as exc:
        raise ConfigError(f"{path}: expected tokens as JSON, found something else", hint="remove it") from exc
    good = isinstance(values, dict) and all(
        isinstance(value, list) and len(value) == 3 and all(isinstance(part, str) for part in value)
        for value in values.values()
    )
    if not good:
        raise ConfigError(f"{path}: expected tokens by server, found something else", hint="remove it")
    return dict(values)
