"""The three services as programs: ``cat2bro``, ``cat2pub``, ``cat2sub``.

A role offers one coroutine, ``caterva2.roles.*.app.run`` (`Run`). It starts the
service, calls `announce` with the address it really listens on
(``localhost:8002``, never port 0) once it can serve, waits for `stop`, and
returns after a clean end. Errors that keep it from starting leave it as classes
of `caterva2.errors`; here they become one line on stderr.

Exit status: 0 after a clean stop, 1 if the service can not start or breaks,
2 for a wrong command line or configuration.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from caterva2.config import load
from caterva2.config.schema import BrokerConfig, PublisherConfig, ServiceConfig, SubscriberConfig
from caterva2.errors import Caterva2Error, ConfigError, ServiceError
from caterva2.runtime.memory import keep_freed_memory

logger = logging.getLogger(__name__)

C = TypeVar("C", bound=ServiceConfig)
C_contra = TypeVar("C_contra", bound=ServiceConfig, contravariant=True)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Run(Protocol[C_contra]):
    """What ``caterva2.roles.*.app.run`` looks like.

    Raises
    ------
    ConfigError
        The configuration can not work (exit status 2).
    Caterva2Error
        Anything else that keeps the service from starting, such as `BrokerUnavailable`,
        or `ConnectFailed` (exit status 1). An `OSError` may leave as it is.
    """

    async def __call__(
        self, config: C_contra, *, announce: Callable[[str], None], stop: asyncio.Event
    ) -> None:
        """Run the service until `stop` is set."""


def broker(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2bro`` and return its exit status."""

    def role() -> Run[BrokerConfig]:
        from caterva2.roles.broker.app import run

        return run

    return _main("cat2bro", load.load_broker, role, argv)


def publisher(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2pub`` and return its exit status."""

    def role() -> Run[PublisherConfig]:
        from caterva2.roles.publisher.app import run

        return run

    return _main("cat2pub", load.load_publisher, role, argv)


def subscriber(argv: Sequence[str] | None = None) -> int:
    """Run ``cat2sub`` and return its exit status."""

    def role() -> Run[SubscriberConfig]:
        from caterva2.roles.subscriber.app import run

        return run

    return _main("cat2sub", load.load_subscriber, role, argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service that the first argument names: ``broker``, ``publisher`` or ``subscriber``."""
    programs = {"broker": broker, "publisher": publisher, "subscriber": subscriber}
    name, *rest = sys.argv[1:] if argv is None else argv or [""]
    if name not in programs:
        return _fail("caterva2.cli.serve", f"expected one of {', '.join(programs)}, found {name!r}", 2)
    return programs[name](rest)


def _main(
    prog: str,
    load_config: Callable[[Sequence[str]], C],
    role: Callable[[], Run[C]],
    argv: Sequence[str] | None,
) -> int:
    try:
        config = load_config(sys.argv[1:] if argv is None else argv)
    except ConfigError as exc:
        return _fail(prog, str(exc), 2)
    try:
        return _serve(prog, config, role)
    except ConfigError as exc:
        # An address in use is a matter of the moment, not of what was written.
        in_use = isinstance(exc.__cause__, OSError) and exc.__cause__.errno == errno.EADDRINUSE
        return _fail(prog, str(exc), 1 if in_use else 2)
    except Caterva2Error as exc:
        return _fail(prog, str(exc), 1)
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("caterva2"):
            raise
        return _fail(prog, f"needs the package {exc.name}; run: pip install 'caterva2[services]'", 1)
    except KeyboardInterrupt:  # the second Ctrl+C: the clean stop took too long for somebody
        return 130


def _serve(prog: str, config: C, role: Callable[[], Run[C]]) -> int:
    keep_freed_memory()
    run = role()
    _setup_logging(config.loglevel)
    announced = False

    def announce(address: str) -> None:
        nonlocal announced
        announced = True
        write(address)
        logger.info("%s listens on %s", prog, address)

    try:
        with owned(config.statedir), _announcing(config.announce) as write:
            asyncio.run(_until_signal(run, config, announce))
    except OSError as exc:
        if announced or isinstance(exc, Caterva2Error):
            raise
        return _fail(prog, _explain(exc), 1)
    logger.info("%s stopped", prog)
    return 0


async def _until_signal(run: Run[C], config: C, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        # A second signal finds the default action: it ends the process at once.
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        stop.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        await run(config, announce=announce, stop=stop)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _setup_logging(level: str) -> None:
    from caterva2.transport import logs

    logs.setup(level)


@contextlib.contextmanager
def owned(statedir: Path) -> Iterator[None]:
    """Keep other processes out of a state directory; the lock ends with the process, however it ends."""
    statedir.mkdir(parents=True, exist_ok=True)
    with (statedir / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(
                f"another process uses the state directory {statedir}", hint="choose another with --statedir"
            ) from None
        yield


@contextlib.contextmanager
def _announcing(file: Path | None) -> Iterator[Callable[[str], None]]:
    """Yield what writes the address to `file`, whole or not at all; the file lives as long as the service."""
    if file is None:
        yield lambda address: None
        return

    def write(address: str) -> None:
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        beside.write_text(f"{address}\n", encoding="utf-8")
        beside.replace(file)

    file.unlink(missing_ok=True)
    try:
        yield write
    finally:
        file.unlink(missing_ok=True)


def _explain(exc: OSError) -> str:
    reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc)
    return f"cannot start: {exc.filename}: {reason}" if exc.filename else f"cannot start: {reason}"


def _fail(prog: str, message: str, status: int) -> int:
    sys.stderr.write(f"{prog}: {' '.join(message.split())}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
