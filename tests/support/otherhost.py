"""A walk through Jupyter to a subscriber with users on another host; run in namespaces of its own.

``python -m tests.support.otherhost HOME`` needs a network of its own with nothing in it. It makes the
other host, a second network with one cable between them, and prints what it saw as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2
import httpx
import numpy as np
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

import caterva2
from caterva2.cli import admin
from tests.support.accounts import PASSWORD, SECRET
from tests.support.daemon import Daemon
from tests.support.jupyter import Jupyter, running_jupyter
from tests.support.processes import until

NAME = "data.lab.example"
HERE, THERE = "192.0.2.1", "192.0.2.2"
ADA = "ada@example.org"
WAIT_S = 20


def walk(home: Path) -> dict[str, Any]:
    """Log in, list, upload, read in a kernel's way, and hear of a new file; return what was seen."""
    (home / "foo").mkdir()
    blosc2.asarray(np.arange(100), urlpath=str(home / "foo" / "line.b2nd"))
    with other_host() as pid, running_subscriber(home, pid) as port:
        url = f"http://{NAME}:{port}"
        options = (f"--Caterva2App.subscribers=far={url}", f"--Caterva2App.token_file={home / 'tokens.json'}")
        with running_jupyter(home / "jupyter", *options) as jupyter, jupyter.client() as client:
            return {"url": url, **_look(home, jupyter, client)}


def _look(home: Path, jupyter: Jupyter, client: httpx.Client) -> dict[str, Any]:
    before = _far(client.get("caterva2/api/status"))
    body = {"name": "far", "user": ADA, "password": PASSWORD}
    after = _far(client.post("caterva2/api/login", json=body))
    page = client.get("caterva2/s/far/api/tree/foo").raise_for_status().json()
    stored = client.post(
        "caterva2/s/far/api/upload/@personal/mine.txt", files={"file": ("mine.txt", b"mine")}
    )
    handover = home / "jupyter" / "runtime" / f"caterva2-{jupyter.pid}.json"
    until(lambda: json.loads(handover.read_text())["subscribers"]["far"]["token"], "a token for kernels")
    os.environ["CATERVA2_JUPYTER"] = str(handover)
    line = caterva2.Root("foo")["line.b2nd"]
    assert isinstance(line, caterva2.Dataset)
    heard = asyncio.run(_hear_of(home / "foo" / "new.txt", jupyter))
    return {
        "before": before,
        "after": after,
        "names": [entry["name"] for entry in page["entries"]],
        "upload": stored.status_code,
        "read": line[40:43].tolist(),
        "heard": heard,
    }


def _far(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.raise_for_status().json()["subscribers"][0]
    return {name: found[name] for name in ("name", "url", "connected", "user")}


async def _hear_of(file: Path, jupyter: Jupyter) -> str:
    url = f"ws{jupyter.url.removeprefix('http')}/caterva2/s/far/api/events"
    connection = await websocket_connect(HTTPRequest(url, headers=jupyter.headers))
    await asyncio.to_thread(file.write_bytes, b"new")
    try:
        async with asyncio.timeout(WAIT_S):
            while (message := await connection.read_message()) is not None:
                path = json.loads(message)["event"].get("entry", {}).get("path")
                if path == file.name:
                    return path
    finally:
        connection.close()
    return "nothing"


@contextlib.contextmanager
def other_host() -> Iterator[int]:
    """Make another network, and a cable to it; gives the id of a process there."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    try:
        own = Path("/proc/self/ns/net").readlink()
        until(lambda: Path(f"/proc/{process.pid}/ns/net").readlink() != own, "another network")
        there = ("nsenter", "--target", str(process.pid), "--net")
        _ip("link", "set", "lo", "up")
        _ip("link", "add", "here", "type", "veth", "peer", "name", "there")
        _ip("link", "set", "there", "netns", str(process.pid))
        for name, address, prefix in (("here", HERE, ()), ("there", THERE, there)):
            _ip("addr", "add", f"{address}/24", "dev", name, prefix=prefix)
            _ip("link", "set", name, "up", prefix=prefix)
        _ip("link", "set", "lo", "up", prefix=there)
        yield process.pid
    finally:
        process.kill()
        process.wait(WAIT_S)


def _ip(*words: str, prefix: tuple[str, ...] = ()) -> None:
    subprocess.run([*prefix, "ip", *words], check=True)


@contextlib.contextmanager
def running_subscriber(home: Path, pid: int) -> Iterator[int]:
    """Run a network of ours on the other host; gives the port of the subscriber."""
    assert admin.adduser(["--statedir", str(home / "sub"), ADA, PASSWORD]) == 0

    def daemon(role: str, *args: str, **more: Any) -> Daemon:
        made = Daemon(role, *args, cwd=home, **more)
        made.command = ["nsenter", "--target", str(pid), "--net", *made.command]
        return made

    with daemon("broker") as broker:
        met = f"127.0.0.1:{broker.address.port}"
        env = {"CATERVA2_SECRET": SECRET, "CATERVA2_SUBSCRIBER_LOGIN": "true"}
        with (
            daemon("publisher", "--broker", met, "foo", str(home / "foo")),
            daemon(
                "subscriber", "--broker", met, "--statedir", str(home / "sub"), http=f"{THERE}:0", env=env
            ) as subscriber,
        ):
            url = f"http://{NAME}:{subscriber.address.port}/api/roots"
            until(lambda: "foo" in httpx.get(url, trust_env=False).json(), "the root")
            yield subscriber.address.port


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(walk(Path(sys.argv[1])))}\n")
