"""How the process deals with memory that it has freed."""

from __future__ import annotations

import ctypes
import mmap

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
LARGEST_KEPT = 32 << 20
MOST_KEPT = 64 << 20


def keep_freed_memory() -> bool:
    """Have freed buffers used again instead of given back to the system; for services, at start.

    A service takes and frees buffers of some MiB all the time. By default the
    C library maps each anew, and the system clears its pages: 5 times the cost
    of reading the same bytes from the page cache (docs/performance.md). Few
    arenas, so that what one thread freed serves the others.

    Returns
    -------
    bool
        False where the C library has no such setting (anything but glibc); then nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = ((_MMAP_THRESHOLD, LARGEST_KEPT), (_TRIM_THRESHOLD, MOST_KEPT), (_ARENA_MAX, 2))
    return all(mallopt(option, value) == 1 for option, value in settings)


def give_back_memory(above: int) -> bool:
    """Give freed memory back to the system, if the process has more than `above` bytes. Blocking.

    What is free between buffers in use is not given back otherwise, and adds up to several times
    what is in use.

    Returns
    -------
    bool
        Whether that was done; never where there is neither ``/proc`` nor glibc.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            resident = int(file.read().split()[1]) * mmap.PAGESIZE
        if resident <= above:
            return False
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError, ValueError, IndexError):
        return False
    return True
