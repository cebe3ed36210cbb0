"""Handlers of the web page: one HTML for all its addresses, and the files that it loads.

They are no part of the API, so the endpoint table does not have them.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from caterva2.errors import NotFound
from caterva2.model import wire
from caterva2.model.paths import decode_url_path
from caterva2.model.routes import Auth, Media, Role, Route
from caterva2.transport.app import Application
from caterva2.transport.auth import read_credentials
from caterva2.transport.handler import BaseHandler
from caterva2.transport.links import DOOR
from caterva2.transport.security import Policy
from caterva2.transport.webassets import WebAssets

HTML = "text/html; charset=utf-8"
YEAR = "public, max-age=31536000, immutable"
NOT_BUILT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Caterva2</title>"
    "<p>The web page of this subscriber is not built: run <code>make web</code> in the checkout that it "
    "runs from, and start it again. Its API works without."
)
_BASE = '<base href="./">'
_SETTINGS = '<meta name="caterva2" content="">'


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What the page is told.

    Attributes
    ----------
    login, register
        There are users, and people can register themselves.
    session
        The browser that asks has a cookie of a session; if not, there is no need to ask who it is.
    """

    version: str
    login: bool
    register: bool
    session: bool = False


@dataclass(frozen=True)
class Page:
    """The web page of one subscriber."""

    assets: WebAssets
    settings: PageSettings

    def html(self, depth: int, *, session: bool) -> str | None:
        """Return the page for an address of so many parts; None if it is not built.

        What it loads is named from its own address, so a proxy may put any prefix before it.
        """
        index = self.assets.index
        if index is None:
            return None
        settings = html.escape(wire.to_json(replace(self.settings, session=session)).decode("utf-8"))
        base = "../" * (depth - 1) or "./"
        return index.replace(_BASE, f'<base href="{base}">', 1).replace(
            _SETTINGS, f'<meta name="caterva2" content="{settings}">', 1
        )


class PageHandler(BaseHandler[Page]):
    """GET / and every address inside the page; which of them it is, the page finds out itself."""

    policy = Policy.PAGE

    async def get(self, path: str = "") -> None:
        """Send the page."""
        del path
        self.set_header("Cache-Control", "private, no-cache")
        session = read_credentials(self.request.headers) is not None
        text = self.service.html(self.request.path.count("/"), session=session)
        if text is None:
            self.send_bytes(NOT_BUILT.encode(), HTML, status=503)
        else:
            body = text.encode()
            self.send_bytes(body, HTML, etag=hashlib.sha256(body).hexdigest()[:16])


class StaticHandler(BaseHandler[Page]):
    """GET /static/{path}."""

    async def get(self, path: str) -> None:
        """Send a file in the best form that the browser takes."""
        asset = self.service.assets.find(decode_url_path(path))
        if asset is None:
            raise NotFound("the web page has no such file", hint="load the page again")
        form = asset.form(self.request.headers.get("Accept-Encoding", ""))
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Cache-Control", YEAR if asset.immutable else "no-cache")
        if form.encoding is not None:
            self.set_header("Content-Encoding", form.encoding)

        async def read(start: int, stop: int) -> AsyncIterator[bytes]:
            yield form.body[start:stop]

        await self.send_ranges(read, len(form.body), etag=form.etag, media=asset.media)


class DoorHandler(BaseHandler[Page]):
    """GET /share/TOKEN: the page of a share link lies behind a slash."""

    async def get(self) -> None:
        """Send the browser there, by an address that any prefix may be put before."""
        credentials = read_credentials(self.request.headers)
        if credentials is None or not credentials.text.partition("_")[2]:
            raise NotFound("a share link has a token", hint="ask who gave it to you for the whole link")
        self.set_status(303)
        self.set_header("Location", f"{quote(credentials.text, safe='')}/")
        self.set_header("Cache-Control", "no-store")
        self.finish()


PLACES = ("/", "/roots/{path}")
ACCOUNT_PLACES = (
    "/login", "/register", "/forgot-password", "/reset-password/{path}", "/account",
    "/admin", "/admin/service",
)  # fmt: skip


def add_page(application: Application, page: Page) -> None:
    """Serve the page."""
    places = (*PLACES, *ACCOUNT_PLACES) if page.settings.login else PLACES
    if page.settings.login:
        application.add(_route("share-door", DOOR, "Go to the page of a share link."), DoorHandler, page)
    for place in places:
        application.add(_route("page", place, "Show the web page."), PageHandler, page)
    application.add(_route("static", "/static/{path}", "Read a file of the web page."), StaticHandler, page)


def _route(name: str, path: str, summary: str) -> Route:
    return Route(
        name=name, path=path, methods=("GET",), roles=(Role.SUBSCRIBER,), auth=Auth.PUBLIC,
        media=(Media.TEXT,), summary=summary,
    )  # fmt: skip
