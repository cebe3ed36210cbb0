"""The program that verifies uploads: forks a process for each, with limits, which ends with its task.

Reads one JSON request a line from its standard input, ``{"id", "task", …,
"memory", "seconds", "nbytes"}``, and writes one JSON answer a line:
``{"id", "value"}`` or ``{"id", "error", "message"}``. An own program that has
loaded its libraries already, because loading them takes longer than most tasks.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
from typing import Any

from caterva2.errors import Caterva2Error
from caterva2.storage.verify import perform


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    os.set_blocking(0, False)
    selector.register(0, selectors.EVENT_READ)
    waiting = b""
    children: dict[int, tuple[int, Any, bytearray]] = {}
    while True:
        for key, _ in selector.select():
            if key.fd == 0:
                data = os.read(0, 1 << 16)
                if not data:
                    for pid, _, _ in children.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                waiting += data
                *lines, waiting = waiting.split(b"\n")
                for line in lines:
                    request = json.loads(line)
                    fd, pid = _fork(request)
                    children[fd] = (pid, request["id"], bytearray())
                    selector.register(fd, selectors.EVENT_READ)
                continue
            pid, id_, answer = children[key.fd]
            data = os.read(key.fd, 1 << 16)
            if data:
                answer += data
                continue
            selector.unregister(key.fd)
            os.close(key.fd)
            del children[key.fd]
            os.waitpid(pid, 0)
            text = bytes(answer)
            if not text.endswith(b"\n"):
                lost = {"id": id_, "error": "broken-dataset", "message": _LOST}
                text = json.dumps(lost).encode() + b"\n"
            _write(1, text)


_LOST = "it can not be verified: the attempt crashed, or went beyond its limits"


def _fork(request: dict[str, Any]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return ours, pid
    try:
        os.close(ours)
        _limit(request)
        _write(theirs, json.dumps(_answer(request)).encode() + b"\n")
    finally:
        os._exit(0)


def _limit(request: dict[str, Any]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    seconds = int(request["seconds"])
    with open("/proc/self/statm") if os.path.exists("/proc/self/statm") else open(os.devnull) as file:
        text = file.read().split()
    taken = int(text[0]) * os.sysconf("SC_PAGE_SIZE") if text else 0
    for what, limit in (
        (resource.RLIMIT_AS, taken + int(request["memory"])),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, int(request["nbytes"])),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(
            what, (limit, limit) if hard == resource.RLIM_INFINITY else (min(limit, hard),) * 2
        )
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.alarm(seconds * 2)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"id": request["id"], "value": perform(request)}
    except Caterva2Error as exc:
        return {"id": request["id"], "error": exc.code, "message": exc.message}
    except MemoryError:
        return {"id": request["id"], "error": "broken-dataset", "message": _LOST}
    except OSError as exc:
        reason = os.strerror(exc.errno) if exc.errno else type(exc).__name__
        return {"id": request["id"], "error": "quota-exceeded", "message": f"it can not be stored: {reason}"}
    except Exception as exc:  # noqa: BLE001 - whatever Blosc2 makes of an upload
        return {"id": request["id"], "error": "broken-dataset", "message": f"{_LOST} ({type(exc).__name__})"}


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
