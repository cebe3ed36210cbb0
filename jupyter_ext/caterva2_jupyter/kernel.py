"""Where a kernel finds its subscriber: handed over by Jupyter, or configured as for every client."""

from __future__ import annotations

from caterva2.client.api import Client
from caterva2.client.handover import Handover
from caterva2.client.session import Session, UserAuth
from caterva2.errors import NotFound


def open_session(where: str | None = None, *, auth: UserAuth | None = None) -> Session:
    """Return the way to a subscriber.

    Parameters
    ----------
    where
        The name that Jupyter has for it, or its address. None for the one that is chosen in
        JupyterLab, or else what ``caterva2.toml`` and the environment say.
    auth
        Name and password of a user.

    Raises
    ------
    NotFound
        Jupyter has no subscriber of this name, and it is no address.
    """
    handover = Handover.from_environment()
    if where is not None:
        named = None if handover is None else handover.subscribers.get(where)
        if named is None and not _is_address(where):
            known = ", ".join(handover.subscribers) if handover is not None else ""
            raise NotFound(
                f"expected an address or the name of a subscriber, found {where!r}",
                hint=f"there are {known}" if known else None,
            )
        return Session(where if named is None else named.urlbase, auth=auth)
    if handover is not None and handover.current is not None:
        return Session(auth=auth)
    from caterva2.config.load import load_client

    found = load_client()
    if auth is None and found.username and found.password:
        auth = (found.username, found.password)
    return Session(found.urlbase, auth=auth)


def connect(where: str | None = None, *, auth: UserAuth | None = None) -> Client:
    """Return a client of the subscriber that JupyterLab is connected to; nothing need be typed.

    Short-lived tokens that Jupyter renews are taken over as long as the client lives.

    Parameters
    ----------
    where
        The name of another subscriber that Jupyter has, or an address. Without Jupyter: what
        ``caterva2.toml``, the environment and ``cat2cli login`` say.
    auth
        Name and password, to be another user.

    Raises
    ------
    NotFound
        Jupyter has no subscriber of this name, and it is no address.
    """
    return Client.of(open_session(where, auth=auth))


def _is_address(text: str) -> bool:
    return any(mark in text for mark in ":/.") or text == "localhost"
