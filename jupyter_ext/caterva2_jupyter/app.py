"""The server extension: its settings, and what lives as long as Jupyter does."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from traitlets import Any as AnyTrait
from traitlets import Bool, Dict, Unicode

from caterva2.errors import ConfigError
from caterva2_jupyter.config import ExtensionConfig, Places, build_config
from caterva2_jupyter.eventsocket import EventsHandler
from caterva2_jupyter.handlers import SUBSCRIBERS, CurrentHandler, LoginHandler, LogoutHandler, StatusHandler
from caterva2_jupyter.kernelfile import VARIABLE, KernelFile, remove_stale
from caterva2_jupyter.proxy import ProxyHandler, Table
from caterva2_jupyter.sockets import make_socket_path, remove_socket
from caterva2_jupyter.subscribers import Subscribers

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

TRAITS = (
    "subscriber_url",
    "subscribers",
    "embedded",
    "token_file",
    "timeout",
    "max_upload",
    "read_only",
    "public_dir",
    "statedir",
    "broker",
    "cache",
)


class Caterva2App(ExtensionApp):
    """Caterva2 in JupyterLab; what is not set here is looked for in ``caterva2.toml``, ``[jupyter]``."""

    name = "caterva2"
    extension_url = "/lab"

    subscriber_url = Unicode(
        "",
        help="The subscriber to show: a URL, or unix:PATH; empty for that of caterva2.toml, or else our own.",
    ).tag(config=True)
    subscribers = Dict(
        value_trait=Unicode(), key_trait=Unicode(), help="More subscribers to choose from: address by name."
    ).tag(config=True)
    embedded = Bool(
        None,
        allow_none=True,
        help="Whether to run a subscriber of our own; None for: only if no other is configured.",
    ).tag(config=True)
    token_file = Unicode("", help="Where tokens are kept; empty for where `cat2cli login` keeps them.").tag(
        config=True
    )
    timeout = AnyTrait(None, help='How long a subscriber may be silent, such as "30 s".').tag(config=True)
    max_upload = AnyTrait(None, help='Most bytes of one upload, such as "2 GiB"; 0 for no limit.').tag(
        config=True
    )
    read_only = Bool(None, allow_none=True, help="Whether to refuse everything that writes.").tag(config=True)
    public_dir = Unicode(
        "", help="The directory behind @public of our own subscriber; empty for the one that Jupyter shows."
    ).tag(config=True)
    statedir = Unicode(
        "", help="What our own subscriber remembers; empty for a directory beside the data of Jupyter."
    ).tag(config=True)
    broker = Unicode("", help="HOST:PORT of a broker that our own subscriber joins; empty for none.").tag(
        config=True
    )
    cache = AnyTrait(
        None, help='Most bytes that roots cached by our own subscriber may take on disk, such as "10G".'
    ).tag(config=True)

    _kernel_file: KernelFile | None = None
    _socket: Path | None = None
    _variable_before: str | None = None

    def initialize_settings(self) -> None:
        """Find the subscribers, and tell the kernels; called by Jupyter before it serves."""
        assert self.serverapp is not None
        places = Places(
            runtime=Path(self.serverapp.runtime_dir),
            data=Path(jupyter_data_dir()),
            notebooks=Path(self.serverapp.root_dir),
        )
        config = self._build_config(places)
        if config.embedding is not None:
            self._socket = make_socket_path(places.runtime, os.getpid())
        subscribers = Subscribers(config, self._socket)
        self.settings[SUBSCRIBERS] = subscribers
        remove_stale(places.runtime)
        self._kernel_file = KernelFile(places.runtime / f"caterva2-{os.getpid()}.json", subscribers)
        subscribers.listen(self._kernel_file.poke)
        self._kernel_file.poke()
        self._variable_before = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = str(self._kernel_file.path)

    def _build_config(self, places: Places) -> ExtensionConfig:
        traits: dict[str, Any] = {name: getattr(self, name) for name in TRAITS}
        try:
            return build_config(traits, places)
        except ConfigError as exc:
            # Jupyter goes on without an extension that raises, and says little; its log shall say what.
            self.log.error("caterva2: %s", exc)  # noqa: TRY400 - the sentence is enough
            raise

    def initialize_handlers(self) -> None:
        """Add our addresses; called by Jupyter before it serves."""
        self.handlers.extend(
            [
                (r"caterva2/api/status/?", StatusHandler),
                (r"caterva2/api/current/?", CurrentHandler),
                (r"caterva2/api/login/?", LoginHandler),
                (r"caterva2/api/logout/?", LogoutHandler),
                (r"caterva2/s/([^/]+)/api/events/?", EventsHandler),
                (r"caterva2/s/([^/]+)/(.*)", ProxyHandler, {"table": Table()}),
            ]
        )

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Start what runs in the background; called by Jupyter once its event loop runs."""
        del serverapp
        await self.start_subscribers()

    async def start_subscribers(self) -> None:
        """Start the embedded subscriber, and keep the file of the kernels; a second call does nothing."""
        subscribers: Subscribers = self.settings[SUBSCRIBERS]
        await subscribers.start()
        assert self._kernel_file is not None
        self._kernel_file.start()

    async def stop_extension(self) -> None:
        """Stop in reverse order; called by Jupyter when it stops."""
        if self._kernel_file is not None:
            await self._kernel_file.stop()
            if os.environ.get(VARIABLE) == str(self._kernel_file.path):
                self._restore_variable()
        found: Subscribers | None = self.settings.get(SUBSCRIBERS)
        if found is not None:
            await asyncio.wait_for(found.stop(), 20)
        if self._socket is not None:
            remove_socket(self._socket)

    def _restore_variable(self) -> None:
        if self._variable_before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._variable_before
