"""Arrays to pictures, tables and curves: PNG, HTML and SVG made of text and zlib alone. No I/O."""

from __future__ import annotations

import base64
import html
import math
import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

LEVELS = 254
"""Colours of a colour map in a picture; two more of a byte's values are taken."""
CURSOR, MISSING = 254, 255
"""Indices of the cursor, and of values that are no numbers (they are transparent)."""
CURSOR_COLOUR = (255, 64, 160)

LONG_SIDE, SHORT_SIDE = 512, 96
"""Pixels that a picture fills, if its data are few; none is thinner than the latter."""
MAX_TEXT = 40
"""Characters of a cell in a table."""

COLORMAPS: dict[str, str] = {
    "viridis": "440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725",
    "inferno": "000004 160b39 420a68 6a176e 932667 bc3754 dd513a f37819 fca50a f6d746 fcffa4",
    "magma": "000004 140e36 3b0f70 641a80 8c2981 b73779 de4968 f7705c fe9f6d fecf92 fcfdbf",
    "gray": "000000 ffffff",
    "gray reversed": "ffffff 000000",
    "turbo": "30123b 4145ab 4675ed 39a2fc 1bcfd4 24eca6 61fc6c a4fc3c d1e834 f3c63a fe9b2d f36315 d93806"
    " b11901 7a0402",
    "coolwarm": "3b4cc0 6788ee 9abbff c9d7f0 edd1c2 f7a889 e26952 b40426",
}
"""Colours from low to high, between which others are interpolated."""

LARGEST = float(np.finfo(np.float64).max)
HUGE = LARGEST / 4
"""Beyond it the difference of two numbers may be infinite."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class Limits(NamedTuple):
    """The values that get the first and the last colour."""

    low: float
    high: float


def colours(name: str, n: int = LEVELS) -> npt.NDArray[np.uint8]:
    """Return a colour map as (n, 3) bytes: red, green, blue.

    Raises
    ------
    KeyError
        There is none of this name.
    """
    anchors = np.array([list(bytes.fromhex(text)) for text in COLORMAPS[name].split()], float)
    at = np.linspace(0, len(anchors) - 1, n)
    columns = [np.interp(at, range(len(anchors)), anchors[:, i]) for i in range(3)]
    return np.stack(columns, axis=-1).round().astype(np.uint8)


def numbers(values: Array) -> Array | None:
    """Return values as real numbers: magnitudes of complex ones, times as integers; None for text.

    Parameters
    ----------
    values
        Of any shape, without fields.
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.view(np.uint8)
    if kind in "iu":
        return values
    if kind == "f":
        return values if values.dtype.itemsize <= 8 else values.astype(np.float64)
    if kind == "c":
        return np.abs(values)
    if kind in "mM":
        found = values.astype(np.int64).astype(np.float64)
        found[np.isnat(values)] = np.nan
        return found
    return None


def full_limits(values: Array) -> Limits:
    """Return the least and the greatest finite value; 0 and 1 if there is none."""
    finite = _finite(values)
    return Limits(float(finite.min()), float(finite.max())) if finite.size else Limits(0.0, 1.0)


def central_limits(values: Array, percent: float = 2.0) -> Limits:
    """Return limits that leave out so many percent of the values at each end."""
    finite = _finite(values)
    if not finite.size:
        return Limits(0.0, 1.0)
    work = finite.astype(np.float64)
    scale = 4.0 if abs(work).max() > HUGE else 1.0  # between the largest numbers nothing must overflow
    low, high = np.percentile(work / scale, [percent, 100 - percent]) * scale
    return Limits(float(low), float(high))


def indices(values: Array, limits: Limits) -> npt.NDArray[np.uint8]:
    """Return the colour of each value: 0 to ``LEVELS - 1``, or ``MISSING`` for NaN.

    Parameters
    ----------
    values
        Real numbers (rows, columns).
    """
    if not limits.high > limits.low or not all(map(math.isfinite, limits)):
        found = np.full(values.shape, (LEVELS - 1) // 2, np.uint8)
        if limits.high <= limits.low:
            found[values > limits.high] = LEVELS - 1
            found[values < limits.low] = 0
    else:
        work = _shares(values, limits)
        work *= LEVELS - 1
        np.clip(work, 0, LEVELS - 1, out=work)
        with np.errstate(invalid="ignore"):
            found = work.astype(np.uint8)
    if values.dtype.kind == "f":
        found[np.isnan(values)] = MISSING
    return found


def magnification(shape: tuple[int, int], *, equal: bool = True) -> tuple[int, int]:
    """Return how often rows and columns are repeated so that few of them fill a picture.

    Parameters
    ----------
    equal
        Items are squares, unless the picture would be a thread.
    """
    rows, columns = (max(1, n) for n in shape)
    if equal and max(rows, columns) <= 8 * min(rows, columns):
        factor = max(1, LONG_SIDE // max(rows, columns))
        return factor, factor
    long, short = max(1, LONG_SIDE // max(rows, columns)), max(1, SHORT_SIDE // min(rows, columns))
    return (long, max(long, short)) if rows > columns else (max(long, short), long)


def picture(
    values: Array,
    colormap: str,
    limits: Limits,
    *,
    cursor: tuple[int, int] | None = None,
    equal: bool = True,
) -> bytes:
    """Draw numbers (rows, columns) as a PNG.

    Parameters
    ----------
    cursor
        Row and column of the item that a cross marks; None for no cross.
    """
    factors = magnification((values.shape[0], values.shape[1]), equal=equal)
    pixels = _magnified(indices(values, limits), factors)
    if cursor is not None and pixels.size:
        _draw_cross(pixels, cursor, factors)
    palette = np.zeros((256, 3), np.uint8)
    palette[:LEVELS] = colours(colormap)
    palette[CURSOR] = CURSOR_COLOUR
    return png_of_indices(pixels, palette)


def colour_picture(values: Array, *, cursor: tuple[int, int] | None = None) -> bytes:
    """Draw bytes (rows, columns, 3 or 4): red, green, blue, and opacity, as a PNG."""
    factors = magnification((values.shape[0], values.shape[1]))
    pixels = _magnified(values, factors)
    if cursor is not None and pixels.size:
        colour = np.array([*CURSOR_COLOUR, 255][: pixels.shape[2]], np.uint8)
        _draw_cross(pixels, cursor, factors, colour)
    return png_of_colours(pixels)


def thumbnail(values: Array, colormap: str = "viridis", *, side: int = 96) -> bytes:
    """Draw numbers (rows, columns), or colours (rows, columns, 3 or 4), with at most `side` pixels a side."""
    steps = tuple(max(1, -(-n // side)) for n in values.shape[:2])
    small = values[:: steps[0], :: steps[1]]
    factor = max(1, side // max(1, *small.shape[:2]))
    if values.ndim == 3:
        return png_of_colours(_magnified(small, (factor, factor)))
    palette = np.zeros((256, 3), np.uint8)
    palette[:LEVELS] = colours(colormap)
    return png_of_indices(_magnified(indices(small, full_limits(small)), (factor, factor)), palette)


def png_of_indices(pixels: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG with a palette (256, 3); pixels (height, width) of ``MISSING`` are transparent."""
    height, width = pixels.shape
    return _png(
        (height, width),
        3,
        pixels,
        _chunk(b"PLTE", palette.tobytes()) + _chunk(b"tRNS", bytes([255] * MISSING + [0])),
    )


def png_of_colours(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG of pixels (height, width, 3 or 4)."""
    height, width, channels = pixels.shape
    return _png((height, width), 2 if channels == 3 else 6, pixels.reshape(height, width * channels))


def data_url(png: bytes) -> str:
    """Return a picture as a URL that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def cell_text(value: object) -> str:
    """Return a value as a cell of a table shows it, not escaped."""
    if isinstance(value, np.generic) and not isinstance(value, np.void | np.bytes_ | np.str_):
        if isinstance(value, np.floating):
            return f"{float(value):.6g}"
        if isinstance(value, np.complexfloating):
            return f"{complex(value):.5g}"
        return str(value)
    if isinstance(value, np.void) and value.dtype.names:
        return _short("(" + ", ".join(cell_text(value[name]) for name in value.dtype.names) + ")")
    if isinstance(value, bytes | np.bytes_):
        return _short(bytes(value).decode("utf-8", "backslashreplace"))
    if isinstance(value, np.void):
        return _short(value.tobytes().hex())
    return _short(str(value))


def table(
    cells: Sequence[Sequence[object]],
    row_names: Sequence[object],
    column_names: Sequence[object],
    *,
    marked: tuple[int, int] | None = None,
) -> str:
    """Return an HTML table.

    Parameters
    ----------
    cells
        Rows of values, as `cell_text` takes them.
    marked
        Row and column of the cell under the cursor.
    """
    style = "text-align:right;padding:1px 6px;font-family:monospace;white-space:pre"
    head = "".join(f'<th style="{style}">{html.escape(_short(str(name)))}</th>' for name in column_names)
    lines = []
    for i, (name, row) in enumerate(zip(row_names, cells, strict=True)):
        shown = "".join(
            f'<td style="{style}{";outline:2px solid" if marked == (i, j) else ""}">'
            f"{html.escape(cell_text(value))}</td>"
            for j, value in enumerate(row)
        )
        lines.append(f'<tr><th style="{style}">{html.escape(str(name))}</th>{shown}</tr>')
    return (
        '<div style="overflow:auto;max-width:100%"><table style="border-collapse:collapse">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def curve(
    values: Array,
    *,
    start: int = 0,
    step: int = 1,
    cursor: int | None = None,
    limits: Limits | None = None,
    width: int = 640,
    height: int = 260,
) -> str:
    """Draw numbers (n,) as a line in SVG; NaN and infinities are gaps.

    Parameters
    ----------
    start, step
        Index of the first number in its dataset, and how many items lie from one to the next.
    cursor
        Position in `values` that a vertical line marks.
    limits
        Of the vertical axis; None for what the numbers need.
    """
    left, right, top, bottom = 74, 12, 10, 26
    low, high = limits or full_limits(values)
    if not high > low:
        # Beside large numbers, such as points in time, 0.5 is nothing.
        around = max(0.5, abs(low) / 1e6)
        low, high = max(low - around, -LARGEST), min(low + around, LARGEST)
    n = len(values)
    x = left + (width - left - right) * (np.arange(n) / max(1, n - 1) if n > 1 else np.full(n, 0.5))
    y = top + (height - top - bottom) * (1 - _shares(values, Limits(low, high)))
    y = np.clip(y, -height, 2 * height)
    axes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = top + (height - top - bottom) * (1 - share)
        axes.append(
            f'<line x1="{left}" x2="{width - right}" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor"'
            f' stroke-opacity="0.2"/><text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">'
            f"{low * (1 - share) + high * share:.4g}</text>"
        )
    for share in (0.0, 0.5, 1.0) if n > 1 else (0.5,):
        i = round(share * (n - 1))
        at = left + (width - left - right) * share
        anchor = {0.0: "start", 1.0: "end"}.get(share, "middle")
        axes.append(f'<text x="{at:.1f}" y="{height - 8}" text-anchor="{anchor}">{start + i * step}</text>')
    if cursor is not None and 0 <= cursor < n:
        axes.append(
            f'<line x1="{x[cursor]:.1f}" x2="{x[cursor]:.1f}" y1="{top}" y2="{height - bottom}"'
            f' stroke="rgb{CURSOR_COLOUR}"/>'
        )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
        ' font-size="11" fill="currentColor" font-family="sans-serif">'
        f"<title>{n} values</title>{''.join(axes)}{_paths(x, y, np.isfinite(values))}</svg>"
    )


def colour_bar(colormap: str, limits: Limits, *, width: int = 240) -> str:
    """Return an HTML line: the least value, the colours, the greatest value."""
    stops = ",".join(f"#{text}" for text in COLORMAPS[colormap].split())
    bar = (
        f'<span style="display:inline-block;width:{width}px;height:10px;margin:0 6px;'
        f'background:linear-gradient(to right,{stops})"></span>'
    )
    return f"<span>{limits.low:.6g}{bar}{limits.high:.6g}</span>"


def _paths(x: Array, y: Array, good: Array) -> str:
    """Return the unbroken pieces of a line; a lonely value is a point."""
    found = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin == 1:
            found.append(f'<circle cx="{x[begin]:.1f}" cy="{y[begin]:.1f}" r="2" fill="#1f77b4"/>')
            continue
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in zip(x[begin:end], y[begin:end], strict=True))
        found.append(f'<polyline points="{points}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>')
    return "".join(found)


def _shares(values: Array, limits: Limits) -> Array:
    """Return how far values are on the way from the first limit (0) to the last (1), at most -8 or 8."""
    work = values.astype(np.float64)
    low, high = limits
    if not math.isfinite(high - low):
        work, low, high = work / 4, low / 4, high / 4
    with np.errstate(invalid="ignore", over="ignore"):
        work -= low
        work /= high - low
    return np.clip(work, -8, 8, out=work)


def _finite(values: Array) -> Array:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values.reshape(-1)


def _magnified(pixels: Array, factors: tuple[int, int]) -> Array:
    rows, columns = factors
    if rows > 1:
        pixels = np.repeat(pixels, rows, axis=0)
    return np.repeat(pixels, columns, axis=1) if columns > 1 else pixels


def _draw_cross(
    pixels: Array, cursor: tuple[int, int], factors: tuple[int, int], colour: int | Array = CURSOR
) -> None:
    """Draw broken lines through the middle of an item; the item itself stays as it is."""
    row, column = (
        min(at * factor + factor // 2, n - 1)
        for at, factor, n in zip(cursor, factors, pixels.shape, strict=False)
    )
    for line, middle, half in (
        (pixels[row], column, factors[1] // 2 + 2),
        (pixels[:, column], row, factors[0] // 2 + 2),
    ):
        at = np.arange(len(line))
        line[(at // 4 % 2 == 0) & (abs(at - middle) > half)] = colour


def _png(shape: tuple[int, int], kind: int, rows: Array, extra: bytes = b"") -> bytes:
    height, width = shape
    raw = np.zeros((height, rows.shape[1] + 1), np.uint8)  # each row begins with its filter: none
    raw[:, 1:] = rows
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", head)
        + extra
        + _chunk(b"IDAT", zlib.compress(raw.tobytes(), 1))
        + _chunk(b"IEND", b"")
    )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
