"""Datasets and directories of a server as xarray datasets: ``xarray.open_dataset(path, engine="caterva2")``.

The only place that knows xarray, which finds it by the entry point of the package.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from xarray import Variable
from xarray.backends import AbstractDataStore, BackendArray, BackendEntrypoint
from xarray.backends.store import StoreBackendEntrypoint
from xarray.core import indexing

from caterva2.client import calls
from caterva2.client.daskarray import WindowSource
from caterva2.client.session import Session, UserAuth
from caterva2.client.tree import Dataset, Directory, File, from_description
from caterva2.errors import BadPath, NotADataset
from caterva2.model.paths import DatasetPath

if TYPE_CHECKING:
    import xarray

DIMENSIONS = ("_ARRAY_DIMENSIONS", "dims", "dimension_names", "axes")
"""Attributes that name the axes, best first: a list, or text such as ``"x, y"``."""

COORDINATES = "coords"
"""Attribute that holds coordinates: a mapping of names to values, or to ``dims``, ``data`` and ``attrs``."""

OF_ONE_VARIABLE = frozenset(
    ["_FillValue", "add_offset", "calendar", "coordinates", "dtype", "long_name", "missing_value",
     "scale_factor", "standard_name", "units", "valid_max", "valid_min", "valid_range"]
)  # fmt: skip
"""Attributes that say nothing of the dataset around a variable."""

MAX_WINDOWS = 256
"""A selection of scattered items is read in at most so many windows."""

_ENDPOINT = re.compile(
    r"(?P<scheme>https?|caterva2(?:\+https?)?)://(?P<server>[^/?#]+(?:/[^?#]+?)??)"
    r"/api/(?:fetch|download|info|list)/(?P<path>[^?#]+)"
)
_SHORT = re.compile(r"(?P<scheme>caterva2(?:\+https?)?)://(?P<server>[^/?#]+)/+(?P<path>[^?#]+)")
_EXPECTED = (
    "expected a path such as foo/dir/x.b2nd, a URL such as http://localhost:8002/api/fetch/foo/x.b2nd"
    " or caterva2://localhost:8002/foo/x.b2nd, or a Dataset or Directory of caterva2"
)


class Caterva2Backend(BackendEntrypoint):
    """Opens a dataset as an xarray dataset of one variable, and a directory as one of many."""

    description = "Open datasets and directories of a Caterva2 server"
    open_dataset_parameters = (
        "filename_or_obj", "mask_and_scale", "decode_times", "concat_characters", "decode_coords",
        "drop_variables", "use_cftime", "decode_timedelta", "group", "urlbase", "auth", "auth_cookie",
        "token",
    )  # fmt: skip

    def guess_can_open(self, filename_or_obj: object) -> bool:
        """Tell whether it is certainly of a Caterva2 server."""
        if isinstance(filename_or_obj, File | Directory):
            return True
        return isinstance(filename_or_obj, str) and _match(filename_or_obj) is not None

    def open_dataset(
        self,
        filename_or_obj: object,
        *,
        mask_and_scale: bool = True,
        decode_times: bool = True,
        concat_characters: bool = True,
        decode_coords: bool | str = True,
        drop_variables: str | Iterable[str] | None = None,
        use_cftime: bool | None = None,
        decode_timedelta: bool | None = None,
        group: str | None = None,
        urlbase: str | None = None,
        auth: UserAuth | None = None,
        auth_cookie: str | None = None,
        token: str | None = None,
    ) -> xarray.Dataset:
        """Open a dataset or a directory; only descriptions are read.

        Parameters
        ----------
        filename_or_obj
            A `caterva2.Dataset` or `caterva2.Directory`; a path; or a URL, as ``cat2cli url`` prints it,
            or ``caterva2://host:port/path``.
        group
            A directory or dataset below it.
        urlbase, auth, auth_cookie, token
            For a path: the server, and who asks; as for `caterva2.Client`.

        Raises
        ------
        NotFound
            There is nothing at the path.
        NotADataset
            The file is no array, or there is none in the directory.
        BadPath
            It is neither a path nor such a URL.
        """
        opened = None
        if isinstance(filename_or_obj, File | Directory):
            session, path = filename_or_obj._session, filename_or_obj._path
            described = (
                filename_or_obj.description if isinstance(filename_or_obj, File) and not group else None
            )
        else:
            server, path = read_address(filename_or_obj, urlbase)
            session = opened = Session(server, auth=auth, auth_cookie=auth_cookie, token=token)
            described = None
        if group is not None and group.strip("/"):
            path, described = path / group.strip("/"), None
        try:
            found = (
                Directory(path, session)
                if described is None and not path.parts
                else from_description(session, described or session.send(calls.info(path)))
            )
            dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
            store = Store(found, dropped)
            dataset = StoreBackendEntrypoint().open_dataset(
                store,
                mask_and_scale=mask_and_scale,
                decode_times=decode_times,
                concat_characters=concat_characters,
                decode_coords=decode_coords,
                drop_variables=drop_variables,
                use_cftime=use_cftime,
                decode_timedelta=decode_timedelta,
            )
        except BaseException:
            if opened is not None:
                opened.close()
            raise
        if opened is not None:
            dataset.set_close(opened.close)
        dataset.encoding["source"] = session.urlbase.url + calls.fetch(path).target
        return dataset.set_coords([name for name in store.coordinates if name in dataset.variables])


class Store(AbstractDataStore):
    """What a dataset or a directory consists of, in the words of xarray.

    Attributes
    ----------
    coordinates
        Names of the variables that are coordinates.
    """

    def __init__(self, found: File | Directory, dropped: set[str]) -> None:
        self.coordinates: set[str] = set()
        self._attributes: dict[str, Any] = {}
        if isinstance(found, Dataset):
            self._variables = self._of_dataset(found, "")
            attributes = _attributes(found.vlmeta)
            self._attributes = {key: value for key, value in attributes.items() if key not in OF_ONE_VARIABLE}
        elif isinstance(found, Directory):
            self._variables = self._of_directory(found, dropped)
        else:
            raise NotADataset(f"{found.path} is a file, not an array")

    def get_variables(self) -> Mapping[str, Variable]:
        """Return all variables by name, coordinates included."""
        return self._variables

    def get_attrs(self) -> Mapping[str, Any]:
        """Return the attributes of the whole."""
        return self._attributes

    def get_dimensions(self) -> Mapping[Hashable, int]:
        """Return the lengths of the axes by name."""
        return {name: n for variable in self._variables.values() for name, n in variable.sizes.items()}

    def _of_directory(self, directory: Directory, dropped: set[str]) -> dict[str, Variable]:
        names = [name for name in directory if "/" not in name and name.endswith(".b2nd")]
        found = [directory[name] for name in names if _stem(name) not in dropped]
        arrays = {
            _stem(file.name): file for file in found if isinstance(file, Dataset) and file.kind == "array"
        }
        if not arrays:
            raise NotADataset(f"there is no array in {directory}; in an array's directory are .b2nd files")
        axes = {
            (name, n)
            for file in arrays.values()
            for name, n in zip(_dimensions(file, "") or (), file.shape, strict=False)
        }
        variables: dict[str, Variable] = {}
        # Arrays behind their coordinates: an array has the last word on its own name.
        for name, file in arrays.items():
            is_axis = file.ndim == 1 and (name, file.shape[0]) in axes
            new = self._of_dataset(file, f"{name}_", (name,) if is_axis else None)
            variables = {**new, **variables} if is_axis else {**variables, **new}
        return variables

    def _of_dataset(
        self, file: Dataset, prefix: str, dimensions: tuple[str, ...] | None = None
    ) -> dict[str, Variable]:
        dims = dimensions or _dimensions(file, prefix)
        variables = dict(_coordinates(file, dims))
        self.coordinates |= variables.keys()
        attributes = _attributes(file.vlmeta)
        encoding = {"preferred_chunks": dict(zip(dims, file.chunks, strict=True))} if file.size else {}
        for name, field in _fields(file):
            source = WindowSource(file._session, file.description, field)
            lazy = indexing.LazilyIndexedArray(LazyArray(source, file.chunks))
            variables[name] = Variable(dims, lazy, dict(attributes), dict(encoding))
        return variables


class LazyArray(BackendArray):
    """An array that xarray indexes; reads only the chunks that hold what is asked for.

    Parameters
    ----------
    chunks
        Shape (ndim,) of a stored chunk.
    """

    def __init__(self, source: WindowSource, chunks: Sequence[int]) -> None:
        self.shape = source.shape
        self.dtype = source.dtype
        self._source = source
        self._chunks = tuple(chunks)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[int | slice | npt.NDArray[np.integer[Any]], ...]) -> npt.NDArray[Any]:
        if not any(isinstance(item, np.ndarray) for item in key):
            return self._source[tuple(item if isinstance(item, slice) else int(item) for item in key)]
        parts = [
            _runs(item, chunk) if isinstance(item, np.ndarray) else [Run(item, slice(None))]
            for item, chunk in zip(key, self._chunks, strict=True)
        ]
        while _product(len(runs) for runs in parts) > MAX_WINDOWS:
            longest = max(range(len(parts)), key=lambda axis: len(parts[axis]))
            parts[longest] = _halved(parts[longest])
        shape = tuple(_length(item, n) for item, n in zip(key, self.shape, strict=True))
        out = np.empty(shape, self.dtype)
        for runs in itertools.product(*parts):
            data = self._source[tuple(run.window for run in runs)]
            # One axis after the other: NumPy would take arrays on several axes as points.
            axis = 0
            for run in runs:
                if not isinstance(run.window, slice):
                    continue
                if run.chosen is not None:
                    data = np.take(data, run.chosen, axis=axis)
                axis += 1
            out[tuple(run.target for run in runs)] = _expanded(data, runs)
        return out[tuple(slice(None) if isinstance(item, slice | np.ndarray) else 0 for item in key)]


class Run:
    """Items along one axis that are read together.

    Parameters
    ----------
    window
        What is read: from the first to the last of them.
    target
        Where they go.
    chosen
        Which of what was read they are; None for all.
    """

    def __init__(
        self, window: int | slice, target: slice, chosen: npt.NDArray[np.integer[Any]] | None = None
    ) -> None:
        self.window = window if isinstance(window, slice) else int(window)
        self.target = target
        self.chosen = chosen

    def joined(self, other: Run) -> Run:
        """Return the run of both, and of what is between them."""
        assert isinstance(self.window, slice)
        assert isinstance(other.window, slice)
        assert self.chosen is not None
        assert other.chosen is not None
        moved = other.chosen + (other.window.start - self.window.start)
        return Run(
            slice(self.window.start, other.window.stop),
            slice(self.target.start, other.target.stop),
            np.concatenate((self.chosen, moved)),
        )


def read_address(address: object, urlbase: str | None = None) -> tuple[str | None, DatasetPath]:
    """Read what people pass as the address of a dataset.

    Returns
    -------
    str or None, DatasetPath
        The server (None for the default one), and the path there.

    Raises
    ------
    BadPath
        It is neither a path nor a URL of a dataset.

    Examples
    --------
    >>> server, path = read_address("https://example.org/data/api/fetch/foo/x%20y.b2nd")
    >>> server, str(path)
    ('https://example.org/data', 'foo/x y.b2nd')
    >>> server, path = read_address("caterva2://localhost:8002/foo/x.b2nd")
    >>> server, str(path)
    ('http://localhost:8002', 'foo/x.b2nd')
    """
    text = str(address) if isinstance(address, DatasetPath) or hasattr(address, "__fspath__") else address
    if not isinstance(text, str):
        raise BadPath(f"{_EXPECTED}, found {type(address).__name__}")
    if "://" not in text:
        return urlbase, calls.parse_path(text)
    found = _match(text)
    if found is None or urlbase is not None:
        raise BadPath(f"{_EXPECTED}, found {text!r}{'' if found is None else ' and a server besides'}")
    scheme = "http" if found["scheme"] == "caterva2" else found["scheme"].removeprefix("caterva2+")
    path = quote(found["path"].strip("/"), safe="/%@")
    return f"{scheme}://{found['server']}", DatasetPath.from_url(path)


def _match(url: str) -> re.Match[str] | None:
    return _ENDPOINT.fullmatch(url) or _SHORT.fullmatch(url)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".b2nd")


def _dimensions(file: Dataset, prefix: str) -> tuple[str, ...]:
    """Return the names of the axes: those in the attributes, if they fit."""
    for attribute in DIMENSIONS:
        value = file.vlmeta.get(attribute)
        names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
        if (
            isinstance(names, list)
            and len(names) == len(set(map(str, names))) == file.ndim
            and all(isinstance(name, str) and name for name in names)
        ):
            return tuple(names)
    return tuple(f"{prefix}dim_{axis}" for axis in range(file.ndim))


def _coordinates(file: Dataset, dims: tuple[str, ...]) -> Iterator[tuple[str, Variable]]:
    """Yield the coordinates in the attributes, those that fit."""
    given = file.vlmeta.get(COORDINATES)
    sizes = dict(zip(dims, file.shape, strict=True))
    for name, value in given.items() if isinstance(given, Mapping) else ():
        entry = value if isinstance(value, Mapping) and "data" in value else {"data": value}
        try:
            data = np.asarray(entry["data"])
        except ValueError:
            continue
        own = entry.get("dims", [name] if data.ndim else [])
        own = [own] if isinstance(own, str) else own
        if not isinstance(own, list) or not all(isinstance(dim, str) for dim in own):
            continue
        attributes = entry.get("attrs", {})
        if data.dtype != object and [sizes.get(dim) for dim in own] == list(data.shape):
            yield str(name), Variable(own, data, dict(attributes) if isinstance(attributes, Mapping) else {})


def _attributes(vlmeta: Mapping[str, Any]) -> dict[str, Any]:
    used = {*DIMENSIONS, COORDINATES}
    if not isinstance(vlmeta.get("coordinates", ""), str):
        used.add("coordinates")  # xarray takes it for text
    return {str(key): value for key, value in vlmeta.items() if key not in used}


def _fields(file: Dataset) -> Iterator[tuple[str, str | None]]:
    """Yield the variables of a dataset: one, or one for each field; and the field."""
    names = file.dtype.names or ()
    if names and all(file.dtype[name].subdtype is None for name in names):
        for name in names:
            yield name, name
    else:
        yield _stem(file.name), None


def _runs(indices: npt.NDArray[np.integer[Any]], chunk: int) -> list[Run]:
    """Group sorted indices: those in the same chunk, or in the next, are read together."""
    if indices.size == 0:
        return []
    borders = np.flatnonzero(np.diff(indices // max(1, chunk)) > 1) + 1
    edges = [0, *borders.tolist(), len(indices)]
    return [
        Run(slice(int(indices[a]), int(indices[b - 1]) + 1), slice(a, b), indices[a:b] - indices[a])
        for a, b in itertools.pairwise(edges)
    ]


def _halved(runs: list[Run]) -> list[Run]:
    """Join neighbours two by two."""
    pairs = [runs[i : i + 2] for i in range(0, len(runs), 2)]
    return [pair[0].joined(pair[1]) if len(pair) == 2 else pair[0] for pair in pairs]


def _expanded(data: npt.NDArray[Any], runs: Sequence[Run]) -> npt.NDArray[Any]:
    """Give axes that were read by an integer the length 1."""
    lengths = iter(data.shape)
    return data.reshape([next(lengths) if isinstance(run.window, slice) else 1 for run in runs])


def _length(item: int | slice | npt.NDArray[Any], n: int) -> int:
    if isinstance(item, slice):
        return len(range(*item.indices(n)))
    return len(item) if isinstance(item, np.ndarray) else 1


def _product(lengths: Iterable[int]) -> int:
    product = 1
    for length in lengths:
        product *= length
    return product
