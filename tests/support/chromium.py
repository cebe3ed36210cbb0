"""Debian's Chromium, as Playwright starts it."""

from __future__ import annotations

import shutil
from typing import Any

# Alone, and without a look at anything elsewhere.
_FLAGS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)


def launch_arguments() -> dict[str, Any] | None:
    """Return the arguments of Playwright's ``launch``; None without a Chromium."""
    program = shutil.which("chromium")
    return None if program is None else {"executable_path": program, "args": list(_FLAGS)}
