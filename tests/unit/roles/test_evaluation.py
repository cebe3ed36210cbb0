"""Plans over arrays in memory, evaluated by real processes, against NumPy."""

from __future__ import annotations

import asyncio
import os
import signal
import warnings
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from caterva2.compute.codec import answer_geometry
from caterva2.compute.expressions import parse
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.joining import concat, stack
from caterva2.compute.lowering import lower
from caterva2.errors import BadExpression
from caterva2.model.slicing import NDSlice
from caterva2.roles.subscriber.evaluation import Evaluation, Evaluator
from caterva2.runtime.processes import ProcessLane
from caterva2.runtime.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="module")

RNG = np.random.default_rng(7)
DATA = {
    "a": RNG.normal(size=(37, 23)),
    "b": RNG.normal(size=(37, 23)).astype("f4"),
    "i": RNG.integers(1, 9, size=(37, 23), dtype="i4"),
    "u": RNG.integers(0, 255, size=(37, 23), dtype="u1"),
    "m": RNG.random((37, 23)) > 0.5,
    "r": RNG.normal(size=23),
    "c": RNG.normal(size=(37, 1)),
    "z": RNG.normal(size=(37, 23)) + 1j,
    "s": np.array(2.5),
    "t": np.array([(i, i / 3) for i in range(50)], [("p", "<i4"), ("q", "<f8")]),
    "e": np.empty((0, 4)),
    "big": RNG.normal(size=(301, 211, 50)).astype("f4"),
}


class Memory:
    """Reads arrays that are in memory, and counts how many items were read."""

    def __init__(self) -> None:
        self.read = 0

    async def array(self, file: Any, window: Any) -> Any:
        self.read += window.size
        items = file.data[tuple(slice(a.start, a.stop, a.step) for a in window.axes)]
        return items.reshape(window.full_shape).copy()


def opened(data: Any, chunks: tuple[int, ...] | None = None) -> Any:
    data = np.asarray(data)
    chosen = chunks or tuple(max(1, n // 3) for n in data.shape)
    blocks = tuple(max(1, n // 2) for n in chosen)
    if 0 in data.shape:
        chosen = blocks = answer_geometry(data.shape, data.shape, data.itemsize).chunks
    return SimpleNamespace(
        data=data, skeleton=SimpleNamespace(array=ArrayMeta(data.shape, chosen, blocks, data.dtype))
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluator() -> AsyncIterator[Evaluator]:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=2)
    made = Evaluator(Memory(), lane, workers)
    yield made
    await made.stop()
    await lane.stop()
    await workers.stop()


FILES = {name: opened(data) for name, data in DATA.items()}


def evaluation(text: str, key: str | None = None) -> Evaluation:
    metas = {name: file.skeleton.array for name, file in FILES.items()}
    return Evaluation(key or text, lower(parse(text), metas), FILES, 0)


NUMPY = {
    **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")},
    "astype": lambda x, dtype: np.asarray(x).astype(dtype),
    "asin": np.arcsin,
    "round": np.round,
}


def expected(text: str) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(eval(text, {"__builtins__": {}}, {**NUMPY, **DATA}))  # the oracle


async def computed(evaluator: Evaluator, text: str, slice_: str = "") -> Any:
    evaluated = evaluation(text)
    window = NDSlice.parse(slice_).bind(evaluated.plan.array.shape)
    items = await evaluator.window(evaluated, window)
    assert items.dtype == evaluated.plan.array.dtype
    assert items.shape == window.full_shape
    return items.reshape(window.shape)


LEGAL = [
    "a + b", "a*2 - b/3", "a // 0.5", "i % 3", "i ** 2", "2 ** i", "-a", "~m", "m & (a > 0)", "m | m",
    "m ^ m", "i << 1", "i >> 1", "i & 3", "a < b", "a <= 0", "a == b", "a != b", "a >= b", "u + 1",
    "u + 200", "b * 2", "b + 2.5", "b + True", "i + 2.5", "i / 2", "u + i", "sin(a)", "cos(a) + tan(b)",
    "exp(a)", "log(abs(a))", "sqrt(a)", "arctan2(a, b)", "hypot(a, b)", "floor(a)", "ceil(a)",
    "trunc(a)", "rint(a)", "round(a)", "sign(a)", "isnan(sqrt(a))", "isfinite(1/(a - a))",
    "minimum(a, b)", "maximum(a, 0)", "clip(a, -1, 1)", "where(a > 0, a, b)", "where(m, i, 0)", "abs(z)",
    "real(z)", "imag(z)", "conj(z) * z", "astype(a, 'int32')", "astype(i, 'float32') * 2", "sin(2) * b",
    "a + r", "a + c", "r + c", "a + s", "s * 2", "c * r - a", "a[0]", "a[:, 3]", "a[5:9, ::2]",
    "a[-1] + r", "a[1:] - a[:-1]", "(a + c)[3:7, -2]", "(r + c)[0]", "a[..., 0]", "a[0, 0]",
    "sin(a)[2:3][0]", "sum(a)", "sum(a, axis=0)", "sum(i, axis=1)", "sum(u)", "sum(m)",
    "prod(b, axis=-1)", "min(a)", "max(i, axis=0)", "mean(a)", "mean(i)", "mean(b, axis=0)", "std(a)",
    "var(a, axis=1)", "std(a, ddof=1)", "var(z)", "any(a > 3)", "all(m, axis=0)", "sum(a, axis=(0, 1))",
    "sum(a, axis=0, keepdims=True)", "a - mean(a)", "a - mean(a, axis=0)",
    "(a - mean(a, axis=1, keepdims=True)) / std(a, axis=1, keepdims=True)", "sum(a * b, axis=0)",
    "sum(c * r, axis=1)", "sum(sum(a, axis=0))", "max(abs(a - mean(a)))", "sum(a, axis=0)[3]",
    "t['p'] + t['q']", "t['p'] > 3", "t[3:9]['q'] * 2", "mean(t['q'])", "sum(s)", "e + 1", "sum(e)",
    "sum(e, axis=0)", "mean(e, axis=0)", "prod(e)", "any(e > 0)", "e[:, 0]", "sum(a[0:0])",
    "minimum(a, b)[0:0] + r", "big * 2", "sum(big)", "mean(big, axis=0)", "max(big, axis=(0, 2))",
    "argmin(big)", "argmax(big, axis=0)", "argmin(a * b, axis=1)", "count_nonzero(big > 1, axis=2)",
    "std(big)", "big[::50, 0] + 1", "big - mean(big, axis=1, keepdims=True)", "copysign(a, -1)",
    "logaddexp(a, b)", "a > sum(r)", "True & m", "+a",
]  # fmt: skip


@pytest.mark.parametrize("text", LEGAL)
async def test_whole_result_is_that_of_numpy(evaluator: Evaluator, text: str) -> None:
    found, wanted = await computed(evaluator, text), expected(text)

    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4 if wanted.itemsize <= 4 else 1e-9, atol=1e-5)


@pytest.mark.parametrize("text", ["a + b", "a - mean(a, axis=0)", "r + c", "a[1:] - a[:-1]", "big * 2"])
@pytest.mark.parametrize("slice_", ["3", ":,3", "2:9", "-1,-1", "5:30:7,::3", "0:0", ":-1"])
async def test_slice_of_a_result_is_that_of_numpy(evaluator: Evaluator, text: str, slice_: str) -> None:
    wanted = expected(text)[NDSlice.parse(slice_).items]

    found = await computed(evaluator, text, slice_)

    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


async def test_small_slice_reads_little(evaluator: Evaluator) -> None:
    evaluator._reader.read = 0

    await computed(evaluator, "big * 3 + big", "0:2,0:2,0:2")

    assert evaluator._reader.read == 8


async def test_chunk_is_computed_once(evaluator: Evaluator) -> None:
    once = evaluation("big * 5", "once")
    window = NDSlice.parse("0:100,0:70,0:16").bind(once.plan.array.shape)
    await evaluator.window(once, window)
    evaluator._reader.read = 0

    await asyncio.gather(*(evaluator.window(once, window) for _ in range(3)))

    assert evaluator._reader.read == 0


@pytest.mark.parametrize("axis", [0, 1, -1])
async def test_concat_is_that_of_numpy(evaluator: Evaluator, axis: int) -> None:
    files = {"x": opened(DATA["a"]), "y": opened(DATA["i"])}
    plan = concat({name: file.skeleton.array for name, file in files.items()}, axis)

    window = NDSlice.parse("1:50:3,2:").bind(plan.array.shape)
    found = await evaluator.window(Evaluation(f"concat{axis}", plan, files, 0), window)

    wanted = np.concatenate([DATA["a"], DATA["i"]], axis)[1:50:3, 2:]
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
async def test_stack_is_that_of_numpy(evaluator: Evaluator, axis: int) -> None:
    files = {"x": opened(DATA["a"]), "y": opened(DATA["i"])}
    plan = stack({name: file.skeleton.array for name, file in files.items()}, axis)

    window = NDSlice.parse("1:,1:,1:").bind(plan.array.shape)
    found = await evaluator.window(Evaluation(f"stack{axis}", plan, files, 0), window)

    np.testing.assert_array_equal(found, np.stack([DATA["a"], DATA["i"]], axis)[1:, 1:, 1:])


@pytest.mark.parametrize(
    "text",
    ["a + t", "sin(t)", "a + e", "a + x", "i ** -1", "a & a", "~a", "a[40]", "a[0, 0, 0]", "sum(a, axis=2)",
     "sum(a, axis=(0, 0))", "t['x']", "a['p']", "min(e)", "sum(t)", "a << 1", "a[0:3] + a[0:4]"],
)  # fmt: skip
async def test_what_numpy_can_not_do_is_refused_before_anything_is_read(
    evaluator: Evaluator, text: str
) -> None:
    evaluator._reader.read = 0

    with pytest.raises(BadExpression):
        evaluation(text)

    assert evaluator._reader.read == 0


def wide(shape: tuple[int, ...]) -> ArrayMeta:
    return ArrayMeta(
        shape, tuple(min(n, 100) for n in shape), tuple(min(n, 10) for n in shape), np.dtype("f8")
    )


@pytest.mark.parametrize("text", ["x + y", "sum(x + y)", "x + y + x + y"])
async def test_result_of_astronomic_size_is_refused(text: str) -> None:
    with pytest.raises(BadExpression, match="bytes"):
        lower(parse(text), {"x": wide((10**7, 1)), "y": wide((1, 10**7))})


async def test_killed_process_is_replaced(evaluator: Evaluator) -> None:
    await computed(evaluator, "a * 31", "0:5")
    for pid in evaluator._lane.pids:
        os.kill(pid, signal.SIGKILL)

    for factor in range(4):
        try:
            await computed(evaluator, f"a * 3{factor}", "0:6")
        except BadExpression:
            continue

    np.testing.assert_allclose(await computed(evaluator, "a * 77", "0:7"), DATA["a"][:7] * 77)


async def test_evaluation_that_takes_too_long_is_stopped() -> None:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=1)
    async with lane.lease() as process:
        pid = process.pid
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(BadExpression, match="longer than"):
            await lane.call(process, b"x", 0.05)

    assert pid not in lane.pids
    async with lane.lease() as process:
        assert await lane.call(process, b"", 10) == b""
    await lane.stop()
    await workers.stop()


async def test_window_of_many_pieces_has_a_limit_too_and_the_next_one_works() -> None:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=1)
    await lane.start()
    short = Evaluator(Memory(), lane, workers, longest_s=0.05)
    (pid,) = lane.pids
    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(BadExpression, match=r"0\.05 s in all"):
        await computed(short, "sum(big)")

    short = Evaluator(Memory(), lane, workers)
    np.testing.assert_allclose(await computed(short, "a + 1", "0:3"), DATA["a"][:3] + 1)
    assert pid not in lane.pids
    await lane.stop()
    await workers.stop()


async def test_process_killed_in_the_middle_is_an_error_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=1)
    await lane.start()
    evaluator = Evaluator(Memory(), lane, workers)
    (pid,) = lane.pids
    os.kill(pid, signal.SIGSTOP)
    asked, call = asyncio.Event(), lane.call

    async def watched(*args: Any) -> bytes:
        asked.set()
        return await call(*args)

    monkeypatch.setattr(lane, "call", watched)
    task = asyncio.create_task(computed(evaluator, "sum(big)"))
    await asked.wait()

    os.kill(pid, signal.SIGKILL)

    with pytest.raises(BadExpression, match="stopped"):
        await task
    np.testing.assert_allclose(await computed(evaluator, "a + 1", "0:3"), DATA["a"][:3] + 1)
    await lane.stop()
    await workers.stop()


async def test_evaluation_that_needs_too_much_memory_is_refused() -> None:
    workers = Workers()
    workers.start()
    lane = ProcessLane(workers, "caterva2.compute.evaluator", size=1, limit=8 << 20)
    hungry = Evaluator(Memory(), lane, workers)

    with pytest.raises(BadExpression, match=r"limits|memory|stopped"):
        await computed(hungry, "std(big)")
    np.testing.assert_allclose(await computed(hungry, "a + 1", "0:3"), DATA["a"][:3] + 1)

    await lane.stop()
    await workers.stop()
