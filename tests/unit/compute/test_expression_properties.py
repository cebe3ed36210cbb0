"""Legal expressions, made at random, give what NumPy gives: shape, dtype and items, whole and by slice."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from caterva2.compute.expressions import parse
from caterva2.compute.frames import ArrayMeta
from caterva2.compute.kernels import evaluate_into, finish, partial
from caterva2.compute.lowering import Plan, lower, source_shape, source_window
from caterva2.compute.windows import inner_window, merged, reduced_nothing, reduction_pieces, whole_window
from caterva2.errors import BadExpression
from caterva2.model.slicing import Axis, NDSlice, Window

RNG = np.random.default_rng(11)


def eighths(shape: tuple[int, ...]) -> Any:
    """Return numbers whose sums are exact in any order: there is no rounding to explain a difference."""
    return np.round(8 * RNG.normal(size=shape)) / 8


DATA: dict[str, Any] = {
    "a": RNG.normal(size=(7, 5)),
    "b": eighths((7, 5)).astype("f4"),
    "i": RNG.integers(-5, 9, size=(7, 5), dtype="i4"),
    "u": RNG.integers(0, 200, size=(7, 5), dtype="u1"),
    "m": RNG.random((7, 5)) > 0.5,
    "r": RNG.normal(size=5),
    "c": RNG.integers(1, 9, size=(7, 1)),
    "s": np.array(1.5, "f4"),
    "j": RNG.integers(-100, 100, size=(7, 5), dtype="i1"),
    "k": RNG.integers(0, 2**20, size=5, dtype="u8"),
    "z": (eighths((7, 5)) + 1j * eighths((7, 5))).astype("c8"),
}
METAS = {
    name: ArrayMeta(x.shape, tuple(min(n, 3) for n in x.shape), tuple(min(n, 2) for n in x.shape), x.dtype)
    for name, x in DATA.items()
}


def in_more_bits(spread: Any) -> Any:
    """Return `std` or `var` of NumPy without what squares of 16 bits overflow to on the way."""

    def computed(x: Any, **kwargs: Any) -> Any:
        if np.asarray(x).dtype != np.float16:
            return spread(x, **kwargs)
        return spread(x, dtype=np.float32, **kwargs).astype(np.float16)

    return computed


NUMPY: dict[str, Any] = {
    **{name: getattr(np, name) for name in dir(np) if not name.startswith("_")},
    "astype": lambda x, dtype: np.asarray(x).astype(dtype),
    "std": in_more_bits(np.std),
    "var": in_more_bits(np.var),
}


def window_of(plan: Plan, number: int, window: Window) -> Any:
    """Evaluate a window of a stage by the pieces of the subscriber, without its processes."""
    stage = plan.stages[number]
    if window.size == 0:
        return np.empty(window.full_shape, stage.array.dtype)
    if stage.reduction is None:
        return kernel(plan, number, window)
    inner = inner_window(stage, window)
    if inner.size == 0:
        return reduced_nothing(stage, window)
    total = None
    for piece in reduction_pieces(stage, inner, [2] * len(stage.inner), 64):
        part = partial(stage.reduction.function, kernel(plan, number, piece), stage.reduction.axes)
        total = merged(stage, total, part, piece)
    return finish(stage.reduction.function, total, stage.array.dtype, stage.reduction.ddof).reshape(
        window.full_shape
    )


def kernel(plan: Plan, number: int, window: Window) -> Any:
    stage = plan.stages[number]
    leaves = []
    for source in stage.sources:
        needed = source_window(source, window)
        if isinstance(source.origin, int):
            kept = Window(tuple(Axis(a.start, a.stop, a.step) for a in needed.axes))
            items = window_of(plan, source.origin, kept)
        else:
            items = DATA[source.origin][tuple(slice(a.start, a.stop, a.step) for a in needed.axes)]
        leaves.append(np.asarray(items).reshape(source_shape(source, needed)))
    out = np.empty(window.full_shape, stage.inner_dtype)
    if out.size:
        evaluate_into(out, stage.kernel, leaves)
    return out


UNARY = ["sin", "cos", "exp", "abs", "sqrt", "floor", "ceil", "sign", "isnan", "tanh", "square", "log1p"]
BINARY = ["minimum", "maximum", "arctan2", "hypot", "copysign"]
INFIX = ["+", "-", "*", "/", "//", "%", "<", ">=", "==", "!=", "&", "|", "^", "<<", ">>"]
REDUCTIONS = [
    "sum", "mean", "min", "max", "any", "all", "std", "var", "prod", "argmin", "argmax", "count_nonzero",
]  # fmt: skip

operands = st.sampled_from(sorted(DATA))
literals = st.one_of(
    st.integers(0, 9).map(str), st.sampled_from(["0.5", "2.25", "1e3", "True"])
)  # fmt: skip


def deeper(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(INFIX), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(INFIX), literals),
        st.builds("({} {} {})".format, literals, st.sampled_from(INFIX), inner),
        st.builds("{}({})".format, st.sampled_from(UNARY), inner),
        st.builds("{}({}, {})".format, st.sampled_from(BINARY), inner, inner),
        st.builds("where({} > 0, {}, {})".format, inner, inner, inner),
        st.builds("(-{})".format, inner),
        st.builds("(~{})".format, inner),
        st.builds("{}({}, axis=(0, 1))".format, st.sampled_from(REDUCTIONS), inner),
        st.builds("std({}, axis=0, ddof=1)".format, inner),
        st.builds("clip({}, 0, 3)".format, inner),
        st.builds("sin({})**2".format, inner),
        st.builds(
            "astype({}, '{}')".format,
            inner,
            st.sampled_from(["float32", "float64", "bool", "i2", "u1", "c16"]),
        ),
        st.builds("{}({})".format, st.sampled_from(REDUCTIONS), inner),
        st.builds("{}({}, axis=0, keepdims=True)".format, st.sampled_from(REDUCTIONS), inner),
        st.builds("{}({}, axis=-1)".format, st.sampled_from(REDUCTIONS), inner),
        st.builds("({})[{}]".format, inner, st.sampled_from(["0", "1:4", "..., 0", "::2", "-1:", "0:0"])),
    )


expressions = st.recursive(operands, deeper, max_leaves=6)


def oracle(text: str) -> Any:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(eval(text, {"__builtins__": {}}, {**NUMPY, **DATA}))


def assert_alike(found: Any, wanted: Any, text: str) -> None:
    assert found.shape == wanted.shape
    if wanted.dtype.kind in "fc":
        loose = any(single in text for single in ("b", "z", "s", "32"))
        np.testing.assert_allclose(found, wanted, rtol=2e-3 if loose else 1e-7, atol=1e-3 if loose else 1e-7)


@settings(max_examples=300, deadline=None)
@given(expressions)
@example("std(where(a > 0, sin(j), astype(a, 'u1')), axis=0, ddof=1)")
def test_random_expression_is_that_of_numpy(text: str) -> None:
    wanted: Any = None
    with contextlib.suppress(TypeError, ValueError, IndexError):
        wanted = oracle(text)
    known = wanted is not None
    try:
        plan = lower(parse(text), METAS)
    except BadExpression:
        assert not known or not _is_plain(text)
        return
    assume(known)

    found = window_of(plan, len(plan.stages) - 1, whole_window(plan.array.shape))

    assert plan.array.dtype == wanted.dtype
    assert plan.array.shape == wanted.shape
    assert_alike(found, wanted, text)


@settings(max_examples=150, deadline=None)
@given(expressions, st.sampled_from(["0", "1:3", ":,1", "::2,::2", "-1", "1:1", "..., -1"]))
def test_slice_of_a_random_expression_is_that_of_numpy(text: str, slice_: str) -> None:
    asked = NDSlice.parse(slice_, allow_ellipsis=True)
    try:
        wanted = oracle(text)[asked.items]
        plan = lower(parse(text), METAS)
    except (TypeError, ValueError, IndexError):
        return
    window = asked.bind(plan.array.shape)

    kept = Window(tuple(Axis(a.start, a.stop, a.step) for a in window.axes))
    found = window_of(plan, len(plan.stages) - 1, kept).reshape(window.shape)

    assert_alike(found, np.asarray(wanted), text)


@pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "==", "<"])
@pytest.mark.parametrize("left", ["?", "i1", "u1", "i4", "u8", "f2", "f4", "f8", "c8"])
@pytest.mark.parametrize("right", ["?", "u1", "i8", "u8", "f2", "f4", "c16", "2", "0.5", "True"])
def test_types_meet_as_in_numpy(operator: str, left: str, right: str) -> None:
    data = {"x": np.array([3, 5, 1], left), "y": None}
    text = f"x {operator} {right}"
    if right[0] in "?iufc":
        data["y"], text = np.array([2, 1, 1], right), f"x {operator} y"
    metas = {n: ArrayMeta((3,), (3,), (3,), d.dtype) for n, d in data.items() if d is not None}
    try:
        wanted = eval(text, {"__builtins__": {}}, data)
    except TypeError:
        with pytest.raises(BadExpression):
            lower(parse(text), metas)
        return

    plan = lower(parse(text), metas)
    out = np.empty(plan.array.shape, plan.array.dtype)
    evaluate_into(out, plan.stages[-1].kernel, [data[str(s.origin)] for s in plan.stages[-1].sources])

    assert plan.array.dtype == wanted.dtype
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("operator", ["//", "%"])
@pytest.mark.parametrize("dtype", ["i4", "f8"])
def test_division_rounds_down_as_in_numpy(operator: str, dtype: str) -> None:
    x, y = np.array([-7, -7, 7, 7, 0], dtype), np.array([3, -3, 3, -3, 5], dtype)
    plan = lower(parse(f"x {operator} y"), {n: ArrayMeta((5,), (5,), (5,), x.dtype) for n in ("x", "y")})
    out = np.empty(5, dtype)

    evaluate_into(out, plan.stages[-1].kernel, [x, y])

    np.testing.assert_array_equal(out, eval(f"x {operator} y"))


@pytest.mark.parametrize("function", ["argmin", "argmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["tied", "holes", "truth", "complex", "whole"])
def test_place_of_the_least_is_that_of_numpy(
    function: str, axis: int | None, keepdims: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tied = RNG.integers(0, 3, size=(9, 8))
    holes = np.where(tied == 1, np.nan, tied)
    data = {"tied": tied, "holes": holes, "truth": tied > 1, "complex": tied + 1j * tied.T[:, :1].max()}
    items = np.zeros((9, 8), "u1") if name == "whole" else data[name]
    monkeypatch.setitem(DATA, "x", items)
    meta = ArrayMeta((9, 8), (3, 3), (2, 2), items.dtype)

    plan = lower(parse(f"{function}(x, axis={axis}, keepdims={keepdims})"), {"x": meta})
    found = window_of(plan, 0, whole_window(plan.array.shape))

    wanted = getattr(np, function)(items, axis=axis, keepdims=keepdims)
    assert plan.array.dtype == np.int64
    np.testing.assert_array_equal(found, wanted)


def _is_plain(text: str) -> bool:
    """Whether a text is made of operands, functions and operators on them only: never refused by us."""
    return (
        not {"[", "**", "axis"} & {word for word in ("[", "**", "axis") if word in text}
        and not any(ch in text for ch in "&|^%/")
        and "(-" not in text
    )


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=80))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(BadExpression):
        parse(text)
