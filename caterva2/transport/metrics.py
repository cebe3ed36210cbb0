"""Counters and timings of one application, in a registry of its own."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from caterva2.model.service import RequestsReport

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from caterva2.runtime.workers import Workers

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FAILED = 5
"""Statuses of five hundred and above."""
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """What one application counts. Requests are counted on the event loop only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = RequestTallies()
        self.registry.register(self.requests)
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, help_: str, labels: Sequence[str] = ()) -> Counter:
        """Add a counter; the name gets the prefix ``caterva2_`` and the ending ``_total``."""
        return Counter(f"caterva2_{name}", help_, labels, registry=self.registry)

    def gauge(
        self, name: str, help_: str, labels: Sequence[str] = (), *, read: Callable[[], float] | None = None
    ) -> Gauge:
        """Add a gauge; `read` is called at each scrape, on the event loop, and may not block."""
        gauge = Gauge(f"caterva2_{name}", help_, labels, registry=self.registry)
        if read is not None:
            gauge.set_function(read)
        return gauge

    def tell_version(self, service: str, version: str) -> None:
        """Add a gauge that is always 1, with the kind of service and the version in its labels."""
        info = self.gauge("info", "The service and its version.", ("service", "version"))
        info.labels(service, version).set(1)

    def render(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)


def add_worker_gauges(metrics: Metrics, workers: Workers) -> None:
    """Add what tells how busy the threads of each lane are."""
    threads = metrics.gauge("worker_threads", "Threads for blocking work.", ("lane",))
    busy = metrics.gauge("worker_threads_busy", "Threads that work.", ("lane",))
    waiting = metrics.gauge("worker_calls_waiting", "Calls that wait for a thread.", ("lane",))
    for lane in workers.lanes:
        threads.labels(lane).set(workers.size(lane))
        busy.labels(lane).set_function(partial(workers.busy, lane))
        waiting.labels(lane).set_function(partial(workers.queued, lane))


class RequestTallies(Collector):
    """Requests by route and class of status: how many, how long, how many bytes.

    Plain numbers, written by the event loop and read at a scrape in the same
    thread: a request pays for a dictionary look-up and a bisection, not for locks.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._tallies: dict[tuple[str, int], _Tally] = {}

    def add(self, route: str, status: int, seconds: float, nbytes: int) -> None:
        """Count one request that has been answered with `nbytes` of body."""
        key = (route, status // 100)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.buckets[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        tally.seconds += seconds
        tally.nbytes += nbytes

    def totals(self) -> RequestsReport:
        """Return how many there are and were."""
        answered = failed = 0
        for (_, status), tally in self._tallies.items():
            count = sum(tally.buckets)
            answered += count
            if status == _FAILED:
                failed += count
        return RequestsReport(running=self.in_flight, answered=answered, failed=failed)

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families."""
        seconds = HistogramMetricFamily(
            "caterva2_request_seconds", "Time to answer.", labels=("route", "status")
        )
        sent = CounterMetricFamily("caterva2_sent_bytes", "Bytes of bodies sent.", labels=("route", "status"))
        for (route, status), tally in sorted(self._tallies.items()):
            labels = (route, f"{status}xx")
            seconds.add_metric(labels, tally.cumulative(), tally.seconds)
            sent.add_metric(labels, tally.nbytes)
        yield seconds
        yield sent
        yield GaugeMetricFamily("caterva2_requests_in_flight", "Requests being answered.", self.in_flight)


class _Tally:
    __slots__ = ("buckets", "nbytes", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0
        self.nbytes = 0

    def cumulative(self) -> list[tuple[str, float]]:
        bounds = [*map(str, BOUNDS_S), "+Inf"]
        total = 0
        pairs: list[tuple[str, float]] = []
        for bound, count in zip(bounds, self.buckets, strict=True):
            total += count
            pairs.append((bound, total))
        return pairs
