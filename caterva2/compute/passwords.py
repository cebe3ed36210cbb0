"""Passwords: how they are kept, and which ones are taken. CPU-bound; run in the ``auth`` lane."""

from __future__ import annotations

import secrets

import bcrypt

from caterva2.errors import BadPassword

MIN_CHARACTERS = 8
MAX_BYTES = 72
"""bcrypt reads no more; what is longer is refused, never cut silently."""
COST = 10
"""Two to this power rounds: some 60 ms of a core, so that a storm of logins stays a small one."""

# A hash of this cost that no password gives: verifying against it takes as long as against a real one.
_NOBODY = b"$2b$10$" + b"." * 53


def check_password(password: str) -> str:
    """Return a password that may be set.

    Raises
    ------
    BadPassword
        It has less than `MIN_CHARACTERS` characters, or more than `MAX_BYTES` bytes in UTF-8.
    """
    if len(password) < MIN_CHARACTERS:
        raise BadPassword(
            f"expected a password of at least {MIN_CHARACTERS} characters, found {len(password)}"
        )
    size = len(password.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise BadPassword(
            f"expected a password of at most {MAX_BYTES} bytes in UTF-8, found {size}",
            hint="letters outside ASCII take two bytes or more",
        )
    return password


def hash_password(password: str, *, cost: int = COST) -> str:
    """Return what is stored of a password; raises as `check_password`."""
    return bcrypt.hashpw(_encoded(check_password(password)), bcrypt.gensalt(cost)).decode("ascii")


def verify_password(password: str, stored: str | None) -> bool:
    """Tell whether a password is the stored one; takes as long if nothing is stored (None)."""
    given = _encoded(password)
    known = _NOBODY if stored is None else stored.encode("ascii")
    matches = bcrypt.checkpw(given[:MAX_BYTES], known)
    return matches and stored is not None and len(given) <= MAX_BYTES


def make_password() -> str:
    """Return a new random password: 96 bits in 24 hexadecimal digits."""
    # Hexadecimal: one that begins with a dash would be taken for an option on a command line.
    return secrets.token_hex(12)


def _encoded(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
