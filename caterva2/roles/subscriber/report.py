"""How the subscriber is, for its superusers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from caterva2._version import __version__
from caterva2.model.service import (
    BrokerReport,
    CacheReport,
    EventsReport,
    Failure,
    PublisherReport,
    RequestsReport,
    RoomReport,
    ServiceReport,
    UploadReport,
)
from caterva2.model.wire import iso_time
from caterva2.roles.subscriber.areas import Areas
from caterva2.roles.subscriber.network import Network
from caterva2.roles.subscriber.remote import RemoteRoot
from caterva2.roles.subscriber.traffic import Traffic
from caterva2.roles.subscriber.uploads import Upload, Uploads
from caterva2.runtime.clock import Clock
from caterva2.runtime.hub import Hub
from caterva2.storage.blockcache import BlockCache

SHOWN_UPLOADS = 100

Emails = Callable[[Iterable[str]], Awaitable[Mapping[str, str]]]
"""Returns the e-mails of users, by id."""


class Reporter:
    """Looks at the parts of a subscriber. Nothing is asked of a disk or another service."""

    def __init__(
        self,
        *,
        network: Network,
        cache: BlockCache,
        traffic: Traffic,
        hub: Hub,
        areas: Areas,
        uploads: Uploads,
        clock: Clock,
    ) -> None:
        self._network = network
        self._cache = cache
        self._traffic = traffic
        self._hub = hub
        self._areas = areas
        self._uploads = uploads
        self._clock = clock
        self._started = clock.time()

    async def report(
        self, requests: RequestsReport, failures: list[Failure], emails: Emails
    ) -> ServiceReport:
        """Return how the subscriber is now.

        Parameters
        ----------
        requests, failures
            What the server in front of it has counted and kept.
        emails
            Tells whose the uploads are.
        """
        uploads = self._uploads.all()
        shown = uploads[:SHOWN_UPLOADS]
        owners = await emails({upload.owner for upload in shown}) if shown else {}
        ledger = self._areas.ledger
        return ServiceReport(
            version=__version__,
            at=iso_time(self._clock.time()),
            started=iso_time(self._started),
            broker=self._broker(),
            publishers=[_publisher(root) for root in self._network.roots()],
            cache=self._cached(),
            events=EventsReport(
                readers=self._hub.nsubscribers, told=self._hub.position.seq, lag_s=self._traffic.event_lag_s
            ),
            requests=requests,
            room=RoomReport(used=ledger.used, promised=ledger.promised, limit=ledger.limit),
            nuploads=len(uploads),
            uploads=[_upload(upload, owners) for upload in shown],
            failures=failures,
        )

    def _broker(self) -> BrokerReport:
        network = self._network
        since = None if network.since is None else iso_time(network.since)
        return BrokerReport(
            address=network.broker, connected=network.connected, since=since, error=network.error
        )

    def _cached(self) -> CacheReport:
        cache, traffic = self._cache, self._traffic
        return CacheReport(
            used=cache.used_bytes, limit=cache.limit_bytes, hits=traffic.hits, misses=traffic.misses,
            hit_bytes=traffic.cached_bytes, fetched_bytes=traffic.fetched_bytes, fetches=traffic.fetches,
            evicted_bytes=cache.evicted_bytes,
        )  # fmt: skip


def _publisher(root: RemoteRoot) -> PublisherReport:
    freshness = root.freshness
    is_kept = root.subscribed and not freshness.fresh and freshness.age_s > 0
    return PublisherReport(
        name=root.name, http=root.http, subscribed=root.subscribed, state=root.state,
        since=iso_time(root.since), age_s=freshness.age_s if is_kept else None, error=root.describe().error,
    )  # fmt: skip


def _upload(upload: Upload, owners: Mapping[str, str]) -> UploadReport:
    return UploadReport(
        owner=owners.get(upload.owner), path=upload.wanted.path, size=upload.wanted.size,
        offset=upload.staged.size, touched=iso_time(upload.touched),
    )  # fmt: skip
