"""Operations on the areas: receive, move, copy, remove, append; who may, and who hears of it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import PurePosixPath

from caterva2.errors import (
    AlreadyExists,
    BadPath,
    BadRequest,
    Caterva2Error,
    DatasetChanged,
    NotADataset,
    QuotaExceeded,
)
from caterva2.model.paths import DatasetPath, split_path
from caterva2.model.users import Principal
from caterva2.roles.subscriber.areas import Area, Areas
from caterva2.roles.subscriber.library import Library
from caterva2.roles.subscriber.reads import Caller, Reads, Reply
from caterva2.roles.subscriber.verification import Verifier
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.areas import RESERVE, Claim, Found, Staged, check_expected, check_target
from caterva2.storage.ledger import Promise
from caterva2.storage.names import StoredKind, stored_kind
from caterva2.storage.pinned import etag_of

logger = logging.getLogger(__name__)

STEP = 1 << 20
APPEND_ROOM = 4 << 30
"""Bytes by which an array may grow in one append."""
ATTEMPTS = 3

NOTEBOOK = b"""{
 "cells": [],
 "metadata": {
  "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
  "language_info": {"name": "python"}
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
"""


class Incoming:
    """A file on its way into an area; nobody sees it yet.

    Attributes
    ----------
    path
        Where it goes, as clients see it.
    expected
        Generation that must be there when it gets its name; see `AreaFiles.commit`.
    """

    def __init__(self, area: Area, path: DatasetPath, staged: Staged, expected: str | None) -> None:
        self.area = area
        self.path = path
        self.staged = staged
        self.expected = expected


class Files:
    """What may be done to the areas.

    Parameters
    ----------
    library, reads
        Where published files are read for copies, and what must forget changed ones.
    """

    def __init__(
        self, areas: Areas, library: Library, reads: Reads, verifier: Verifier, workers: Workers
    ) -> None:
        self._areas = areas
        self._library = library
        self._reads = reads
        self._verifier = verifier
        self._workers = workers

    async def area(self, principal: Principal, root: str) -> Area:
        """Return an area that somebody may write to.

        Raises
        ------
        NotAuthenticated
            Nobody is logged in.
        BadPath
            It is no area.
        """
        area = self._areas.writable(principal, root)
        await self._areas.start(area)
        return area

    # receiving

    async def goal(self, area: Area, path: DatasetPath, filename: str | None) -> DatasetPath:
        """Return where a file goes: below an existing directory, else exactly there."""
        found = await self._workers.run(Lane.DISK, area.files.find, path.relative)
        if found is None or not found.is_directory:
            if not path.parts:
                raise BadPath(f"{path} is an area", hint="name a file in it")
            return path
        name = (filename or "").replace("\\", "/").rpartition("/")[2]
        if not name:
            raise BadRequest(f"{path} is a directory, and the file has no name", hint="name a file in it")
        return path / name

    async def begin(
        self,
        principal: Principal,
        path: DatasetPath,
        *,
        filename: str | None = None,
        expected: str | None = None,
        size: int = 0,
        directory: bool = False,
    ) -> Incoming:
        """Begin to receive a file.

        Parameters
        ----------
        filename
            Its name, if `path` is a directory.
        size
            Bytes that are announced; the disk must have room for them.
        directory
            `path` names the directory into which an archive will be unpacked.

        Raises
        ------
        NotAuthenticated, BadPath, QuotaExceeded
            It may not, or can not, go there.
        """
        area = await self.area(principal, path.root)
        goal = path if directory else await self.goal(area, path, filename)
        claim = Claim.of(goal.relative)
        if goal.parts:
            check_target(split_path(claim.path))

        def prepare() -> Staged:
            area.files.check_disk(size)
            old = None if directory else area.files.find(claim.path)
            if old is not None and old.is_directory:
                raise BadPath(f"{goal} is a directory", hint="name a file in it")
            return area.files.stage(credit=old.status.st_size if old is not None else 0)

        return Incoming(area, goal, await self._workers.run(Lane.DISK, prepare), expected)

    async def write(self, incoming: Incoming, data: bytes | bytearray) -> None:
        """Take some bytes; raises QuotaExceeded if there is no room for them."""
        await self._workers.run(Lane.DISK, incoming.staged.write, data)

    async def finish(self, incoming: Incoming, *, verify: bool = True) -> tuple[DatasetPath, str]:
        """Verify what has arrived and give it its name; return that, and its etag.

        Parameters
        ----------
        verify
            False for what the subscriber itself has made.

        Raises
        ------
        BrokenDataset
            It is not what its name claims.
        DatasetChanged
            Another generation is there than was expected.
        """
        area, claim = incoming.area, Claim.of(incoming.path.relative)
        if verify:
            await self._verifier.frame(incoming.staged.location, claim.kind)
        packed = claim.kind is StoredKind.PACKED
        stored = await self._workers.run(
            Lane.DISK, area.files.commit, incoming.staged, claim.path, packed=packed,
            expected=incoming.expected,
        )  # fmt: skip
        await self._told(area, [claim.path])
        return DatasetPath(incoming.path.root, split_path(stored.path)), stored.etag

    async def unpack(self, incoming: Incoming) -> DatasetPath:
        """Unpack an archive that has arrived into the directory it was sent to.

        Raises
        ------
        BadRequest, BadPath, BrokenDataset, QuotaExceeded
            It is no archive, or one of its members can not be stored; then none is.
        """
        area, base = incoming.area, incoming.path
        run = self._workers.run
        target = f"{await run(Lane.DISK, lambda: area.files.staging)}/{secrets.token_hex(8)}"
        paths: list[str] = []
        try:
            room = await run(Lane.DISK, _room, area)
            names = await self._verifier.unpack(incoming.staged.location, target, room)
            paths = [f"{base.relative}/{name}" if base.parts else name for name in names]
            for path in paths:
                check_target(split_path(Claim.of(path).path))
            await run(Lane.DISK, incoming.staged.close)
            await run(Lane.DISK, _place, area, target, list(zip(names, paths, strict=True)))
            if base.parts and not paths:
                await run(Lane.DISK, area.files.make_directory, base.relative)
        finally:
            await run(Lane.DISK, incoming.staged.close)
            await run(Lane.DISK, shutil.rmtree, target, True)
            if paths:
                await self._told(area, [base.relative] if base.parts else [Claim.of(p).path for p in paths])
        return base

    async def drop(self, incoming: Incoming) -> None:
        """Give up a file that did not arrive, or got its name already; safe to call twice."""
        await self._workers.run(Lane.DISK, incoming.staged.close)

    # names

    async def remove(
        self, principal: Principal, path: DatasetPath, *, expected: str | None = None
    ) -> DatasetPath:
        """Remove a file or directory; of an area only what is in it.

        Parameters
        ----------
        expected
            Generation that must be there; None for any.

        Raises
        ------
        DatasetNotFound
            There is nothing.
        DatasetChanged
            Another generation is there.
        """
        area = await self.area(principal, path.root)
        found = await self._workers.run(Lane.DISK, area.files.find, path.relative) if path.parts else None
        try:
            await self._workers.run(Lane.DISK, lambda: area.files.remove(path.relative, expected=expected))
        finally:
            await self._told(area, [path.relative] if path.parts else [])
        if found is not None and found.is_directory:
            self._areas.directory_changed(area, path.relative, exists=False)
        return path

    async def make_directory(self, principal: Principal, path: DatasetPath) -> DatasetPath:
        """Make a directory, and those above it."""
        area = await self.area(principal, path.root)
        if not path.parts:
            raise BadPath(f"{path} is an area")
        await self._workers.run(Lane.DISK, area.files.make_directory, path.relative)
        self._areas.directory_changed(area, path.relative, exists=True)
        return path

    async def add_notebook(self, principal: Principal, path: DatasetPath) -> DatasetPath:
        """Make an empty notebook.

        Raises
        ------
        BadRequest
            It exists, or its name does not end with ``.ipynb``.
        """
        if not path.parts or not path.name.endswith(".ipynb"):
            await self.area(principal, path.root)
            raise BadPath(f"the name of a notebook ends with .ipynb; found {path.name!r}")
        incoming = await self.begin(principal, path, expected="", size=len(NOTEBOOK))
        try:
            await self.write(incoming, NOTEBOOK)
            await self.finish(incoming)
        except DatasetChanged as exc:
            raise BadRequest(f"{path} exists already") from exc
        finally:
            await self.drop(incoming)
        return path

    async def move(
        self,
        principal: Principal,
        src: DatasetPath,
        dst: DatasetPath,
        *,
        exact: bool = False,
        expected: str | None = None,
        new: bool = False,
    ) -> DatasetPath:
        """Move a file or directory, and return its new path.

        A directory moves as a whole, in one step, unless it merges into another one, or they lie on
        different file systems: then file by file.

        Parameters
        ----------
        exact
            `dst` is the new path, whatever it looks like; nothing may be there.
        expected
            Generation of `src`; None for any.
        new
            Nothing may be there where it goes.

        Raises
        ------
        DatasetChanged
            `src` is another generation, or something is there where it goes.
        DatasetNotFound
            There is no `src`.
        AlreadyExists
            There is something at an exact `dst`.
        BadPath
            `src` or `dst` lies in no area, or `dst` can not take it.
        """
        source = await self.area(principal, src.root)
        goal_area = await self.area(principal, dst.root)
        if not src.parts:
            raise BadPath(f"{src} is an area and can not move", hint="copy it, and remove its contents")
        found = await self._workers.run(Lane.DISK, source.files.get, src.relative)
        goal = await self._destination(goal_area, src, dst, exact=exact)
        try:
            if found.is_directory:
                check_expected(found, src.relative, expected)
                await self._move_directory(source, found, goal_area, goal, new=new)
            else:
                await self._move_file(source, found, goal_area, goal.relative, expected=expected, new=new)
        finally:
            await self._told(source, [src.relative])
            await self._told(goal_area, [goal.relative])
        if found.is_directory:
            self._areas.directory_changed(source, src.relative, exists=False)
            self._areas.directory_changed(goal_area, goal.relative, exists=True)
        return goal

    async def _move_directory(
        self, source: Area, found: Found, goal_area: Area, goal: DatasetPath, *, new: bool
    ) -> None:
        run = self._workers.run
        target = await run(Lane.DISK, goal_area.files.find, goal.relative)
        if source is goal_area and goal.parts[: len(found.parts)] == found.parts:
            raise BadRequest(f"a directory can not move into itself: {goal}")
        if new and target is not None:
            raise DatasetChanged(f"there is {goal} already", path=str(goal))
        if target is None:
            try:
                await run(Lane.DISK, source.files.rename, found, goal_area.files, goal.relative)
            except OSError:
                logger.debug("areas lie on different disks")
            else:
                return
        await run(Lane.DISK, _make_directories, source, found, goal_area, goal)
        for parts in await run(Lane.DISK, lambda: list(source.files.files(found))):
            stored = (*found.parts, *parts)
            inner = await run(Lane.DISK, _stored, source, stored)
            shown = Claim.of("/".join((*goal.parts, *parts))).path
            await self._move_file(source, inner, goal_area, shown)
        await run(Lane.DISK, source.files.remove_empty, found)

    async def _move_file(
        self,
        source: Area,
        found: Found,
        goal_area: Area,
        path: str,
        *,
        expected: str | None = None,
        new: bool = False,
    ) -> None:
        if not _changes_kind(found, path):
            try:
                await self._workers.run(
                    Lane.DISK,
                    lambda: source.files.rename(found, goal_area.files, path, expected=expected, new=new),
                )
            except OSError:
                logger.debug("areas lie on different disks")
            else:
                return
        copied = await self._copy_stored(source, found, goal_area, path, expected=expected, new=new)
        shown = Claim.of("/".join(found.parts)).path
        # What somebody has written there meanwhile is not what moved: it stays.
        await self._workers.run(Lane.DISK, lambda: source.files.remove(shown, expected=copied))

    async def copy(
        self,
        principal: Principal,
        src: DatasetPath,
        dst: DatasetPath,
        *,
        exact: bool = False,
        expected: str | None = None,
        new: bool = False,
    ) -> DatasetPath:
        """Copy a file or directory, of an area or a published root; return its new path.

        Parameters
        ----------
        exact, expected, new
            As `move`.

        Raises
        ------
        DatasetChanged
            `src` is another generation, or something is there where it goes.
        DatasetNotFound, RootNotFound
            There is no `src`.
        AlreadyExists
            There is something at an exact `dst`.
        BadPath
            `dst` lies in no area, or can not take it.
        PublisherUnavailable
            It is not cached, and its publisher does not answer.
        """
        goal_area = await self.area(principal, dst.root)
        source = self._areas.find(principal, src.root)
        goal = await self._destination(goal_area, src, dst, exact=exact)
        if new and await self._workers.run(Lane.DISK, goal_area.files.find, goal.relative) is not None:
            raise DatasetChanged(f"there is {goal} already", path=str(goal))
        if expected not in {None, "*"} and (await self._library.entry(principal, src)).etag != expected:
            raise DatasetChanged(f"{src} is not the generation that was expected", path=str(src))
        try:
            if source is None:
                await self._copy_published(principal, src, goal_area, goal, expected=expected, new=new)
            else:
                await self._copy_area(source, src, goal_area, goal, expected=expected, new=new)
        finally:
            await self._told(goal_area, [goal.relative])
        return goal

    async def _copy_area(
        self,
        source: Area,
        src: DatasetPath,
        goal_area: Area,
        goal: DatasetPath,
        *,
        expected: str | None,
        new: bool,
    ) -> None:
        run = self._workers.run
        found = await run(Lane.DISK, source.files.get, src.relative)
        if not found.is_directory:
            await self._copy_stored(source, found, goal_area, goal.relative, expected=expected, new=new)
            return
        if source is goal_area and goal.parts[: len(found.parts)] == found.parts:
            raise BadRequest(f"a directory can not be copied into itself: {goal}")
        names = await run(Lane.DISK, lambda: list(source.files.files(found)))
        await run(Lane.DISK, _make_directories, source, found, goal_area, goal)
        for parts in names:
            inner = await run(Lane.DISK, _stored, source, (*found.parts, *parts))
            shown = Claim.of("/".join((*goal.parts, *parts))).path
            await self._copy_stored(source, inner, goal_area, shown)

    async def _copy_stored(
        self,
        source: Area,
        found: Found,
        goal_area: Area,
        path: str,
        *,
        expected: str | None = None,
        new: bool = False,
    ) -> str:
        """Copy a file as it is stored, verified if its new name claims something else; return its etag."""
        check_target(split_path(path))
        run = self._workers.run
        verify = _changes_kind(found, path)
        kind = stored_kind(found.parts[-1])
        staged, etag = await run(Lane.DISK, _copied, source, found, goal_area, path)
        try:
            if expected not in {None, "*", etag}:
                raise DatasetChanged(f"{path} is not the generation that was expected", path=path)
            if verify:
                await self._verifier.frame(staged.location, Claim.of(path).kind)
            packed = kind is StoredKind.PACKED
            await run(
                Lane.DISK, goal_area.files.commit, staged, path, packed=packed, expected="" if new else None
            )
        finally:
            await run(Lane.DISK, staged.close)
        return etag

    async def _copy_published(
        self,
        principal: Principal,
        src: DatasetPath,
        goal_area: Area,
        goal: DatasetPath,
        *,
        expected: str | None,
        new: bool,
    ) -> None:
        try:
            if src.parts:
                await self._library.entry(principal, src)
                await self._fetch(principal, src, goal, expected=expected, new=new)
                return
        except NotADataset:
            pass
        names = await self._library.names(principal, src)
        if await self._workers.run(Lane.DISK, goal_area.files.find, goal.relative) is None:
            await self._workers.run(Lane.DISK, goal_area.files.make_directory, goal.relative)
        for name in names:
            await self._fetch(principal, src / name, goal / name)

    async def _fetch(
        self,
        principal: Principal,
        src: DatasetPath,
        goal: DatasetPath,
        *,
        expected: str | None = None,
        new: bool = False,
    ) -> None:
        """Store a published file, fetched completely and verified first."""
        for attempt in range(ATTEMPTS):
            incoming = await self.begin(principal, goal, expected="" if new else None)
            try:
                reply = await self._reads.download(principal, src, Caller())
                async for part in _body(reply):
                    await self.write(incoming, bytes(part))
                await self.finish(incoming)
            except DatasetChanged:
                if attempt + 1 == ATTEMPTS or new or expected is not None:
                    raise
                await self._reads.renew(principal, src)
            else:
                return
            finally:
                await self.drop(incoming)

    async def _destination(
        self, area: Area, src: DatasetPath, dst: DatasetPath, *, exact: bool
    ) -> DatasetPath:
        found = await self._workers.run(Lane.DISK, area.files.find, dst.relative)
        if exact:
            if found is not None:
                raise AlreadyExists(f"{dst} exists already")
            check_target(dst.parts)
            return dst
        into = found.is_directory if found is not None else not PurePosixPath(dst.name).suffix
        goal = DatasetPath(dst.root, (*dst.parts, src.name)) if into else dst
        check_target(goal.parts)
        return goal

    # growing

    async def append(
        self, principal: Principal, path: DatasetPath, incoming: Incoming, *, expected: str | None = None
    ) -> list[int]:
        """Append an array that has arrived to one of an area, along axis 0; return the new shape.

        Readers see the array as it was, or with all new rows.

        Parameters
        ----------
        expected
            Generation to which they are appended; None for any.

        Raises
        ------
        DatasetNotFound
            There is no array.
        BadRequest
            It is no array, or shapes and dtypes do not go together.
        DatasetChanged
            It is written by others again and again, or is another generation.
        """
        area = await self.area(principal, path.root)
        for attempt in range(ATTEMPTS):
            found = await self._workers.run(Lane.DISK, area.files.get, path.relative)
            if found.is_directory or stored_kind(found.parts[-1]) is not StoredKind.ARRAY:
                raise NotADataset(f"{path} is no stored array", hint="only to .b2nd files can be appended")
            check_expected(found, path.relative, expected)
            staged, etag = await self._workers.run(Lane.DISK, _copied, area, found, area, path.relative)
            try:
                before = staged.size
                room = before + APPEND_ROOM
                shape = await self._verifier.append(staged.location, incoming.staged.location, room)
                await self._workers.run(Lane.DISK, _count_growth, staged, before)
                await self._workers.run(Lane.DISK, area.files.commit, staged, path.relative, expected=etag)
            except DatasetChanged:
                if attempt + 1 == ATTEMPTS or expected is not None:
                    raise
            else:
                await self._told(area, [path.relative])
                return shape
            finally:
                await self._workers.run(Lane.DISK, staged.close)
        raise DatasetChanged(f"{path} is written by others")

    async def _told(self, area: Area, paths: Iterable[str]) -> None:
        """Let readers and listeners know; a change that is done is not undone by a failure of this."""
        paths = list(paths)
        for path in paths or [""]:
            self._library.forget_below(area.key, path)
        try:
            await self._areas.changed(area, paths)
        except Caterva2Error as exc:
            logger.warning("a change in %s could not be told: %s", area.key, exc)
        for path in paths or [""]:
            self._library.forget_below(area.key, path)


def _changes_kind(found: Found, path: str) -> bool:
    """Whether a file gets a name that claims what it need not be."""
    old, new = stored_kind(found.parts[-1]), stored_kind(path)
    if new is StoredKind.PACKED or (old is StoredKind.PACKED and new is not StoredKind.PLAIN):
        raise BadRequest(f"{path!r} is a name of another kind of file", hint="download it and upload it anew")
    return new is not StoredKind.PLAIN and new is not old


def _make_directories(source: Area, found: Found, goal_area: Area, goal: DatasetPath) -> None:
    """Make a directory and those that are in another one, empty ones included. Blocking."""
    for parts in [(), *source.files.directories(found)]:
        goal_area.files.make_directory("/".join((*goal.parts, *parts)), exist_ok=True)


def _stored(area: Area, parts: tuple[str, ...]) -> Found:
    found = area.files.get(Claim.of("/".join(parts)).path)
    return found if found.parts == parts else found._replace(parts=parts)


def _copied(source: Area, found: Found, goal_area: Area, path: str) -> tuple[Staged, str]:
    """Copy the bytes of a stored file into a new one without a name; return its etag, too. Blocking."""
    old = goal_area.files.find(path)
    fd = source.files.open(found)
    with os.fdopen(fd, "rb", buffering=0) as file:
        status = os.fstat(fd)
        size = status.st_size
        goal_area.files.check_disk(size)
        staged = goal_area.files.stage(credit=old.status.st_size if old and not old.is_directory else 0)
        try:
            while data := file.read(STEP):
                staged.write(data)
        except BaseException:
            staged.close()
            raise
    return staged, etag_of(status)


def _count_growth(staged: Staged, before: int) -> None:
    size = os.stat(staged.location).st_size
    if size > before:
        staged.promise.add(size - before)


def _room(area: Area) -> int:
    """Return how many bytes an archive may unpack to. Blocking."""
    room = shutil.disk_usage(area.directory).free - RESERVE
    for ledger in area.files.ledgers:
        if ledger.limit is not None:
            ledger.recount()
            room = min(room, ledger.limit - ledger.used - ledger.promised)
    if room <= 0:
        raise QuotaExceeded("there is no room to unpack the archive", hint="remove something first")
    return room


def _place(area: Area, target: str, names: list[tuple[str, str]]) -> None:
    """Give the members of an archive their names. Blocking."""
    with contextlib.ExitStack() as stack:
        ready = []
        for name, path in names:
            claim = Claim.of(path)
            old = area.files.find(claim.path)
            if old is not None and old.is_directory:
                raise BadPath(f"{claim.path!r} is a directory")
            credit = old.status.st_size if old is not None else 0
            location = f"{target}/{name}"
            promise = Promise(*area.files.ledgers, credit=credit)
            stack.callback(promise.release)
            promise.add(os.stat(location).st_size)
            ready.append((location, claim, promise))
        for location, claim, promise in ready:
            fd = os.open(location, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            staged = Staged(fd, location, promise)
            try:
                area.files.commit(staged, claim.path, packed=claim.kind is StoredKind.PACKED)
            finally:
                staged.close()


async def _body(reply: Reply) -> AsyncIterator[bytes | bytearray | memoryview]:
    if reply.read is not None and reply.length is not None:
        async for part in reply.read(0, reply.length):
            yield part
    elif reply.buffers is not None:
        for part in reply.buffers:
            yield part
    elif reply.stream is not None:
        try:
            async for part in reply.stream:
                yield part
        finally:
            await reply.stream.aclose()
