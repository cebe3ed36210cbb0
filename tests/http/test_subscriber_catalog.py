"""What a subscriber tells of its roots and files: roots, subscribe, list, info."""

from __future__ import annotations

import datetime
from typing import Any

import blosc2
import pytest

from caterva2.model.paths import DatasetPath
from tests.support.cluster import Cluster
from tests.support.samples import PLAIN, arrays

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOTS = ["foo", "@public"]
each_root = pytest.mark.parametrize("root", ROOTS)

FILES = sorted([*arrays(), *PLAIN, "ds-hello.b2frame", "packed.txt", "broken.b2nd"], key=str.encode)
SCHUNK_KEYS = {
    "cbytes",
    "chunkshape",
    "chunksize",
    "contiguous",
    "cparams",
    "cratio",
    "nbytes",
    "urlpath",
    "vlmeta",
    "nchunks",
    "blocksize",
    "mtime",
}
ADDED_KEYS = {"kind", "accept_ranges"}
CPARAMS_KEYS = {
    "codec",
    "codec_meta",
    "clevel",
    "filters",
    "filters_meta",
    "typesize",
    "blocksize",
    "nthreads",
    "splitmode",
    "tuner",
    "use_dict",
}


def url(path: str) -> str:
    return DatasetPath.parse(path).to_url()


async def info(cluster: Cluster, path: str) -> Any:
    answer = await cluster.get(f"/api/info/{url(path)}")
    assert answer.status_code == 200, answer.text
    return answer.json()


# roots, subscribe


async def test_roots_are_named_with_publisher_and_subscription(filled: Cluster) -> None:
    await filled.subscribe("foo")

    roots = (await filled.get("/api/roots")).json()

    assert list(roots) == ["@public", "foo", "other"]
    assert {k: roots["foo"][k] for k in ("name", "http", "subscribed")} == {
        "name": "foo",
        "http": str(filled.publishers["foo"].address),
        "subscribed": True,
    }
    assert {k: roots["@public"][k] for k in ("name", "http", "subscribed")} == {
        "name": "@public",
        "http": "",
        "subscribed": True,
    }
    assert "subscribed" in roots["other"]
    assert roots["other"]["subscribed"] is None


@pytest.mark.parametrize("spelling", ["foo", "foo/", "@public", "%40public"])
async def test_subscribing_answers_ok_and_nothing_else(filled: Cluster, spelling: str) -> None:
    answers = [await filled.http.post(f"/api/subscribe/{spelling}") for _ in range(2)]

    assert [(a.status_code, a.text) for a in answers] == [(200, '"Ok"')] * 2


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("nowhere", 404, "nowhere not known by the broker"),
        ("@personal", 401, None),
        ("@shared", 401, None),
        ("@elsewhere", 404, None),
        ("%2e%2e", 400, None),
        ("a%2Fb", 400, None),
        ("a%00b", 400, None),
    ],
)
async def test_what_can_not_be_subscribed_to_is_refused(
    filled: Cluster, name: str, status: int, detail: str | None
) -> None:
    answer = await filled.http.post(f"/api/subscribe/{name}")

    assert answer.status_code == status
    assert isinstance(answer.json()["detail"], str)
    assert detail is None or answer.json()["detail"].startswith(detail)


# list


@each_root
@pytest.mark.parametrize("slash", ["", "/"])
async def test_all_files_of_a_root_are_listed_in_order(filled: Cluster, root: str, slash: str) -> None:
    answer = await filled.get(f"/api/list/{root}{slash}")

    assert answer.json() == FILES


@each_root
@pytest.mark.parametrize("slash", ["", "/"])
async def test_names_in_a_directory_are_relative_to_it(filled: Cluster, root: str, slash: str) -> None:
    answer = await filled.get(f"/api/list/{root}/dir1{slash}")

    assert answer.json() == ["ds-2d.b2nd", "ds-3d.b2nd", "notes.html", "table.csv"]


@each_root
@pytest.mark.parametrize(
    "path",
    ["README.md", "ds-1d.b2nd", "dir1/ds-2d.b2nd", "packed.txt", "sp ace/\u00fcn\u00ef+.txt", "broken.b2nd"],
)
async def test_list_of_a_file_is_its_own_name(filled: Cluster, root: str, path: str) -> None:
    answer = await filled.get(f"/api/list/{url(f'{root}/{path}')}")

    assert answer.json() == [path.rpartition("/")[2]]


@pytest.mark.parametrize(
    "path",
    [
        "foo/nothing",
        "@public/nothing",
        "foo/dir",
        "@public/dir",
        "foo/README.md/x",
        "nowhere",
        "nowhere/x",
        "@personal",
        "@shared",
        "@shared/x",
        "",
        "foo/README.md.b2",
        "@public/README.md.b2",
    ],
)
async def test_list_of_what_is_not_there_is_404(filled: Cluster, path: str) -> None:
    answer = await filled.get(f"/api/list/{path}")

    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)


async def test_empty_published_root_lists_nothing(filled: Cluster) -> None:
    answer = await filled.get("/api/list/other")

    assert (answer.status_code, answer.json()) == (200, [])


@each_root
async def test_list_comes_in_pages(filled: Cluster, root: str) -> None:
    names: list[str] = []
    while page := (
        await filled.get(f"/api/list/{root}", params={"limit": 7, "after": names[-1] if names else ""})
    ).json():
        assert len(page) <= 7
        names += page

    assert names == FILES


@each_root
async def test_list_of_a_directory_comes_in_pages(filled: Cluster, root: str) -> None:
    answer = await filled.get(f"/api/list/{root}/dir1", params={"limit": 2, "after": "ds-2d.b2nd"})

    assert answer.json() == ["ds-3d.b2nd", "notes.html"]


# info


@each_root
@pytest.mark.parametrize("path", arrays())
async def test_info_of_an_array_describes_it(filled: Cluster, root: str, path: str) -> None:
    stored = blosc2.open(str(filled.root(root) / path), mode="r")

    found = await info(filled, f"{root}/{path}")

    assert set(found) == {"shape", "chunks", "blocks", "dtype", "schunk", "mtime"} | ADDED_KEYS
    assert set(found["schunk"]) == SCHUNK_KEYS
    assert found["shape"] == list(stored.shape)
    assert found["chunks"] == list(stored.chunks)
    assert found["blocks"] == list(stored.blocks)
    assert found["dtype"] == str(stored.dtype)
    assert found["schunk"]["mtime"] is None
    assert found["schunk"]["urlpath"] == f"{root}/{path}"
    for key in ("cbytes", "chunkshape", "chunksize", "contiguous", "nbytes", "nchunks", "blocksize"):
        assert found["schunk"][key] == getattr(stored.schunk, key), key
    assert set(found["schunk"]["cparams"]) == CPARAMS_KEYS


@each_root
@pytest.mark.parametrize("path", [*PLAIN, "packed.txt", "ds-hello.b2frame"])
async def test_info_of_bytes_describes_their_frame(filled: Cluster, root: str, path: str) -> None:
    found = await info(filled, f"{root}/{path}")

    assert set(found) - {"size"} == SCHUNK_KEYS | ADDED_KEYS
    assert set(found["cparams"]) == CPARAMS_KEYS
    blosc2.CParams(**found["cparams"])
    nbytes = {"packed.txt": 8000, "ds-hello.b2frame": 1200}.get(path) or len(PLAIN.get(path, b""))
    assert found["nbytes"] == nbytes
    assert found["urlpath"] == f"{root}/{path}"


@each_root
async def test_cparams_make_blosc2_objects(filled: Cluster, root: str) -> None:
    found = await info(filled, f"{root}/dir1/ds-3d.b2nd")

    cparams = blosc2.CParams(**found["schunk"]["cparams"])

    assert cparams.typesize == 4
    assert [len(found["schunk"]["cparams"][key]) for key in ("filters", "filters_meta")] == [6, 6]


@each_root
async def test_times_are_iso_in_utc_with_microseconds(filled: Cluster, root: str) -> None:
    stat = (filled.root(root) / "ds-1d.b2nd").stat()

    found = await info(filled, f"{root}/ds-1d.b2nd")

    assert found["mtime"].endswith("Z")
    assert len(found["mtime"]) == len("2025-01-01T00:00:00.000000Z")
    moment = datetime.datetime.fromisoformat(found["mtime"])
    assert abs(moment.timestamp() - stat.st_mtime) < 1e-5


@each_root
async def test_user_attributes_arrive_as_json(filled: Cluster, root: str) -> None:
    found = await info(filled, f"{root}/ds-sc-attr.b2nd")

    assert found["schunk"]["vlmeta"] == {"a": 1, "b": "foo", "c": 123.456}
    assert found["shape"] == found["chunks"] == found["blocks"] == []


@each_root
@pytest.mark.parametrize(("path", "nfiles"), [("", len(FILES)), ("dir1", 4), ("dir1/", 4), ("dir2", 1)])
async def test_info_of_a_directory_is_that_of_a_group(
    filled: Cluster, root: str, path: str, nfiles: int
) -> None:
    found = (await filled.get(f"/api/info/{root}/{path}".rstrip("/") + "/" * path.endswith("/"))).json()

    assert set(found) == {"kind", "mtime", "size", "nfiles"}
    assert (found["kind"], found["nfiles"]) == ("group", nfiles)
    assert found["size"] > 0


@each_root
async def test_broken_file_is_described_as_broken_with_a_reason(filled: Cluster, root: str) -> None:
    found = await info(filled, f"{root}/broken.b2nd")

    assert found["kind"] == "broken"
    assert found["error"]
    assert str(filled.home) not in found["error"]


@pytest.mark.parametrize(
    "path", ["foo/nothing", "@public/nothing", "foo/dir", "@public/dir", "nowhere", "@personal", "@shared/x"]
)
async def test_info_of_what_is_not_there_is_404(filled: Cluster, path: str) -> None:
    answer = await filled.get(f"/api/info/{path}")

    assert answer.status_code == 404
    assert isinstance(answer.json()["detail"], str)


@each_root
@pytest.mark.parametrize("call", ["list", "info"])
async def test_answers_say_how_fresh_they_are(filled: Cluster, root: str, call: str) -> None:
    answer = await filled.get(f"/api/{call}/{root}")

    assert answer.headers["Caterva2-Freshness"] == "fresh"


@each_root
async def test_reading_does_not_change_plain_files(filled: Cluster, root: str) -> None:
    directory = filled.root(root)
    before = {p: (p.stat().st_ino, p.read_bytes()) for p in directory.rglob("*") if p.is_file()}

    for name in PLAIN:
        for call in ("info", "list", "fetch", "download"):
            assert (await filled.get(f"/api/{call}/{url(f'{root}/{name}')}")).status_code == 200

    after = {p: (p.stat().st_ino, p.read_bytes()) for p in directory.rglob("*") if p.is_file()}
    assert after == before
