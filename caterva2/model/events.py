"""What can happen, and the envelope that carries it. Events tell the new state, not a difference."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from caterva2.model.datasets import Entry
from caterva2.model.roots import RootStatus


class DatasetChanged(msgspec.Struct, frozen=True, kw_only=True, tag="dataset-changed"):
    """A file is new, or has a new generation."""

    root: str
    entry: Entry


class DatasetRemoved(msgspec.Struct, frozen=True, kw_only=True, tag="dataset-removed"):
    """A file is gone."""

    root: str
    path: str


class DirectoryChanged(msgspec.Struct, frozen=True, kw_only=True, tag="directory-changed"):
    """A directory of an area was made or removed as such; what is in it is told for each file.

    Published roots have no directories of their own: they come and go with the files in them.

    Attributes
    ----------
    exists
        Whether it is there now.
    """

    root: str
    path: str
    exists: bool


class RootChanged(msgspec.Struct, frozen=True, kw_only=True, tag="root-changed"):
    """A root is new, is served from another address, or changed its status."""

    root: str
    http: str
    status: RootStatus


class Resync(msgspec.Struct, frozen=True, kw_only=True, tag="resync"):
    """Events were missed: list again.

    Attributes
    ----------
    root
        The root to list again; None for all.
    """

    root: str | None = None


Event: TypeAlias = DatasetChanged | DatasetRemoved | DirectoryChanged | RootChanged | Resync


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the stream of one emitter.

    Attributes
    ----------
    epoch
        Random id of one life of the emitter; a new one restarts `seq`.
    seq
        Position in the stream, from 1; 0 marks a position before the first event.
    at
        When it was emitted, seconds since 1970, UTC.
    """

    epoch: str
    seq: int
    at: float
    event: Event


def public_envelope(envelope: Envelope) -> Envelope:
    """Return an envelope as it leaves the service: a personal area (``@personal:ID``) by its common name."""
    root = envelope.event.root
    if root is None or not root.startswith("@") or ":" not in root:
        return envelope
    event = msgspec.structs.replace(envelope.event, root=root.partition(":")[0])
    return msgspec.structs.replace(envelope, event=event)


def concerns(event: Event, path: str) -> bool:
    """Tell whether an event is about a path or what is below it; lost events may always be."""
    if isinstance(event, DatasetChanged):
        where = f"{event.root}/{event.entry.path}"
    elif isinstance(event, DatasetRemoved | DirectoryChanged):
        where = f"{event.root}/{event.path}"
    elif isinstance(event, RootChanged):
        return event.root == path.partition("/")[0]
    else:
        return event.root is None or event.root == path.partition("/")[0]
    return where == path or where.startswith(path + "/")


class EventBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events that a publisher hands to the broker.

    Attributes
    ----------
    key
        Idempotency key: a batch sent twice counts once.
    root, token
        The root they are about, and the token that the broker gave its publisher.
    """

    key: str
    root: str
    token: str
    events: list[DatasetChanged | DatasetRemoved | Resync]
