"""Uploads that can be resumed: announced, sent in parts at offsets, finished; they outlive a restart."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from caterva2.errors import BadRequest, Caterva2Error, NotFound, QuotaExceeded, UploadOffset
from caterva2.model import wire
from caterva2.model.paths import DatasetPath, split_path
from caterva2.model.requests import NewUpload, UploadState
from caterva2.model.users import Principal
from caterva2.roles.subscriber.areas import Area, Areas
from caterva2.roles.subscriber.files import Files, Incoming
from caterva2.runtime.clock import Clock
from caterva2.runtime.workers import Lane, Workers
from caterva2.storage.areas import KEPT, Claim, Staged, check_target

logger = logging.getLogger(__name__)

EXPIRES_S = 24 * 3600.0
LOOK_S = 600.0
MAX_PER_USER = 100
NOTE = ".json"


@dataclass(eq=False)
class Upload:
    """An upload that has begun.

    Attributes
    ----------
    owner
        Id of the user whose it is.
    touched
        When something arrived last, in seconds since 1970.
    """

    id: str
    owner: str
    area: Area
    wanted: NewUpload
    staged: Staged
    touched: float
    busy: bool = False

    def state(self) -> UploadState:
        """Return what is told of it."""
        ends = datetime.datetime.fromtimestamp(self.touched + EXPIRES_S, datetime.UTC)
        return UploadState(
            id=self.id, path=self.wanted.path, size=self.wanted.size, offset=self.staged.size,
            expires=ends.isoformat(), filename=self.wanted.filename, unpack=self.wanted.unpack,
        )  # fmt: skip


class Uploads:
    """The uploads that have begun and not ended."""

    def __init__(self, files: Files, areas: Areas, workers: Workers, clock: Clock) -> None:
        self._files = files
        self._areas = areas
        self._workers = workers
        self._clock = clock
        self._uploads: dict[str, Upload] = {}

    async def start(self) -> None:
        """Take up what a run before has left."""
        for area in self._areas.all():
            for name, owner, wanted, touched in await self._workers.run(Lane.DISK, _left, area):
                try:
                    staged = await self._workers.run(Lane.DISK, area.files.resume, name + KEPT)
                    staged.done = True  # kept when closed
                    staged.promise.add(wanted.size)
                except Caterva2Error as exc:
                    logger.warning("an upload can not be resumed: %s", exc)
                    continue
                self._uploads[name] = Upload(name, owner, area, wanted, staged, touched)
        await self._expire()

    async def stop(self) -> None:
        """Close the files; they stay."""
        for upload in self._uploads.values():
            upload.staged.file.close()
        self._uploads.clear()

    async def run(self) -> None:
        """Give up, for ever, what has been abandoned."""
        while True:
            await self._clock.sleep(LOOK_S)
            await self._expire()

    async def _expire(self) -> None:
        now = self._clock.time()
        for upload in list(self._uploads.values()):
            if upload.touched + EXPIRES_S < now and not upload.busy:
                await self._drop(upload)

    async def begin(self, principal: Principal, wanted: NewUpload) -> UploadState:
        """Announce an upload; room for all of it is set aside.

        Raises
        ------
        NotAuthenticated, BadPath, QuotaExceeded
            It may not, or can not, go there.
        """
        path = DatasetPath.parse(wanted.path)
        area = await self._files.area(principal, path.root)
        if wanted.size < 0:
            raise BadRequest(f"the size of an upload is not negative: {wanted.size}")
        if len([u for u in self._uploads.values() if u.owner == principal.id]) >= MAX_PER_USER:
            raise QuotaExceeded(f"you have begun {MAX_PER_USER} uploads", hint="finish or abandon some")
        goal = path if wanted.unpack else await self._files.goal(area, path, wanted.filename)
        if goal.parts:
            check_target(split_path(Claim.of(goal.relative).path))
        id_ = secrets.token_hex(16)
        owner = str(principal.id)
        staged = await self._workers.run(Lane.DISK, _begun, area, id_, owner, wanted, goal)
        upload = Upload(id_, owner, area, wanted, staged, self._clock.time())
        self._uploads[id_] = upload
        return upload.state()

    def all(self) -> list[Upload]:
        """Return those of everybody, what was touched last first."""
        return sorted(self._uploads.values(), key=lambda upload: upload.touched, reverse=True)

    def get(self, principal: Principal, id_: str) -> Upload:
        """Return an upload of somebody.

        Raises
        ------
        NotFound
            He has none of this id.
        """
        upload = self._uploads.get(id_)
        if upload is None or upload.owner != principal.id:
            raise NotFound(
                "there is no such upload", hint="it may have ended, or have been abandoned too long"
            )
        return upload

    @contextlib.contextmanager
    def receiving(self, upload: Upload, offset: int) -> Iterator[None]:
        """Guard the arrival of a part.

        Raises
        ------
        UploadOffset
            It does not begin where the last one ended, or another one arrives.
        """
        if upload.busy:
            raise UploadOffset("another part of this upload arrives just now", offset=upload.staged.size)
        if offset != upload.staged.size:
            raise UploadOffset(
                f"the next part begins at {upload.staged.size}, not at {offset}", offset=upload.staged.size
            )
        upload.busy = True
        try:
            yield
        finally:
            upload.busy = False

    async def write(self, upload: Upload, data: bytes | bytearray) -> None:
        """Take some bytes of a part.

        Raises
        ------
        BadRequest
            They are more than was announced.
        """
        if upload.staged.size + len(data) > upload.wanted.size:
            raise BadRequest(f"the upload was announced with {upload.wanted.size} bytes; more arrived")
        await self._workers.run(Lane.DISK, lambda: upload.staged.write(data, free=False))
        upload.touched = self._clock.time()

    async def finish(
        self, principal: Principal, upload: Upload, expected: str | None
    ) -> tuple[DatasetPath, str | None]:
        """Verify what has arrived and give it its name; return that, and its etag.

        Raises
        ------
        UploadOffset
            It is not complete.
        BrokenDataset, DatasetChanged
            As `Files.finish`; the upload is gone then.
        """
        if upload.staged.size != upload.wanted.size or upload.busy:
            raise UploadOffset(
                f"{upload.staged.size} of {upload.wanted.size} bytes have arrived", offset=upload.staged.size
            )
        path = DatasetPath.parse(upload.wanted.path)
        upload.busy = True
        try:
            goal = path
            if not upload.wanted.unpack:
                goal = await self._files.goal(upload.area, path, upload.wanted.filename)
            upload.staged.done = False  # from now on it ends with this
            incoming = Incoming(upload.area, goal, upload.staged, expected)
            if upload.wanted.unpack:
                return await self._files.unpack(incoming), None
            return await self._files.finish(incoming)
        finally:
            await self._drop(upload)

    async def abandon(self, upload: Upload) -> None:
        """Give an upload up."""
        if upload.busy:
            raise UploadOffset("a part of this upload arrives just now", offset=upload.staged.size)
        await self._drop(upload)

    async def _drop(self, upload: Upload) -> None:
        self._uploads.pop(upload.id, None)
        await self._workers.run(Lane.DISK, _dropped, upload)


def _begun(area: Area, id_: str, owner: str, wanted: NewUpload, goal: DatasetPath) -> Staged:
    area.files.check_disk(wanted.size)
    old = None if wanted.unpack else area.files.find(Claim.of(goal.relative).path)
    credit = old.status.st_size if old is not None and not old.is_directory else 0
    staged = area.files.stage(credit=credit, name=id_ + KEPT)
    try:
        staged.promise.add(wanted.size)
        note = f"{area.files.staging}/{id_}{KEPT}{NOTE}"
        with open(note, "xb") as file:
            file.write(wire.to_json({"owner": owner, "wanted": wanted}))
    except BaseException:
        staged.close()
        raise
    staged.done = True  # kept when closed
    return staged


def _left(area: Area) -> list[tuple[str, str, NewUpload, float]]:
    """Return name, owner, announcement and time of the uploads in an area. Blocking."""
    found: list[tuple[str, str, NewUpload, float]] = []
    if not area.files.has_staging:
        return found
    with os.scandir(area.files.staging) as entries:
        for entry in list(entries):
            if entry.name.endswith(KEPT) and not os.path.exists(entry.path + NOTE):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
            if not entry.name.endswith(KEPT + NOTE):
                continue
            name = entry.name.removesuffix(KEPT + NOTE)
            try:
                with open(entry.path, "rb") as file:
                    note = wire.from_json(file.read(1 << 16), dict[str, object])
                wanted = wire.from_json(wire.to_json(note["wanted"]), NewUpload)
                touched = os.stat(entry.path.removesuffix(NOTE)).st_mtime
            except (OSError, KeyError, Caterva2Error):
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
                continue
            found.append((name, str(note["owner"]), wanted, touched))
    return found


def _dropped(upload: Upload) -> None:
    upload.staged.file.close()
    upload.staged.promise.release()
    for location in (upload.staged.location, f"{upload.staged.location}{NOTE}"):
        with contextlib.suppress(OSError):
            os.unlink(location)
