"""What every kind of root must do. A subclass brings the source and a back door that does not use it."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest

from caterva2.errors import BadPath, BrokenDataset, DatasetNotFound
from caterva2.model.datasets import ArrayInfo, BrokenInfo, FileInfo, FrameInfo
from caterva2.storage.describe import read_stored
from caterva2.storage.directory import DirectorySource
from caterva2.storage.memory import MemorySource
from tests.support.frames import absurd_frame, array_frame, bytes_frame, object_frame, read_back

ARRAY = np.arange(60, dtype="<f4").reshape(6, 10)
FRAME = array_frame(ARRAY, chunks=(4, 5), blocks=(2, 5), vlmeta={"a": 1, "b": "foo", "c": 123.456})


def whole(source: Any, path: str) -> bytes:
    with source.open(path) as frame:
        data: bytes = frame.read(0, frame.size)
    return data


class RootSourceSuite(abc.ABC):
    """The claims; `put` and `remove` are the back door."""

    source: Any

    @abc.abstractmethod
    def put(self, path: str, data: bytes) -> None: ...

    @abc.abstractmethod
    def remove(self, path: str) -> None: ...

    def paths(self) -> list[str]:
        return sorted(listed.path for listed in self.source.scan())

    # scanning

    def test_an_empty_root_has_no_files(self):
        assert self.paths() == []

    def test_scan_finds_nested_files_of_every_kind(self):
        for path in ("a.b2nd", "d/b.b2frame", "d/e/c.txt", "README.md"):
            self.put(path, FRAME)

        assert self.paths() == ["README.md", "a.b2nd", "d/b.b2frame", "d/e/c.txt"]

    def test_scan_below_a_directory_finds_only_its_files(self):
        for path in ("a.txt", "d/b.txt", "d/e/c.txt", "dd/x.txt"):
            self.put(path, b"")

        assert sorted(listed.path for listed in self.source.scan("d")) == ["d/b.txt", "d/e/c.txt"]

    def test_scan_below_a_file_finds_that_file(self):
        self.put("d/b.txt", b"")

        assert [listed.path for listed in self.source.scan("d/b.txt")] == ["d/b.txt"]

    def test_scan_below_nothing_finds_nothing(self):
        self.put("d/b.txt", b"")

        assert list(self.source.scan("e")) == []

    @pytest.mark.parametrize(
        "path",
        [
            ".hidden",
            ".git/config",
            "notes.txt~",
            "old~/notes.txt",
            ".#notes.txt",
            "#notes.txt#",
            "notes.swp",
            "notes.txt.tmp",
            "cube.b2nd.part",
            "cube.b2nd.crdownload",
            "~$table.xls",
            "4913",
            "notes.tmp.b2",
            "back\\slash",
            "bell\x07",
            "line\nfeed",
        ],
    )
    def test_hidden_temporary_and_unspeakable_names_do_not_exist(self, path):
        self.put(path, FRAME)

        assert self.paths() == []
        with pytest.raises((DatasetNotFound, BadPath)):
            self.source.describe(path)
        with pytest.raises((DatasetNotFound, BadPath)):
            self.source.open(path)

    @pytest.mark.parametrize("path", ["a b.b2nd", "ünïcode/日本.b2nd", "a+b&c=d%20.b2nd", "x" * 250, "-rf"])
    def test_unusual_names_are_served(self, path):
        self.put(path, FRAME)

        assert self.paths() == [path]
        assert self.source.describe(path).path == path
        assert self.source.materialise(path).path == path

    def test_etag_of_scan_is_that_of_describe_and_open(self):
        self.put("a.b2nd", FRAME)
        self.put("a.txt", b"text")

        for listed in list(self.source.scan()):
            assert self.source.describe(listed.path).etag == listed.etag
            assert self.source.materialise(listed.path).etag == listed.etag
            with self.source.open(listed.path) as frame:
                assert frame.etag == listed.etag

    def test_etag_changes_with_the_content(self):
        self.put("a.txt", b"old")
        old = self.source.describe("a.txt").etag

        self.put("a.txt", b"new and longer")

        assert self.source.describe("a.txt").etag != old

    # describing

    def test_an_array_is_described_as_blosc2_sees_it(self):
        self.put("a.b2nd", FRAME)
        array = blosc2.ndarray_from_cframe(FRAME)

        entry = self.source.describe("a.b2nd")

        info = entry.info
        assert isinstance(info, ArrayInfo)
        assert (info.shape, info.chunks, info.blocks) == (array.shape, array.chunks, array.blocks)
        assert info.dtype == str(array.dtype)
        assert entry.size == len(FRAME)
        assert info.schunk.vlmeta == {"a": 1, "b": "foo", "c": 123.456}
        assert info.schunk.nchunks == array.schunk.nchunks
        assert info.schunk.cbytes == array.schunk.cbytes
        assert info.schunk.nbytes == array.schunk.nbytes
        assert info.schunk.cratio == array.schunk.cratio
        assert info.schunk.chunkshape == array.schunk.chunkshape
        assert info.schunk.chunksize == array.schunk.chunksize
        assert info.schunk.blocksize == array.schunk.blocksize
        cparams = array.schunk.cparams
        assert info.schunk.cparams.codec == cparams.codec.value
        assert info.schunk.cparams.clevel == cparams.clevel
        assert list(info.schunk.cparams.filters) == [f.value for f in cparams.filters]
        assert info.schunk.cparams.typesize == cparams.typesize
        assert info.schunk.cparams.splitmode == cparams.splitmode.value

    @pytest.mark.parametrize(
        "dtype", ["?", "u1", "<i2", ">i4", "f2", "f8", "c16", "S6", "U3", "M8[s]", "m8[us]", "f4, f8"]
    )
    def test_every_plain_dtype_is_described(self, dtype):
        array = np.zeros(7, dtype)
        self.put("a.b2nd", array_frame(array))

        info = self.source.describe("a.b2nd").info

        assert info.dtype == str(array.dtype)

    @pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 4, 5)])
    def test_every_shape_is_described(self, shape):
        self.put("a.b2nd", array_frame(np.ones(shape)))

        assert self.source.describe("a.b2nd").info.shape == shape

    def test_a_frame_is_described(self):
        self.put("h.b2frame", bytes_frame(b"Hello world!" * 100))

        info = self.source.describe("h.b2frame").info

        assert isinstance(info, FrameInfo)
        assert (info.schunk.nbytes, info.schunk.chunksize, info.schunk.nchunks) == (1200, 100, 12)

    def test_a_plain_file_is_described_without_a_frame(self):
        self.put("README.md", b"Hello!")

        entry = self.source.describe("README.md")

        assert entry.info == FileInfo(size=6, schunk=None)
        assert entry.size == 6

    @pytest.mark.parametrize("path", ["nothing", "nothing/below", "a.b2nd/below", "d"])
    def test_what_is_not_there_is_not_found(self, path):
        self.put("a.b2nd", FRAME)
        self.put("d/b.txt", b"")

        for ask in (self.source.describe, self.source.materialise, self.source.open, self.source.open_plain):
            with pytest.raises(DatasetNotFound):
                ask(path)

    @pytest.mark.parametrize(
        "path", ["", "/", "..", "../x", "a/../b", "/etc/passwd", "a//b", "./a", "a\0b", "a/.", "a\\b"]
    )
    def test_paths_that_could_escape_are_refused(self, path):
        for ask in (self.source.describe, self.source.materialise, self.source.open, self.source.open_plain):
            with pytest.raises(BadPath):
                ask(path)

    # broken files

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"", "not a Blosc2 frame"),
            (b"junk" * 100, "not a Blosc2 frame"),
            (FRAME[:50], "not a Blosc2 frame"),
            (FRAME[:-1], "claims"),
            (FRAME[: len(FRAME) // 2], "claims"),
            (FRAME + b"x", "claims"),
            (object_frame(), "Python objects"),
            (absurd_frame(), ""),
            (FRAME.replace(b"\x97\x00\x02\x92", b"\x97\x00\x80\x92"), "not readable"),
        ],
        ids=["empty", "junk", "header", "no-last-byte", "half", "too-long", "objects", "absurd", "no-number"],
    )
    @pytest.mark.parametrize("name", ["a.b2nd", "a.b2frame", "a.md.b2"])
    def test_a_damaged_file_is_broken_with_a_reason(self, name, data, reason):
        self.put(name, data)
        path = name.removesuffix(".b2")

        entry = self.source.describe(path)

        assert isinstance(entry.info, BrokenInfo)
        assert reason in entry.info.reason
        assert self.paths() == [path]
        assert isinstance(self.source.materialise(path).info, BrokenInfo)
        with pytest.raises(BrokenDataset), self.source.open(path) as frame:
            read_stored(frame)

    def test_no_flipped_byte_raises_anything_but_a_reason(self):
        seeded = np.random.default_rng(7)
        for at in range(len(FRAME)):
            damaged = bytearray(FRAME)
            damaged[at] ^= int(seeded.integers(1, 256))
            self.put("a.b2nd", bytes(damaged))

            entry = self.source.describe("a.b2nd")

            assert isinstance(entry.info, BrokenInfo | ArrayInfo | FrameInfo)

    def test_a_stored_expression_is_not_shown_as_data(self, tmp_path):
        for name in "xy":
            blosc2.asarray(np.arange(5), urlpath=str(tmp_path / f"{name}.b2nd"), mode="w")
        x, y = (blosc2.open(str(tmp_path / f"{name}.b2nd")) for name in "xy")
        (x + y).save(str(tmp_path / "sum.b2nd"))
        self.put("sum.b2nd", (tmp_path / "sum.b2nd").read_bytes())

        info = self.source.describe("sum.b2nd").info

        assert isinstance(info, BrokenInfo)
        assert "expression" in info.reason

    # frames

    def test_the_stored_frame_is_read_as_it_lies(self):
        self.put("a.b2nd", FRAME)

        with self.source.open("a.b2nd") as frame:
            assert frame.size == len(FRAME)
            assert frame.read(0, 10) == FRAME[:10]
            assert frame.read(100, 50) == FRAME[100:150]
            assert frame.read(len(FRAME), 0) == b""
            assert frame.read(0, frame.size) == FRAME

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (0, 10_000_000), (10_000_000, 1)])
    def test_reading_outside_of_the_frame_is_an_error(self, offset, length):
        self.put("a.b2nd", FRAME)

        with self.source.open("a.b2nd") as frame, pytest.raises(BrokenDataset):
            frame.read(offset, length)

    def test_closing_twice_is_fine(self):
        self.put("a.b2nd", FRAME)
        frame = self.source.open("a.b2nd")

        frame.close()
        frame.close()

    @pytest.mark.parametrize(
        "size", [0, 1, 31, 1000, 131_073, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000]
    )
    @pytest.mark.parametrize("zeros", [False, True], ids=["digits", "zeros"])
    def test_a_plain_file_is_served_as_a_frame_of_its_bytes(self, size, zeros):
        data = bytes(size) if zeros else (b"0123456789" * (size // 10 + 1))[:size]
        self.put("file.bin", data)

        entry = self.source.materialise("file.bin")

        frame = whole(self.source, "file.bin")
        assert read_back(frame) == data
        assert entry.size == len(frame)
        assert entry.info.size == size
        assert entry.info.schunk.nbytes == size
        assert entry.info.schunk.nchunks == -(-size // (1 << 20))
        with self.source.open_plain("file.bin") as plain:
            assert plain.read(0, plain.size) == data

    def test_a_changed_plain_file_gets_a_new_frame(self):
        self.put("a.txt", b"old")
        self.source.materialise("a.txt")

        self.put("a.txt", b"newer")

        assert read_back(whole(self.source, "a.txt")) == b"newer"
        assert self.source.describe("a.txt").etag == self.source.materialise("a.txt").etag

    def test_a_removed_file_is_gone_and_can_be_forgotten(self):
        self.put("a.txt", b"text")
        self.source.materialise("a.txt")

        self.remove("a.txt")
        self.source.forget("a.txt")

        assert self.paths() == []
        with pytest.raises(DatasetNotFound):
            self.source.open("a.txt")

    def test_forgetting_what_never_was_is_fine(self):
        self.source.forget("nothing")

    # packed plain files

    def test_a_packed_plain_file_is_shown_without_its_suffix(self):
        data = b"# Title\n" * 100
        self.put("d/x.md.b2", bytes_frame(data))

        assert self.paths() == ["d/x.md"]
        entry = self.source.describe("d/x.md")
        assert isinstance(entry.info, FileInfo)
        assert entry.info.size == len(data)
        assert read_back(whole(self.source, "d/x.md")) == data
        with pytest.raises(DatasetNotFound):
            self.source.describe("d/x.md.b2")

    def test_a_packed_plain_file_is_unpacked_for_a_download(self):
        data = bytes(range(256)) * 10
        self.put("x.bin.b2", bytes_frame(data, chunksize=300))

        with self.source.open_plain("x.bin") as plain:
            assert plain.size == len(data)
            assert plain.read(0, plain.size) == data
            assert plain.read(250, 700) == data[250:950]
            with pytest.raises(BrokenDataset):
                plain.read(0, len(data) + 1)

    def test_a_plain_file_wins_over_a_packed_one_of_its_name(self):
        self.put("x.md.b2", bytes_frame(b"packed"))
        self.put("x.md", b"plain!")

        assert self.paths() == ["x.md"]
        assert self.source.describe("x.md").etag == next(iter(self.source.scan())).etag
        assert read_back(whole(self.source, "x.md")) == b"plain!"

    def test_user_attributes_become_what_json_can_say(self):
        values = {
            "none": None,
            "bytes": b"raw",
            "binary": b"\xff\x00",
            "tuple": (1, 2),
            "nested": {"list": [1.5, True, "x"]},
            "nan": float("nan"),
            "complex": 1 + 2j,
            "array": np.arange(3),
            "numpy": np.float64(2.5),
        }
        self.put("a.b2nd", array_frame(np.arange(3), vlmeta=values))

        vlmeta = self.source.describe("a.b2nd").info.schunk.vlmeta

        assert vlmeta == {
            "none": None,
            "bytes": "raw",
            "binary": "/wA=",
            "tuple": [1, 2],
            "nested": {"list": [1.5, True, "x"]},
            "nan": "nan",
            "complex": "(1+2j)",
            "array": [0, 1, 2],
            "numpy": 2.5,
        }

    def test_an_attribute_too_large_to_show_is_named(self):
        self.put("a.b2nd", array_frame(np.arange(3), vlmeta={"big": "x" * 3_000_000, "small": 1}))

        vlmeta = self.source.describe("a.b2nd").info.schunk.vlmeta

        assert "too large to show" in vlmeta["big"]
        assert vlmeta["small"] == 1


class TestMemorySource(RootSourceSuite):
    @pytest.fixture(autouse=True)
    def _source(self) -> None:
        self.source = MemorySource()

    def put(self, path: str, data: bytes) -> None:
        self.source.put(path, data)

    def remove(self, path: str) -> None:
        self.source.remove(path)


class TestDirectorySource(RootSourceSuite):
    @pytest.fixture(autouse=True)
    def _source(self, tmp_path: Path) -> Iterator[None]:
        self.root = tmp_path / "root"
        self.root.mkdir()
        self.source = DirectorySource(self.root, tmp_path / "cache", quiet_s=0)
        yield
        assert [p.name for p in (tmp_path / "cache").rglob("*.tmp")] == []

    def put(self, path: str, data: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.root / ".beside"
        beside.write_bytes(data)
        os.replace(beside, file)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()
