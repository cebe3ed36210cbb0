"""Logging: set-up on stderr, the id of the request in every record, one line for each request."""

from __future__ import annotations

import contextvars
import logging
import sys

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("caterva2_request_id", default="-")
"""Id of the request that the running code works for."""

FORMAT = "%(asctime)s %(levelname)-7s %(name)s [%(request_id)s] %(message)s"


class RequestIdFilter(logging.Filter):
    """Adds `request_id` to records that pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True, always."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True


def setup(level: str = "warning") -> logging.Handler:
    """Send the log of this process to stderr, from `level` on.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning``, ``error`` or ``critical``. The access
        log (``caterva2.access``) is at ``info``.

    Returns
    -------
    logging.Handler
        The handler that was added to the root logger.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(RequestIdFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Tornado tells of every malformed request and closed connection; we have our own lines.
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)
    return handler
