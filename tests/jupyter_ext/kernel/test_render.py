"""Pictures, tables and curves, read back by others or looked at as text."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caterva2_jupyter.widgets import render
from caterva2_jupyter.widgets.render import Limits


def read(png: bytes) -> np.ndarray:
    """Return the pixels (height, width, 4) of a picture as another program sees them."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_picture_has_the_colours_of_the_map() -> None:
    values = np.array([[0.0, 1.0], [0.5, np.nan]])

    pixels = read(render.picture(values, "viridis", Limits(0, 1)))

    n = pixels.shape[0] // 2
    assert pixels.shape == (512, 512, 4)
    assert tuple(pixels[0, 0]) == (0x44, 0x01, 0x54, 255)
    assert tuple(pixels[0, n]) == (0xFD, 0xE7, 0x25, 255)
    assert pixels[n, n, 3] == 0  # NaN is transparent


def test_large_picture_has_a_pixel_for_each_item() -> None:
    values = np.arange(300 * 512.0).reshape(300, 512)

    assert read(render.picture(values, "gray", Limits(0, values.max()))).shape == (300, 512, 4)


def test_cursor_is_a_cross_that_leaves_its_item_free() -> None:
    pixels = read(render.picture(np.zeros((8, 8)), "gray", Limits(0, 1), cursor=(2, 5)))

    marked = (pixels == (*render.CURSOR_COLOUR, 255)).all(axis=2)
    assert marked[2 * 64 + 32, :].any()
    assert marked[:, 5 * 64 + 32].any()
    assert not marked[2 * 64 : 3 * 64, 5 * 64 : 6 * 64].any()


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_picture_is_exact(channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (512, 300, channels), np.uint8)

    pixels = read(render.colour_picture(values))

    np.testing.assert_array_equal(pixels[:, :, :channels], values)


@pytest.mark.parametrize(
    ("values", "limits", "expected"),
    [
        (np.array([0, 253]), Limits(0, 253), [0, 253]),
        (np.array([-9.0, 99.0, np.inf, -np.inf, np.nan]), Limits(0, 1), [0, 253, 253, 0, render.MISSING]),
        (np.array([5, 5]), Limits(5, 5), [126, 126]),
        (np.array([2**63 - 1, 0], np.uint64), Limits(0, 2.0**63), [253, 0]),
        (np.array([True, False]), Limits(0, 1), [253, 0]),
    ],
    ids=["ends", "outside", "constant", "large", "bool"],
)
def test_indices(values: Any, limits: Limits, expected: list[int]) -> None:
    assert render.indices(render.numbers(values), limits).tolist() == expected  # type: ignore[arg-type]


def test_limits_leave_out_what_is_not_finite() -> None:
    values = np.array([np.nan, -np.inf, 1.0, 3.0, np.inf])

    assert render.full_limits(values) == (1, 3)
    assert render.full_limits(np.array([np.nan])) == (0, 1)


def test_central_limits_leave_out_a_few() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [1e9]])

    low, high = render.central_limits(values)

    assert (low, high) == pytest.approx((0.02, 0.98), abs=0.01)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([3 + 4j]), [5]),
        (np.array(["1970-01-03", "NaT"], "M8[D]"), [2, np.nan]),
        (np.array([1.5], np.float16), [1.5]),
        (np.array([1.5], np.longdouble), [1.5]),
    ],
    ids=["complex", "dates", "half", "long"],
)
def test_numbers(values: np.ndarray, expected: list[float]) -> None:
    np.testing.assert_array_equal(render.numbers(values), expected)  # type: ignore[arg-type]


def test_text_is_no_number() -> None:
    assert render.numbers(np.array(["a"])) is None


@pytest.mark.parametrize("name", render.COLORMAPS)
def test_colour_map_goes_from_its_first_to_its_last_colour(name: str) -> None:
    ends = render.COLORMAPS[name].split()

    found = render.colours(name)

    assert found.shape == (render.LEVELS, 3)
    assert (bytes(found[0]).hex(), bytes(found[-1]).hex()) == (ends[0], ends[-1])


@pytest.mark.parametrize(
    ("shape", "factors"),
    [
        ((10, 20), (25, 25)),
        ((1000, 10), (1, 9)),
        ((1, 512), (96, 1)),
        ((600, 600), (1, 1)),
        ((1, 1), (512, 512)),
    ],
    ids=["wide", "thread", "row", "large", "item"],
)
def test_magnification_fills_a_picture(shape: tuple[int, int], factors: tuple[int, int]) -> None:
    assert render.magnification(shape) == factors


def test_thumbnail_is_small() -> None:
    png = render.thumbnail(np.random.default_rng(0).normal(size=(512, 300)))

    assert max(read(png).shape[:2]) <= 96
    assert len(png) < 12_000


def test_curve_is_a_picture_with_gaps_where_values_are_missing() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0, np.inf, 3.0, 3.0])

    tree = ET.fromstring(render.curve(values, start=10, step=2, cursor=1))

    tags = [element.tag for element in tree.iter()]
    assert (tags.count("polyline"), tags.count("circle")) == (2, 1)
    assert {"10", "22"} <= {element.text for element in tree.iter("text")}


@pytest.mark.parametrize("values", [np.zeros(1), np.zeros(5), np.full(4, np.nan), np.arange(3, dtype="u1")])
def test_curve_of_little_is_well_formed(values: np.ndarray) -> None:
    ET.fromstring(render.curve(values))


@pytest.mark.parametrize(
    "values",
    [
        np.full(5, 1_704_067_200_000_000_000),  # the same nanosecond five times
        np.full(5, 2**64 - 1, np.uint64),
        np.full(5, -(2**62)),
        np.full(5, 1e300),
        np.full(5, -1.7e308),
        np.array([-1.7e308, 0.0, 1.7e308]),
        np.array([0.0, 5e-324]),
    ],
    ids=str,
)
def test_curve_of_extreme_values_lies_in_the_picture(values: np.ndarray) -> None:
    tree = ET.fromstring(render.curve(values))

    (line,) = (element for element in tree.iter() if element.tag == "polyline")
    points = np.array([[float(at) for at in pair.split(",")] for pair in line.attrib["points"].split()])
    assert len(points) == len(values)
    assert ((points >= 0) & (points <= [640, 260])).all()


def test_values_far_outside_the_limits_are_drawn_at_the_border() -> None:
    values = np.array([[-1.7e308, 0.0, 1.7e308]])

    assert render.indices(values, Limits(0.0, 1e-6)).tolist() == [[0, 0, render.LEVELS - 1]]
    ET.fromstring(render.curve(values[0], limits=Limits(0.0, 1e-6)))


@pytest.mark.parametrize("values", [[-1.7e308, 0.0, 1.7e308], [0.0, 5e-324]])
@pytest.mark.parametrize("limits_of", [render.full_limits, render.central_limits])
def test_picture_of_extreme_values_tells_them_apart(values: list[float], limits_of: Any) -> None:
    plane = np.array([values])

    found = render.indices(plane, limits_of(plane))

    assert found[0, 0] == 0
    assert found[0, -1] == render.LEVELS - 1
    assert sorted(found[0]) == found[0].tolist()


def test_table_escapes_what_it_shows() -> None:
    shown = render.table([["<b>", b"\xff&"]], ["<r>"], ["x", "y"])

    assert "&lt;b&gt;" in shown
    assert "&lt;r&gt;" in shown
    assert "\\xff&amp;" in shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(1 / 3), "0.333333"),
        (np.int64(2**62), "4611686018427387904"),
        (np.bool_(True), "True"),
        (np.complex64(1 + 2j), "1+2j"),
        (np.datetime64("2020-01-02"), "2020-01-02"),
        (np.array([(1, b"x")], [("a", "i4"), ("b", "S2")])[0], "(1, x)"),
        ("x" * 50, "x" * 39 + "…"),
        (np.void(b"\x01\xff"), "01ff"),
    ],
    ids=["float", "int", "bool", "complex", "date", "fields", "long", "void"],
)
def test_cell(value: object, text: str) -> None:
    assert render.cell_text(value) == text
