"""Handlers of the endpoints about users, sessions and tokens; they exist only where there are users."""

from __future__ import annotations

from caterva2.errors import BadRequest, NotFound, ValidationFailed
from caterva2.model import users as u
from caterva2.model.paths import DatasetPath, decode_url_path
from caterva2.model.users import COOKIE
from caterva2.roles.subscriber.accounts import Accounts
from caterva2.roles.subscriber.service import Subscriber
from caterva2.transport.auth import read_credentials
from caterva2.transport.handler import BaseHandler


class AccountHandler(BaseHandler[Subscriber]):
    """What the account endpoints share."""

    @property
    def accounts(self) -> Accounts:
        """The users."""
        accounts = self.service.accounts
        assert accounts is not None  # the routes do not exist without
        return accounts

    @property
    def address(self) -> str:
        """Where the request comes from; behind a proxy that is believed, what the proxy says."""
        request = self.request
        return self.endpoint.context.proxies.client(request.remote_ip or "", request.headers)

    @property
    def is_secure(self) -> bool:
        """Whether the browser that asks speaks https, as far as we know."""
        context, request = self.endpoint.context, self.request
        return (
            request.protocol == "https"
            or context.urlbase.startswith("https:")
            or context.proxies.is_secure(request.remote_ip or "", request.headers)
        )

    def send_cookie(self, value: str, *, more: str = "") -> None:
        """Answer 204 with our cookie and no other: clients take the first one."""
        secure = "; Secure" if self.is_secure else ""
        self.set_header("Set-Cookie", f"{COOKIE}={value}; HttpOnly; Path=/; SameSite=lax{more}{secure}")
        self.set_header("Cache-Control", "no-store")
        self.set_status(204)
        self.clear_header("Content-Type")
        self.finish()


class LoginHandler(AccountHandler):
    """POST /auth/jwt/login."""

    async def post(self) -> None:
        """Log in."""
        form = self.request.body_arguments
        values: dict[str, str] = {}
        for name in ("username", "password"):
            texts = form.get(name)
            if not texts:
                raise ValidationFailed(
                    f"body: {name} is missing", problems=((("body", name), "Field required", None),)
                )
            try:
                values[name] = texts[0].decode("utf-8")
            except UnicodeDecodeError as exc:
                raise ValidationFailed(
                    f"body: {name} is not UTF-8", problems=((("body", name), "not UTF-8", None),)
                ) from exc
        self.send_cookie(await self.accounts.log_in(values["username"], values["password"], self.address))


class LogoutHandler(AccountHandler):
    """POST /auth/jwt/logout."""

    async def post(self) -> None:
        """End the session and clear the cookie."""
        credentials = read_credentials(self.request.headers)
        if credentials is not None and credentials.is_token:
            raise BadRequest("a token has no session to log out of", hint="revoke the token")
        if credentials is not None:
            await self.accounts.log_out(credentials.text)
        self.send_cookie('""', more="; Max-Age=0")


class LogoutEverywhereHandler(AccountHandler):
    """POST /auth/logout-everywhere."""

    async def post(self) -> None:
        """End all sessions."""
        await self.accounts.log_out_everywhere(self.principal)
        self.send_cookie('""', more="; Max-Age=0")


class RegisterUserHandler(AccountHandler):
    """POST /auth/register."""

    async def post(self) -> None:
        """Make an account."""
        body = self.json_body(u.NewAccount)
        self.send_json(await self.accounts.register(body.email, body.password, self.address), status=201)


class ForgotPasswordHandler(AccountHandler):
    """POST /auth/forgot-password."""

    async def post(self) -> None:
        """Send a link; the answer is the same for everybody."""
        await self.accounts.forgot_password(self.json_body(u.ForgotPassword).email, self.address)
        self.send_json(None, status=202)


class ResetPasswordHandler(AccountHandler):
    """POST /auth/reset-password."""

    async def post(self) -> None:
        """Set a new password."""
        body = self.json_body(u.ResetPassword)
        await self.accounts.reset_password(body.token, body.password, self.address)
        self.send_json(None)


class ChangePasswordHandler(AccountHandler):
    """POST /auth/change-password."""

    async def post(self) -> None:
        """Set a new password and end all sessions."""
        body = self.json_body(u.ChangePassword)
        await self.accounts.change_password(
            self.principal, body.password, body.new_password, self.address, revoke_tokens=body.revoke_tokens
        )
        self.send_json(None)


class MeHandler(AccountHandler):
    """GET /api/me."""

    async def get(self) -> None:
        """Tell who asks."""
        who = self.principal
        room = self.service.areas.room(who)
        self.send_json(
            u.Me(
                id=str(who.id), email=str(who.name), is_superuser=who.superuser, groups=sorted(who.groups),
                scopes=[scope for scope in u.Scope if scope in who.scopes],
                used=0 if room is None else room.used, quota=None if room is None else room.limit,
            )
        )  # fmt: skip


class AddUserHandler(AccountHandler):
    """POST /api/adduser/."""

    async def post(self) -> None:
        """Add a user; a password that the server made is in the answer."""
        body = self.json_body(u.NewUser)
        password = await self.accounts.add_user(body.username, body.password, superuser=body.superuser)
        made = f", password: {password}" if body.password is None else ""
        self.set_header("Cache-Control", "no-store")
        self.send_json(f"User added: {body.username}{made}")


class DelUserHandler(AccountHandler):
    """GET /api/deluser/{username}."""

    async def get(self, username: str) -> None:
        """Remove a user."""
        if self.request.method == "HEAD":
            raise BadRequest("a user is removed with GET, not with HEAD")
        name = decode_url_path(username)
        await self.accounts.remove_user(name)
        self.send_json(f"User deleted: {name}")


class ListUsersHandler(AccountHandler):
    """GET /api/listusers/."""

    async def get(self) -> None:
        """List users."""
        self.send_json(await self.accounts.users(self.principal, self.query(u.UsersQuery).username))


class TokensHandler(AccountHandler):
    """GET, POST /api/tokens; DELETE /api/tokens/{token}."""

    async def get(self) -> None:
        """List the tokens."""
        name, management = self.query(u.TokensQuery).username, self.service.management
        if name is None or management is None:
            self.send_json(await self.accounts.tokens(self.principal))
        else:
            self.send_json(await management.tokens(self.principal, name))

    async def post(self) -> None:
        """Make a token."""
        made = await self.accounts.create_token(self.principal, self.json_body(u.NewToken))
        self.set_header("Cache-Control", "no-store")
        self.send_json(made, status=201)

    async def delete(self, token: str) -> None:
        """End a token."""
        id_ = decode_url_path(token)
        await self.accounts.revoke_token(self.principal, id_)
        self.send_json(f"Token revoked: {id_}")


class SharesHandler(AccountHandler):
    """GET, POST /api/shares; DELETE /api/shares/{share}."""

    async def get(self) -> None:
        """List the links."""
        everybody = self.query(u.SharesQuery).everybody
        found = await self.accounts.shares.list(self.principal, everybody=everybody)
        self.set_header("Cache-Control", "no-store")
        self.send_json(found)

    async def post(self) -> None:
        """Make a link."""
        body = self.json_body(u.NewShare)
        path = DatasetPath.parse(body.path)
        await self.service.library.check_shareable(self.principal, path)
        made = await self.accounts.shares.create(self.principal, path, body)
        self.set_header("Cache-Control", "no-store")
        self.send_json(made, status=201)

    async def delete(self, share: str) -> None:
        """End a link."""
        id_ = decode_url_path(share)
        await self.accounts.shares.revoke(self.principal, id_)
        self.send_json(f"Share link revoked: {id_}")


class SharedHandler(AccountHandler):
    """GET /api/shared."""

    async def get(self) -> None:
        """Tell what the link opens."""
        credentials = read_credentials(self.request.headers)
        if credentials is None or self.principal.within is None:
            raise NotFound("no share link came with the request")
        self.send_json(await self.accounts.shares.shared(credentials.text))
