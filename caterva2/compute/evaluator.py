"""The program of an evaluating process: takes kernels from a socket, inputs and outputs are in shared memory.

``python -m caterva2.compute.evaluator SOCKET MEMORY ARENA LIMIT``. It opens no
file, talks to nobody but its parent, and ends with it.
"""

from __future__ import annotations

import contextlib
import mmap
import resource
import socket
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from caterva2.compute.dtypes import parse_dtype
from caterva2.compute.kernels import Array, evaluate_into, partial
from caterva2.compute.nodes import Node
from caterva2.errors import BadExpression

ALIGN = 64


class Place(msgspec.Struct, frozen=True, array_like=True):
    """An array in the shared memory."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluate a kernel to `out`; or reduce what it gives, over `axes`, by `function`.

    Attributes
    ----------
    out
        Where the kernel's result goes.
    """

    kernel: Node
    leaves: tuple[Place, ...]
    out: Place
    function: str | None = None
    axes: tuple[int, ...] = ()


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a task: where the results are, or what is wrong with the expression."""

    places: tuple[Place, ...] = ()
    error: str | None = None


def aligned(offset: int) -> int:
    """Return the next offset at which an array may lie."""
    return -(-offset // ALIGN) * ALIGN


def view(memory: Any, place: Place) -> Array:  # noqa: ANN401 (a buffer)
    """Return the array at a place; it keeps looking at the memory."""
    dtype = parse_dtype(place.dtype)
    count = int(np.prod(place.shape, dtype=np.int64))
    return np.frombuffer(memory, dtype, count, place.offset).reshape(place.shape)


def run_task(task: Task, memory: Any, arena: int) -> Done:  # noqa: ANN401 (a buffer)
    """Carry out a task."""
    leaves = [view(memory, place) for place in task.leaves]
    out = view(memory, task.out)
    try:
        evaluate_into(out, task.kernel, leaves)
        if task.function is None:
            return Done(places=(task.out,))
        return Done(places=_store(partial(task.function, out, task.axes), task.out, out, memory, arena))
    except BadExpression as exc:
        return Done(error=exc.message)
    except MemoryError:
        return Done(error="the expression needs more memory than an evaluation may have")


def _store(parts: Sequence[Array], out: Place, items: Array, memory: Any, arena: int) -> tuple[Place, ...]:  # noqa: ANN401
    at = aligned(out.offset + items.nbytes)
    places = []
    for part in parts:
        if at + part.nbytes > arena:
            raise BadExpression("the partial results have no room")
        place = Place(at, part.shape, part.dtype.str)
        view(memory, place)[...] = part
        places.append(place)
        at = aligned(at + part.nbytes)
    return tuple(places)


def _limit_memory(limit: int) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + limit, now + limit))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _receive(sock: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = sock.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main(arguments: Sequence[str]) -> None:
    """Answer requests until the parent is gone."""
    fd, memory_fd, arena, limit = map(int, arguments)
    sock = socket.socket(fileno=fd)
    memory = mmap.mmap(memory_fd, arena)
    decoder = msgspec.msgpack.Decoder(Task)
    _limit_memory(limit)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            size = int.from_bytes(_receive(sock, 4), "little")
            request = _receive(sock, size)
            answer = b""
            if request:
                answer = msgspec.msgpack.encode(run_task(decoder.decode(request), memory, arena))
            sock.sendall(len(answer).to_bytes(4, "little") + answer)


if __name__ == "__main__":
    main(sys.argv[1:])
