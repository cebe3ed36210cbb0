"""Handlers of what superusers do: manage the other users, and see how the service is."""

from __future__ import annotations

from caterva2.model import users as u
from caterva2.model.paths import decode_url_path
from caterva2.roles.subscriber.management import Management
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.handler import BaseHandler


class ManagementHandler(BaseHandler[Subscriber]):
    """What these endpoints share."""

    @property
    def management(self) -> Management:
        """The users."""
        management = self.service.management
        assert management is not None  # the routes do not exist without
        return management


class UsersHandler(ManagementHandler):
    """GET /api/users; PATCH /api/users/{username}."""

    async def get(self) -> None:
        """List users."""
        page = await self.management.page(self.query(u.UserListQuery))
        self.set_header("Cache-Control", "no-store")
        self.send_json(page)

    async def patch(self, username: str) -> None:
        """Change a user."""
        change = self.json_body(u.UserChange)
        self.send_json(await self.management.change(self.principal, decode_url_path(username), change))


class ResetLinkHandler(ManagementHandler):
    """POST /api/reset-links/{username}."""

    async def post(self, username: str) -> None:
        """Make a link."""
        link = await self.management.reset_link(self.principal, decode_url_path(username))
        self.set_header("Cache-Control", "no-store")
        self.send_json(link)


class ServiceHandler(ManagementHandler):
    """GET /api/service."""

    async def get(self) -> None:
        """Tell how the service is."""
        context = self.endpoint.context
        report = await self.service.reporter.report(
            context.metrics.requests.totals(), context.failures.recent(), self.management.emails
        )
        self.set_header("Cache-Control", "no-store")
        self.send_json(report)
