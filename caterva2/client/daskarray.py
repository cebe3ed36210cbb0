"""Datasets as dask arrays: a graph whose tasks read windows of one generation, wherever they run."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from caterva2.client.description import Description
from caterva2.client.session import Session
from caterva2.errors import BadSlice, DatasetChanged, MissingPackage
from caterva2.model.paths import DatasetPath
from caterva2.model.slicing import NDSlice

if TYPE_CHECKING:
    import dask.array
    import numpy as np
    import numpy.typing as npt

Chunks: TypeAlias = int | str | Sequence[Any] | Mapping[int, Any] | None
"""What dask takes as ``chunks``; None for the chunks as they are stored."""


class WindowSource:
    """An array of one generation that reads what it is indexed with; may be used by many threads.

    Pickled, it is an address, a path and a generation. Whoever loads it finds credentials as every
    client does: none travel.

    Parameters
    ----------
    described
        What the windows are windows of.
    field
        One field of a structured array; None for the items as they are.
    """

    def __init__(self, session: Session, described: Description, field: str | None = None) -> None:
        self._session = session
        self._described = described
        self._field = field
        self.shape = described.shape
        self.ndim = len(described.shape)
        self.dtype: np.dtype[Any] = field_dtype(described, field)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - what NumPy takes
        """Read a window: integers, and slices with positive steps.

        Raises
        ------
        DatasetChanged
            The server has another generation now.
        """
        described, reader = self._described, self._session.reader
        window = NDSlice.from_key(key).bind(described.shape)
        try:
            if self._field is None:
                return reader.window(described, window, generation=described.etag)[0]
            from caterva2.client.reading import as_slice

            data, _ = reader.slice(
                described.path,
                as_slice(window, described.shape),
                column=self._field,
                generation=described.etag,
            )
        except DatasetChanged as exc:
            raise DatasetChanged(
                f"{described.path} changed since the lazy array was made", hint="make it again"
            ) from exc
        if isinstance(data, bytes) or data.shape != window.shape or data.dtype != self.dtype:
            raise DatasetChanged(
                f"{described.path} changed since the lazy array was made", hint="make it again"
            )
        return data

    @property
    def token(self) -> str:
        """Same for the same generation of the same dataset, in every process; holds no secret."""
        described = self._described
        generation = described.etag or repr(sorted(described.meta.items()))
        parts = (str(self._session.urlbase), str(described.path), generation, self._field or "")
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()

    def __reduce__(self) -> tuple[Any, ...]:
        described = self._described
        needed = {name: described.meta[name] for name in ("kind", "shape", "chunks", "dtype")
                  if name in described.meta}  # fmt: skip
        return _loaded, (self._session, str(described.path), needed, described.etag, self._field)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._described.path} {self.shape} {self.dtype}>"


def field_dtype(described: Description, field: str | None) -> np.dtype[Any]:
    """Return the dtype of an array, or of one field of it.

    Raises
    ------
    BadSlice
        There is no such field.
    """
    dtype = described.dtype
    if field is None:
        return dtype
    if field not in (dtype.names or ()):
        found = f"it has {', '.join(dtype.names)}" if dtype.names else "its items have no fields"
        raise BadSlice(f"{described.path} has no field {field!r}; {found}")
    return dtype[field]


def to_dask(
    session: Session, described: Description, chunks: Chunks = "auto", *, field: str | None = None
) -> dask.array.Array:
    """Return a dask array; see `Dataset.to_dask`. Reads nothing."""
    try:
        import dask.array
    except ImportError as exc:
        raise MissingPackage("to_dask needs the package dask", hint="pip install 'caterva2[dask]'") from exc
    import numpy as np

    source = WindowSource(session, described, field)
    windows = window_chunks(described, source.dtype, chunks)
    name = hashlib.blake2b(f"{source.token}{windows}".encode(), digest_size=16).hexdigest()
    made: dask.array.Array = dask.array.from_array(  # type: ignore[no-untyped-call]
        source,
        chunks=windows,
        name=f"caterva2-{name}",
        lock=False,
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * source.ndim, source.dtype),
    )
    return made


def window_chunks(
    described: Description, dtype: np.dtype[Any], chunks: Chunks
) -> tuple[tuple[int, ...], ...]:
    """Return the lengths of the windows along each axis.

    Where dask may choose (``"auto"``, or a number of bytes), windows begin at the borders of stored chunks.
    """
    from dask.array.core import normalize_chunks

    shape = described.shape
    stored = tuple(max(1, min(c, n)) for c, n in zip(described.chunks, shape, strict=True))
    if chunks is None:
        chunks = stored
    if dtype.itemsize == 0 or math.prod(shape) == 0:
        return tuple((n,) for n in shape)
    found: tuple[tuple[int, ...], ...] = normalize_chunks(  # type: ignore[no-untyped-call]
        chunks, shape=shape, dtype=dtype, previous_chunks=stored
    )
    return tuple(
        _aligned(lengths, n, c) if _is_free(chunks, axis) else lengths
        for axis, (lengths, n, c) in enumerate(zip(found, shape, stored, strict=True))
    )


def _is_free(chunks: Chunks, axis: int) -> bool:
    """Whether dask chose the lengths along an axis."""
    if isinstance(chunks, Mapping):
        return isinstance(chunks.get(axis), str)
    if isinstance(chunks, Sequence) and not isinstance(chunks, str):
        return isinstance(chunks[axis], str)
    return isinstance(chunks, str)


def _aligned(lengths: Sequence[int], n: int, chunk: int) -> tuple[int, ...]:
    step = min(n, max(1, lengths[0] // chunk) * chunk)
    whole, rest = divmod(n, step)
    return (step,) * whole + ((rest,) if rest else ())


def _loaded(
    session: Session, path: str, meta: Mapping[str, Any], etag: str | None, field: str | None
) -> WindowSource:
    return WindowSource(session, Description(DatasetPath.parse(path), meta, etag), field)
