"""A Jupyter server with the extension, in the test's own event loop, and subscribers behind it.

These tests need the plugin of pytest-jupyter, which does not live beside that
of asyncio's other tests: ``pytest -p pytest_jupyter.jupyter_server tests/jupyter_ext/server``.
A run without it does not collect them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import tornado.httpclient
import tornado.httputil
import tornado.web

from caterva2 import Client
from caterva2.config.schema import SubscriberConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.app import run as run_subscriber
from tests.support.serverthread import RoleThread, ServerThread

ADA, PASSWORD = "ada@example.org", "a good password"


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave these tests to their own run."""
    return None if config.pluginmanager.has_plugin("pytest_jupyter.jupyter_server") else True


@pytest.fixture
def traits() -> dict[str, Any]:
    """Return what Jupyter's configuration says about us; tests replace this."""
    return {}


@pytest.fixture
def jp_base_url() -> str:
    return "/user/x/"


@pytest.fixture
def jp_server_config(traits: dict[str, Any]) -> dict[str, Any]:
    return {
        "ServerApp": {
            "jpserver_extensions": {"caterva2_jupyter": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
        },
        "Caterva2App": traits,
    }


@pytest.fixture(autouse=True)
def own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("CATERVA2_JUPYTER", raising=False)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")


@pytest.fixture
def extension(jp_serverapp: Any, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Start what Jupyter starts when its event loop runs, and stop it."""
    (app,) = jp_serverapp.extension_manager.extension_apps["caterva2_jupyter"]
    jp_asyncio_loop.run_until_complete(app.start_subscribers())
    yield app
    jp_asyncio_loop.run_until_complete(app.stop_extension())


@dataclass
class Page:
    """Asks as a page in a browser would; errors are answers."""

    base: str
    token: str
    client: Any

    async def __call__(self, path: str, method: str = "GET", *, known: bool = True, **how: Any) -> Any:
        headers = dict(how.pop("headers", {}))
        if known:
            headers.setdefault("Authorization", f"token {self.token}")
        if "json" in how:
            how["body"] = json.dumps(how.pop("json"))
            headers["Content-Type"] = "application/json"
        if method in {"POST", "PATCH"} and "body" not in how and "body_producer" not in how:
            how["body"] = b""
        return await self.client.fetch(
            f"{self.base}{path}", method=method, headers=headers, raise_error=False, request_timeout=60,
            follow_redirects=False, decompress_response=False, **how,
        )  # fmt: skip

    async def cookies(self) -> dict[str, str]:
        """Log in to Jupyter as a browser does; return its cookies."""
        found = {}
        for answer in (await self("login", known=False), await self("api/status")):
            for line in answer.headers.get_list("Set-Cookie"):
                name, _, value = line.partition(";")[0].partition("=")
                found[name] = value
        return found


@pytest.fixture
def page(jp_serverapp: Any, http_server_client: Any, extension: Any, jp_base_url: str) -> Page:
    return Page(jp_base_url, jp_serverapp.identity_provider.token, http_server_client)


# subscribers


@pytest.fixture
def open_subscriber(tmp_path: Path) -> Iterator[str]:
    """Run a subscriber without users; yields its address."""
    config = SubscriberConfig(http=Address("127.0.0.1", 0), statedir=tmp_path / "open")
    with RoleThread(run_subscriber, config) as role:
        yield f"http://{role.address}"


@pytest.fixture
def lab_subscriber(tmp_path: Path) -> Iterator[str]:
    """Run a subscriber with one user; yields its address."""
    config = SubscriberConfig(
        http=Address("127.0.0.1", 0),
        statedir=tmp_path / "lab",
        login=True,
        register=True,
        auth_secret="s" * 40,
    )
    with RoleThread(run_subscriber, config) as role:
        with Client(f"http://{role.address}") as client:
            client.register(ADA, PASSWORD)
        yield f"http://{role.address}"


@dataclass
class Recorder:
    """Stands in for a subscriber, and keeps what reaches it."""

    requests: list[tornado.httputil.HTTPServerRequest] = field(default_factory=list)
    answer: Callable[[tornado.web.RequestHandler], Any] = lambda handler: handler.finish(b'"Ok"')
    url: str = ""

    def application(self) -> tornado.web.Application:
        recorder = self

        class Handler(tornado.web.RequestHandler):
            SUPPORTED_METHODS = ("GET", "HEAD", "POST", "PATCH", "DELETE", "PUT")

            async def prepare(self) -> None:
                recorder.requests.append(self.request)
                self.set_header("Content-Type", "application/json")
                found = recorder.answer(self)
                if asyncio.iscoroutine(found):
                    await found

            async def get(self) -> None: ...

        return tornado.web.Application([(r".*", Handler)], log_function=lambda _: None)

    def seen(self) -> list[str]:
        """Return what was asked."""
        return [f"{each.method} {each.uri}" for each in self.requests]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder()
    with ServerThread(made.application) as server:
        made.url = server.urlbase
        yield made
