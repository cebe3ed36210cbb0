"""Room that is taken and room that is promised, counted in bytes against limits. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable

from caterva2.errors import QuotaExceeded

_COUNTS = 3
"""So often it is counted anew when something changes meanwhile; then what was known stands."""


class Ledger:
    """How much a tree of files takes, and may take.

    Parameters
    ----------
    limit
        Most bytes; None for no limit.
    what
        Names the limit in messages.
    count
        Counts anew what there is. Blocking.
    """

    def __init__(self, limit: int | None, what: str, count: Callable[[], int]) -> None:
        self.limit = limit
        self._what = what
        self._count = count
        self._lock = threading.Lock()
        self._used = 0
        self._promised = 0
        self._changes = 0

    @property
    def used(self) -> int:
        """Bytes of the files that are there."""
        return self._used

    @property
    def promised(self) -> int:
        """Bytes that uploads under way have taken or announced."""
        return self._promised

    def recount(self) -> None:
        """Count what there is. Blocking."""
        for _ in range(_COUNTS):
            changes = self._changes
            found = self._count()
            with self._lock:
                # What changed meanwhile may be in the count or not: then it says nothing.
                if changes == self._changes:
                    self._used = found
                    return

    def promise(self, nbytes: int) -> None:
        """Set bytes aside; a negative number gives them back.

        Raises
        ------
        QuotaExceeded
            That is more than is left.
        """
        if nbytes > 0 and self.limit is not None and not self._fits(nbytes):
            self.recount()  # files may have been removed by others
        with self._lock:
            if nbytes > 0 and self.limit is not None and self._used + self._promised + nbytes > self.limit:
                raise QuotaExceeded(
                    f"{self._what} may take {self.limit} bytes; {self._used + self._promised} are taken, "
                    f"and {nbytes} more were to come",
                    hint="remove something first",
                )
            self._promised += nbytes

    def changed(self, nbytes: int) -> None:
        """Take note that files have grown by so many bytes, or shrunk."""
        with self._lock:
            self._used += nbytes
            self._changes += 1

    def _fits(self, nbytes: int) -> bool:
        with self._lock:
            return self.limit is None or self._used + self._promised + nbytes <= self.limit


class Promise:
    """Bytes set aside in some ledgers for one file that is being written.

    Parameters
    ----------
    ledgers
        All of them must have room.
    credit
        Bytes of the file that is replaced: they come free.
    """

    def __init__(self, *ledgers: Ledger, credit: int = 0) -> None:
        self._ledgers = ledgers
        self._held = 0
        self._wanted = -credit

    def add(self, nbytes: int) -> None:
        """Set more bytes aside.

        Raises
        ------
        QuotaExceeded
            One of the ledgers has no room.
        """
        self._wanted += nbytes
        more = max(0, self._wanted) - self._held
        done: list[Ledger] = []
        try:
            for ledger in self._ledgers:
                ledger.promise(more)
                done.append(ledger)
        except QuotaExceeded:
            for ledger in done:
                ledger.promise(-more)
            self._wanted -= nbytes
            raise
        self._held += more

    def release(self) -> None:
        """Give everything back; safe to call twice."""
        held, self._held = self._held, 0
        for ledger in self._ledgers:
            ledger.promise(-held)

    def settle(self, growth: int) -> None:
        """Take note that the file is in its place, and the tree has grown by so many bytes."""
        for ledger in self._ledgers:
            ledger.changed(growth)
        self.release()
