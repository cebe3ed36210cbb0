"""Logging in once: a token is made and kept, so that scripts and notebooks need no password."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import NamedTuple

from caterva2.client import calls
from caterva2.client.session import BasicAuth, Session
from caterva2.client.tokenfile import KeptToken, keep_token


class KeptLogin(NamedTuple):
    """What a login left behind.

    Attributes
    ----------
    expires
        As the server says it; None for never.
    id
        Of the token, at the server.
    file
        Where the token is kept.
    """

    urlbase: str
    user: str
    expires: str | None
    id: str
    file: Path


def keep_login(
    urlbase: str | None, user: str, password: str, *, program: str, scope: str = "write", days: float = 90.0
) -> KeptLogin:
    """Log in, make a token and keep it.

    Parameters
    ----------
    program
        For the name of the token: who asks for it.
    scope
        ``read``, ``write`` or ``admin``.
    days
        How long the token is good.

    Raises
    ------
    NotAuthenticated
        The server does not know the user, or the password is wrong.
    NotFound
        The server has no users.
    """
    session = Session(urlbase, auth=BasicAuth(user, password))
    try:
        name = f"{program} on {platform.node() or 'this machine'}"[:100]
        made = session.send(calls.create_token(name, scope, days))
    finally:
        session.close()
    where = keep_token(str(session.urlbase), KeptToken(made.token, user, made.info.id))
    return KeptLogin(str(session.urlbase), user, made.info.expires, made.info.id, where)
