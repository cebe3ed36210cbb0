"""Share links: signed, for one path and what is below it, read only, with an end.

A link is the id of a row in the database and our signature over it: it can be
shown again to its owner, is made by nobody without the secret, and a copy of the
database opens nothing. What it opens, and until when, is in the row.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Callable
from urllib.parse import quote

from caterva2.errors import BadRequest, NotAuthenticated, NotFound, NotPermitted
from caterva2.model.paths import DatasetPath
from caterva2.model.users import SHARE_PREFIX, NewShare, Principal, Scope, SharedInfo, ShareInfo
from caterva2.model.wire import iso_time
from caterva2.runtime.clock import Clock
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.userdb import Shared, StoredShare, UserDb

MAX_SHARES = 200
"""Share links of one user that have not ended."""
MAX_DAYS = 366.0
LONGEST_NAME = 100

_TOKEN = re.compile(r"c2s_([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")


class Shares:
    """The share links of a subscriber.

    Parameters
    ----------
    secret
        Signs them; another one ends all of them.
    urlbase
        Address of the subscriber as users see it.
    changed
        Called when one has ended.
    """

    def __init__(
        self,
        db: UserDb,
        workers: Workers,
        clock: Clock,
        *,
        secret: str,
        urlbase: str,
        changed: Callable[[], None],
    ) -> None:
        self._db = db
        self._workers = workers
        self._clock = clock
        self._key = hmac.digest(secret.encode(), b"caterva2 share link 1", "sha256")
        self._urlbase = urlbase
        self._changed = changed

    async def find(self, token: str, now: float) -> Shared:
        """Return what a link is, with the user who made it.

        Raises
        ------
        NotAuthenticated
            It is forged, has ended, or was revoked; or its user was removed.
        """
        match = _TOKEN.fullmatch(token)
        if match is not None and hmac.compare_digest(match[0], self._token(match[1])):
            found = await self._workers.run(Lane.DISK, self._db.share_owner, match[1], now)
            if found is not None:
                return found
        raise NotAuthenticated(
            "the share link is unknown, has ended, or was revoked",
            hint="ask who gave it to you for a new one",
        )

    async def shared(self, token: str) -> SharedInfo:
        """Tell what a link opens; raises as `find`."""
        share = (await self.find(token, self._clock.time())).share
        return SharedInfo(path=share.path, name=share.name, expires=iso_time(share.expires))

    async def create(self, principal: Principal, path: DatasetPath, wanted: NewShare) -> ShareInfo:
        """Make a link to a path; that its maker sees it is known.

        Raises
        ------
        BadRequest
            Its name or time makes no sense, or there are too many.
        """
        if len(wanted.name) > LONGEST_NAME or not wanted.name.isprintable():
            raise BadRequest(f"expected a name of at most {LONGEST_NAME} printable characters for the link")
        if not 0 < wanted.days <= MAX_DAYS:
            raise BadRequest(f"expected more than 0 and at most {MAX_DAYS:g} days, found {wanted.days:g}")
        now = self._clock.time()
        share = StoredShare(
            id=secrets.token_hex(8), user=str(principal.id), path=str(path), name=wanted.name, created=now,
            expires=now + wanted.days * 86400,
        )  # fmt: skip
        await self._workers.run(Lane.DISK, lambda: self._db.add_share(share, now, limit=MAX_SHARES))
        return self._info(share, str(principal.name), with_url=True)

    async def list(self, principal: Principal, *, everybody: bool) -> list[ShareInfo]:
        """List one's links, or those of everybody.

        Raises
        ------
        NotPermitted
            Those of everybody are for superusers.
        """
        if everybody and not principal.manages:
            raise NotPermitted("the share links of everybody are for superusers")
        owner = None if everybody else str(principal.id)
        found = await self._workers.run(Lane.DISK, self._db.shares, owner, self._clock.time())
        # Who reads the links of others would read their files; and a link outlives a token.
        may = principal.can(Scope.WRITE)
        return [
            self._info(share, user.email, with_url=may and user.id == principal.id) for share, user in found
        ]

    async def revoke(self, principal: Principal, id_: str) -> None:
        """End a link: one's own, or that of anybody for superusers.

        Raises
        ------
        NotFound
            There is none of this id.
        """
        owner = None if principal.manages else str(principal.id)
        if not await self._workers.run(Lane.DISK, self._db.remove_share, owner, id_):
            raise NotFound(f"there is no share link {id_}", hint="see the list of share links")
        self._changed()

    def _token(self, id_: str) -> str:
        signature = hmac.digest(self._key, id_.encode(), "sha256")
        return f"{SHARE_PREFIX}{id_}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode('ascii')}"

    def _info(self, share: StoredShare, owner: str, *, with_url: bool) -> ShareInfo:
        url = f"{self._urlbase}/share/{quote(self._token(share.id), safe='')}" if with_url else None
        return ShareInfo(
            id=share.id, path=share.path, name=share.name, owner=owner, created=iso_time(share.created),
            expires=iso_time(share.expires), url=url,
            last_used=None if share.last_used is None else iso_time(share.last_used),
        )  # fmt: skip
