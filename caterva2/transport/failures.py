"""The last requests that failed for want of the service, for who looks after it."""

from __future__ import annotations

from collections import deque

from caterva2.errors import Caterva2Error, InternalError
from caterva2.model.service import Failure
from caterva2.model.wire import iso_time

KEPT = 100
LONGEST = 500
"""Most characters that are kept of a message."""


class Failures:
    """A bounded list: what comes when it is full pushes out the oldest.

    Written and read on the event loop. What is kept is what clients were told: no path of the file
    system and no secret.

    Parameters
    ----------
    kept
        How many there may be.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._found: deque[Failure] = deque(maxlen=kept)

    def add(
        self, error: Caterva2Error, *, at: float, request_id: str, method: str, route: str, defect: str | None
    ) -> None:
        """Take note of an error, if it is the service that failed and not who asked.

        Parameters
        ----------
        at
            When, in seconds since 1970.
        route
            Name of the endpoint.
        defect
            Name of the exception that nobody expected, if it was one.
        """
        if error.status < InternalError.status:
            return
        message = error.message if defect is None else f"{error.message} ({defect})"
        self._found.append(
            Failure(
                at=iso_time(at, "milliseconds"),
                request_id=request_id, method=method, route=route, status=error.status, code=error.code,
                sentence=message[:LONGEST],
            )
        )  # fmt: skip

    def recent(self) -> list[Failure]:
        """Return what was kept, newest first."""
        return list(reversed(self._found))
