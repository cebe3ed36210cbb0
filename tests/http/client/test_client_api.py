"""The functions, `Client` and `AsyncClient`: one vocabulary, three ways to call it."""

from __future__ import annotations

from pathlib import Path

import blosc2
import numpy as np
import pytest

import caterva2
from caterva2 import AsyncClient, AsyncDataset, AsyncDirectory, AsyncFile, Client
from caterva2.errors import BadPath, BadRequest, BadSlice, DatasetNotFound, RootNotFound
from tests.support.served import Served

LINE = np.arange(1000)


@pytest.fixture
def line(served: Served) -> str:
    served.add_array("d/line.b2nd", LINE, chunks=(100,), blocks=(10,))
    return f"{served.root}/d/line.b2nd"


def test_functions_answer_single_questions(served: Served, line: str) -> None:
    u = served.urlbase

    assert caterva2.get_roots(u)[served.root]["name"] == served.root
    assert caterva2.subscribe(served.root, u) == "Ok"
    assert caterva2.get_list(served.root, u) == ["d/line.b2nd"]
    assert caterva2.get_list(line, u) == ["line.b2nd"]
    assert caterva2.get_info(line, u)["shape"] == [1000]
    np.testing.assert_array_equal(caterva2.fetch(line, u, slice_=slice(3, 6)), [3, 4, 5])
    np.testing.assert_array_equal(caterva2.fetch(line, u, slice_="3:6"), [3, 4, 5])
    np.testing.assert_array_equal(caterva2.get(line, urlbase=u)[990:], LINE[990:])  # type: ignore[index]


def test_slice_of_zero_length_is_empty(served: Served, line: str) -> None:
    assert caterva2.fetch(line, served.urlbase, slice_="0:0").shape == (0,)
    assert caterva2.fetch(line, served.urlbase, slice_=slice(0, 0)).shape == (0,)


def test_element_zero_is_one_element(served: Served, line: str) -> None:
    assert caterva2.fetch(line, served.urlbase, slice_=0) == 0
    assert caterva2.fetch(line, served.urlbase, slice_="0") == 0


def test_chunk_is_a_blosc2_chunk(client: Client, line: str) -> None:
    chunk = client.get_chunk(line, 3)

    np.testing.assert_array_equal(np.frombuffer(blosc2.decompress2(chunk), "int64"), LINE[300:400])


@pytest.mark.parametrize("nchunk", [10, -1])
def test_chunk_out_of_range_is_refused(client: Client, line: str, nchunk: int) -> None:
    with pytest.raises(caterva2.errors.RequestError):
        client.get_chunk(line, nchunk)


def test_list_comes_in_pages(served: Served, client: Client) -> None:
    for name in "cab":
        served.add_file(f"{name}.txt", b"")

    first = client.get_list(served.root, limit=2)

    assert first == ["a.txt", "b.txt"]
    assert client.get_list(served.root, limit=2, after=first[-1]) == ["c.txt"]


def test_get_slice_gives_blosc2_or_numpy(client: Client, line: str) -> None:
    assert isinstance(client.get_slice(line, slice(5)), blosc2.NDArray)
    np.testing.assert_array_equal(client.get_slice(line, slice(5), as_blosc2=False), LINE[:5])
    np.testing.assert_array_equal(client.get_slice(line, (..., slice(5)))[:], LINE[:5])


def test_download_url_gives_the_file(client: Client, served: Served, line: str) -> None:
    assert client.get_download_url(line) == f"{served.urlbase}/api/fetch/{line}"


@pytest.mark.parametrize("path", ["../x", "/x", "", "a//b", "a/./b", "a\x00b"])
def test_path_that_can_name_nothing_is_refused_before_a_request(client: Client, path: str) -> None:
    with pytest.raises(BadPath):
        client.get_info(path)


def test_error_of_the_server_is_the_class_that_names_it(client: Client, served: Served, line: str) -> None:
    with pytest.raises(DatasetNotFound):
        client.get_info(f"{served.root}/nope")
    with pytest.raises(RootNotFound):
        client.get_list("nope")
    with pytest.raises(BadSlice):
        client.fetch(line, "5000")
    with pytest.raises(BadSlice):
        client.fetch(line, "1,2")


@pytest.mark.parametrize("urlbase", ["", "ftp://x", "http://", "http://u:p@x", "http://x?y", "unix:", "a b"])
def test_wrong_address_is_refused(urlbase: str) -> None:
    with pytest.raises(BadRequest, match="expected an address"):
        Client(urlbase)


def test_trailing_slash_of_the_address_does_no_harm(served: Served, line: str) -> None:
    with Client(served.urlbase + "/") as client:
        assert client.get_list(served.root) == ["d/line.b2nd"]


def test_download_of_a_plain_file_gives_its_bytes(client: Client, served: Served, tmp_path: Path) -> None:
    served.add_file("README.md", b"# Title\n" * 1000)

    saved = client.download(f"{served.root}/README.md", tmp_path / "new" / "r.md")

    assert saved == tmp_path / "new" / "r.md"
    assert saved.read_bytes() == b"# Title\n" * 1000
    assert [p.name for p in saved.parent.iterdir()] == ["r.md"]


def test_download_of_an_array_opens_with_blosc2(client: Client, line: str, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []

    saved = client.download(line, tmp_path, progress=lambda done, total: seen.append((done, total)))

    assert saved == tmp_path / "line.b2nd"
    opened = blosc2.open(str(saved))
    assert (opened.chunks, opened.blocks) == ((100,), (10,))
    np.testing.assert_array_equal(opened[:], LINE)
    assert seen[0][0] == 0
    assert seen[-1] == (saved.stat().st_size, saved.stat().st_size)


def test_download_of_a_directory_gives_all_files(
    client: Client, served: Served, line: str, tmp_path: Path
) -> None:
    served.add_file("d/sub/x.txt", b"x")

    saved = client.download(f"{served.root}/d", tmp_path / "copy")

    assert saved == tmp_path / "copy"
    found = sorted(p.relative_to(saved).as_posix() for p in saved.rglob("*") if p.is_file())
    assert found == ["line.b2nd", "sub/x.txt"]


def test_download_without_a_place_goes_below_the_current_directory(
    served: Served, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    saved = caterva2.download(line, urlbase=served.urlbase)

    assert saved == Path(line)
    assert (tmp_path / line).exists()


@pytest.mark.asyncio
async def test_async_client_speaks_the_same_words(served: Served, line: str, tmp_path: Path) -> None:
    async with AsyncClient(served.urlbase) as client:
        assert served.root in await client.get_roots()
        assert await client.subscribe(served.root) == "Ok"
        assert await client.get_list(served.root) == ["d/line.b2nd"]
        assert (await client.get_info(line))["shape"] == [1000]
        np.testing.assert_array_equal(await client.fetch(line, slice(2, 4)), [2, 3])
        assert isinstance(await client.get_slice(line, slice(2, 4)), blosc2.NDArray)
        assert len(await client.get_chunk(line, 0)) > 32
        saved = await client.download(line, tmp_path / "x.b2nd")
        assert saved.exists()


@pytest.mark.asyncio
async def test_async_objects_have_attributes_and_read_when_awaited(served: Served, line: str) -> None:
    served.add_file("README.md", b"text")
    async with AsyncClient(served.urlbase) as client:
        root = await client.get(served.root)
        assert isinstance(root, AsyncDirectory)
        dataset = await root.get("d/line.b2nd")
        readme = await root.get("README.md")

        assert isinstance(dataset, AsyncDataset)
        assert type(readme) is AsyncFile
        assert (dataset.shape, dataset.dtype) == ((1000,), LINE.dtype)
        np.testing.assert_array_equal(await dataset.fetch(slice(-3, None)), LINE[-3:])
        assert await readme.fetch() == b"text"
        assert await root.file_list() == ["README.md", "d/line.b2nd"]
        with pytest.raises(DatasetNotFound):
            await root.get("nope")
