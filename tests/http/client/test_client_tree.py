"""Roots, datasets and files of a subscriber behave like h5py and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caterva2 import Client, Dataset, Directory, File, Root
from caterva2.client.reading import Reader
from caterva2.errors import BadSlice, BrokenDataset, DatasetNotFound, NotADataset, RootNotFound
from caterva2.model.slicing import NDSlice
from tests.support.served import Served

CUBE = np.arange(3 * 40 * 50, dtype="float32").reshape(3, 40, 50)
DTYPES: list[Any] = [
    "bool", "int8", "uint16", "int32", "int64", "float16", "float32", "float64", "longdouble", ">f4", ">i8",
    "complex64", "complex128", "S6", "U4", "datetime64[ns]", "timedelta64[s]",
    [("a", "<f4"), ("b", "<f8")], [("a", "<i4"), ("s", [("x", ">f8"), ("y", "S3")])],
]  # fmt: skip
SHAPES = [(), (0,), (7,), (4, 0, 2), (30, 20)]
KEYS = [
    (), slice(None), ..., 0, -1, slice(0, 0), slice(0, 5), slice(1, None, 2), slice(-2, None), slice(5, 2),
    (0, 1, 2), (0, 1), (..., 3), (slice(None), 3), (1, ..., slice(0, 10)), (slice(None, None, 2), ..., -1),
    (slice(0, 2), slice(3, 30, 4), slice(10, 500)), np.int64(2),
    (np.uint8(1), slice(np.int32(3), np.int64(9))),
]  # fmt: skip
WRONG_KEYS = [
    3,
    (0, 40),
    (0, 0, 0, 0),
    slice(None, None, -1),
    slice(None, None, 0),
    None,
    1.5,
    [0, 1],
    True,
    (..., ...),
]


def _items(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(dtype)
    n = int(np.prod(shape))
    if dtype.kind == "U":
        return np.array([f"x{i % 7}é" for i in range(n)], dtype).reshape(shape)
    if dtype.kind == "b":
        return (np.arange(n) % 3 == 0).reshape(shape)
    if dtype.kind == "g" or dtype == np.dtype("longdouble"):
        return (np.arange(n) / 7).astype(dtype).reshape(shape)
    raw = np.random.default_rng(0).integers(1, 120, n * dtype.itemsize, dtype=np.uint8)
    return raw.view(dtype).reshape(shape) if n else np.empty(shape, dtype)


@pytest.fixture
def cube(served: Served, client: Client) -> Dataset:
    served.add_array(
        "dir1/cube.b2nd", CUBE, chunks=(2, 15, 16), blocks=(1, 4, 8), vlmeta={"unit": "K", "n": 3}
    )
    found = client.get(f"{served.root}/dir1/cube.b2nd")
    assert isinstance(found, Dataset)
    return found


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_slice_equals_numpy(cube: Dataset, key: Any) -> None:
    data = cube[key]

    expected = CUBE[key]
    assert type(data) is type(expected)
    assert data.dtype == expected.dtype
    assert data.shape == expected.shape
    np.testing.assert_array_equal(data, expected)


@pytest.mark.parametrize("key", WRONG_KEYS, ids=str)
def test_wrong_key_is_an_index_error(cube: Dataset, key: Any) -> None:
    with pytest.raises(BadSlice) as caught:
        cube[key]

    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_shape_arrives_unchanged(
    served: Served, client: Client, dtype: Any, shape: tuple[int, ...]
) -> None:
    items = _items(dtype, shape)
    served.add_array("a.b2nd", items)

    dataset = client.get(f"{served.root}/a.b2nd")
    assert isinstance(dataset, Dataset)
    data = dataset[...]

    assert (dataset.shape, dataset.dtype) == (items.shape, items.dtype)
    assert (data.shape, data.dtype, data.tobytes()) == (items.shape, items.dtype, items.tobytes())


def test_attributes_describe_the_array(served: Served, cube: Dataset) -> None:
    assert (cube.shape, cube.dtype, cube.ndim) == (CUBE.shape, CUBE.dtype, 3)
    assert (cube.chunks, cube.blocks) == ((2, 15, 16), (1, 4, 8))
    assert (cube.size, cube.nbytes) == (CUBE.size, CUBE.nbytes)
    assert cube.vlmeta == {"unit": "K", "n": 3}
    assert cube.meta["schunk"]["nchunks"] == 24
    assert (str(cube.path), cube.name, cube.root) == (
        f"{served.root}/dir1/cube.b2nd", "dir1/cube.b2nd", served.root,
    )  # fmt: skip
    assert cube.etag
    assert cube.mtime is not None
    assert cube.mtime.utcoffset() is not None


def test_all_integers_give_a_scalar(cube: Dataset) -> None:
    assert isinstance(cube[1, 2, 3], np.float32)


def test_zero_dimensional_array_reads_like_numpy(served: Served, client: Client) -> None:
    served.add_array("s.b2nd", np.array("text"))
    scalar = client.get(f"{served.root}/s.b2nd")

    assert scalar[()] == "text"  # type: ignore[index]
    assert scalar[...].shape == ()  # type: ignore[index]
    with pytest.raises(TypeError):
        len(scalar)


def test_iteration_gives_every_row(cube: Dataset) -> None:
    rows = list(cube)

    assert len(cube) == 3
    np.testing.assert_array_equal(np.stack(rows), CUBE)


def test_numpy_takes_a_dataset(cube: Dataset) -> None:
    np.testing.assert_array_equal(np.asarray(cube, dtype="float64"), CUBE.astype("float64"))
    assert float(np.sum(cube)) == float(CUBE.sum())  # type: ignore[call-overload]


def test_array_without_copy_is_refused(cube: Dataset) -> None:
    with pytest.raises(ValueError, match="makes a copy"):
        np.array(cube, copy=False)


def test_numpy_functions_take_datasets(cube: Dataset) -> None:
    np.testing.assert_array_equal(np.add(cube, 1), CUBE + 1)  # type: ignore[call-overload]
    np.testing.assert_array_equal(np.stack([cube, cube]), np.stack([CUBE, CUBE]))  # type: ignore[list-item]
    np.testing.assert_array_equal(CUBE - np.asarray(cube), np.zeros_like(CUBE))
    assert np.mean(cube) == CUBE.mean()  # type: ignore[call-overload]
    assert np.array(cube, copy=True).dtype == CUBE.dtype


@pytest.mark.parametrize("points", [None, 7, 1000])
@pytest.mark.parametrize("key", [None, 1, (0, slice(3, 33)), (..., slice(1, 40, 3)), (2, 5, 6)], ids=str)
def test_window_is_every_kth_item(cube: Dataset, key: Any, points: int | None) -> None:
    whole = np.asarray(CUBE[... if key is None else key])

    data, steps = cube.window(key, points=points)

    own = [3 if isinstance(part, slice) and part.step == 3 else 1 for part in np.index_exp[key or ...]]
    thin = whole[tuple(slice(None, None, step // own[-1] if i == whole.ndim - 1 else step)
                       for i, step in enumerate(steps))]  # fmt: skip
    np.testing.assert_array_equal(data, thin)
    assert all(n <= (points or n) for n in data.shape)


def test_window_of_a_field(served: Served, client: Client) -> None:
    table = np.array([(i, i / 2) for i in range(30)], [("a", "<i4"), ("b", "<f8")])
    served.add_array("table.b2nd", table)
    dataset: Any = client.get(f"{served.root}/table.b2nd")

    data, steps = dataset.window((slice(10, 30),), points=10, field="b")

    assert steps == (2,)
    np.testing.assert_array_equal(data, table["b"][10:30:2])


def test_window_of_a_dataset_that_is_gone_is_not_found(client: Client, cube: Dataset) -> None:
    gone = Dataset("gone.b2nd", cube.root, client.urlbase)

    with pytest.raises(DatasetNotFound):
        gone.window()


def test_fetch_takes_text_key_or_nothing(cube: Dataset) -> None:
    np.testing.assert_array_equal(cube.fetch("0, ..., 1:3"), CUBE[0, ..., 1:3])
    np.testing.assert_array_equal(cube.fetch((0, slice(2))), CUBE[0, :2])
    np.testing.assert_array_equal(cube.fetch(), CUBE)


def test_slice_is_a_blosc2_array(cube: Dataset) -> None:
    part = cube.slice((0, ..., slice(2)))

    np.testing.assert_array_equal(part[:], CUBE[0, ..., :2])
    assert type(part).__name__ == "NDArray"
    np.testing.assert_array_equal(cube.slice(0, as_blosc2=False), CUBE[0])


def test_field_of_a_structured_array(served: Served, client: Client) -> None:
    table = np.zeros(20, [("a", "f4"), ("b", "f8")])
    table["b"] = np.arange(20)
    served.add_array("t.b2nd", table)
    dataset = client.get(f"{served.root}/t.b2nd")
    assert isinstance(dataset, Dataset)

    np.testing.assert_array_equal(dataset["b"], table["b"])
    np.testing.assert_array_equal(dataset.fetch("2:5", field="b"), table["b"][2:5])
    with pytest.raises(BadSlice, match="no field 'z'; it has a, b"):
        dataset["z"]


def test_preview_is_what_numpy_prints(cube: Dataset) -> None:
    assert cube.preview() == str(CUBE)
    assert cube.preview("0, 0, :5") == str(CUBE[0, 0, :5])


def test_plain_file_is_bytes(served: Served, client: Client) -> None:
    served.add_file("README.md", b"# Title\ntext\n")
    readme = client.get(f"{served.root}/README.md")
    assert isinstance(readme, File)
    assert not isinstance(readme, Dataset)

    assert readme[:] == b"# Title\ntext\n"
    assert readme[2:7] == b"Title"
    assert readme[-1] == b"\n"
    assert readme[0:0] == b""
    assert readme[:10:3] == b"# Title\ntext\n"[:10:3]
    assert (len(readme), readme.nbytes) == (13, 13)
    with pytest.raises(BadSlice):
        readme[13]


def test_frame_is_sliced_by_items(served: Served, client: Client) -> None:
    data = bytes(range(240)) * 5
    served.add_frame("words.b2frame", data, typesize=4, chunksize=200)
    words = client.get(f"{served.root}/words.b2frame")
    assert isinstance(words, File)

    assert len(words) == 300
    assert words[1] == data[4:8]
    assert words[10:20:3] == b"".join(data[i * 4 : i * 4 + 4] for i in range(10, 20, 3))
    assert b"".join(words) == data


def test_root_is_a_container_of_paths(served: Served) -> None:
    served.add_file("README.md", b"x")
    served.add_array("dir1/a.b2nd", np.arange(3))
    root = Root(served.root, urlbase=served.urlbase)

    assert list(root) == root.file_list == ["README.md", "dir1/a.b2nd"]
    assert len(root) == 2
    assert "dir1/a.b2nd" in root
    assert "dir1" in root
    assert "nope" not in root
    assert "../x" not in root
    assert isinstance(root["dir1/a.b2nd"], Dataset)
    assert type(root["README.md"]) is File


def test_directory_is_a_part_of_its_root(served: Served, client: Client) -> None:
    served.add_array("dir1/sub/a.b2nd", np.arange(3))
    directory = client.get(f"{served.root}/dir1")
    assert isinstance(directory, Directory)

    assert list(directory) == ["sub/a.b2nd"]
    np.testing.assert_array_equal(directory["sub/a.b2nd"][:], np.arange(3))  # type: ignore[index]
    assert repr(directory) == f"<Directory: {served.root}/dir1>"


def test_making_a_root_subscribes(served: Served, client: Client) -> None:
    Root(served.root, urlbase=served.urlbase)

    assert client.get_roots()[served.root]["subscribed"] is True


def test_unknown_names_are_told_apart(served: Served, client: Client) -> None:
    with pytest.raises(RootNotFound):
        Root("nope", urlbase=served.urlbase)
    with pytest.raises(RootNotFound):
        client.get("nope/a.b2nd")
    with pytest.raises(DatasetNotFound) as caught:
        client.get(f"{served.root}/nope.b2nd")
    assert isinstance(caught.value, LookupError)


def test_reading_a_directory_is_refused(served: Served, client: Client) -> None:
    served.add_array("dir1/a.b2nd", np.arange(3))

    with pytest.raises(NotADataset):
        client.fetch(f"{served.root}/dir1")


def test_broken_dataset_tells_its_reason_and_refuses_to_be_read(served: Served, client: Client) -> None:
    served.add_broken("bad.b2nd")
    broken = client.get(f"{served.root}/bad.b2nd")
    assert isinstance(broken, Dataset)

    assert broken.kind == "broken"
    assert broken.reason
    assert broken.reason in repr(broken)
    assert broken.reason in broken._repr_html_()
    with pytest.raises(BrokenDataset):
        broken[0]
    with pytest.raises(BrokenDataset):
        _ = broken.shape


def test_repr_tells_what_it_is(served: Served, cube: Dataset) -> None:
    assert repr(cube) == f"<Dataset: {served.root}/dir1/cube.b2nd shape=(3, 40, 50) dtype=float32>"
    assert "<td" in cube._repr_html_()


def test_replaced_dataset_is_read_as_it_is_now(served: Served, cube: Dataset) -> None:
    assert cube.shape == CUBE.shape
    served.add_array("dir1/cube.b2nd", CUBE[:2].astype("int16"), chunks=(1, 40, 50))
    cube.refresh()

    assert (cube.shape, cube.dtype) == ((2, 40, 50), np.dtype("int16"))
    np.testing.assert_array_equal(cube[:], CUBE[:2].astype("int16"))


def test_attributes_follow_a_dataset_that_was_read_anew(served: Served, client: Client) -> None:
    served.add_array("a.b2nd", np.arange(5), vlmeta={"unit": "K"})
    dataset = client.get(f"{served.root}/a.b2nd")
    assert isinstance(dataset, Dataset)
    served.add_array("a.b2nd", np.arange(5) + 1, vlmeta={"unit": "mK"})

    np.testing.assert_array_equal(dataset[:], np.arange(5) + 1)
    assert dataset.vlmeta == {"unit": "mK"}


def test_names_with_blanks_and_unicode_and_percent_arrive(served: Served, client: Client) -> None:
    name = "a b/Größe 100%.b2nd"
    served.add_array(name, np.arange(5))
    root = Root(served.root, urlbase=served.urlbase)

    assert list(root) == [name]
    np.testing.assert_array_equal(client.fetch(f"{served.root}/{name}", slice(1, 3)), [1, 2])


def test_question_mark_and_hash_in_a_name_arrive(served: Served, client: Client) -> None:
    name = "what?#1.b2nd"
    served.add_array(name, np.arange(5))

    np.testing.assert_array_equal(client.fetch(f"{served.root}/{name}"), np.arange(5))


def test_large_slice_is_put_together_from_pieces(cube: Dataset) -> None:
    reader = Reader(cube._session.channel, max_piece_bytes=5000)
    window = NDSlice((slice(None), slice(3, 38, 2), slice(1, None))).bind(CUBE.shape)

    data, generation = reader.window(cube.description, window)

    np.testing.assert_array_equal(data, CUBE[:, 3:38:2, 1:])
    assert generation == cube.etag
