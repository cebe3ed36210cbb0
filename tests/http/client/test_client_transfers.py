"""Downloads: complete or absent, resumed where they ended, verified."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caterva2 import Client
from caterva2.errors import (
    AlreadyExists,
    BadPath,
    BrokenDataset,
    ConnectFailed,
    CorruptChunk,
    DatasetNotFound,
    ProtocolMismatch,
)
from tests.support.fakesub import FakeSubscriber, answer_plain, cut_body

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def big(fake: FakeSubscriber) -> str:
    fake.add_file("foo/big.bin", CONTENT)
    return "foo/big.bin"


def _ranges(fake: FakeSubscriber) -> list[str | None]:
    return [seen.headers.get("range") for seen in fake.seen if "/api/download" in seen.path]


def _interrupt(fake: FakeSubscriber, client: Client, path: str, target: Path) -> None:
    """Leave an unfinished download: what goes on brings nothing."""
    fake.faults.extend([("/api/download", cut_body(1_000_000)), *[("/api/download", cut_body(0))] * 3])
    with pytest.raises(ConnectFailed):
        client.download(path, target)
    fake.seen.clear()


def test_break_is_mended_within_one_download(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    fake.faults.extend([("/api/download", cut_body(1_000_000)), ("/api/download", cut_body(500_000))])

    saved = fake_client.download(big, tmp_path / "x")

    assert saved.read_bytes() == CONTENT
    assert _ranges(fake) == [None, "bytes=1000000-", "bytes=1500000-"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_interrupted_download_goes_on_next_time(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    _interrupt(fake, fake_client, big, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert (tmp_path / "x.part").stat().st_size == 1_000_000

    seen: list[tuple[int, int | None]] = []
    saved = fake_client.download(big, tmp_path / "x", progress=lambda *how: seen.append(how))

    assert saved.read_bytes() == CONTENT
    assert _ranges(fake) == ["bytes=1000000-"]
    assert seen[0] == (1_000_000, len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_changed_file_is_downloaded_anew(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    _interrupt(fake, fake_client, big, tmp_path / "x")
    fake.add_file(big, CONTENT[::-1])

    saved = fake_client.download(big, tmp_path / "x")

    assert saved.read_bytes() == CONTENT[::-1]


def test_file_that_shrank_is_downloaded_anew(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    _interrupt(fake, fake_client, big, tmp_path / "x")
    stored = fake.add_file(big, b"short")
    note = tmp_path / "x.part.json"
    note.write_text(json.dumps({"path": big, "etag": stored.etag}))

    assert fake_client.download(big, tmp_path / "x").read_bytes() == b"short"


def test_part_that_is_complete_needs_no_more_bytes(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    (tmp_path / "x.part").write_bytes(CONTENT)
    note = {"path": big, "etag": fake.files[big].etag}
    (tmp_path / "x.part.json").write_text(json.dumps(note))

    assert fake_client.download(big, tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "note", ["", "nonsense", "[]", '{"path": "foo/other", "etag": "x"}', '{"path": "foo/big.bin"}'], ids=repr
)
def test_part_of_something_else_is_overwritten(
    fake_client: Client, big: str, tmp_path: Path, note: str
) -> None:
    (tmp_path / "x.part").write_bytes(b"other")
    (tmp_path / "x.part.json").write_text(note)

    assert fake_client.download(big, tmp_path / "x").read_bytes() == CONTENT


def test_server_without_ranges_sends_all_again(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    fake.ranges_for_files = False
    fake.faults.append(("/api/download", cut_body(1_000_000)))

    assert fake_client.download(big, tmp_path / "x").read_bytes() == CONTENT


def test_damaged_frame_is_refused_and_forgotten(
    fake: FakeSubscriber, fake_client: Client, tmp_path: Path
) -> None:
    stored = fake.add_array("foo/a.b2nd", np.arange(1000))
    stored.frame = stored.frame[:-1]

    with pytest.raises(CorruptChunk, match="not a complete Blosc2 frame"):
        fake_client.download("foo/a.b2nd", tmp_path / "a.b2nd")

    assert list(tmp_path.iterdir()) == []


def test_existing_file_stays_when_the_download_fails(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"old")

    _interrupt(fake, fake_client, big, tmp_path / "x")

    assert (tmp_path / "x").read_bytes() == b"old"


def test_missing_file_leaves_nothing(fake_client: Client, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFound):
        fake_client.download("foo/nope", tmp_path / "x")

    assert list(tmp_path.iterdir()) == []


def test_second_download_to_the_same_place_is_refused(fake_client: Client, big: str, tmp_path: Path) -> None:
    with (tmp_path / "x.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(AlreadyExists, match="another download to x"):
            fake_client.download(big, tmp_path / "x")


def test_directory_in_the_way_is_told(fake_client: Client, big: str, tmp_path: Path) -> None:
    (tmp_path / "big.bin").mkdir()

    with pytest.raises(BadPath, match="is a directory"):
        fake_client.download(big, tmp_path)


def test_answer_to_another_range_is_refused(
    fake: FakeSubscriber, fake_client: Client, big: str, tmp_path: Path
) -> None:
    _interrupt(fake, fake_client, big, tmp_path / "x")
    headers = {"Content-Range": "bytes 5-9/3000000"}
    fake.faults.append(("/api/download", answer_plain(206, "12345", "application/octet-stream", **headers)))

    with pytest.raises(ProtocolMismatch, match="from byte 1000000 on"):
        fake_client.download(big, tmp_path / "x")


def test_broken_file_in_a_directory_stops_no_other(
    fake: FakeSubscriber, fake_client: Client, tmp_path: Path
) -> None:
    fake.add_file("foo/d/a.txt", b"a")
    fake.add_broken("foo/d/b.b2nd", "cut")
    fake.add_broken("foo/d/c.b2nd", "cut")
    fake.add_file("foo/d/z.txt", b"z")

    with pytest.raises(
        BrokenDataset, match=r"b\.b2nd is broken: cut, and 1 others \(all other files were saved"
    ):
        fake_client.download("foo/d", tmp_path)

    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.txt", "z.txt"]


def test_name_that_would_leave_the_directory_is_refused(
    fake: FakeSubscriber, fake_client: Client, tmp_path: Path
) -> None:
    fake.faults.append(("/api/download/foo/d", _as_directory))
    fake.faults.append(("/api/list/foo/d", _answer_json('["../../evil.txt"]')))

    with pytest.raises(BadPath):
        fake_client.download("foo/d", tmp_path / "d")

    assert not (tmp_path.parent / "evil.txt").exists()


def _as_directory(handler: Any) -> None:
    from caterva2.errors import NotADataset

    raise NotADataset("foo/d is a directory")


def _answer_json(body: str) -> Callable[[Any], None]:
    return answer_plain(200, body, "application/json")
