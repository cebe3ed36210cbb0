"""Handler of the Zarr view; readers of Zarr in pages of other sites may read it too."""

from __future__ import annotations

from caterva2.model.paths import DatasetPath
from caterva2.roles.subscriber.handlers.data import DataHandler
from caterva2.roles.subscriber.zarrview import parse_key

EXPOSED = "Accept-Ranges, Caterva2-Freshness, Content-Length, Content-Range, ETag, Last-Modified"
ASKED = "Authorization, If-Match, If-Modified-Since, If-None-Match, If-Range, Range"
PREFLIGHT_S = 3600


class ZarrHandler(DataHandler):
    """GET, OPTIONS /zarr/v3/{path}."""

    async def get(self, path: str) -> None:
        """Read the metadata of a dataset or directory, or a chunk."""
        key = parse_key(path)
        where = key.path or DatasetPath("@public")  # a group has no generation to renew
        await self.send_reply(where, lambda: self.service.zarr.answer(self.principal, key))

    async def options(self, path: str) -> None:
        """Tell a browser what a page of another site may ask; the answer is for no path in particular."""
        del path
        self.set_header("Allow", ", ".join(self.endpoint.allowed))
        if self._foreign_origin() is not None:
            self.set_header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
            self.set_header("Access-Control-Allow-Headers", ASKED)
            self.set_header("Access-Control-Max-Age", str(PREFLIGHT_S))
        self.send_bytes(b"")

    def _foreign_origin(self) -> str | None:
        """Return the site of the page that asks, if it is one of those that may."""
        origin = self.request.headers.get("Origin")
        return origin if origin in self.endpoint.context.origins else None

    def _set_common_headers(self) -> None:
        """Let pages of these sites see an answer, errors too; cookies stay out of it."""
        super()._set_common_headers()
        if not self.endpoint.context.origins:
            return
        vary = self._headers.get("Vary")
        self._headers["Vary"] = "Origin" if vary is None else f"{vary}, Origin"
        origin = self._foreign_origin()
        if origin is not None:
            self._headers["Access-Control-Allow-Origin"] = origin
            self._headers["Access-Control-Expose-Headers"] = EXPOSED
