"""Published roots as broker and subscriber list them."""

from __future__ import annotations

import enum

import msgspec


class RootStatus(enum.StrEnum):
    """Whether the publisher of a root answers."""

    ONLINE = "online"
    OFFLINE = "offline"


class Freshness(msgspec.Struct, frozen=True):
    """How far an answer can be trusted to be the origin's current state.

    Attributes
    ----------
    fresh
        The origin is connected and has announced no newer generation.
    age_s
        Seconds since the origin was last known to be current; 0 if fresh.
    """

    fresh: bool
    age_s: float = 0.0

    def __str__(self) -> str:
        """Return the value of the header ``Caterva2-Freshness``."""
        return "fresh" if self.fresh else f"stale; age={self.age_s:.0f}"


class RootInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A root in the answer of ``/api/roots``; `subscribed` is null until subscribed.

    Fields after `subscribed` are ours; clients of 2025 ignore them.
    """

    name: str
    http: str
    subscribed: bool | None = None
    status: RootStatus | None = None
    freshness: str | None = None
    error: str | None = None


class BrokerRoot(msgspec.Struct, frozen=True, kw_only=True):
    """A root in the answer of the broker's ``GET /api/roots``."""

    name: str
    http: str
    status: RootStatus | None = None


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """Body of the broker's ``POST /api/roots``.

    Attributes
    ----------
    http
        Address of the publisher, in its own spelling; it identifies the publisher.
    """

    name: str
    http: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to a registration: the root, and how to keep it.

    Attributes
    ----------
    token
        Sent with events and heartbeats; proves that they come from the registered publisher.
    lease_s
        The root counts as gone when nothing was heard for so many seconds.
    """

    name: str
    http: str
    subscribed: bool | None = None
    token: str
    lease_s: float


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of the broker's ``POST /api/heartbeat``; `leaving` gives the root up."""

    name: str
    token: str
    leaving: bool = False
