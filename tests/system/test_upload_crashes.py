"""A subscriber that is killed while people upload: what was acknowledged is there, nothing by half."""

from __future__ import annotations

import concurrent.futures
import hashlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.daemon import Daemon

KILLS = 30
WRITERS = 3
QUOTA = 64 << 20
USER = {"email": "ada@example.org", "password": "a good password"}


class Round:
    """Uploads until the subscriber is killed, after a random number of bytes."""

    def __init__(self, daemon: Daemon, cookie: str, seed: int) -> None:
        self.daemon = daemon
        self.headers = {"Cookie": cookie}
        self.seed = seed
        self.left = random.Random(seed).randrange(1, 1_500_000)
        self.lock = threading.Lock()
        self.acknowledged: dict[str, str] = {}
        self.sent: dict[str, str] = {}

    def run(self) -> None:
        with concurrent.futures.ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(self._write, range(WRITERS)))

    def _write(self, writer: int) -> None:
        dice = random.Random(f"{self.seed} {writer}")
        with httpx.Client(base_url=self.daemon.url, headers=self.headers, timeout=20) as http:
            for number in range(1000):
                data = dice.randbytes(dice.randrange(200_000))
                name = f"@personal/{self.seed}/{writer}-{number % 5}.bin"  # later ones replace earlier ones
                self.sent[hashlib.sha256(data).hexdigest()] = name
                try:
                    answer = http.post(
                        f"/api/upload/{name}", content=self._body(data),
                        headers={"Content-Type": "multipart/form-data; boundary=b"},
                    )  # fmt: skip
                except httpx.TransportError:
                    self.acknowledged.pop(
                        name, None
                    )  # the one before, or this one if only its answer is lost
                    return
                assert answer.status_code == 200, answer.text
                self.acknowledged[name] = hashlib.sha256(data).hexdigest()

    def _body(self, data: bytes) -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for start in range(0, len(data), 10_000):
            yield data[start : start + 10_000]
            with self.lock:
                self.left -= 10_000
                if self.left < 0 and self.daemon.process.poll() is None:
                    self.daemon.process.kill()
        yield b"\r\n--b--\r\n"


@pytest.mark.timeout(280)
def test_acknowledged_uploads_survive_kills_and_others_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CATERVA2_SECRET=correct horse battery staple\n")
    (tmp_path / "caterva2.toml").write_text(f"[subscriber]\nquota = {QUOTA}\n")
    acknowledged: dict[str, str] = {}
    sent: dict[str, str] = {}
    cookie = ""
    for seed in range(KILLS):
        with Daemon("subscriber", "--statedir", "sub", cwd=tmp_path) as daemon:
            if not cookie:
                cookie = _enter(daemon.url)
            assert _left_over(tmp_path) == []
            here = Round(daemon, cookie, seed)
            here.run()
            daemon.wait()
        acknowledged.update(here.acknowledged)
        sent.update(here.sent)

    with (
        Daemon("subscriber", "--statedir", "sub", cwd=tmp_path) as daemon,
        httpx.Client(base_url=daemon.url, headers={"Cookie": cookie}, timeout=20) as http,
    ):
        names = [f"@personal/{name}" for name in http.get("/api/list/@personal").json()]
        there = {name: http.get(f"/api/download/{name}").content for name in names}
        room = QUOTA - sum(map(len, there.values()))
        refused = http.post("/api/uploads", json={"path": "@personal/rest", "size": room + 1})
        taken = http.post("/api/uploads", json={"path": "@personal/rest", "size": room})
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in there.items()}

    assert len(acknowledged) > KILLS
    assert {name: digests.get(name) for name in acknowledged} == acknowledged
    assert [name for name, digest in digests.items() if sent.get(digest) != name] == []
    assert (refused.status_code, taken.status_code) == (400, 201)


def _enter(url: str) -> str:
    httpx.post(f"{url}/auth/register", json=USER).raise_for_status()
    form = {"username": USER["email"], "password": USER["password"]}
    answer = httpx.post(f"{url}/auth/jwt/login", data=form)
    return answer.headers["Set-Cookie"].partition(";")[0]


def _left_over(home: Path) -> list[str]:
    return [path.name for path in (home / "sub").glob("**/.incoming/*")]
