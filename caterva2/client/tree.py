"""Roots, directories, files and datasets as Python objects, in the manner of h5py. Reading is lazy."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from caterva2.client import calls, transfers
from caterva2.client.decode import as_result
from caterva2.client.display import array_text, dataset_html, one_line
from caterva2.client.session import Session, UserAuth
from caterva2.errors import BadRequest, BadSlice, DatasetChanged, NotADataset, NotFound, RouteNotFound
from caterva2.model.paths import DatasetPath
from caterva2.model.requests import FetchQuery, WindowQuery
from caterva2.model.slicing import NDSlice
from caterva2.model.trees import DEFAULT_LIMIT, TreePage, TreeQuery

if TYPE_CHECKING:
    import blosc2
    import dask.array
    import numpy as np
    import numpy.typing as npt

    from caterva2.client.daskarray import Chunks
    from caterva2.client.description import Description
    from caterva2.client.transfers import Progress
    from caterva2.client.urlbase import Urlbase

ITER_BYTES = 16 << 20
"""Iteration reads ahead at most so many bytes, unless a single item is larger."""


def to_slice(key: object) -> NDSlice:
    """Read what people pass as a slice: None (whole), text, or what NumPy takes in brackets.

    Raises
    ------
    BadSlice
        It is none of these, or has a zero or negative step.
    """
    if key is None:
        return NDSlice()
    if isinstance(key, str):
        return NDSlice.parse(key, allow_ellipsis=True)
    return NDSlice.from_key(key)


class Described:
    """What is known of a file without reading its data.

    Parameters
    ----------
    path
        Root and parts.
    described
        What the server said; None if it was not asked yet.
    """

    def __init__(self, path: DatasetPath, urlbase: Urlbase, described: Description | None) -> None:
        self._path = path
        self._urlbase = urlbase
        self._described = described

    @property
    def path(self) -> PurePosixPath:
        """Root and path below it."""
        return PurePosixPath(str(self._path))

    @property
    def name(self) -> str:
        """Path below the root."""
        return self._path.relative

    @property
    def root(self) -> str:
        """Name of the root."""
        return self._path.root

    @property
    def urlbase(self) -> str:
        """Address of the server."""
        return str(self._urlbase)

    @property
    def description(self) -> Description:
        """What the server said of the file."""
        if self._described is None:
            raise NotADataset(f"{self._path} has not been described yet")
        return self._described

    @property
    def meta(self) -> Mapping[str, Any]:
        """The description as the server sent it."""
        return self.description.meta

    @property
    def kind(self) -> str:
        """``array``, ``frame``, ``file`` or ``broken``."""
        return self.description.kind

    @property
    def reason(self) -> str | None:
        """Why the file can not be read; None if it can."""
        return self.description.reason

    @property
    def etag(self) -> str | None:
        """Token of the generation that was described; None if the server told none."""
        return self.description.etag

    @property
    def mtime(self) -> datetime.datetime | None:
        """Time of the last change."""
        return self.description.mtime

    @property
    def vlmeta(self) -> dict[str, Any]:
        """User attributes."""
        return self.description.vlmeta

    @property
    def size(self) -> int:
        """Number of items."""
        return self.description.size

    @property
    def nbytes(self) -> int:
        """Uncompressed size in bytes."""
        return self.description.nbytes

    def get_download_url(self) -> str:
        """Return the URL under which the whole file can be downloaded."""
        return f"{self._urlbase.url}{calls.fetch(self._path).target}"

    def __repr__(self) -> str:
        return one_line(type(self).__name__, self._path, self._described)

    def _repr_html_(self) -> str:
        return dataset_html(type(self).__name__, self._path, self._described)


class ArrayAttributes(Described):
    """The attributes of an array, in the words of NumPy and Blosc2."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths (ndim,) in items."""
        return self.description.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an item."""
        return self.description.dtype

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape (ndim,) of a chunk, in items."""
        return self.description.chunks

    @property
    def blocks(self) -> tuple[int, ...]:
        """Shape (ndim,) of a block, in items."""
        return self.description.blocks

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


class File(Described):
    """A file of a server: a sequence of bytes, sliced by items.

    Parameters
    ----------
    name
        Path below the root.
    root
        Name of the root.
    urlbase
        Address of the server; None for ``http://localhost:8002``.
    auth_cookie
        Who asks, as `caterva2.get_auth_cookie` returns it.

    Examples
    --------
    ``file[:100]`` are the first 100 bytes, ``file[:]`` all of them.
    """

    def __init__(
        self,
        name: str,
        root: str,
        urlbase: str | None = None,
        auth_cookie: str | None = None,
        *,
        session: Session | None = None,
        described: Description | None = None,
    ) -> None:
        self._session = session or Session(urlbase, auth_cookie=auth_cookie)
        super().__init__(DatasetPath.parse(root) / name, self._session.urlbase, described)

    @property
    def auth_cookie(self) -> str | None:
        """Who asks."""
        return self._session.auth_cookie

    @property
    def description(self) -> Description:
        """What the server said of the file; asked for once."""
        if self._described is None:
            self._described = self._session.send(calls.info(self._path))
        return self._described

    def refresh(self) -> Self:
        """Ask the server for the description again."""
        self._described = self._session.send(calls.info(self._path))
        return self

    def fetch(self, slice_: object = None, *, field: str | None = None) -> Any:  # noqa: ANN401
        """Read a slice.

        Parameters
        ----------
        slice_
            None for the whole, text such as ``"0:10, 5"``, or what NumPy takes in brackets.
        field
            One field of a structured array; None for all.

        Returns
        -------
        ndarray, scalar or bytes
            As NumPy would give; bytes for files that are no arrays.

        Raises
        ------
        BadSlice
            The slice is malformed, out of bounds or has too many axes.
        BrokenDataset
            The file can not be read as what it claims to be.
        """
        return self._read(to_slice(slice_), field)

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401
        return self._read(NDSlice.from_key(key), None)

    def slice(
        self, key: object = None, as_blosc2: bool = True
    ) -> blosc2.NDArray | blosc2.SChunk | npt.NDArray[Any] | bytes:
        """Read a slice as a Blosc2 object in memory, or like `fetch`."""
        if not as_blosc2:
            data: npt.NDArray[Any] | bytes = self.fetch(key)
            return data
        wanted = to_slice(key)
        if Ellipsis in wanted.items:
            from caterva2.client.reading import as_slice

            wanted = as_slice(wanted.bind(self.description.shape), self.description.shape)
        return self._session.reader.holder(self._path, wanted)

    def download(
        self, localpath: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
    ) -> Path:
        """Save the whole file.

        Parameters
        ----------
        localpath
            File, or directory to save in; None for the path of the file, below the current directory.
        progress
            Called with the bytes that arrived, and the bytes of the whole.

        Returns
        -------
        Path
            Where it was saved.
        """
        target = transfers.local_target(self._path, localpath)
        return transfers.download_file(self._session.channel, self._path, target, progress=progress)

    def move(self, dst: str | PurePosixPath) -> PurePosixPath:
        """Move it inside the areas; return its new path. This object stands for the old one."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.move(self._path, dst)))

    def copy(self, dst: str | PurePosixPath) -> PurePosixPath:
        """Copy it into an area; return the path of the copy."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.copy(self._path, dst)))

    def remove(self) -> PurePosixPath:
        """Remove it; return its path."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.remove(self._path)))

    def __len__(self) -> int:
        shape = self.description.shape
        if not shape:
            raise TypeError(f"{self._path} has no axis, and thus no length")
        return shape[0]

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        described = self.description
        length = len(self)
        step = _rows_per_read(described)
        for start in range(0, length, step):
            data = self._session.reader.bytes(
                described, NDSlice((slice(start, min(start + step, length)),)).bind(described.shape)
            )
            n = described.itemsize
            yield from (data[at : at + n] for at in range(0, len(data), n))

    def _read(self, wanted: NDSlice, field: str | None) -> Any:  # noqa: ANN401
        try:
            return self._read_described(wanted, field)
        except DatasetChanged:
            # Described before it changed; whoever asks now means what is there now.
            self.refresh()
            return self._read_described(wanted, field)

    def _read_described(self, wanted: NDSlice, field: str | None) -> Any:  # noqa: ANN401
        if field is not None:
            raise BadSlice(f"{self._path} is a sequence of bytes; it has no field {field!r}")
        described = self.description
        return self._session.reader.bytes(described, wanted.bind(described.shape))


class Dataset(File, ArrayAttributes):
    """An n-dimensional array of a server; brackets read a slice of it.

    Examples
    --------
    ``dataset[0:10, ..., 5]`` is a NumPy array; ``dataset["a"]`` one field of a structured one.
    """

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401
        if isinstance(key, str):
            return self._read(NDSlice(), key)
        return self._read(NDSlice.from_key(key), None)

    def filter(
        self,
        condition: str | None = None,
        *,
        sortby: str | None = None,
        field: str | None = None,
        slice_: object = None,
    ) -> npt.NDArray[Any]:
        """Read rows of a structured array; the server selects and sorts them.

        Parameters
        ----------
        condition
            Expression over the columns, such as ``"(a > 3) & (b < 0.5)"``; None for all rows.
        sortby
            Column by which the rows are sorted, or several with commas between; ``-`` in front of
            one is downwards. Rows that are equal stay in their order.
        field
            Only this column.
        slice_
            Only these of the selected rows; as for `fetch`.

        Raises
        ------
        BadExpression
            The condition is not in the grammar, or not true or false for each row.
        """
        query = FetchQuery(slice_=str(to_slice(slice_)) or None, field=field, filter=condition, sortby=sortby)
        return self._session.reader.rows(self._path, query)

    def window(
        self, slice_: object = None, *, points: int | None = None, field: str | None = None
    ) -> tuple[npt.NDArray[Any], tuple[int, ...]]:
        """Read a slice for looking at it: of what is large only every k-th item.

        Parameters
        ----------
        slice_
            As for `fetch`.
        points
            Most items along each axis of the result; None for all.
        field
            One field of a structured array.

        Returns
        -------
        ndarray, tuple of int
            The items, and how many items of the dataset lie from one to the next along each axis.
        """
        import numpy as np

        from caterva2.client.reading import as_slice

        shape = self.description.shape
        bound = to_slice(slice_).bind(shape)
        query = WindowQuery(slice_=str(as_slice(bound, shape)) or None, points=points, field=field)
        try:
            return self._session.reader.look(self._path, query)
        except NotFound as exc:
            if type(exc) not in {NotFound, RouteNotFound}:
                raise
        # An older server; it knows steps, but not which ones are cheap.
        steps = [
            axis.step * (1 if points is None else max(1, -(-len(axis) // points))) for axis in bound.axes
        ]
        axes = zip(bound.axes, steps, strict=True)
        thin = NDSlice(tuple(a.start if a.drop else slice(a.start, a.stop, step) for a, step in axes))
        kept = tuple(step for axis, step in zip(bound.axes, steps, strict=True) if not axis.drop)
        return np.asarray(self._read(thin, field)), kept

    def explain(
        self,
        slice_: object = None,
        *,
        field: str | None = None,
        condition: str | None = None,
        sortby: str | None = None,
    ) -> dict[str, Any]:
        """Return what fetching a slice would be and cost; see `caterva2.explain`."""
        from caterva2.client import lazy

        return lazy.explained(self._session, self._path, slice_, field, condition, sortby)

    @property
    def expression(self) -> str | None:
        """How it is computed; None for stored data."""
        found = self.meta.get("expression")
        return found if isinstance(found, str) else None

    @property
    def operands(self) -> dict[str, str]:
        """Paths of what it is computed from, by name."""
        found = self.meta.get("operands")
        return dict(found) if isinstance(found, Mapping) else {}

    def preview(self, slice_: object = None) -> str:
        """Return what NumPy prints for a slice; of a large one only the corners are read.

        Parameters
        ----------
        slice_
            As for `fetch`.
        """
        described = self.description
        return array_text(self._session.reader, described, to_slice(slice_).bind(described.shape))

    def append(self, data: object) -> tuple[int, ...]:
        """Append an array along axis 0; return the new shape. This object takes note of it."""
        from caterva2.client import uploads

        frame = data if isinstance(data, bytes) else uploads.as_frame(data)
        if frame is None:
            raise BadRequest(f"expected an array, found {type(data).__name__}")
        shape = tuple(self._session.patient(uploads.multipart("append", self._path, frame, "rows.b2nd")))
        self.refresh()
        return shape

    def to_dask(self, chunks: Chunks = "auto", *, field: str | None = None) -> dask.array.Array:
        """Return a dask array; nothing is read until it is computed.

        Its tasks read one window each, all of the generation that this object describes. They can run
        in other processes and on other machines that reach the server: these find credentials as
        every client does, none travel with the task.

        Parameters
        ----------
        chunks
            As for ``dask.array.from_array``; ``"auto"`` makes windows of whole stored chunks, None one
            window of each stored chunk.
        field
            One field of a structured array; None for the items as they are.

        Raises
        ------
        MissingPackage
            Dask is not installed.
        """
        from caterva2.client.daskarray import to_dask

        return to_dask(self._session, self.description, chunks, field=field)

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        import numpy as np

        if copy is False:
            raise ValueError(f"{self._path} is not in memory; reading it makes a copy")
        return np.asarray(self._read(NDSlice((Ellipsis,)), None), dtype=dtype)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the first axis; reads some chunks at a time, all of one generation."""
        described = self.description
        length = len(self)
        step = _rows_per_read(described)
        generation = None
        for start in range(0, length, step):
            window = NDSlice((slice(start, min(start + step, length)),)).bind(described.shape)
            rows, generation = self._session.reader.window(described, window, generation=generation)
            yield from rows

    def _read_described(self, wanted: NDSlice, field: str | None) -> Any:  # noqa: ANN401
        described = self.description
        window = wanted.bind(described.shape)
        reader = self._session.reader
        if field is not None:
            names = described.dtype.names or ()
            if field not in names:
                found = f"it has {', '.join(names)}" if names else "its items have no fields"
                raise BadSlice(f"{self._path} has no field {field!r}; {found}")
            from caterva2.client.reading import as_slice

            data, _ = reader.slice(self._path, as_slice(window, described.shape), column=field)
        else:
            data, generation = reader.window(described, window)
            if None not in {generation, described.etag} and generation != described.etag:
                # Same shape and dtype, but attributes may be others: describe it again when asked.
                self._described = None
        return as_result(data, wanted)


class Directory:
    """A directory of a server: a mapping of paths to files, and an iterable of paths.

    Parameters
    ----------
    path
        Root and parts.
    session
        How to reach the server.
    """

    def __init__(self, path: DatasetPath, session: Session) -> None:
        self._path = path
        self._session = session

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self._path.name

    @property
    def path(self) -> PurePosixPath:
        """Root and path below it."""
        return PurePosixPath(str(self._path))

    @property
    def urlbase(self) -> str:
        """Address of the server."""
        return str(self._session.urlbase)

    @property
    def auth_cookie(self) -> str | None:
        """Who asks."""
        return self._session.auth_cookie

    @property
    def file_list(self) -> list[str]:
        """Sorted paths of all files below, relative to this; asks the server each time."""
        return self._session.send(calls.list_files(self._path))

    def page(
        self,
        below: str = "",
        *,
        after: str | None = None,
        limit: int = DEFAULT_LIMIT,
        filter: str | None = None,
        recursive: bool = False,
    ) -> TreePage:
        """Return a page of what is in it, or in a directory `below` it; see `Client.tree`."""
        path = self._path / below if below else self._path
        query = TreeQuery(after=after, limit=limit, filter=filter or None, recursive=recursive)
        return self._session.send(calls.tree(path, query))

    def __getitem__(self, path: str) -> File | Directory:
        """Return the `Dataset`, `File` or `Directory` at a path.

        Raises
        ------
        DatasetNotFound
            There is none.
        """
        return open_path(self._session, self._path / str(path))

    def __contains__(self, path: object) -> bool:
        try:
            self._session.send(calls.info(self._path / str(path)))
        except (NotFound, ValueError):
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self.file_list)

    def __len__(self) -> int:
        return len(self.file_list)

    def __bool__(self) -> bool:
        return True

    def download(
        self, localpath: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
    ) -> Path:
        """Save all files below; `localpath` is their directory. See `File.download`."""
        target = Path(str(self._path)) if localpath is None else Path(localpath)
        return transfers.download_tree(
            self._session.channel, self._path, self.file_list, target, progress=progress
        )

    def move(self, dst: str | PurePosixPath) -> PurePosixPath:
        """Move it inside the areas; return its new path. This object stands for the old one."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.move(self._path, dst)))

    def copy(self, dst: str | PurePosixPath) -> PurePosixPath:
        """Copy it into an area; return the path of the copy."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.copy(self._path, dst)))

    def remove(self) -> PurePosixPath:
        """Remove it; return its path."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.remove(self._path)))

    def upload(
        self,
        local_dset: str | os.PathLike[str] | bytes | object,
        remotepath: str | PurePosixPath | None = None,
        *,
        progress: Progress | None = None,
    ) -> File | Directory:
        """Store a file, a directory, an array or bytes below this; return what it has become.

        Parameters
        ----------
        remotepath
            Path below this; None for the name of the local file.
        """
        from caterva2.client.api import Client

        name = remotepath
        if name is None:
            if not isinstance(local_dset, str | os.PathLike):
                raise BadRequest("an array has no name: say the path to store it at")
            name = Path(local_dset).name
        client = Client.of(self._session)
        return open_path(
            self._session,
            calls.parse_path(str(client.upload(local_dset, self._path / str(name), progress=progress))),
        )

    def mkdir(self, name: str) -> PurePosixPath:
        """Make a directory below this."""
        from caterva2.client import uploads

        return PurePosixPath(self._session.patient(uploads.make_directory(self._path / name)))

    def targets(self, localpath: str | os.PathLike[str]) -> Iterator[tuple[File, Path]]:
        """Yield the files below, and where each belongs if this is saved as `localpath`."""
        for path, target in transfers.tree_targets(self._path, self.file_list, Path(localpath)):
            yield File(path.relative, path.root, session=self._session), target

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._path}>"

    def __str__(self) -> str:
        return str(self._path)


class Root(Directory):
    """A root of a server; making one subscribes to it.

    Parameters
    ----------
    name
        Name of the root, or of an area such as ``@public``.
    urlbase
        Address of the server; None for ``http://localhost:8002``.
    user_auth
        Name and password of a user: a pair, or a mapping with ``username`` and ``password``.
    auth_cookie
        Who asks, as `caterva2.get_auth_cookie` returns it.

    Raises
    ------
    RootNotFound
        The server knows no such root.

    Examples
    --------
    ``Root("foo")["dir1/ds-3d.b2nd"][0]`` reads a plane.
    """

    def __init__(
        self,
        name: str,
        urlbase: str | None = None,
        user_auth: UserAuth | None = None,
        *,
        auth_cookie: str | None = None,
        session: Session | None = None,
    ) -> None:
        path = DatasetPath.parse(name)
        if path.parts:
            raise NotFound(f"{name!r} is a path, not the name of a root", hint="use caterva2.get")
        super().__init__(path, session or Session(urlbase, auth=user_auth, auth_cookie=auth_cookie))
        self._session.send(calls.subscribe(path.root))


def open_path(session: Session, path: DatasetPath) -> File | Directory:
    """Return the object at a path: root, directory, file or dataset."""
    if not path.parts:
        return Root(path.root, session=session)
    return from_description(session, session.send(calls.info(path)))


def from_description(session: Session, described: Description) -> File | Directory:
    """Return the object for what a server said."""
    path = described.path
    if described.kind == "group":
        return Directory(path, session)
    cls = Dataset if is_dataset(described) else File
    return cls(path.relative, path.root, session=session, described=described)


def is_dataset(described: Description) -> bool:
    """Whether a file is an array, or claims to be one and is broken."""
    return described.is_array or (described.kind == "broken" and described.path.name.endswith(".b2nd"))


def _rows_per_read(described: Description) -> int:
    """Return how many items of the first axis iteration reads at once: some rows of chunks."""
    length, rows = described.shape[0], max(1, described.chunks[0])
    row_nbytes = max(1, described.nbytes // max(1, length))
    most = max(1, ITER_BYTES // row_nbytes)
    return most // rows * rows if most >= rows else most
