"""How things look: files in one line or a table, trees, events, and large arrays by their corners."""

from __future__ import annotations

import datetime
import html
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from caterva2.errors import Caterva2Error
from caterva2.model.slicing import Axis, Window

if TYPE_CHECKING:
    import numpy.typing as npt

    from caterva2.client.description import Description
    from caterva2.client.reading import Reader
    from caterva2.model.events import Envelope
    from caterva2.model.paths import DatasetPath

EDGE = 3
"""Items that NumPy shows at each end of a long axis."""
THRESHOLD = 1000
"""NumPy shows arrays with more items in short."""
WHOLE_BYTES = 1 << 20
"""Arrays of so many bytes are read at once even if only their corners are shown."""

Tree: TypeAlias = "dict[str, Tree | None]"

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def one_line(kind: str, path: DatasetPath, described: Description | None) -> str:
    """Return the ``repr`` of a file; no more is asked of the server."""
    return f"<{kind}: {path}{_facts(described)}>"


def _facts(described: Description | None) -> str:
    if described is None:
        return ""
    if described.reason is not None:
        return f" broken: {described.reason}"
    try:
        if described.is_array:
            return f" shape={described.shape} dtype={described.dtype}"
        return f" nbytes={described.nbytes}"
    except Caterva2Error as exc:
        return f" ({exc.message})"


def dataset_html(kind: str, path: DatasetPath, described: Description | None) -> str:
    """Return a table for notebooks; no more is asked of the server."""
    rows = [("path", str(path)), *_rows(described)]
    lines = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left">{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table><caption>{html.escape(kind)}</caption><tbody>{lines}</tbody></table>"


def _rows(described: Description | None) -> list[tuple[str, str]]:
    if described is None:
        return []
    if described.reason is not None:
        return [("broken", described.reason)]
    rows = []
    try:
        if described.is_array:
            rows += [
                ("shape", str(described.shape)),
                ("dtype", str(described.dtype)),
                ("chunks", str(described.chunks)),
                ("blocks", str(described.blocks)),
            ]
        rows.append(("size", nbytes_text(described.nbytes)))
    except Caterva2Error as exc:
        rows.append(("error", exc.message))
    if described.cbytes:
        rows.append(("compressed", nbytes_text(described.cbytes)))
    if described.mtime is not None:
        rows.append(("changed", f"{described.mtime:%Y-%m-%d %H:%M:%S %Z}"))
    rows += [(f"vlmeta.{name}", _short(repr(value))) for name, value in described.vlmeta.items()]
    return rows


def nbytes_text(nbytes: int) -> str:
    """Return a size for people: ``1.5 MiB``."""
    value, unit = float(nbytes), _UNITS[0]
    for unit in _UNITS:
        if value < 1024:
            break
        if unit != _UNITS[-1]:
            value /= 1024
    return f"{nbytes} {unit}" if unit == _UNITS[0] else f"{value:.1f} {unit}"


def array_text(reader: Reader, described: Description, window: Window) -> str:
    """Return what NumPy prints for a window; of a large one only the corners are read."""
    import numpy as np

    if window.size <= THRESHOLD or window.size * described.itemsize <= WHOLE_BYTES:
        data, _ = reader.window(described, window)
        return str(data)
    # The printed form depends on the corners only: one item more stands for what lies between them.
    corners = np.zeros([min(n, 2 * EDGE + 1) for n in window.full_shape], described.dtype)
    generation = None
    for source, target in _corners(window):
        data, generation = reader.window(described, source, generation=generation)
        corners[target] = data.reshape(source.full_shape)
    shown = corners.reshape([min(n, 2 * EDGE + 1) for n in window.shape])
    with np.printoptions(threshold=0, edgeitems=EDGE):
        return str(shown)


def json_values(data: Any) -> dict[str, Any]:  # noqa: ANN401  (array, scalar or bytes)
    """Return data as JSON can say them.

    Arrays become ``shape``, ``dtype`` and nested lists in ``data``; complex numbers pairs, what is
    not finite ``null`` (NaN) or text, fields of structured arrays lists by name. Bytes become
    ``text`` if they are UTF-8, else ``base64``.
    """
    if isinstance(data, bytes):
        try:
            return {"nbytes": len(data), "text": data.decode("utf-8")}
        except UnicodeDecodeError:
            import base64

            return {"nbytes": len(data), "base64": base64.b64encode(data).decode("ascii")}
    import numpy as np

    array = np.asarray(data)
    return {"shape": list(array.shape), "dtype": str(array.dtype), "data": _plain(array)}


def event_text(envelope: Envelope) -> str:
    """Return an event in a line for people."""
    from caterva2.model.datasets import ArrayInfo, BrokenInfo
    from caterva2.model.events import DatasetChanged, DatasetRemoved, DirectoryChanged, RootChanged

    event = envelope.event
    at = datetime.datetime.fromtimestamp(envelope.at).astimezone()
    if isinstance(event, DatasetChanged):
        info = event.entry.info
        what = f"changed  {event.root}/{event.entry.path}"
        if isinstance(info, ArrayInfo):
            what += f"  {info.shape} {info.dtype}"
        elif isinstance(info, BrokenInfo):
            what += f"  broken: {info.reason}"
    elif isinstance(event, DatasetRemoved):
        what = f"removed  {event.root}/{event.path}"
    elif isinstance(event, DirectoryChanged):
        what = f"{'made' if event.exists else 'removed'}  {event.root}/{event.path}/"
    elif isinstance(event, RootChanged):
        what = f"{event.status}  {event.root}  at {event.http}"
    else:
        what = f"missed events of {event.root or 'all roots'}: list again"
    return f"{at:%H:%M:%S}  {what}"


def grow_tree(names: Iterable[str]) -> Tree:
    """Return nested mappings of paths; files are None."""
    tree: Tree = {}
    for name in names:
        *parents, last = name.split("/")
        branch = tree
        for parent in parents:
            below = branch.get(parent)
            if below is None:
                below = branch[parent] = {}
            branch = below
        branch.setdefault(last, None)
    return tree


def draw_tree(tree: Tree, indent: str = "") -> Iterator[str]:
    """Yield the lines of a tree."""
    for at, (name, below) in enumerate(tree.items(), 1):
        is_last = at == len(tree)
        yield f"{indent}{'└── ' if is_last else '├── '}{name}"
        if below is not None:
            yield from draw_tree(below, indent + ("    " if is_last else "│   "))


def _plain(array: npt.NDArray[Any]) -> Any:  # noqa: ANN401
    import numpy as np

    if array.dtype.names:
        return {name: _plain(array[name]) for name in array.dtype.names}
    kind = array.dtype.kind
    if kind == "c":
        return _plain(np.stack([array.real, array.imag], axis=-1))
    if kind == "f":
        values = array.astype(np.float64)
        if np.isfinite(values).all():
            return values.tolist()
        boxed = values.astype(object)
        boxed[np.isnan(values)] = None
        boxed[values == np.inf] = "Infinity"
        boxed[values == -np.inf] = "-Infinity"
        return boxed.tolist()
    if kind == "S":
        return np.char.decode(array, "utf-8", "replace").tolist()
    if kind in "mM":
        return array.astype(str).tolist()
    if kind == "V":
        flat = [bytes(item).hex() for item in array.reshape(-1)]
        return np.array(flat, object).reshape(array.shape).tolist()
    return array.tolist()


def _corners(window: Window) -> list[tuple[Window, tuple[slice, ...]]]:
    per_axis: list[Sequence[tuple[Axis, slice]]] = []
    for axis in window.axes:
        n = len(axis)
        if n <= 2 * EDGE:
            per_axis.append([(axis, slice(0, n))])
            continue
        low = Axis(axis.start, axis.start + (EDGE - 1) * axis.step + 1, axis.step)
        high = Axis(axis.start + (n - EDGE) * axis.step, axis.stop, axis.step)
        per_axis.append([(low, slice(0, EDGE)), (high, slice(EDGE + 1, 2 * EDGE + 1))])
    return [
        (Window(tuple(axis for axis, _ in choice)), tuple(goal for _, goal in choice))
        for choice in itertools.product(*per_axis)
    ]


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
