"""Handlers of the endpoints that change areas: nobody can log in here, so nobody may."""

from __future__ import annotations

from caterva2.errors import NotAuthenticated
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.handler import BaseHandler


class WriteHandler(BaseHandler[Subscriber]):
    """POST /api/upload/{path} and all others that write."""

    async def post(self, path: str = "") -> None:
        """Refuse."""
        del path
        raise NotAuthenticated(
            "writing is for users who are logged in, and this subscriber has no users",
            hint="its operator can put files into the directory behind @public",
        )
