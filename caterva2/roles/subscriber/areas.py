"""The areas: which there are for whom, where their files lie, and how their changes get known."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from caterva2.errors import BadPath, NotAuthenticated
from caterva2.model.events import DirectoryChanged
from caterva2.model.users import Principal
from caterva2.roles.localroot import LocalRoot
from caterva2.roles.subscriber.access import Access
from caterva2.runtime.hub import Hub
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.areas import AreaFiles, tree_size
from caterva2.storage.directory import DirectorySource
from caterva2.storage.ledger import Ledger
from caterva2.storage.state import Catalog

PUBLIC, SHARED, PERSONAL = "@public", "@shared", "@personal"


@dataclass(frozen=True, eq=False)
class Area:
    """An area, of one user if it is a personal one.

    Attributes
    ----------
    name
        As clients say it.
    key
        Tells it from all others, personal ones included: in the catalog, in events, among open files.
    directory
        Where its files lie.
    source
        Shows them.
    root
        Knows them, and tells their changes.
    files
        Writes them.
    """

    name: str
    key: str
    directory: Path
    source: DirectorySource
    root: LocalRoot
    files: AreaFiles
    started: asyncio.Lock


class Areas:
    """All areas of a subscriber.

    Parameters
    ----------
    state
        The directory in which they lie: ``public``, ``shared``, ``personal/<id>``.
    has_users
        Whether people can log in; else there is only ``@public``.
    public
        Where ``@public`` lies if it is a directory of somebody's own, which no quota counts;
        None for ``public`` in `state`.
    access
        Who may see which of them.
    quota, user_quota
        Most bytes of all areas together, and of each personal one; None for no limit.
    own_quotas
        Tells, by the ids of users, the limits of those who have one of their own; 0 is none. Blocking.
    """

    def __init__(
        self,
        state: Path,
        *,
        has_users: bool,
        access: Access,
        catalog: Catalog,
        hub: Hub,
        workers: Workers,
        quota: int | None = None,
        user_quota: int | None = None,
        public: Path | None = None,
        own_quotas: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self.state = state
        self._public = public
        self.ledger = Ledger(quota, "all areas together", self._count)
        self._user_quota = user_quota
        self._own_quotas = own_quotas
        self._access = access
        self.has_users = has_users
        self._catalog = catalog
        self._hub = hub
        self._workers = workers
        self._running: set[str] = set()
        self._personal: dict[str, Area] = {}
        self.common = {PUBLIC: self._area(PUBLIC, PUBLIC, public or state / "public", state / "made")}
        if has_users:
            self.common[SHARED] = self._area(SHARED, SHARED, state / "shared", state / "made.shared")

    def _area(self, name: str, key: str, directory: Path, made: Path) -> Area:
        directory.mkdir(parents=True, exist_ok=True)
        foreign = directory == self._public
        exclude = [self.state] if foreign else []
        source = DirectorySource(directory, made, exclude=exclude, lazy=self.has_users)
        root = LocalRoot(source, self._catalog, self._hub, self._workers, key)
        ledgers = [self.ledger]
        if name == PERSONAL:
            ledgers.append(Ledger(self._user_quota, "your @personal", lambda: tree_size(directory)))
        files = AreaFiles(directory, *([] if foreign else ledgers), foreign=foreign)
        return Area(name, key, directory, source, root, files, asyncio.Lock())

    def _count(self) -> int:
        return sum(tree_size(self.state / name) for name in ("public", "shared", "personal"))

    def load(self) -> None:
        """Remove what was half written when the last run ended, and count what there is. Blocking."""
        for area in self.common.values():
            area.files.clean()
        if self.has_users:
            personal = self.state / "personal"
            personal.mkdir(exist_ok=True)
            for directory in personal.iterdir():
                if directory.name.replace("-", "").isalnum() and directory.is_dir():
                    self._personal_area(directory.name).files.clean()
            own = self._own_quotas()
            for user, area in self._personal.items():
                area.files.ledgers[-1].limit = self.limit_of(own.get(user))
                area.files.ledgers[-1].recount()
        self.ledger.recount()

    def all(self) -> list[Area]:
        """Return the areas that are at hand."""
        return [*self.common.values(), *self._personal.values()]

    # which

    def names(self, principal: Principal) -> list[str]:
        """Return the areas that somebody has as a whole."""
        return [name for name in self._for(principal) if self._access.may_see(principal, name)]

    def _for(self, principal: Principal) -> list[str]:
        return [PUBLIC] if principal.is_anonymous or not self.has_users else [PERSONAL, PUBLIC, SHARED]

    def key(self, principal: Principal, root: str) -> str:
        """Return what tells a root or area of somebody from all others."""
        return f"{PERSONAL}:{principal.id}" if root == PERSONAL else root

    def find(self, principal: Principal, root: str) -> Area | None:
        """Return an area of somebody; None if `root` is none, or is not for him.

        What of it the holder of a share link may see is for `Access.check_path` to tell.
        """
        if root not in self._for(principal) or not self._access.may_enter(principal, root):
            return None
        if root != PERSONAL:
            return self.common[root]
        area = self._personal_area(str(principal.id))
        area.files.ledgers[-1].limit = self.limit_of(principal.quota)
        return area

    def room(self, principal: Principal) -> Ledger | None:
        """Return what somebody's ``@personal`` takes and may take; None if he has none."""
        area = self.find(principal, PERSONAL)
        return area.files.ledgers[-1] if area is not None and area.files.ledgers else None

    def used_by(self, user: str) -> int:
        """Return the bytes of the personal area of the user of an id; it is not made for that."""
        area = self._personal.get(user)
        return area.files.ledgers[-1].used if area is not None and area.files.ledgers else 0

    def limit_of(self, own: int | None) -> int | None:
        """Return the limit of a personal area, in bytes; None for no limit.

        Parameters
        ----------
        own
            That of its user: None for what holds for all, 0 for no limit.
        """
        return self._user_quota if own is None else own or None

    def source(self, principal: Principal, root: str) -> DirectorySource | None:
        """Return the files of an area; None as `find`."""
        area = self.find(principal, root)
        return None if area is None else area.source

    def writable(self, principal: Principal, root: str) -> Area:
        """Return an area to write to.

        Raises
        ------
        NotAuthenticated
            Nobody is logged in.
        BadPath
            It is no area.
        """
        if principal.is_anonymous:
            raise NotAuthenticated("writing is for users who are logged in", hint="log in, or send a token")
        area = self.find(principal, root)
        if area is None:
            raise BadPath(
                f"{root!r} can not be written to", hint=f"write to {PERSONAL}, {SHARED} or {PUBLIC}"
            )
        return area

    def _personal_area(self, user: str) -> Area:
        area = self._personal.get(user)
        if area is None:
            if not user.replace("-", "").isalnum():
                raise BadPath("the id of a user is made of letters, digits and -")
            area = self._area(
                PERSONAL,
                f"{PERSONAL}:{user}",
                self.state / "personal" / user,
                self.state / "made.personal" / user,
            )
            self._personal[user] = area
        return area

    # changes

    async def start(self, area: Area) -> None:
        """Take up what changed in an area since the last run; a second call does nothing."""
        async with area.started:
            if area.key not in self._running:
                await area.root.start()
                self._running.add(area.key)

    async def changed(self, area: Area, paths: Iterable[str]) -> None:
        """Tell what changed at or below some paths."""
        await self.start(area)
        with contextlib.suppress(BadPath):
            await area.root.refresh(paths)

    def directory_changed(self, area: Area, path: str, *, exists: bool) -> None:
        """Tell that a directory was made or removed."""
        self._hub.publish(DirectoryChanged(root=area.key, path=path, exists=exists))

    async def stop(self) -> None:
        """Close what is open; safe to call twice."""
        for area in (*self.common.values(), *self._personal.values()):
            await area.root.stop()

    async def forget_user(self, user: str) -> None:
        """Let go of the area of a user who is removed."""
        area = self._personal.pop(user, None)
        if area is not None:
            await area.root.stop()
            self._running.discard(area.key)

    async def remove_user(self, user: str) -> None:
        """Remove the area of a user, with all its files."""
        await self.forget_user(user)
        await self._workers.run(Lane.DISK, shutil.rmtree, self.state / "personal" / user, ignore_errors=True)

    @staticmethod
    def may_see(principal: Principal, key: str) -> bool:
        """Whether a root or area (by its key) is not the personal area of somebody else."""
        owner = key.removeprefix(f"{PERSONAL}:")
        return owner == key or owner == principal.id
