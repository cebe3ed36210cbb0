"""Accounts without HTTP: log in, register, passwords, tokens, users; `shares` has the share links."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import secrets
import unicodedata
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from caterva2.compute.passwords import check_password, hash_password, make_password, verify_password
from caterva2.errors import (
    BadCredentials,
    BadPassword,
    BadRequest,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    TooManyRequests,
    UserExists,
    ValidationFailed,
)
from caterva2.model.paths import DatasetPath
from caterva2.model.users import (
    ANONYMOUS,
    SCOPES,
    SHARE_PREFIX,
    MadeToken,
    NewToken,
    Principal,
    Scope,
    TokenInfo,
    UserInfo,
)
from caterva2.model.wire import iso_time
from caterva2.roles.subscriber.logins import Bucket, LoginLimits
from caterva2.roles.subscriber.mail import Mailer
from caterva2.roles.subscriber.shares import Shares
from caterva2.runtime.clock import Clock
from caterva2.runtime.tasks import Supervisor
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.userdb import Shared, StoredToken, StoredUser, UserDb
from caterva2.transport.auth import CookieSigner, Credentials, Session

logger = logging.getLogger(__name__)

SESSION_S = 12 * 3600
RESET_S = 3600
GIVEN_RESET_S = 24 * 3600
"""So long a reset link is good that a person hands over."""
MAILS, MAIL_S = 3, 600.0
"""Mails that a user gets at once, whoever asks for them, and after how long one more, in seconds."""
KNOWN_S = 2.0
"""So long a look-up is believed: what another process changes takes effect after it."""
KNOWN = 4096
MAX_TOKENS = 100
LONGEST = 1000
"""More characters of a name are not looked at."""
MAX_DAYS = 3650.0
TOKEN_PREFIX = "c2t_"  # noqa: S105 - what tokens begin with, so that scanners for leaked ones find them

_EMAIL = re.compile(r"[^\s@/\\\"'<>(),:;\[\]]+@[\w-]+(\.[\w-]+)+")


def spell_email(text: str) -> str:
    """Return how an e-mail is written here: no blanks around, small letters, one form of each letter."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).lower())


def normalise_email(text: str) -> str:
    """Return the one spelling of an e-mail.

    Raises
    ------
    BadRequest
        It is none.
    """
    email = spell_email(text)
    if len(email) > 254 or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise BadRequest(f"expected an e-mail such as name@example.org, found {text[:300]!r}")
    return email


def hash_token(token: str) -> bytes:
    """Return what is stored of a token; tokens are random, so a fast hash does."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Accounts:
    """The users of a subscriber.

    Parameters
    ----------
    secret
        Signs the cookies of sessions.
    register
        Whether people may register themselves.
    maxusers
        Most users; None for no limit.
    mailer
        Sends reset links; None leaves that to the operator.
    urlbase
        Address of the subscriber as users see it.
    removed
        Called with the id of a user who was removed.
    """

    def __init__(
        self,
        db: UserDb,
        workers: Workers,
        clock: Clock,
        *,
        secret: str,
        register: bool,
        maxusers: int | None,
        urlbase: str,
        mailer: Mailer | None = None,
        removed: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.register_allowed = register
        self._db = db
        self._workers = workers
        self._clock = clock
        self._signer = CookieSigner(secret)
        self._maxusers = maxusers
        self._urlbase = urlbase
        self._mailer = mailer
        self._removed = removed
        self._limits = LoginLimits(clock)
        self._mailed = Bucket(clock, MAILS, MAIL_S)
        self._tasks = Supervisor("accounts")
        self._known: OrderedDict[Credentials, tuple[Principal, float]] = OrderedDict()
        self._epoch = 0
        self._mails = 0
        self.shares = Shares(db, workers, clock, secret=secret, urlbase=urlbase, changed=self.forget)

    async def stop(self) -> None:
        """End what runs in the background."""
        await self._tasks.stop()

    # who asks: `caterva2.transport.auth.Authenticator`

    def known(self, credentials: Credentials) -> Principal | None:
        """Return who it is if that was looked up a moment ago."""
        found = self._known.get(credentials)
        if found is None or found[1] <= self._clock.time():
            return None
        return found[0]

    async def look_up(self, credentials: Credentials) -> Principal:
        """Return who it is.

        Raises
        ------
        NotAuthenticated
            The token or share link is unknown, has ended, or was revoked.
        """
        epoch, now = self._epoch, self._clock.time()
        if credentials.is_token:
            principal, expires = await self._token_principal(credentials.text, now)
        else:
            session = self._signer.verify(credentials.text, now)
            if session is None:
                return ANONYMOUS
            principal, expires = await self._session_principal(session)
        if epoch == self._epoch:
            self._known[credentials] = principal, min(expires, now + KNOWN_S)
            self._known.move_to_end(credentials)
            while len(self._known) > KNOWN:
                self._known.popitem(last=False)
        return principal

    async def _token_principal(self, token: str, now: float) -> tuple[Principal, float]:
        if token.startswith(SHARE_PREFIX):
            shared = await self.shares.find(token, now)
            return _guest(shared), shared.share.expires
        owned = None
        if token.startswith(TOKEN_PREFIX):
            owned = await self._workers.run(Lane.DISK, self._db.token_owner, hash_token(token), now)
        if owned is None:
            raise NotAuthenticated("the token is unknown, has ended, or was revoked", hint="make a new one")
        scopes = SCOPES[Scope(owned.token.scope)]
        expires = owned.token.expires
        return _principal(owned.user, scopes), now + KNOWN_S if expires is None else expires

    async def _session_principal(self, session: Session) -> tuple[Principal, float]:
        user = await self._workers.run(
            Lane.DISK, self._db.session_user, session.id, session.user, session.generation
        )
        return ANONYMOUS if user is None else _principal(user, SCOPES[Scope.ADMIN]), session.expires

    def forget(self) -> None:
        """Look everybody up again: something has changed."""
        self._epoch += 1
        self._known.clear()

    # sessions

    async def log_in(self, name: str, password: str, address: str) -> str:
        """Return the value of the cookie of a new session.

        Raises
        ------
        BadCredentials
            There is no such user, or the password is wrong; which of both is not told.
        TooManyRequests
            See `LoginLimits.attempt`.
        """
        email = spell_email(name[:LONGEST])[:254]
        async with self._limits.attempt(address, email) as attempt:
            user = await self._verified(email, password)
            attempt.succeeded()
        session = Session(
            secrets.token_urlsafe(12), user.id, user.generation, int(self._clock.time()) + SESSION_S
        )
        return self._signer.sign(session)

    async def _verified(self, email: str, password: str) -> StoredUser:
        user = await self._workers.run(Lane.DISK, self._db.by_email, email)
        good = await self._workers.run(
            Lane.AUTH, verify_password, password, None if user is None else user.password
        )
        if user is None or not good:
            raise BadCredentials("LOGIN_BAD_CREDENTIALS")
        return user

    async def log_out(self, cookie: str) -> None:
        """End the session of a cookie."""
        now = self._clock.time()
        session = self._signer.verify(cookie, now)
        if session is not None:
            await self._workers.run(Lane.DISK, self._db.end_session, session.id, session.expires, now)
        self.forget()

    async def log_out_everywhere(self, principal: Principal) -> None:
        """End all sessions of a user; his tokens stay."""
        await self._workers.run(Lane.DISK, self._db.end_sessions, str(principal.id))
        self.forget()

    # accounts of one's own

    async def register(self, email: str, password: str, address: str) -> UserInfo:
        """Make an account for oneself.

        Raises
        ------
        NotFound
            The operator does not allow it.
        UserExists, BadPassword, ValidationFailed, BadRequest, TooManyRequests
            It can not be made like this; there may be too many users.
        """
        if not self.register_allowed:
            raise NotFound("Not Found")
        try:
            email = normalise_email(email)
        except BadRequest as exc:
            raise ValidationFailed(exc.message, problems=((("body", "email"), exc.message, email),)) from exc
        try:
            check_password(password)
        except BadPassword as exc:
            raise _refusal(exc, "REGISTER_INVALID_PASSWORD") from exc
        self._limits.count(address)
        try:
            return _info(await self._add(email, password, superuser=False))
        except UserExists as exc:
            raise UserExists("REGISTER_USER_ALREADY_EXISTS") from exc

    async def forgot_password(self, email: str, address: str) -> None:
        """Send a reset link, if there is such a user; neither answer nor time tells.

        Raises
        ------
        TooManyRequests
            The address asks too often.
        """
        self._limits.count(address)
        wanted = spell_email(email[:LONGEST])[:254]
        self._mails += 1
        self._tasks.spawn(f"reset link {self._mails}", lambda: self._send_reset(wanted), restart=False)

    async def _send_reset(self, email: str) -> None:
        user = await self._workers.run(Lane.DISK, self._db.by_email, email)
        if user is None:
            return
        if self._mailer is None:
            logger.warning("%s asks for a new password; to help: cat2admin reset-link %s", email, email)
            return
        try:
            self._mailed.check(user.id)
        except TooManyRequests:
            logger.warning("%s has got %d reset links in a short time; no more is sent now", email, MAILS)
            return
        self._mailed.add(user.id)
        link = await self._workers.run(
            Lane.DISK, make_reset_link, self._db, user.id, self._urlbase, self._clock.time(), RESET_S
        )
        try:
            async with asyncio.timeout(60):
                await self._workers.run(Lane.NET, self._mailer.send_reset, email, link)
        except OSError as exc:  # also what smtplib and ssl raise, and the end of the time
            logger.warning("the reset link for %s can not be mailed: %s", email, str(exc) or "no answer")

    async def reset_password(self, token: str, password: str, address: str) -> None:
        """Set a new password with the token of a reset link, which is used up; ends sessions and tokens.

        Raises
        ------
        BadCredentials, BadPassword, TooManyRequests
            The token is not good; the password is not; too many tokens were tried.
        """
        self._limits.count(address)
        run, hashed = self._workers.run, hash_token(token)
        if await run(Lane.DISK, self._db.reset_user, hashed, self._clock.time()) is None:
            raise BadCredentials("RESET_PASSWORD_BAD_TOKEN")
        try:
            stored = await run(Lane.AUTH, hash_password, password)
        except BadPassword as exc:
            raise _refusal(exc, "RESET_PASSWORD_INVALID_PASSWORD") from exc
        if not await run(Lane.DISK, self._db.reset_password, hashed, self._clock.time(), stored):
            raise BadCredentials("RESET_PASSWORD_BAD_TOKEN")  # used up meanwhile
        self.forget()

    async def change_password(
        self, principal: Principal, old: str, new: str, address: str, *, revoke_tokens: bool = False
    ) -> None:
        """Set a new password; all sessions of the user end, and if asked for his tokens.

        Raises
        ------
        BadCredentials, BadPassword, TooManyRequests
            The old password is wrong; the new one is not good; too many were tried.
        """
        check_password(new)
        email = str(principal.name)
        async with self._limits.attempt(address, email) as attempt:
            await self._verified(email, old)
            attempt.succeeded()
        hashed = await self._workers.run(Lane.AUTH, hash_password, new)
        await self._workers.run(
            Lane.DISK,
            lambda: self._db.set_password(str(principal.id), hashed, revoke_tokens=revoke_tokens),
        )
        self.forget()

    # tokens

    async def create_token(self, principal: Principal, wanted: NewToken) -> MadeToken:
        """Make a token; its text is not kept.

        Raises
        ------
        NotPermitted
            It would be good for more than what asks for it.
        BadRequest
            Its name or time makes no sense, or there are too many.
        """
        if not 1 <= len(wanted.name) <= 100 or not wanted.name.isprintable():
            raise BadRequest("expected a name of 1 to 100 printable characters for the token")
        if wanted.days is not None and not 0 < wanted.days <= MAX_DAYS:
            raise BadRequest(f"expected more than 0 and at most {MAX_DAYS:g} days, found {wanted.days:g}")
        if not principal.can(wanted.scope) or (wanted.scope is Scope.ADMIN and not principal.superuser):
            raise NotPermitted(f"you may not make a token of scope {wanted.scope}")
        text = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._clock.time()
        token = StoredToken(
            id=secrets.token_hex(6), user=str(principal.id), name=wanted.name, scope=wanted.scope.value,
            created=now, expires=None if wanted.days is None else now + wanted.days * 86400, last_used=None,
        )  # fmt: skip
        await self._workers.run(Lane.DISK, self._db.add_token, token, hash_token(text), limit=MAX_TOKENS)
        return MadeToken(token=text, info=token_info(token))

    async def tokens(self, principal: Principal) -> list[TokenInfo]:
        """List one's tokens."""
        found = await self._workers.run(Lane.DISK, self._db.tokens, str(principal.id))
        return [token_info(token) for token in found]

    async def revoke_token(self, principal: Principal, id_: str) -> None:
        """End a token: one's own, or that of anybody for superusers.

        Raises
        ------
        NotFound
            There is none of this id.
        """
        owner = None if principal.manages else str(principal.id)
        if not await self._workers.run(Lane.DISK, self._db.remove_token, owner, id_):
            raise NotFound(f"there is no token {id_}", hint="see the list of tokens")
        self.forget()

    # users

    async def add_user(self, name: str, password: str | None, *, superuser: bool) -> str:
        """Add a user; return the password, which is a new one if none is given.

        Raises
        ------
        UserExists, BadPassword, BadRequest
            It can not be done; there may be too many users.
        """
        email = normalise_email(name)
        password = make_password() if password is None else check_password(password)
        await self._add(email, password, superuser=superuser)
        return password

    async def _add(self, email: str, password: str, *, superuser: bool) -> StoredUser:
        hashed = await self._workers.run(Lane.AUTH, hash_password, password)
        return await self._workers.run(
            Lane.DISK, lambda: self._db.add(email, hashed, superuser=superuser, limit=self._maxusers)
        )

    async def remove_user(self, name: str) -> None:
        """Remove a user and what is his.

        Raises
        ------
        BadRequest
            There is none, or he is the last superuser.
        """
        email = spell_email(name)
        run, db = self._workers.run, self._db
        user = await run(Lane.DISK, db.by_email, email)
        if user is None or not await run(Lane.DISK, lambda: db.remove(user.id, keep_one=True)):
            raise BadRequest(f"there is no user {name}")
        self.forget()
        if self._removed is not None:
            await self._removed(user.id)

    async def users(self, principal: Principal, name: str | None) -> list[UserInfo]:
        """List the users, or the one of a name; who may not manage users sees himself only."""
        all_of_them = principal.manages
        found = await self._workers.run(Lane.DISK, self._db.users)
        # Clients do not quote the name: its plus arrives as a blank.
        wanted = None if name is None else spell_email(name.strip().replace(" ", "+"))
        return [
            _info(user)
            for user in found
            if (all_of_them or user.id == principal.id) and wanted in {None, user.email}
        ]


def make_reset_link(db: UserDb, user: str, urlbase: str, now: float, valid_s: float) -> str:
    """Store a new reset token of a user and return the link with it. Blocks."""
    token = secrets.token_urlsafe(32)
    db.add_reset(user, hash_token(token), now + valid_s, now)
    return f"{urlbase}/reset-password/{token}"


def token_info(token: StoredToken) -> TokenInfo:
    """Return a token as lists show it."""
    return TokenInfo(
        id=token.id, name=token.name, scope=Scope(token.scope), created=iso_time(token.created),
        expires=None if token.expires is None else iso_time(token.expires),
        last_used=None if token.last_used is None else iso_time(token.last_used),
    )  # fmt: skip


def _refusal(exc: BadPassword, code: str) -> BadPassword:
    return BadPassword(exc.message, hint=exc.hint, refusal=code)


def _principal(user: StoredUser, scopes: frozenset[Scope]) -> Principal:
    if not user.superuser:
        scopes &= SCOPES[Scope.WRITE]
    return Principal(user.id, user.email, user.superuser, scopes, user.groups, user.quota)


def _guest(shared: Shared) -> Principal:
    """Return the holder of a share link: its maker as he is now, who only reads, and only there."""
    user, path = shared.user, DatasetPath.parse(shared.share.path)
    return Principal(
        user.id, user.email, user.superuser, SCOPES[Scope.READ], user.groups, user.quota, within=path
    )


def _info(user: StoredUser) -> UserInfo:
    return UserInfo(id=user.id, email=user.email, is_superuser=user.superuser, groups=sorted(user.groups))
