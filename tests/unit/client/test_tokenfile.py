"""The file that keeps tokens: whole, readable by its owner only, and changed by one at a time."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caterva2.client.tokenfile import KeptToken, keep_token, kept_token

TOKEN = KeptToken("c2t_x", "ada@example.org", "1")


def test_tokens_that_are_stored_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    servers = [f"http://host{i}" for i in range(24)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda server: keep_token(server, TOKEN, path), servers))

    assert [kept_token(server, path) for server in servers] == [TOKEN] * len(servers)
    assert list(tmp_path.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_that_can_not_be_stored_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.json"
    keep_token("http://host", TOKEN, path)
    monkeypatch.setattr("json.dump", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))

    with pytest.raises(OSError, match="full"):
        keep_token("http://other", TOKEN, path)

    assert kept_token("http://host", path) == TOKEN
    assert list(tmp_path.iterdir()) == [path]
