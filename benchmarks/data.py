"""What is read: one large array, and directories of very many small files. Made once, then kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import blosc2
import numpy as np

SHAPE, CHUNKS, BLOCKS = (256, 1024, 1024), (16, 256, 256), (4, 64, 64)
CUBE = "cube.b2nd"
HEADER_NBYTES = 32
SMALL, GB, TB = "small.b2nd", "gb.b2nd", "tb.b2nd"
SPARSE = {
    SMALL: ((64, 1024, 1024), (4, 256, 256)),
    GB: ((16, 4096, 4096), (4, 512, 512)),
    TB: ((16384, 4096, 4096), (4, 512, 512)),
}
"""Shape and chunks of arrays that are mostly zero."""
PLANE = {SMALL: 33, GB: 9, TB: 8193}


def cube(work: Path) -> Path:
    """Return a root that holds the 1 GiB array and nothing else."""
    root = work / "cube"
    if not root.exists():
        part = _part(root)
        cparams = {"codec": blosc2.Codec.ZSTD, "clevel": 1, "filters": [blosc2.Filter.SHUFFLE], "typesize": 4}
        array = blosc2.empty(
            SHAPE, dtype="f4", chunks=CHUNKS, blocks=BLOCKS, cparams=cparams,
            urlpath=str(part / CUBE), mode="w",
        )  # fmt: skip
        rng = np.random.default_rng(0)
        y, x = np.mgrid[0 : SHAPE[1], 0 : SHAPE[2]].astype("f4") / SHAPE[1]
        for at in range(0, SHAPE[0], CHUNKS[0]):
            z = (np.arange(at, at + CHUNKS[0], dtype="f4") / SHAPE[0])[:, None, None]
            noise = rng.standard_normal((CHUNKS[0], *SHAPE[1:]), dtype="f4")
            array[at : at + CHUNKS[0]] = np.sin(6 * x + 3 * z) * np.cos(5 * y - 2 * z) + 0.001 * noise
        part.rename(root)
    return root


def small_files(work: Path, n: int) -> Path:
    """Return a root of `n` files, 500 to a directory: every other a tiny array, the rest text."""
    root = work / f"files-{n}"
    if not root.exists():
        part = _part(root)
        arrays = [
            blosc2.asarray(np.arange(i + 8, dtype=dtype)).to_cframe()
            for i, dtype in enumerate(("i4", "f4", "f8", "u2"))
        ]
        for number in range(n):
            directory = part / f"d{number // 500:04}"
            if number % 500 == 0:
                directory.mkdir()
            if number % 2:
                (directory / f"array-{number:06}.b2nd").write_bytes(arrays[number // 2 % len(arrays)])
            else:
                (directory / f"notes-{number:06}.txt").write_bytes(b"line %d\n" % number * 20)
        part.rename(root)
    return root


def flat_files(work: Path, n: int) -> Path:
    """Return a root of `n` files in one directory: every other a tiny array, the rest text."""
    root = work / f"flat-{n}"
    if not root.exists():
        part = _part(root)
        frame = blosc2.asarray(np.arange(8, dtype="i4")).to_cframe()
        for number in range(n):
            name, content = (f"run-{number}.b2nd", frame) if number % 2 else (f"run-{number}.txt", b"x\n")
            (part / name).write_bytes(content)
        part.rename(root)
    return root


def sparse_cubes(work: Path) -> Path:
    """Return a root of three arrays of which only the planes around `PLANE` are not zero."""
    root = work / "sparse"
    if not root.exists():
        part = _part(root)
        for name, (shape, chunks) in SPARSE.items():
            cparams = {"codec": blosc2.Codec.ZSTD, "clevel": 1}
            array = blosc2.zeros(shape, dtype="f4", chunks=chunks, cparams=cparams, urlpath=str(part / name))
            low = PLANE[name] // chunks[0] * chunks[0]
            y, x = np.mgrid[0 : shape[1], 0 : shape[2]].astype("f4") / shape[1]
            noise = np.random.default_rng(0).standard_normal(shape[1:], dtype="f4")
            plane = np.sin(6 * x) * np.cos(5 * y) + 0.001 * noise
            array[low : low + chunks[0]] = np.stack([plane * (1 + i) for i in range(chunks[0])])
        part.rename(root)
    return root


def plane_nbytes(file: Path, index: int) -> int:
    """Return the compressed bytes of the blocks that ``array[index]`` touches."""
    array = blosc2.open(str(file))
    grid = [n // c for n, c in zip(SHAPE, CHUNKS, strict=True)]
    per_chunk = [c // b for c, b in zip(CHUNKS, BLOCKS, strict=True)]
    nchunks, nblocks = grid[1] * grid[2], per_chunk[1] * per_chunk[2]
    first = index // CHUNKS[0] * nchunks
    layer = index % CHUNKS[0] // BLOCKS[0] * nblocks
    total = 0
    for nchunk in range(first, first + nchunks):
        chunk = array.schunk.get_chunk(nchunk)
        starts = np.frombuffer(chunk, "<i4", nblocks * per_chunk[0], HEADER_NBYTES)
        borders = np.append(np.sort(starts), len(chunk))
        ends = borders[np.searchsorted(borders, starts, side="right")]
        total += int((ends - starts)[layer : layer + nblocks].sum())
    return total


def _part(root: Path) -> Path:
    part = root.with_name(f"{root.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part
