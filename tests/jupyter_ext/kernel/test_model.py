"""What a view shows, and how it changes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from caterva2_jupyter.widgets.model import Mode, Plane, Range, Subject, View
from tests.support.jupyter import REPOSITORY

# The viewer of JupyterLab is held to the same file.
FIRST_AXES = json.loads((REPOSITORY / "labextension/test/viewer/axes.json").read_text())


def view_of(shape: tuple[int, ...], dtype: Any = "f4") -> View:
    return View.of(Subject("foo/x", shape, np.dtype(dtype)))


@pytest.mark.parametrize(
    ("shape", "dtype", "modes"),
    [
        ((5,), "f4", "line table"),
        ((5, 6), "i8", "picture line table"),
        ((5, 6), "M8[s]", "picture line table"),
        ((9, 5, 3), "u1", "colours picture line table"),
        ((9, 5, 3), "i2", "picture line table"),
        ((5, 6), "U3", "table"),
        ((5,), [("a", "f4"), ("b", "S3")], "table line"),
        ((5, 6), [("a", "f4"), ("b", "S3")], "table picture line"),
        ((5,), [("a", "S4")], "table"),
        ((), "f4", "table"),
        ((0, 3), "f4", "table"),
        ((5,), "V8", "table"),
    ],
    ids=str,
)
def test_modes_fit_the_data(shape: tuple[int, ...], dtype: Any, modes: str) -> None:
    assert " ".join(view_of(shape, dtype).subject.modes) == modes


def test_first_view_is_the_middle_plane_of_the_last_two_axes() -> None:
    view = view_of((7, 9, 100, 200))

    assert (view.rows, view.columns, view.hidden) == (2, 3, (0, 1))
    assert view.items == (3, 4, slice(0, 100), slice(0, 200))


@pytest.mark.parametrize("case", FIRST_AXES, ids=lambda case: case["about"])
def test_first_plane_is_no_strip(case: dict[str, Any]) -> None:
    view = view_of(tuple(case["shape"]), case["dtype"])

    assert [view.rows, view.columns] == case["axes"]


def test_colours_take_the_last_axis_whole() -> None:
    view = view_of((4, 60, 80, 3), "u1")

    assert view.items == (2, slice(0, 60), slice(0, 80), slice(0, 3))


def test_a_line_runs_through_the_cursor() -> None:
    view = view_of((7, 9, 100)).with_mode("line").with_position((1, 2, 3))

    assert view.items == (1, 2, slice(0, 100))


def test_a_table_is_the_page_that_holds_the_cursor() -> None:
    view = view_of((7, 95, 100)).with_mode("table").with_position((1, 94, 25))

    assert view.items == (1, slice(80, 95), slice(20, 30))


def test_a_table_of_fields_is_paged_by_rows() -> None:
    view = view_of((100,), [("a", "f4"), ("b", "S3")]).with_position((55,))

    assert view.items == (slice(40, 60),)
    assert view.read_field is None
    assert view.with_mode("line").read_field == "a"


def test_nothing_whole_is_ever_read() -> None:
    view = view_of((1000, 1_000_000, 1_000_000))

    assert [view.with_mode(mode).points for mode in ("picture", "line", "table")] == [512, 1024, 20]


@pytest.mark.parametrize(
    ("rows", "columns", "expected"), [(0, 2, (0, 2)), (2, 2, (2, 1)), (1, 1, (2, 1)), (0, 1, (0, 1))]
)
def test_axes_change_places_rather_than_meet(rows: int, columns: int, expected: tuple[int, int]) -> None:
    view = view_of((5, 6, 7)).with_axes(rows, columns)

    assert (view.rows, view.columns) == expected


def test_the_axis_of_the_colours_is_no_other() -> None:
    view = view_of((9, 8, 7, 3), "u1")

    assert view.with_axes(3, 1) == view


def test_leaving_colours_frees_their_axis() -> None:
    view = view_of((9, 8, 3), "u1").with_mode("picture").with_axes(1, 2)

    back = view.with_mode("colours")

    assert back.mode is Mode.COLOURS
    assert (back.rows, back.columns) == (0, 1)


@pytest.mark.parametrize(
    ("position", "expected"), [((-5, 99, 3), (0, 5, 3)), ((1, 2), (2, 3, 3)), ((4, 5, 6), (4, 5, 6))]
)
def test_positions_stay_inside(position: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert view_of((5, 6, 7)).with_position(position).position == expected


@pytest.mark.parametrize(
    ("span", "expected"), [((2, 4), (2, 4)), ((-3, 99), (0, 5)), ((4, 4), (4, 5)), ((9, 9), (4, 5))]
)
def test_spans_hold_an_item(span: tuple[int, int], expected: tuple[int, int]) -> None:
    assert view_of((5, 6)).with_span(0, *span).spans[0] == expected


def test_following_takes_over_what_fits() -> None:
    one = view_of((5, 6, 7)).with_axes(0, 2).with_position((1, 2, 3)).with_span(2, 1, 4)
    other = view_of((50, 60, 70))

    found = other.following(one, ("position", "axes", "spans", "colours"))

    assert (found.rows, found.columns) == (0, 2)
    assert found.position == (1, 2, 3)
    assert found.spans == other.spans  # of another shape
    assert found.subject == other.subject


def test_following_something_with_other_axes_takes_only_colours() -> None:
    one = view_of((5, 6, 7))
    other = view_of((5,))

    found = other.following(one, ("position", "axes", "spans", "colours", "mode"))

    assert found == other
    assert found.range is Range.FULL


def test_drawing_differently_reads_nothing_new() -> None:
    view = view_of((5, 6, 7))

    assert view.with_position((2, 0, 0)).asked == view.asked
    assert view.at(0, 0).asked != view.asked


@pytest.mark.parametrize(("at", "index"), [(0, None), (10, 0), (13, 1), (29, 9), (30, None)])
def test_cursor_is_found_in_thinned_data(at: int, index: int | None) -> None:
    view = view_of((100,)).with_span(0, 10, 30).with_position((at,))

    assert Plane(np.zeros(10), (2,)).index_of(view, 0) == index
