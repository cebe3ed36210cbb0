"""How a subscriber is, as its superusers see it: publishers, cache, events, uploads, what failed."""

from __future__ import annotations

import enum

import msgspec


class PublisherState(enum.StrEnum):
    """How a published root is.

    ``ONLINE``: its publisher answers. ``STALE``: it does, and its files are being listed anew.
    ``OFFLINE``: it does not; what is known of its files is shown. ``UNKNOWN``: nobody has tried yet.
    """

    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class BrokerReport(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the broker; `address` is null for a subscriber that stands alone.

    Attributes
    ----------
    since
        When it was made or lost; null as long as the broker was never reached.
    error
        Why there is none.
    """

    address: str | None
    connected: bool
    since: str | None = None
    error: str | None = None


class PublisherReport(msgspec.Struct, frozen=True, kw_only=True):
    """A published root.

    Attributes
    ----------
    since
        When its state became what it is.
    age_s
        Seconds since it was last known to be current; null if it is, or never was.
    error
        Why its publisher is not followed.
    """

    name: str
    http: str
    subscribed: bool
    state: PublisherState
    since: str
    age_s: float | None = None
    error: str | None = None


class CacheReport(msgspec.Struct, frozen=True, kw_only=True):
    """The cache of published roots; sizes in bytes, counted since the start of the service.

    Attributes
    ----------
    used, limit
        What it takes on disk, and may take.
    hits, misses
        Parts of datasets that were here, or had to be asked for. What is still decoded in memory is
        served without a look at the cache, and not counted.
    hit_bytes, fetched_bytes
        Their sizes, compressed.
    fetches
        Requests to publishers.
    evicted_bytes
        Given up for want of room.
    """

    used: int
    limit: int
    hits: int
    misses: int
    hit_bytes: int
    fetched_bytes: int
    fetches: int
    evicted_bytes: int


class EventsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The streams of events.

    Attributes
    ----------
    readers
        Streams that are open.
    told
        Events that were told since the start.
    lag_s
        Seconds that the last event of a publisher took to arrive.
    """

    readers: int
    told: int
    lag_s: float


class RequestsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Requests since the start.

    Attributes
    ----------
    failed
        Those that were answered with a status of 500 and above.
    """

    running: int
    answered: int
    failed: int


class RoomReport(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of all areas together; `limit` is null for none.

    Attributes
    ----------
    promised
        What uploads under way of any kind have taken or announced, beside `used`.
    """

    used: int
    promised: int
    limit: int | None


class UploadReport(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that has begun and not ended; sizes in bytes.

    Attributes
    ----------
    owner
        E-mail of the user whose it is; null if he is gone.
    touched
        When something of it arrived last.
    """

    owner: str | None
    path: str
    size: int
    offset: int
    touched: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A request that failed because of the service, not because of who asked.

    Attributes
    ----------
    request_id
        As the client was told it, and as the log has it.
    route
        Name of the endpoint.
    sentence
        What the client was told.
    """

    at: str
    request_id: str
    method: str
    route: str
    status: int
    code: str
    sentence: str


class ServiceReport(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``/api/service``; times are ISO 8601.

    Attributes
    ----------
    at
        When this was told.
    uploads
        Those that were touched last; `nuploads` tells how many there are.
    failures
        The last ones, newest first.
    """

    version: str
    at: str
    started: str
    broker: BrokerReport
    publishers: list[PublisherReport]
    cache: CacheReport
    events: EventsReport
    requests: RequestsReport
    room: RoomReport
    nuploads: int
    uploads: list[UploadReport]
    failures: list[Failure]
