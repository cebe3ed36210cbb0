"""What a subscriber shows in ``/metrics`` besides its requests: cache, network, areas and workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caterva2.model.roots import RootStatus
from caterva2.transport.metrics import add_worker_gauges

if TYPE_CHECKING:
    from caterva2.config.schema import SubscriberConfig
    from caterva2.roles.subscriber.service import Subscriber
    from caterva2.transport.metrics import Metrics


def add_gauges(metrics: Metrics, subscriber: Subscriber, config: SubscriberConfig) -> None:
    """Add what is read from a subscriber at each scrape."""
    gauge = metrics.gauge
    traffic, cache, network = subscriber.traffic, subscriber.cache, subscriber.network
    gauge("cache_hit_bytes", "Stored bytes served from the cache.", read=lambda: traffic.cached_bytes)
    gauge("publisher_bytes", "Bytes received from publishers.", read=lambda: traffic.fetched_bytes)
    gauge("publisher_requests", "Requests to publishers for data.", read=lambda: traffic.fetches)
    gauge("cache_bytes", "Bytes kept in the cache.", read=lambda: cache.used_bytes)
    gauge("cache_limit_bytes", "Most bytes that the cache may take.", read=lambda: config.cache)
    gauge("cache_evicted_bytes", "Bytes given up for want of room.", read=lambda: cache.evicted_bytes)
    gauge("event_lag_seconds", "Age of the last event when it arrived.", read=lambda: traffic.event_lag_s)
    gauge("event_readers", "Open event streams.", read=lambda: subscriber.hub.nsubscribers)
    if config.broker is not None:
        gauge("broker_connected", "Whether the broker answers.", read=lambda: float(network.connected))

    def count_online() -> int:
        return sum(root.status is RootStatus.ONLINE for root in network.roots())

    gauge("roots_online", "Known roots whose publishers are alive.", read=count_online)
    gauge("roots_known", "Known roots of publishers.", read=lambda: len(network.roots()))
    gauge(
        "roots_subscribed", "Known roots that are subscribed to.",
        read=lambda: sum(root.subscribed for root in network.roots()),
    )  # fmt: skip
    ledger = subscriber.areas.ledger
    gauge("area_bytes", "Bytes of the files of all areas.", read=lambda: ledger.used)
    gauge("area_promised_bytes", "Bytes set aside for uploads under way.", read=lambda: ledger.promised)
    gauge("area_quota_bytes", "Most bytes of all areas; 0 for no limit.", read=lambda: ledger.limit or 0)
    add_worker_gauges(metrics, subscriber.workers)
