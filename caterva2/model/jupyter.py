"""What the Jupyter server extension and its pages say to each other, beside what it forwards."""

from __future__ import annotations

import msgspec


class SubscriberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber that Jupyter is configured for.

    Attributes
    ----------
    name
        Part of its addresses: ``caterva2/s/NAME/api/...``.
    url
        For people; holds no credentials.
    embedded
        It runs inside the Jupyter server.
    connected
        It answers.
    reason
        Why it does not, or why nobody is logged in although there is a token; a sentence.
    user
        Who is logged in there; None for nobody.
    read_only
        Nothing can be written through Jupyter: it is configured so, or the token is good for no more.
    features
        ``events``: it tells changes. ``login``: there are users to log in as. ``write``: areas are writable.
    """

    name: str
    url: str
    embedded: bool = False
    connected: bool = False
    reason: str | None = None
    user: str | None = None
    read_only: bool = False
    features: list[str] = []


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET caterva2/api/status``, ``POST caterva2/api/current``, ``login`` and ``logout``.

    Attributes
    ----------
    current
        Name of the subscriber that kernels and pages begin with; None if there is none.
    """

    version: str
    current: str | None = None
    subscribers: list[SubscriberStatus] = []


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST caterva2/api/current`` and ``logout``: one of the configured subscribers."""

    name: str


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST caterva2/api/login``; the password is used once and not kept."""

    name: str
    user: str
    password: str


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel gets to reach a subscriber.

    Attributes
    ----------
    token
        Short-lived; None where nobody needs one.
    expires
        When it ends, in seconds since 1970; None for never.
    """

    url: str
    token: str | None = None
    expires: float | None = None


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """The file that the Jupyter server keeps for its kernels; ``CATERVA2_JUPYTER`` names it."""

    current: str | None = None
    subscribers: dict[str, Handed] = {}
