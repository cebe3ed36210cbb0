"""Share links in addresses: ``/share/TOKEN/api/...`` and ``?share=TOKEN`` count as a bearer token.

A path works where nothing else can be sent: for readers that append keys to an
address, for links that are clicked, and for clients that know nothing of links.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from caterva2.model.users import SHARE_PREFIX

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

PREFIX = "/share/"
DOOR = "/share"
"""What a link with nothing behind it becomes: browsers are sent on, to where addresses can be relative."""
PARAMETER = "share"
_MARK = f"{PARAMETER}="


def has_link(path: str, query: str) -> bool:
    """Whether there may be a link; cheap."""
    return path.startswith(PREFIX) or _MARK in query


def take_link(request: HTTPServerRequest, path: str) -> str:
    """Let the link speak for the request, whatever else it brings; return the path without it.

    Nothing of it stays in the address: it would be in logs.
    """
    if path.startswith(PREFIX):
        token, slash, rest = path.removeprefix(PREFIX).partition("/")
        path, token = f"/{rest}" if slash else DOOR, unquote(token, errors="replace")
    else:
        texts = request.query_arguments.pop(PARAMETER, None)
        request.arguments.pop(PARAMETER, None)
        if texts is None:
            return path
        token = texts[-1].decode("latin-1")
        request.query = "&".join(p for p in request.query.split("&") if not p.startswith(_MARK))
    # Nothing else may be said this way: addresses are kept in histories.
    request.headers["Authorization"] = f"Bearer {token if token.startswith(SHARE_PREFIX) else SHARE_PREFIX}"
    request.path = path
    request.uri = f"{path}?{request.query}" if request.query else path
    return path
