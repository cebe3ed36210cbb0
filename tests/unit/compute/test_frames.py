"""Frames from anywhere are read, or refused; nothing in them is believed."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable
from typing import Any

import blosc2
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterva2.compute.extents import chunk_units, chunks_in_range, read_layout, skeleton_units
from caterva2.compute.frames import (
    CHUNK_HEADER,
    Skeleton,
    decompress,
    read_skeleton,
    skeleton_from_parts,
    special_chunk,
)
from caterva2.errors import BrokenDataset
from caterva2.storage.describe import describe_frame
from tests.support.frames import absurd_frame, array_frame, bytes_frame, object_frame
from tests.support.strategies import stored


def reader(frame: bytes) -> Callable[[int, int], bytes]:
    def read(offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(frame), (offset, length, len(frame))
        return frame[offset : offset + length]

    return read


def look_at_everything(frame: bytes) -> Skeleton:
    """Read all that can be read of a frame without decompressing its chunks."""
    read = reader(frame)
    skeleton = read_skeleton(read, len(frame))
    describe_frame(skeleton)
    skeleton_units(skeleton)
    chunks_in_range(skeleton, 0, len(frame))
    for nchunk in range(min(skeleton.nchunks, 100)):
        if skeleton.special(nchunk):
            special_chunk(skeleton, nchunk)
        else:
            _, layout = read_layout(read, skeleton, nchunk)
            units = chunk_units(skeleton, nchunk, layout, None if layout.nblocks else ())
            assert units.offsets.min() >= skeleton.start
            assert (units.offsets + units.lengths).max() <= skeleton.stop
            assert units.lengths.min() >= 0
    return skeleton


def seeds() -> list[bytes]:
    random_bytes = np.random.default_rng(0).integers(0, 255, (50, 40), dtype=np.uint8)
    return [
        array_frame(
            np.arange(1000).reshape(50, 20), chunks=(20, 8), blocks=(5, 3), vlmeta={"a": 1, "b": [1, "x"]}
        ),
        array_frame(np.array(5)),
        array_frame(np.empty((0, 3))),
        array_frame(random_bytes, chunks=(10, 10), blocks=(5, 5)),
        array_frame(np.zeros(9, [("a", "<f4"), ("b", "<f8")]), chunks=(4,), blocks=(2,)),
        blosc2.zeros((100, 100), "<f8", chunks=(10, 10), blocks=(5, 5)).to_cframe(),
        blosc2.nans((100,), "<f4", chunks=(10,), blocks=(5,)).to_cframe(),
        blosc2.full((100,), 3, "<i4", chunks=(10,), blocks=(5,)).to_cframe(),
        blosc2.uninit((10**6,), "<i8").to_cframe(),
        bytes_frame(b"Hello world!" * 100),
        bytes_frame(b""),
    ]


SEEDS = seeds()


@pytest.mark.parametrize("frame", SEEDS, ids=range(len(SEEDS)))
def test_frames_of_blosc2_are_read(frame: bytes) -> None:
    skeleton = look_at_everything(frame)

    assert skeleton.nbytes == blosc2.schunk_from_cframe(frame).nbytes


def mutated(rng: random.Random) -> bytes:
    """Return a frame with a few changes; often with a length that fits, so that more of it is looked at."""
    frame = bytearray(rng.choice(SEEDS))
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        # the interesting bytes are at both ends
        end = rng.choice([len(frame), min(len(frame), 87), min(len(frame), 200)])
        at = rng.randrange(end) if rng.random() < 0.8 else max(0, len(frame) - 1 - rng.randrange(80))
        match rng.randrange(8):
            case 0 | 1:
                frame[at] ^= 1 << rng.randrange(8)
            case 2:
                frame[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x90, 0xC0, 0xC1, 0xCE, 0xDD, 0xDF])
            case 3:
                del frame[at : at + rng.choice([1, 4, 50])]
            case 4:
                frame[at:at] = rng.randbytes(rng.choice([1, 4, 50]))
            case 5:
                frame = frame[:at]
            case 6:
                frame[at : at + 8] = struct.pack(
                    rng.choice([">q", "<q"]), rng.choice([-1, 0, 1, 2**31, 2**62, -(2**63)])
                )
            case 7:
                other = rng.choice(SEEDS)
                frame[at : at + 16] = other[at : at + 16]
        if not frame:
            return b""
    if len(frame) >= 24 and rng.random() < 0.7:
        struct.pack_into(">Q", frame, 16, len(frame))
    return bytes(frame)


@pytest.mark.parametrize("seed", range(25))
def test_mutated_frames_are_read_or_called_broken(seed: int) -> None:
    rng = random.Random(seed)
    outcomes = {"read": 0, "broken": 0}

    for _ in range(400):
        try:
            look_at_everything(mutated(rng))
        except BrokenDataset as exc:
            outcomes["broken"] += bool(exc.message)
        else:
            outcomes["read"] += 1

    assert sum(outcomes.values()) == 400
    assert min(outcomes.values()) > 20  # else the mutations are too tame, or too wild


@settings(deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_truncated_frame_is_broken(frame: bytes, data: st.DataObject) -> None:
    with pytest.raises(BrokenDataset):
        look_at_everything(frame[: data.draw(st.integers(0, len(frame) - 1))])


@given(st.binary(max_size=300))
def test_any_bytes_are_no_frame(data: bytes) -> None:
    with pytest.raises(BrokenDataset):
        look_at_everything(data)
    with pytest.raises(BrokenDataset):
        look_at_everything(b"\x9e\xa8b2frame\x00" + data)


@settings(deadline=None)
@given(stored(min_side=0))
def test_skeleton_is_rebuilt_from_its_two_parts(case: Any) -> None:
    whole = look_at_everything(case.frame)
    units = skeleton_units(whole)
    before, behind = (case.frame[o : o + n] for o, n in zip(units.offsets, units.lengths, strict=True))

    rebuilt = skeleton_from_parts(before, behind, len(case.frame))

    assert repr(rebuilt) == repr(whole)


@given(st.sampled_from(SEEDS), st.data())
def test_parts_that_are_not_those_of_a_frame_are_broken(frame: bytes, data: st.DataObject) -> None:
    skeleton = look_at_everything(frame)
    before, behind = frame[: skeleton.start], frame[skeleton.stop :]
    cut = data.draw(st.integers(0, len(before) - 1))
    size = data.draw(st.sampled_from([len(frame), len(before) + len(behind), 0, 2**62]))

    for parts in (
        (before[:cut], behind),
        (b"", behind),
        (before, behind[:-1]),
        (before, b""),
        (behind, before),
    ):
        with pytest.raises(BrokenDataset):
            skeleton_from_parts(*parts, size)


@pytest.mark.parametrize("make", [object_frame, absurd_frame])
def test_hostile_frame_is_broken(make: Callable[[], bytes]) -> None:
    with pytest.raises(BrokenDataset):
        look_at_everything(make())


# metalayers that blosc2 never writes


def with_b2nd(content: bytes) -> bytes:
    """Return a frame whose array is described by `content`."""
    frame = array_frame(np.arange(100, dtype="<i4"), chunks=(100,), blocks=(100,))
    header_size = int.from_bytes(frame[11:15], "big")
    body = b"\xdc\x00\x01" + b"\xc6" + struct.pack(">I", len(content)) + content
    metalayers = b"\x93\xcd\x00\x11\xde\x00\x01\xa4b2nd\xd2\x00\x00\x00\x6b" + body
    head = bytearray(frame[:87] + metalayers)
    struct.pack_into(">i", head, 11, len(head))
    new = bytearray(bytes(head) + frame[header_size:])
    struct.pack_into(">Q", new, 16, len(new))
    return bytes(new)


def b2nd(*fields: Any) -> bytes:
    return with_b2nd(msgspec.msgpack.encode(list(fields)))


def test_array_description_can_be_written_by_hand() -> None:
    assert look_at_everything(b2nd(0, 1, [100], [100], [100], 0, "<i4")).array.shape == (100,)


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (0,),
        (0, 1, [100], [100]),
        (0, 2, [100], [100], [100], 0, "<i4"),
        (0, "1", [100], [100], [100], 0, "<i4"),
        (0, None, [100], [100], [100], 0, "<i4"),
        (0, 1.5, [100], [100], [100], 0, "<i4"),
        (0, float("nan"), [100], [100], [100], 0, "<i4"),
        (0, 17, [1] * 17, [1] * 17, [1] * 17, 0, "<i4"),
        (0, -1, [], [], [], 0, "<i4"),
        (0, 1, [float("inf")], [100], [100], 0, "<i4"),
        (0, 1, [float("nan")], [100], [100], 0, "<i4"),
        (0, 1, ["x"], [100], [100], 0, "<i4"),
        (0, 1, [[1]], [100], [100], 0, "<i4"),
        (0, 1, 5, [100], [100], 0, "<i4"),
        (0, 1, {"a": 1}, [100], [100], 0, "<i4"),
        (0, 1, [-100], [100], [100], 0, "<i4"),
        (0, 1, [100], [0], [0], 0, "<i4"),
        (0, 1, [100], [100], [0], 0, "<i4"),
        (0, 1, [100], [100], [200], 0, "<i4"),
        (0, 1, [100], [-100], [-100], 0, "<i4"),
        (0, 1, [10**15], [100], [100], 0, "<i4"),
        (0, 1, [2**63 - 1], [100], [100], 0, "<i4"),
        (0, 1, [200], [100], [100], 0, "<i4"),
        (0, 1, [100], [100], [100], 0, "O"),
        (0, 1, [100], [100], [100], 0, "S0"),
        (0, 1, [100], [100], [100], 0, ""),
        (0, 1, [100], [100], [100], 0, None),
        (0, 1, [100], [100], [100], 0, 4),
        (0, 1, [100], [100], [100], 0, b"\xff\xfe"),
        (0, 1, [100], [100], [100], 0, "[('a', 'O')]"),
        (0, 1, [100], [100], [100], 0, "('<i4', (10,))"),
        (0, 1, [0], [100], [100], 0, "<i4"),
    ],
    ids=str,
)
def test_odd_description_of_an_array_is_broken(fields: tuple[Any, ...]) -> None:
    with pytest.raises(BrokenDataset):
        look_at_everything(b2nd(*fields))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc0",
        b"\x80",
        b"\x81\x01\x02",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"\xc7\x08\xff" + bytes(8),
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xa5hello",
        b"\xc6\x00\x00\x00\x05hello",
        b"\x97\x00\x10\xa0" + bytes(50),
    ],
    ids=lambda c: c[:8].hex(),
)
def test_description_that_is_no_list_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenDataset):
        look_at_everything(with_b2nd(content))


def test_huge_number_in_place_of_a_metalayer_takes_no_memory() -> None:
    frame = array_frame(np.arange(100, dtype="<i4"), chunks=(100,), blocks=(100,))
    header_size = int.from_bytes(frame[11:15], "big")
    metalayers = (
        b"\x93\xcd\x00\x11\xde\x00\x01\xa4b2nd\xd2\x00\x00\x00\x6b"
        + b"\xdc\x00\x01"
        + b"\xcf"
        + struct.pack(">Q", 2**40)
    )
    head = bytearray(frame[:87] + metalayers)
    struct.pack_into(">i", head, 11, len(head))
    new = bytearray(bytes(head) + frame[header_size:])
    struct.pack_into(">Q", new, 16, len(new))

    with pytest.raises(BrokenDataset):
        look_at_everything(bytes(new))


def with_index(frame: bytes, chunk: bytes) -> bytes:
    """Return a frame with another index of its chunks."""
    skeleton = read_skeleton(reader(frame), len(frame))
    (length,) = struct.unpack_from(">I", frame, len(frame) - 22)
    new = bytearray(frame[: skeleton.stop] + chunk + frame[len(frame) - length :])
    struct.pack_into(">Q", new, 16, len(new))
    return bytes(new)


def special_index(nbytes: int, kind: int, value: int | None = None) -> bytes:
    head = struct.pack("<BBBBiii", 5, 1, 7, 8, nbytes, max(8, nbytes), CHUNK_HEADER + 8 * (value is not None))
    return head + bytes(15) + bytes([kind << 4]) + (b"" if value is None else struct.pack("<q", value))


@pytest.mark.parametrize("nbytes", [-8, -80, 0, 8, 16, 800, 2**31 - 8])
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("value", [None, 0, -1, -(2**63), 1 << 62, -(0x7F << 56)])
@pytest.mark.parametrize(
    "frame", [bytes_frame(b"x" * 250), blosc2.zeros((30,), "<i4", chunks=(10,)).to_cframe()]
)
def test_odd_index_is_read_or_broken(frame: bytes, nbytes: int, kind: int, value: int | None) -> None:
    odd = bytearray(with_index(frame, special_index(nbytes, kind, value)))
    with contextlib.suppress(BrokenDataset):
        look_at_everything(bytes(odd))
    struct.pack_into(">i", odd, 58, 0)  # chunks of different sizes: the index alone says how many
    with contextlib.suppress(BrokenDataset):
        look_at_everything(bytes(odd))


def test_more_chunks_than_are_served_are_broken_however_little_they_take() -> None:
    frame = bytearray(blosc2.zeros((30,), "<i1", chunks=(10,), blocks=(10,)).to_cframe())
    nchunks = 250_000_000
    frame = bytearray(with_index(bytes(frame), special_index(nchunks * 8, 3, -(127 << 56))))
    struct.pack_into(">q", frame, 30, nchunks * 10)

    with pytest.raises(BrokenDataset, match="chunks"):
        look_at_everything(bytes(frame))


@settings(deadline=None)
@given(st.binary(max_size=100), st.integers(0, 1000))
def test_any_bytes_decompress_or_are_broken(data: bytes, nbytes: int) -> None:
    with contextlib.suppress(BrokenDataset):
        assert len(decompress(data, nbytes)) == nbytes


@pytest.mark.parametrize("kind", ["zeros", "nans", "uninit"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_special_chunk_is_one_that_blosc2_reads(kind: str, dtype: str) -> None:
    array = getattr(blosc2, kind)((25,), dtype, chunks=(10,), blocks=(5,))
    frame = array.to_cframe()
    skeleton = read_skeleton(reader(frame), len(frame))
    expected = np.full(10, np.nan if kind == "nans" else 0, dtype)

    for nchunk in range(3):
        assert skeleton.special(nchunk)
        found = np.frombuffer(blosc2.decompress2(special_chunk(skeleton, nchunk)), dtype)
        np.testing.assert_array_equal(found, expected)
