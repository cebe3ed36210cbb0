"""Where a viewer reads: windows of a dataset at a server, or of an array in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from caterva2_jupyter.widgets.model import Plane, Subject, View

if TYPE_CHECKING:
    from caterva2.client.tree import Dataset


class Source(Protocol):
    """Something of which windows can be read."""

    def describe(self) -> Subject:
        """Return what is known of it."""
        ...

    def refresh(self) -> Subject:
        """Ask what it is now; blocking."""
        ...

    def read(self, view: View) -> Plane:
        """Read what a view shows; blocking."""
        ...

    def item(self, view: View) -> Any:  # noqa: ANN401
        """Read the item at the position of a view; blocking."""
        ...


class DatasetSource:
    """A dataset of a server; only windows travel."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def describe(self) -> Subject:
        """Return what is known of it."""
        dataset = self.dataset
        return Subject(str(dataset.path), dataset.shape, dataset.dtype)

    def refresh(self) -> Subject:
        """Ask the server for the description again."""
        self.dataset.refresh()
        return self.describe()

    def read(self, view: View) -> Plane:
        """Fetch what a view shows, at most ``points`` items along each axis."""
        data, steps = self.dataset.window(view.items, points=view.points, field=view.read_field)
        return Plane(data, steps)

    def item(self, view: View) -> Any:  # noqa: ANN401
        """Fetch one item."""
        data, _ = self.dataset.window(view.item, field=view.read_field)
        return data[()]


class ArraySource:
    """An array in memory: anything that has a shape, a dtype, and slices."""

    def __init__(self, array: Any, name: str = "array") -> None:  # noqa: ANN401
        self._array = array
        self._name = name

    def describe(self) -> Subject:
        """Return what it is."""
        return Subject(self._name, tuple(self._array.shape), np.dtype(self._array.dtype))

    def refresh(self) -> Subject:
        """Return what it is now."""
        return self.describe()

    def read(self, view: View) -> Plane:
        """Take what a view shows."""
        key, steps = [], []
        for item in view.items:
            if isinstance(item, slice):
                steps.append(max(1, -(-(item.stop - item.start) // view.points)))
                item = slice(item.start, item.stop, steps[-1])
            key.append(item)
        data = np.asarray(self._array[tuple(key)])
        return Plane(data if view.read_field is None else data[view.read_field], tuple(steps))

    def item(self, view: View) -> Any:  # noqa: ANN401
        """Take one item."""
        data = np.asarray(self._array[view.item])
        return (data if view.read_field is None else data[view.read_field])[()]
