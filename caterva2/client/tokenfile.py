"""Tokens kept for scripts and notebooks: one file, readable by its owner only.

``$XDG_CONFIG_HOME/caterva2/tokens.json``, or ``~/.config/caterva2/tokens.json``.
``cat2cli login`` writes it; every client that is given no other credentials reads it.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

from caterva2.errors import ConfigError


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
    path = path or token_file()
    values = _read(path)
    values.pop(urlbase.rstrip("/"), None)
    if token is not None:
        values[urlbase.rstrip("/")] = list(token)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(values, file, indent=1)
    beside.replace(path)
    return path


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
