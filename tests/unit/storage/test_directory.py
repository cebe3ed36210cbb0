"""What only a directory can do wrong: links, special files, changes under a reader."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import blosc2
import numpy as np
import pytest

from caterva2.errors import BrokenDataset, DatasetChanged, DatasetNotFound, ServiceError
from caterva2.model.datasets import BrokenInfo
from caterva2.storage.directory import DirectorySource
from tests.support.frames import array_frame, read_back, sparse_array


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def source(root: Path, tmp_path: Path) -> DirectorySource:
    return DirectorySource(root, tmp_path / "cache", quiet_s=0)


def paths(source: DirectorySource) -> list[str]:
    return sorted(listed.path for listed in source.scan())


def frames(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.b2frame"))


# links


def test_links_inside_the_root_are_followed(source, root):
    (root / "data").mkdir()
    (root / "data" / "a.txt").write_text("a")
    (root / "file.txt").symlink_to("data/a.txt")
    (root / "dir").symlink_to("data")

    assert paths(source) == ["data/a.txt", "dir/a.txt", "file.txt"]
    assert source.describe("dir/a.txt").etag == source.describe("data/a.txt").etag
    assert read_back(_whole(source, "file.txt")) == b"a"


@pytest.mark.parametrize("target", ["../secret", "../secret/key.txt", "/etc", "/etc/passwd", "/"])
def test_links_out_of_the_root_do_not_exist(source, root, tmp_path, target):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("secret")
    (root / "link").symlink_to(target)

    assert paths(source) == []
    for path in ("link", "link/key.txt", "link/passwd", "link/etc/passwd"):
        with pytest.raises(DatasetNotFound):
            source.describe(path)
        with pytest.raises(DatasetNotFound):
            source.open(path)


def test_a_sibling_whose_name_begins_like_the_root_is_outside(source, root, tmp_path):
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "a.txt").write_text("a")
    (root / "link").symlink_to("../root2")

    assert paths(source) == []


def test_circles_of_links_end(source, root):
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "x.txt").write_text("x")
    (root / "a" / "b" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "top").symlink_to(".")

    assert paths(source) == ["a/x.txt"]
    for path in ("a/b/up/x.txt", "self", "top/a/x.txt"):
        with pytest.raises(DatasetNotFound):
            source.describe(path)


def test_dangling_links_do_not_exist(source, root):
    (root / "gone.b2nd").symlink_to("nowhere")

    assert paths(source) == []
    with pytest.raises(DatasetNotFound):
        source.open("gone.b2nd")


def test_a_link_that_appears_between_look_and_open_is_not_followed(source, root, tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.txt").write_text("secret")
    (root / "d").mkdir()
    (root / "d" / "a.txt").write_text("a")
    found = source._find("d/a.txt")

    (root / "d").rename(root / "old")
    (root / "d").symlink_to("../secret")

    with pytest.raises(DatasetNotFound):
        source._open_file(found)


def test_the_root_itself_may_be_a_link(root, tmp_path):
    (root / "a.txt").write_text("a")
    (tmp_path / "alias").symlink_to("root")

    assert paths(DirectorySource(tmp_path / "alias", tmp_path / "cache")) == ["a.txt"]


def test_changes_behind_links_show_under_all_their_names(source, root):
    (root / ".store").mkdir()
    (root / ".store" / "a.txt").write_text("a")
    (root / "data").symlink_to(".store")
    (root / "file.txt").symlink_to(".store/a.txt")
    list(source.directories())

    assert source.shown_by(".store/a.txt") == {"data/a.txt", "file.txt"}
    assert source.shown_by("data/a.txt") == {"data/a.txt", "file.txt"}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("d/a.txt", {"d/a.txt"}),
        ("d/a.md.b2", {"d/a.md"}),
        ("x.b2nd/00000000.chunk", {"x.b2nd"}),
        (".git/index", set()),
        ("a.txt~", set()),
        ("a.tmp", set()),
    ],
)
def test_a_change_shows_as_the_dataset_that_it_belongs_to(source, stored, shown):
    assert source.shown_by(stored) == shown


# special files


def test_fifos_sockets_and_devices_do_not_exist(source, root):
    os.mkfifo(root / "pipe.b2nd")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(root / "socket.b2nd"))

        assert paths(source) == []
        for path in ("pipe.b2nd", "socket.b2nd"):
            with pytest.raises(DatasetNotFound):
                source.describe(path)
            with pytest.raises(DatasetNotFound):
                source.open(path)


def test_a_fifo_that_replaces_a_file_is_not_waited_for(source, root):
    (root / "a.b2nd").write_bytes(array_frame(np.arange(3)))
    found = source._find("a.b2nd")

    (root / "a.b2nd").unlink()
    os.mkfifo(root / "a.b2nd")

    with pytest.raises(DatasetNotFound):
        source._open_file(found)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.may_skip("root may read everything")
def test_an_unreadable_file_is_broken(source, root):
    (root / "a.b2nd").write_bytes(array_frame(np.arange(3)))
    (root / "a.b2nd").chmod(0)

    assert source.describe("a.b2nd").info == BrokenInfo(reason="a.b2nd can not be read: Permission denied")


def test_a_root_that_is_not_there_is_an_error_not_an_empty_root(source, root):
    root.rmdir()

    with pytest.raises(ServiceError, match="can not be listed"):
        list(source.scan())


def test_names_that_are_not_utf8_are_left_out(source, root):
    with open(os.fsencode(root) + b"/caf\xe9.txt", "wb"):
        pass

    assert paths(source) == []


def test_the_cache_is_not_shown_when_it_lies_inside_the_root(root):
    source = DirectorySource(root, root / "state" / "cache", exclude=[root / "state"])
    (root / "a.txt").write_text("a")
    source.materialise("a.txt")

    assert paths(source) == ["a.txt"]
    assert [d for d in source.directories() if "state" in d] == []


# generations


def test_a_replaced_file_is_read_as_it_was(source, root):
    old, new = array_frame(np.arange(100)), array_frame(np.arange(200))
    (root / "a.b2nd").write_bytes(old)
    with source.open("a.b2nd") as frame:
        (root / "b").write_bytes(new)
        (root / "b").replace(root / "a.b2nd")

        assert frame.read(0, frame.size) == old
        assert source.describe("a.b2nd").etag != frame.etag


def test_a_removed_file_is_read_to_its_end(source, root):
    data = array_frame(np.arange(100))
    (root / "a.b2nd").write_bytes(data)
    with source.open("a.b2nd") as frame:
        (root / "a.b2nd").unlink()

        assert frame.read(0, frame.size) == data


def test_a_file_written_in_place_is_noticed(source, root):
    (root / "a.b2nd").write_bytes(array_frame(np.arange(100)))
    with source.open("a.b2nd") as frame:
        os.utime(root / "a.b2nd", ns=(1, 1))  # a write within one tick of the clock would not show
        with open(root / "a.b2nd", "r+b") as file:
            file.write(b"x")

        with pytest.raises(DatasetChanged):
            frame.read(0, 10)


def test_a_truncated_file_is_noticed(source, root):
    (root / "a.b2nd").write_bytes(array_frame(np.arange(100)))
    with source.open("a.b2nd") as frame:
        os.truncate(root / "a.b2nd", 20)

        with pytest.raises(DatasetChanged):
            frame.read(0, 100)


def test_closing_waits_for_a_read_in_another_thread(source, root):
    (root / "a.b2nd").write_bytes(array_frame(np.arange(100)))
    frame = source.open("a.b2nd")
    with frame._reading() as fd:
        closer = threading.Thread(target=frame.close)
        closer.start()
        closer.join()

        assert os.fstat(fd).st_size == frame.size
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# frames of plain files


def test_a_frame_is_made_once(source, root, tmp_path):
    (root / "a.txt").write_text("text")
    first = source.materialise("a.txt")
    made = frames(tmp_path)[0].stat().st_mtime_ns

    assert source.materialise("a.txt") == first
    assert source.describe("a.txt") == first
    assert frames(tmp_path)[0].stat().st_mtime_ns == made


def test_frames_of_old_generations_are_deleted(source, root, tmp_path):
    for text in ("one", "two!", "three"):
        (root / "a.txt").write_text(text)
        source.materialise("a.txt")

    assert len(frames(tmp_path)) == 1


def test_the_frame_of_a_forgotten_file_is_deleted(source, root, tmp_path):
    (root / "a.txt").write_text("text")
    source.materialise("a.txt")

    source.forget("a.txt")

    assert frames(tmp_path) == []


def test_a_file_that_changes_while_it_is_packed_gives_no_frame(source, root, tmp_path, monkeypatch):
    (root / "a.txt").write_bytes(b"x" * 3_000_000)
    found = source._find("a.txt")
    os.utime(root / "a.txt", ns=(1, 1))

    with pytest.raises(DatasetChanged):
        source._open_frame(found)

    assert frames(tmp_path) == []


def test_a_plain_file_is_packed_chunk_by_chunk(source, root, monkeypatch):
    (root / "a.bin").write_bytes(b"x" * 5_000_000)
    lengths = []
    read = type(source._open_file(source._find("a.bin"))).read

    def spy(self, offset, length):
        lengths.append(length)
        return read(self, offset, length)

    monkeypatch.setattr("caterva2.storage.pinned.FileFrame.read", spy)
    source.materialise("a.bin")

    assert max(lengths) <= 1 << 20


def test_what_a_killed_process_left_is_cleared_away(source, root, tmp_path):
    leftover = tmp_path / "cache" / "ab" / "xyz.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    (root / "a.txt").write_text("text")

    source.materialise("a.txt")

    assert not leftover.exists()


def test_many_askers_make_one_frame(source, root, tmp_path):
    (root / "a.txt").write_bytes(os.urandom(3_000_000))
    entries = []
    threads = [threading.Thread(target=lambda: entries.append(source.materialise("a.txt"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(entries) == 8
    assert len({entry.size for entry in entries}) == 1
    assert len(frames(tmp_path)) == 1


# sparse frames

SPARSE = np.arange(400, dtype="<f4").reshape(20, 20)


def test_a_sparse_frame_is_one_dataset(source, root, tmp_path):
    sparse_array(root / "x.b2nd", SPARSE, chunks=(10, 10), blocks=(5, 5))
    (root / "plain.b2nd").mkdir()
    (root / "plain.b2nd" / "a.txt").write_text("a directory that only looks like one")

    assert paths(source) == ["plain.b2nd/a.txt", "x.b2nd"]
    with pytest.raises(DatasetNotFound):
        source.open("x.b2nd/00000000.chunk")


def test_a_sparse_frame_is_served_as_a_contiguous_one(source, root):
    sparse_array(root / "x.b2nd", SPARSE, chunks=(10, 10), blocks=(5, 5))

    before = source.describe("x.b2nd")
    frame = _whole(source, "x.b2nd")

    assert before.size == len(frame)
    assert np.array_equal(blosc2.ndarray_from_cframe(frame)[:], SPARSE)
    assert source.describe("x.b2nd") == source.materialise("x.b2nd") == before
    assert before.info.shape == (20, 20)


def test_a_sparse_frame_of_special_values_is_served(source, root):
    blosc2.zeros((20, 20), chunks=(10, 10), urlpath=str(root / "z.b2nd"), mode="w", contiguous=False)
    part = blosc2.open(str(root / "z.b2nd"), mode="a")
    part[:10, :10] = 7.0
    expected = part[:]

    frame = _whole(source, "z.b2nd")

    assert np.array_equal(blosc2.ndarray_from_cframe(frame)[:], expected)


def test_an_empty_sparse_frame_is_served(source, root):
    sparse_array(root / "e.b2nd", np.empty((0, 3)))

    assert source.describe("e.b2nd").info.shape == (0, 3)
    assert blosc2.ndarray_from_cframe(_whole(source, "e.b2nd")).shape == (0, 3)


def test_a_changed_sparse_frame_is_a_new_generation(source, root):
    sparse_array(root / "x.b2nd", SPARSE, chunks=(10, 10), blocks=(5, 5))
    old = source.materialise("x.b2nd").etag

    array = blosc2.open(str(root / "x.b2nd"), mode="a")
    array[:] = SPARSE * 2

    assert source.materialise("x.b2nd").etag != old
    assert np.array_equal(blosc2.ndarray_from_cframe(_whole(source, "x.b2nd"))[:], SPARSE * 2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: (d / "00000001.chunk").unlink(),
        lambda d: (d / "chunks.b2frame").write_bytes(b"junk"),
        lambda d: (d / "chunks.b2frame").write_bytes((d / "chunks.b2frame").read_bytes()[:-9]),
    ],
    ids=["no-chunk", "junk-index", "cut-index"],
)
def test_a_damaged_sparse_frame_is_broken(source, root, damage):
    sparse_array(root / "x.b2nd", SPARSE, chunks=(10, 10), blocks=(5, 5))
    damage(root / "x.b2nd")

    assert isinstance(source.describe("x.b2nd").info, BrokenInfo)
    assert isinstance(source.materialise("x.b2nd").info, BrokenInfo)


@pytest.mark.parametrize("content", [b"", b"x" * 20, b"x" * 400], ids=["empty", "short", "junk"])
def test_a_sparse_frame_with_a_damaged_chunk_is_not_copied(source, root, content):
    sparse_array(root / "x.b2nd", SPARSE, chunks=(10, 10), blocks=(5, 5))
    (root / "x.b2nd" / "00000001.chunk").write_bytes(content)

    assert isinstance(source.materialise("x.b2nd").info, BrokenInfo)
    with pytest.raises(BrokenDataset):
        source.open("x.b2nd")


def _whole(source: DirectorySource, path: str) -> bytes:
    with source.open(path) as frame:
        return frame.read(0, frame.size)


def test_file_is_read_when_it_has_come_to_rest(root, tmp_path):
    source = DirectorySource(root, tmp_path / "cache", quiet_s=0.1)
    (root / "a.b2nd").write_bytes(array_frame([1]))

    began = time.monotonic()
    source.open("a.b2nd").close()
    first = time.monotonic() - began
    source.open("a.b2nd").close()

    assert 0.05 < first < 5
    assert time.monotonic() - began - first < 0.1


def test_file_that_is_written_all_the_time_is_described_as_such(root, tmp_path):
    source = DirectorySource(root, tmp_path / "cache", quiet_s=0.2)
    file = root / "a.b2nd"
    file.write_bytes(array_frame([1]))
    end = threading.Event()

    def write():
        while not end.wait(0.005):
            os.utime(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = source.describe("a.b2nd").info
    finally:
        end.set()
        writer.join()

    assert found == BrokenInfo(reason="the file is being written")
