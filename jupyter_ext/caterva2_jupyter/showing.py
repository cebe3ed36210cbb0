"""Datasets, files and directories at the end of a cell, and `show`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, overload

from caterva2_jupyter.bars import has_widgets

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from caterva2.client.api import Client
    from caterva2.client.tree import Dataset, Directory
    from caterva2_jupyter.widgets.browser import Browser
    from caterva2_jupyter.widgets.viewer import Link, Viewer

_TREE = "caterva2.client.tree"


@overload
def show(what: Directory) -> Browser: ...


@overload
def show(what: Dataset, **view: Any) -> Viewer: ...  # noqa: ANN401


@overload
def show(what: object, **view: Any) -> Any: ...  # noqa: ANN401


def show(what: object, **view: Any) -> Any:
    """Look at a dataset: planes as pictures, lines, tables, with sliders for the other axes.

    Only what is seen is read, and beside the kernel, which stays free.

    Parameters
    ----------
    what
        A `caterva2.Dataset`, its path at the subscriber of this notebook (``"foo/ds.b2nd"``),
        or an array in memory; or a root or directory, to look around in it.
    **view
        Properties of the viewer to begin with, such as ``mode="table"``, ``axes=(0, 2)``,
        ``position=(3, 0, 0)``, ``colormap="gray"``, ``limits=(0, 1)``.

    Returns
    -------
    Viewer or Browser
        The widget; it is shown if it is the last value of a cell.

    Raises
    ------
    NotADataset
        There is no array at the path.
    """
    from caterva2.client.tree import Dataset, Directory
    from caterva2.errors import NotADataset

    if isinstance(what, str):
        what = _client().get(what.rstrip("/"))
    if isinstance(what, Directory):
        from caterva2_jupyter.widgets.browser import Browser

        if view:
            raise TypeError(f"a browser has no property {next(iter(view))!r} to begin with")
        return Browser(what)
    from caterva2_jupyter.widgets.sources import ArraySource, DatasetSource, Source
    from caterva2_jupyter.widgets.viewer import Viewer

    is_array = hasattr(what, "shape") and hasattr(what, "dtype")
    if not is_array:
        raise NotADataset(f"expected a dataset, found {what!r}")
    source: Source = DatasetSource(what) if isinstance(what, Dataset) else ArraySource(what)
    viewer = Viewer(source)
    for name, value in view.items():
        if name not in {"mode", "axes", "position", "field", "colormap", "limits"}:
            raise TypeError(f"a viewer has no property {name!r} to begin with")
        setattr(viewer, name, value)
    return viewer


def link(one: Viewer, other: Viewer, *what: str) -> Link:
    """Let two viewers follow one another.

    Parameters
    ----------
    *what
        Any of ``position`` (with the cursor), ``axes``, ``spans``, ``colours`` and ``mode``; all but
        the last if nothing is said.

    Returns
    -------
    Link
        Its `unlink` ends it.
    """
    from caterva2_jupyter.widgets.viewer import LINKED, Link

    unknown = set(what) - {*LINKED, "mode"}
    if unknown:
        raise ValueError(f"expected some of {', '.join(LINKED)}, mode; found {', '.join(sorted(unknown))}")
    return Link(one, other, what or LINKED)


def register(shell: InteractiveShell) -> None:
    """Let a shell show our objects as widgets, where it can show widgets."""
    formatter = _formatter(shell)
    formatter.for_type_by_name(_TREE, "Dataset", dataset_bundle)
    formatter.for_type_by_name(_TREE, "Directory", directory_bundle)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`."""
    formatter = _formatter(shell)
    for name in ("Dataset", "Directory"):
        formatter.pop((_TREE, name), None)


def dataset_bundle(dataset: Dataset) -> dict[str, Any] | None:
    """Return how a dataset looks, as media types; None for how it looks without us."""
    if not has_widgets() or dataset.reason is not None:
        return None
    viewer = show(dataset)
    bundle = viewer._repr_mimebundle_()
    bundle["text/plain"] = repr(dataset)
    return bundle


def directory_bundle(directory: Directory) -> dict[str, Any] | None:
    """Return how a directory looks, as media types; None for how it looks without us."""
    if not has_widgets():
        return None
    bundle = show(directory)._repr_mimebundle_()
    bundle["text/plain"] = repr(directory)
    return bundle


def _client() -> Client:
    """Return the subscriber that ``%caterva2`` uses, or else the one that is found."""
    if "IPython" in sys.modules:
        from IPython.core.getipython import get_ipython

        shell = get_ipython()
        magics = None if shell is None else shell.magics_manager.registry.get("Caterva2Magics")
        if magics is not None:
            client: Client = magics.context.client
            return client
    from caterva2_jupyter.kernel import connect

    return connect()


def _formatter(shell: InteractiveShell) -> Any:  # noqa: ANN401
    display = shell.display_formatter
    assert display is not None
    return display.mimebundle_formatter
