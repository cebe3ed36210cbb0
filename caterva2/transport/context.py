"""What the handlers of one application share: settings, counters, and what the endpoint table says."""

from __future__ import annotations

import functools
import itertools
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from caterva2.model.routes import Auth, Route
from caterva2.model.users import ANONYMOUS, Principal
from caterva2.transport.auth import Authenticator
from caterva2.transport.failures import Failures
from caterva2.transport.metrics import Metrics
from caterva2.transport.security import Proxies


@dataclass(frozen=True, kw_only=True)
class Context:
    """Settings of an application.

    Attributes
    ----------
    service, version
        What ``/healthz`` and the header ``Server`` tell.
    secret
        Shared secret that `Auth.SERVICE` routes ask for; None asks for none.
    origins
        Origins, such as ``https://lab.example.org``, whose pages may open websockets and read the
        Zarr view.
    urlbase
        Address of the service as users see it; empty if nobody has told.
    proxies
        The reverse proxies whose word about a request is believed.
    authenticator
        Tells who asks; None if there are no users.
    nobody
        Who asks if a request does not say: on a socket that one user alone can reach, that user.
    max_body_size
        Largest request body, in bytes; a bigger one is answered with 413.
    metrics
        Counters, made anew for each application.
    failures
        The last requests that failed, likewise.
    """

    service: str = "caterva2"
    version: str = ""
    secret: str | None = None
    origins: tuple[str, ...] = ()
    urlbase: str = ""
    proxies: Proxies = field(default_factory=Proxies)
    authenticator: Authenticator | None = None
    nobody: Principal = ANONYMOUS
    max_body_size: int = 16 * 1024**2
    metrics: Metrics = field(default_factory=Metrics)
    failures: Failures = field(default_factory=Failures)

    @functools.cached_property
    def site(self) -> str:
        """Host and port of `urlbase`."""
        return urlsplit(self.urlbase).netloc.lower()


class RequestIds:
    """Ids of requests: a random start and a counter, much cheaper than random ids."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4)
        self._next = itertools.count(1).__next__

    def __call__(self) -> str:
        """Return a new id."""
        return f"{self._prefix}-{self._next():x}"


class Endpoint:
    """A row of the endpoint table, bound to one application.

    Attributes
    ----------
    route
        The row; None for an unknown address.
    label
        Name of the route, for counters and the access log.
    service
        What handlers work with.
    secret
        What the header ``Caterva2-Secret`` has to hold; None if nothing.
    allowed
        HTTP methods of the address.
    """

    __slots__ = ("allowed", "context", "label", "new_id", "route", "secret", "service")

    def __init__(
        self,
        route: Route | None,
        *,
        service: object,
        context: Context,
        allowed: Mapping[str, object] | tuple[str, ...] = (),
        new_id: RequestIds,
    ) -> None:
        self.route = route
        self.label = "unknown" if route is None else route.name
        self.service: Any = service
        self.context = context
        self.allowed = tuple(allowed)
        self.new_id = new_id
        needs_secret = route is not None and route.auth is Auth.SERVICE and context.secret is not None
        self.secret = context.secret.encode() if needs_secret and context.secret is not None else None
