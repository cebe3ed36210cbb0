"""Share links: read one path of a server, without an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from caterva2.errors import BadRequest
from caterva2.model.users import SHARE_PREFIX

if TYPE_CHECKING:
    from caterva2.client.tree import Directory, File

_MARK = "/share/"
_PAGES = "roots/"


class Link(NamedTuple):
    """What a share link says.

    Attributes
    ----------
    urlbase
        The server.
    token
        Opens it; to be kept like a password.
    path
        What it points to below what it opens; None for all of that.
    """

    urlbase: str
    token: str
    path: str | None = None


def is_link(text: str) -> bool:
    """Whether a text is a share link with its server, and not the token of one alone."""
    return "://" in text


def parse_link(text: str) -> Link:
    """Read a share link such as ``http://localhost:8002/share/c2s_...``.

    Raises
    ------
    BadRequest
        It is none.
    """
    address = text.partition("#")[0].partition("?")[0]
    urlbase, mark, rest = address.partition(_MARK)
    token, _, page = rest.partition("/")
    token = unquote(token)
    if not mark or "://" not in urlbase or not urlsplit(urlbase).netloc or not token.startswith(SHARE_PREFIX):
        raise BadRequest(
            f"expected a share link such as http://localhost:8002/share/{SHARE_PREFIX}..., found {text!r}"
        )
    path = unquote(page.removeprefix(_PAGES)).strip("/") if page.startswith(_PAGES) else ""
    return Link(urlbase, token, path or None)


def open_link(url: str) -> File | Directory:
    """Open a share link; no account is needed.

    Parameters
    ----------
    url
        The link, as ``cat2cli share create`` or the web page gives it.

    Returns
    -------
    File or Directory
        What it points to: the `Dataset`, `File`, `Directory` or `Root`.

    Raises
    ------
    BadRequest
        It is no share link.
    NotAuthenticated
        It has ended, or was revoked.
    """
    from caterva2.client.api import Client

    link = parse_link(url)
    client = Client(share=url)
    return client.get(link.path or client.shared()["path"])
