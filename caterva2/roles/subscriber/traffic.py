"""Counters of the data plane: what came from the cache, what from publishers."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Traffic:
    """Bytes of stored data, compressed, since the start.

    Attributes
    ----------
    hits, misses
        Parts of datasets that were in the cache, or were not.
    cached_bytes
        Served from the cache.
    fetched_bytes
        Received from publishers.
    fetches
        Requests to publishers.
    event_lag_s
        Seconds from the emission of the last event to its arrival here.
    """

    hits: int = 0
    misses: int = 0
    cached_bytes: int = 0
    fetched_bytes: int = 0
    fetches: int = 0
    event_lag_s: float = 0.0

    def heard(self, at: float) -> None:
        """Note an event that was emitted at `at`, seconds since 1970."""
        self.event_lag_s = max(0.0, time.time() - at)

    def looked_up(self, wanted: int, missing: int, nbytes: int) -> None:
        """Count parts that were wanted, those that were not in the cache, and the bytes of the others."""
        self.hits += wanted - missing
        self.misses += missing
        self.cached_bytes += nbytes

    def fetched(self, nbytes: int) -> None:
        """Count an answer of a publisher."""
        self.fetched_bytes += nbytes
        self.fetches += 1
