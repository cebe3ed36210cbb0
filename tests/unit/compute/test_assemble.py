"""Stored chunks become the items that NumPy would give, whatever the cut and the compression."""

from __future__ import annotations

from typing import Any

import blosc2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caterva2.compute.assemble import blocks_needed, empty, fill
from caterva2.compute.extents import (
    Record,
    encode_record,
    encode_special,
    piece_from_record,
    piece_record,
    read_layout,
    read_piece,
    read_records,
    units_in_range,
)
from caterva2.compute.frames import ArrayMeta, Skeleton, read_skeleton
from caterva2.compute.planning import chunk_count, decoded_nbytes, touched_chunks
from caterva2.compute.smallwindow import cut_window, decode_block, fill_small
from caterva2.errors import BrokenDataset, CorruptChunk
from caterva2.model.slicing import NDSlice, Window
from tests.support.strategies import Stored, keys, stored

asked = stored().flatmap(lambda s: st.tuples(st.just(s), keys(s.array.shape)))


class Frame:
    """A frame in memory, as a reader sees it."""

    def __init__(self, frame: bytes) -> None:
        self.data = frame
        self.skeleton: Skeleton = read_skeleton(self.read, len(frame))
        self.meta: ArrayMeta = self.skeleton.array

    def read(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        assert offset + length <= len(self.data)
        return self.data[offset : offset + length]

    def window(self, window: Window, *, through_wire: bool = False) -> np.ndarray:
        out = empty(window, self.meta)
        out.reshape(-1).view(np.uint8)[:] = 0x55
        for nchunk, coords in window.chunks_touched(self.meta.shape, self.meta.chunks):
            wanted = blocks_needed(self.meta, window, coords)
            piece = read_piece(self.read, self.skeleton, nchunk, wanted)
            if through_wire:
                (record,) = decoded(b"".join(bytes(b) for b in piece_record(piece, self.skeleton)))
                piece = piece_from_record(record, self.skeleton)
            fill(out, piece, self.meta, window, coords)
        return out


def decoded(body: bytes) -> list[Record]:
    left = memoryview(body)

    def readinto(buffer: memoryview) -> None:
        nonlocal left
        assert len(buffer) <= len(left)
        buffer[:] = left[: len(buffer)]
        left = left[len(buffer) :]

    return list(read_records(readinto, total=len(body)))


def expect(array: np.ndarray, window: Window) -> np.ndarray:
    return array[(*(slice(a.start, a.stop, a.step) for a in window.axes), ...)]


def same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes() or np.array_equal(found, expected, equal_nan=True)


@settings(deadline=None, max_examples=150)
@given(asked, st.booleans())
def test_window_has_the_items_of_the_array(case: tuple[Stored, Any], through_wire: bool) -> None:
    (array, frame), key = case
    window = NDSlice.from_key(key).bind(array.shape)

    found = Frame(frame).window(window, through_wire=through_wire)

    same(found, expect(array, window))


@settings(deadline=None)
@given(asked, st.sampled_from([1, 3, 1000]))
def test_small_window_is_the_same_as_a_large_one(case: tuple[Stored, Any], limit: int) -> None:
    (array, data), key = case
    frame = Frame(data)
    window = NDSlice.from_key(key).bind(array.shape)

    cuts = cut_window(frame.meta, window, limit)

    if cuts is None:
        return
    assert len(cuts) <= limit
    blocks = {
        (cut.nchunk, cut.block): decode_block(
            read_piece(frame.read, frame.skeleton, cut.nchunk, [cut.block]), cut.block, frame.meta
        )
        for cut in cuts
    }
    found = fill_small(lambda c, b: blocks[c, b], frame.meta, window.full_shape, cuts)
    assert found is not None
    assert not any(np.shares_memory(found, block) for block in blocks.values())
    assert found.flags.c_contiguous
    same(found, expect(array, window))


@settings(deadline=None, max_examples=50)
@given(asked)
def test_plan_counts_what_is_touched(case: tuple[Stored, Any]) -> None:
    (array, data), key = case
    frame = Frame(data)
    window = NDSlice.from_key(key).bind(array.shape)

    touched = [t for part in touched_chunks(frame.meta, window, 3) for t in part]

    assert chunk_count(frame.meta, window) == len(touched)
    total = int(np.prod(frame.meta.block_grid))
    nblocks = sum(total if t.blocks is None else len(t.blocks) for t in touched)
    assert decoded_nbytes(frame.meta, window) >= nblocks * frame.meta.block_nbytes


@settings(deadline=None, max_examples=50)
@given(stored(min_side=0))
def test_skeleton_says_what_blosc2_says(case: Stored) -> None:
    array = blosc2.ndarray_from_cframe(case.frame)
    frame = Frame(case.frame)

    assert (frame.meta.shape, frame.meta.chunks, frame.meta.blocks) == (
        array.shape, array.chunks, array.blocks,
    )  # fmt: skip
    assert frame.meta.dtype == case.array.dtype
    assert frame.skeleton.nchunks == array.schunk.nchunks
    assert (frame.skeleton.nbytes, frame.skeleton.cbytes) == (array.schunk.nbytes, array.schunk.cbytes)


@settings(deadline=None, max_examples=50)
@given(stored())
def test_units_tile_the_frame(case: Stored) -> None:
    frame = Frame(case.frame)
    skeleton = frame.skeleton
    seen = [(0, skeleton.start), (skeleton.stop, skeleton.size)]
    for nchunk in range(skeleton.nchunks):
        if skeleton.special(nchunk):
            continue
        _, layout = read_layout(frame.read, skeleton, nchunk)
        start, stop = int(skeleton.offsets[nchunk]), int(skeleton.stops[nchunk])
        units = units_in_range(skeleton, nchunk, layout, start, stop)
        assert len(set(units.numbers.tolist())) == len(units.numbers)
        assert units.numbers.max() < skeleton.width
        seen += [(o, o + n) for o, n in zip(units.offsets.tolist(), units.lengths.tolist(), strict=True)]

    seen = sorted(span for span in seen if span[0] != span[1])

    assert seen[0][0] == 0
    assert seen[-1][1] == skeleton.size
    assert [stop for _, stop in seen[:-1]] == [start for start, _ in seen[1:]]


# what hypothesis would seldom make


def check_all(array: np.ndarray, frame: bytes) -> None:
    held = Frame(frame)
    n = array.shape[0]
    for key in (np.s_[:], np.s_[n // 3 : n // 2], np.s_[n - 1], np.s_[1::7]):
        window = NDSlice.from_key(key).bind(array.shape)
        same(held.window(window), expect(array, window))
        same(held.window(window, through_wire=True), expect(array, window))


def text_like(n: int) -> np.ndarray:
    return np.frombuffer((b"the quick brown fox jumps over the lazy dog; " * (n // 10))[: n * 4], "<i4")


@pytest.mark.parametrize("clevel", [1, 5, 9])
def test_chunks_with_a_dictionary_are_handled_whole(clevel: int) -> None:
    array = text_like(60_000)
    cparams = {"codec": blosc2.Codec.ZSTD, "clevel": clevel, "use_dict": True}
    stored = blosc2.asarray(array, chunks=(30_000,), blocks=(1_000,), cparams=cparams)

    check_all(array, stored.to_cframe())


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_truncated_precision_is_what_blosc2_reads(dtype: str) -> None:
    source = np.linspace(0, 1, 5000, dtype=dtype).reshape(50, 100)
    cparams = {"filters": [blosc2.Filter.TRUNC_PREC, blosc2.Filter.SHUFFLE], "filters_meta": [10, 0]}
    stored = blosc2.asarray(source, chunks=(20, 30), blocks=(7, 10), cparams=cparams)

    check_all(stored[:], stored.to_cframe())


@pytest.mark.parametrize("codec", [blosc2.Codec.LZ4, blosc2.Codec.ZSTD, blosc2.Codec.BLOSCLZ])
def test_incompressible_chunks_are_stored_raw_and_read(codec: Any) -> None:
    array = np.random.default_rng(0).integers(0, 255, (300, 200), dtype=np.uint8)
    stored = blosc2.asarray(array, chunks=(100, 90), blocks=(30, 40), cparams={"codec": codec})

    check_all(array, stored.to_cframe())


def test_large_blocks_are_split_in_streams() -> None:
    array = (np.arange(400_000) % 1000).astype("<f8").reshape(1000, 400)
    for splitmode in blosc2.SplitMode:
        stored = blosc2.asarray(
            array,
            chunks=(500, 400),
            blocks=(50, 400),
            cparams={"splitmode": splitmode, "codec": blosc2.Codec.LZ4},
        )
        check_all(array, stored.to_cframe())


def test_chunks_updated_in_place_leave_gaps_that_are_read_over() -> None:
    array = np.arange(40_000).reshape(400, 100)
    stored = blosc2.asarray(array.copy(), chunks=(100, 100), blocks=(20, 50))
    noise = np.random.default_rng(0).integers(0, 2**60, (100, 100))
    array = array.copy()
    for first in (100, 0, 300):
        stored[first : first + 100] = noise
        array[first : first + 100] = noise

    check_all(array, stored.to_cframe())


def test_resized_array_is_read_in_its_new_shape() -> None:
    stored = blosc2.asarray(np.arange(1000).reshape(100, 10), chunks=(30, 4), blocks=(10, 2))
    stored.resize((130, 13))
    stored[100:] = 7

    array = stored[:]
    check_all(array, stored.to_cframe())


def test_sixteen_dimensions_are_read() -> None:
    array = np.arange(2**16).reshape((2,) * 16)
    stored = blosc2.asarray(array, chunks=(1, 2) * 8, blocks=(1, 2) * 4 + (1, 1) * 4)
    frame = Frame(stored.to_cframe())
    window = NDSlice.parse("1,:,0").bind(array.shape)

    same(frame.window(window), expect(array, window))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("<i4", 7), ("<f8", 2.5), ("<c16", 1 + 2j), ("S3", b"abc"), ("<u2", 65535)],
)
def test_repeated_value_is_repeated(dtype: str, value: Any) -> None:
    array = np.full((40, 30), value, dtype)
    stored = blosc2.full(array.shape, value, dtype=dtype, chunks=(20, 20), blocks=(7, 6))

    check_all(array, stored.to_cframe())


@pytest.mark.parametrize(("typesize", "n"), [(1, 10_000), (4, 10_000), (8, 10_007), (3, 9_999), (300, 9_000)])
@pytest.mark.parametrize("chunksize", [100, 1000, 2400])
def test_bytes_are_read_as_items_of_their_typesize(typesize: int, n: int, chunksize: int) -> None:
    if chunksize % typesize:
        chunksize = max(1, chunksize // typesize) * typesize
    data = np.random.default_rng(0).integers(0, 5, n, dtype=np.uint8).tobytes()
    schunk = blosc2.SChunk(chunksize=chunksize, data=data, cparams={"typesize": typesize})
    frame = Frame(schunk.to_cframe())
    array = np.frombuffer(data, frame.meta.dtype)

    assert frame.meta.dtype.itemsize in {1, typesize}
    check_all(array, schunk.to_cframe())


def test_chunks_of_different_sizes_have_no_items() -> None:
    schunk = blosc2.SChunk(cparams={"typesize": 1})
    for n in (100, 50, 70):
        schunk.append_data(b"x" * n)
    frame = schunk.to_cframe()
    skeleton = read_skeleton(lambda o, n: frame[o : o + n], len(frame))

    assert skeleton.nchunks == 3
    with pytest.raises(BrokenDataset, match="differ in size"):
        _ = skeleton.array


@settings(deadline=None)
@given(stored(), st.data())
def test_damaged_block_is_an_error_or_items_of_the_right_shape(case: Stored, data: st.DataObject) -> None:
    frame = Frame(case.frame)
    if frame.skeleton.start == frame.skeleton.stop:
        return
    at = data.draw(st.integers(frame.skeleton.start, frame.skeleton.stop - 1))
    damaged = bytearray(case.frame)
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    frame.data = bytes(damaged)
    window = NDSlice().bind(case.array.shape)

    try:
        found = frame.window(window)
    except (CorruptChunk, ValueError):  # BrokenDataset is a ValueError of ours
        return
    assert found.shape == case.array.shape


# records


@settings(deadline=None, max_examples=50)
@given(stored(), st.data())
def test_records_are_read_back_joined_and_cut(case: Stored, data: st.DataObject) -> None:
    frame = Frame(case.frame)
    skeleton = frame.skeleton
    for nchunk in range(skeleton.nchunks):
        if skeleton.special(nchunk):
            (record,) = decoded(encode_special(nchunk, skeleton.special(nchunk)))
            assert piece_from_record(record, skeleton).special == skeleton.special(nchunk)
            continue
        _, layout = read_layout(frame.read, skeleton, nchunk)
        start, stop = int(skeleton.offsets[nchunk]), int(skeleton.stops[nchunk])
        spans = data.draw(
            st.lists(
                st.tuples(st.integers(start, stop - 1), st.integers(1, stop - start)), min_size=1, max_size=3
            )
        )
        joined: Record | None = None
        for first, n in [*spans, (start, stop - start)]:
            end = min(first + n, stop)
            units = units_in_range(skeleton, nchunk, layout, first, end)
            parts = [frame.read(int(units.offsets[a]), nbytes) for a, _, nbytes in units.runs()]
            (record,) = decoded(b"".join(bytes(b) for b in encode_record(units, parts)))
            record.verify()
            assert record.units.record_size == len(b"".join(bytes(b) for b in encode_record(units, parts)))
            assert bytes(record.cut(first, end)) == case.frame[first:end]
            joined = record if joined is None else joined.joined(record)
            assert bytes(joined.cut(first, end)) == case.frame[first:end]
        assert joined is not None
        joined.verify()
        assert bytes(joined.payload) == case.frame[start:stop]


def test_record_without_the_bytes_can_not_be_cut() -> None:
    # Of several threads the one that is ready first writes first: blocks would lie in any order.
    how: dict[str, Any] = {"chunks": (1000,), "blocks": (100,), "cparams": {"nthreads": 1}}
    frame = Frame(blosc2.asarray(np.arange(1000) % 7, **how).to_cframe())
    _, layout = read_layout(frame.read, frame.skeleton, 0)
    base = int(frame.skeleton.offsets[0])
    spans = [(base + int(a), base + int(b)) for a, b in zip(layout.starts, layout.stops, strict=True)]
    records = []
    for first, end in (spans[1], spans[3]):
        units = units_in_range(frame.skeleton, 0, layout, first, end)
        parts = [frame.read(int(units.offsets[a]), n) for a, _, n in units.runs()]
        records += decoded(b"".join(bytes(b) for b in encode_record(units, parts)))
    record = records[0].joined(records[1])

    assert bytes(record.cut(*spans[1])) == frame.data[slice(*spans[1])]
    for missing in (spans[2], (spans[1][0], spans[3][1]), (base, spans[5][1])):
        with pytest.raises(CorruptChunk):
            record.cut(*missing)


def test_damaged_record_does_not_verify() -> None:
    frame = Frame(blosc2.asarray(np.arange(1000), chunks=(1000,), blocks=(100,)).to_cframe())
    _, layout = read_layout(frame.read, frame.skeleton, 0)
    base = int(frame.skeleton.offsets[0])
    units = units_in_range(frame.skeleton, 0, layout, base, base + layout.cbytes)
    parts = [frame.read(int(units.offsets[a]), n) for a, _, n in units.runs()]
    body = bytearray(b"".join(bytes(b) for b in encode_record(units, parts)))
    body[-3] ^= 1

    (record,) = decoded(bytes(body))

    with pytest.raises(CorruptChunk):
        record.verify()


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200) | st.binary(min_size=16, max_size=16).map(lambda b: bytes((2, 0, 0, 0)) + b))
def test_any_bytes_are_records_or_refused(body: bytes) -> None:
    def readinto(buffer: memoryview) -> None:
        nonlocal at
        if at + len(buffer) > len(body):
            raise EOFError
        buffer[:] = body[at : at + len(buffer)]
        at += len(buffer)

    at = 0
    try:
        for record in read_records(readinto, total=len(body)):
            assert len(record.payload) <= len(body)
    except (CorruptChunk, EOFError):
        pass
