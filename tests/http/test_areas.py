"""Areas over HTTP: upload, move, copy, remove, append, archives, resumed uploads; nobody sees half a file."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
import pytest_asyncio

from caterva2.storage import areas as storage_areas
from tests.support.accounts import Lab, lab

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADA, BOB = "ada@example.org", "bob@example.org"
CUBE = np.arange(6000, dtype="i4").reshape(100, 60)
QUOTA = 4_000_000


def frame(array: np.ndarray = CUBE, **how: Any) -> bytes:
    return blosc2.asarray(array, **how).to_cframe()


class Desk:
    """A user at the subscriber."""

    def __init__(self, here: Lab, headers: dict[str, str]) -> None:
        self.here = here
        self.headers = headers

    async def post(self, url: str, **how: Any) -> Any:
        headers = {**self.headers, **how.pop("headers", {})}
        return await self.here.http.post(url, headers=headers, **how)

    async def get(self, url: str, **how: Any) -> Any:
        return await self.here.http.get(url, headers={**self.headers, **how.pop("headers", {})})

    async def put(self, path: str, data: bytes, name: str = "local.bin", **how: Any) -> Any:
        return await self.post(f"/api/upload/{path}", files={"file": (name, data)}, **how)

    async def bytes(self, path: str) -> bytes:
        answer = await self.get(f"/api/download/{path}")
        assert answer.status_code == 200, answer.text
        return answer.content

    async def names(self, path: str) -> list[str]:
        return (await self.get(f"/api/list/{path}")).json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab(tmp_path_factory.mktemp("areas"), quota=QUOTA, userquota=2_000_000) as made:
        await made.add(ADA)
        await made.add(BOB)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ada(here: Lab) -> AsyncIterator[Desk]:
    desk = Desk(here, await here.log_in(ADA))
    here.http.cookies.clear()
    yield desk
    for area in ("@personal", "@shared", "@public"):
        await desk.post(f"/api/remove/{area}")


@pytest_asyncio.fixture(loop_scope="module")
async def bob(here: Lab) -> Desk:
    desk = Desk(here, await here.log_in(BOB))
    here.http.cookies.clear()
    return desk


def staged(here: Lab) -> list[str]:
    state = here.service.subscriber.areas.state
    return [path.name for path in state.glob("**/.incoming/*")]


# what goes in comes out


@pytest.mark.parametrize("data", [b"", b"x", os.urandom(3 * 2**19 + 7)], ids=["empty", "byte", "megabyte"])
async def test_plain_file_comes_out_byte_for_byte(ada: Desk, data: bytes) -> None:
    answer = await ada.put("@personal/dir/notes.md", data)

    assert (answer.status_code, answer.json()) == (200, "@personal/dir/notes.md")
    assert await ada.bytes("@personal/dir/notes.md") == data
    state = ada.here.service.subscriber.areas.state
    assert [p.read_bytes() for p in state.glob("personal/*/dir/notes.md")] == [data]


async def test_frame_that_looks_like_a_boundary_comes_out_byte_for_byte(ada: Desk) -> None:
    data = b"\r\n--b\r\n--\r\n--boundary" * 1000
    body = (
        b'--boundary--x\r\nContent-Disposition: form-data; name="other"\r\n\r\nzz\r\n--boundary--x\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + data
        + b"\r\n--boundary--x--\r\n"
    )
    headers = {"Content-Type": 'multipart/form-data; boundary="boundary--x"'}

    answer = await ada.post("/api/upload/@personal/odd.bin", content=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert await ada.bytes("@personal/odd.bin") == data


async def test_array_comes_out_as_it_went_in(ada: Desk) -> None:
    data = frame()

    await ada.put("@shared/cube.b2nd", data)

    assert await ada.bytes("@shared/cube.b2nd") == data
    part = await ada.get("/api/fetch/@shared/cube.b2nd?slice_=3:5")
    np.testing.assert_array_equal(blosc2.ndarray_from_cframe(part.content)[:], CUBE[3:5])


async def test_upload_to_a_directory_keeps_the_name_of_the_file(ada: Desk) -> None:
    answer = await ada.put("@personal", b"x", name="c:\\docs\\a b.txt")

    assert answer.json() == "@personal/a b.txt"


async def test_packed_file_is_shown_unpacked(ada: Desk) -> None:
    packed = blosc2.SChunk(chunksize=100, data=b"hello " * 50, cparams={"typesize": 1}).to_cframe()

    answer = await ada.put("@personal/n.md.b2", packed)

    assert answer.json() == "@personal/n.md"
    assert await ada.bytes("@personal/n.md") == b"hello " * 50


async def test_personal_area_is_of_one_user(ada: Desk, bob: Desk) -> None:
    await ada.put("@personal/mine.txt", b"secret")

    assert (await bob.get("/api/fetch/@personal/mine.txt")).status_code == 404
    assert await bob.names("@personal") == []


async def test_body_without_the_part_is_422(ada: Desk) -> None:
    answer = await ada.post("/api/upload/@personal/x", files={"other": ("x", b"x")})

    assert (answer.status_code, staged(ada.here)) == (422, [])


async def test_nobody_uploads_without_login(here: Lab) -> None:
    here.http.cookies.clear()

    answer = await here.http.post("/api/upload/@public/x", files={"file": ("x", b"x" * 10_000)})

    assert (answer.status_code, answer.reason_phrase) == (401, "Unauthorized")


# names


READS = ("info", "list", "fetch", "download", "explain")
ESCAPES = [
    "..",
    "../x",
    "a/../../x",
    "%2e%2e/x",
    "a/%2e%2e/%2e%2e/x",
    "..%2fx",
    "a%00b",
    "%5c..%5cx",
    ".hidden",
    "a//b",
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("what", ["upload", "remove", "mkdir", "append", "addnotebook"])
async def test_path_that_leaves_its_area_is_refused(ada: Desk, what: str, path: str) -> None:
    connection = await asyncio.open_connection("127.0.0.1", int(ada.here.url.rpartition(":")[2]))
    cookie = ada.headers["Cookie"]
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    connection[1].write(
        f"POST /api/{what}/@personal/{path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    line = await connection[0].readline()
    connection[1].close()
    await connection[1].wait_closed()

    assert line.split()[1] in {b"400", b"404"}
    assert not [p for p in ada.here.service.subscriber.areas.state.rglob("x") if p.is_file()]


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "@personal/..",
        "@personal/../x.txt",
        "/etc",
        "@personal/a\\..\\x",
        "foo",
        "foo/bar",
        ".",
        "@publicx/a",
    ],
)
@pytest.mark.parametrize("what", ["move", "copy"])
async def test_target_outside_of_the_areas_is_refused(ada: Desk, what: str, path: str) -> None:
    await ada.put("@personal/a.txt", b"a")

    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/a.txt", "dst": path})

    assert answer.status_code == 400
    assert await ada.names("@personal") == ["a.txt"]


@pytest.mark.parametrize(
    ("path", "filename"),
    [
        ("@personal/../x", "x"),
        ("@personal/../../public/x", "x"),
        ("/etc/x", "x"),
        ("@publicx/x", "x"),
        ("foo/x", "x"),
        ("@personal/.incoming/x", "x"),
        ("@personal", ".."),
        ("@personal", "../.x"),
        ("@personal", "a/.."),
        ("@personal", ""),
    ],
)
async def test_resumable_upload_to_outside_is_refused(ada: Desk, path: str, filename: str) -> None:
    answer = await ada.post("/api/uploads", json={"path": path, "size": 1, "filename": filename})

    assert answer.status_code == 400, answer.text
    assert staged(ada.here) == []


@pytest.mark.parametrize("path", [*ESCAPES, "../../users.sqlite", ".incoming", ".incoming/x"])
@pytest.mark.parametrize(("what", "query"), [("chunk", "?nchunk=0"), *((name, "") for name in READS)])
async def test_nothing_outside_of_an_area_is_read(ada: Desk, what: str, query: str, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(ada.here.url.rpartition(":")[2]))
    writer.write(
        f"GET /api/{what}/@personal/{path}{query} HTTP/1.1\r\nHost: x\r\n"
        f"Cookie: {ada.headers['Cookie']}\r\nConnection: close\r\n\r\n".encode()
    )
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert line.split()[1] in {b"400", b"404"}


@pytest.mark.parametrize("what", ["move", "copy"])
async def test_source_outside_of_the_areas_is_refused(ada: Desk, what: str) -> None:
    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/../../users.sqlite", "dst": "@shared"})

    assert answer.status_code == 400


async def test_link_out_of_an_area_is_not_written_through(ada: Desk, tmp_path: Path) -> None:
    (ada.here.service.subscriber.areas.state / "shared" / "out").symlink_to(tmp_path)

    answers = [
        await ada.put("@shared/out/x.txt", b"x"),
        await ada.post("/api/move/", json={"src": "@shared/out", "dst": "@personal"}),
    ]

    (ada.here.service.subscriber.areas.state / "shared" / "out").unlink()
    assert [answer.status_code for answer in answers] == [400, 404]
    assert os.listdir(tmp_path) == []


# hostile files


def _object_frame() -> bytes:
    return frame(CUBE.astype("i8")).replace(b"<i8", b"|O8")


def _huge_frame() -> bytes:
    data = bytearray(frame())
    struct.pack_into(">q", data, 30, 1 << 50)
    return bytes(data)


def _flipped(seed: int) -> bytes:
    data = bytearray(frame(np.random.default_rng(1).integers(0, 9, (500, 60))))
    random.Random(seed).shuffle(data)
    return b"\x9e\xa8b2frame\x00" + bytes(data)[10:]


HOSTILE = {
    "nothing": b"",
    "text": b"no frame",
    "objects": _object_frame(),
    "huge": _huge_frame(),
    "truncated": frame()[:-30],
    "half": frame()[: len(frame()) // 2],
    "lazy": b'{"caterva2": "lazy", "expression": "a"}',
    "frame": blosc2.SChunk(chunksize=100, data=b"x" * 1000, cparams={"typesize": 1}).to_cframe(),
    **{f"shuffled{i}": _flipped(i) for i in range(3)},
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
async def test_file_that_is_no_array_is_refused_as_one(ada: Desk, data: bytes) -> None:
    answer = await ada.put("@personal/bad.b2nd", data)

    assert answer.status_code == 400, answer.text
    assert (await ada.names("@personal"), staged(ada.here)) == ([], [])


def archive(**members: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            if isinstance(data, bytes):
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = data[0], "/etc/passwd"
                tar.addfile(info)
    return out.getvalue()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name.replace("__", "/"), data)
    return out.getvalue()


@pytest.mark.parametrize("pack", [archive, zipped], ids=["tar.gz", "zip"])
async def test_archive_is_unpacked_below_its_path(ada: Desk, pack: Any) -> None:
    data = pack(**{"a__b.txt": b"b", "cube.b2nd": frame()})

    answer = await ada.put("@personal/all", data, params={"unpack": "true"})

    assert (answer.status_code, answer.json()) == (200, "@personal/all")
    assert await ada.names("@personal") == ["all/a/b.txt", "all/cube.b2nd"]


BAD_ARCHIVES = {
    "parent": zipped(**{"good.txt": b"g", "..__x": b"x"}),
    "absolute": archive(__etc__x=b"x"),
    "link": archive(good=b"g", bad=(tarfile.SYMTYPE,)),
    "hardlink": archive(good=b"g", bad=(tarfile.LNKTYPE,)),
    "device": archive(bad=(tarfile.CHRTYPE,)),
    "fifo": archive(bad=(tarfile.FIFOTYPE,)),
    "bomb": zipped(bomb=bytes(100 << 20)),
    "tar bomb": archive(bomb=bytes(100 << 20)),
    "broken array": zipped(**{"good.txt": b"g", "x.b2nd": b"no frame"}),
    "hidden": zipped(**{".ssh__x": b"x"}),
    "many": zipped(**{f"f{i}": b"" for i in range(10_001)}),
    "junk": b"PK no archive",
    "cut": archive(good=os.urandom(5000))[:-2000],
}


@pytest.mark.parametrize("data", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES.keys())
async def test_hostile_archive_is_refused_as_a_whole(ada: Desk, data: bytes) -> None:
    answer = await ada.put("@personal/all", data, params={"unpack": "true"})

    assert answer.status_code == 400, answer.text
    assert (await ada.names("@personal"), staged(ada.here)) == ([], [])


# move, copy, remove


@pytest.mark.parametrize(
    ("dst", "new"),
    [
        ("@shared", "@shared/a.b2nd"),
        ("@shared/d", "@shared/d/a.b2nd"),
        ("@shared/d/b.b2nd", "@shared/d/b.b2nd"),
    ],
)
@pytest.mark.parametrize("what", ["move", "copy"])
async def test_target_follows_the_rule_of_suffixes(ada: Desk, what: str, dst: str, new: str) -> None:
    await ada.put("@personal/a.b2nd", frame())

    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/a.b2nd", "dst": dst})

    assert (answer.status_code, answer.json()) == (200, new)
    assert await ada.bytes(new) == frame()
    assert await ada.names("@personal") == (["a.b2nd"] if what == "copy" else [])


@pytest.mark.parametrize("what", ["move", "copy"])
async def test_directory_merges_into_one_that_exists(ada: Desk, what: str) -> None:
    for path in ("@personal/d/a.txt", "@personal/d/e/b.txt", "@shared/d/a.txt", "@shared/d/c.txt"):
        await ada.put(path, path.encode())

    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/d", "dst": "@shared"})

    assert (answer.status_code, answer.json()) == (200, "@shared/d")
    assert await ada.names("@shared") == ["d/a.txt", "d/c.txt", "d/e/b.txt"]
    assert await ada.bytes("@shared/d/a.txt") == b"@personal/d/a.txt"
    assert await ada.names("@personal") == (["d/a.txt", "d/e/b.txt"] if what == "copy" else [])


async def test_empty_directory_is_one(ada: Desk) -> None:
    await ada.post("/api/mkdir/@shared/d/e")

    infos = [await ada.get(f"/api/info/@shared/{path}") for path in ("d", "d/e", "d/f", ".incoming")]
    lists = [await ada.get(f"/api/list/@shared/{path}") for path in ("d", "d/e", "d/f", ".incoming")]

    assert [answer.status_code for answer in infos] == [200, 200, 404, 404]
    assert (infos[1].json()["kind"], infos[1].json()["nfiles"]) == ("group", 0)
    assert [(answer.status_code, answer.status_code == 200 and answer.json()) for answer in lists] == [
        (200, []), (200, []), (404, False), (404, False),
    ]  # fmt: skip


@pytest.mark.parametrize("merges", [False, True], ids=["new", "merged"])
@pytest.mark.parametrize("what", ["move", "copy"])
async def test_empty_directories_go_along(ada: Desk, what: str, merges: bool) -> None:
    await ada.post("/api/mkdir/@personal/d/empty/inner")
    await ada.put("@personal/d/full/a.txt", b"a")
    if merges:
        await ada.put("@shared/d/b.txt", b"b")

    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/d", "dst": "@shared"})

    assert answer.status_code == 200, answer.text
    state = ada.here.service.subscriber.areas.state
    assert (state / "shared/d/empty/inner").is_dir()
    assert (state / "shared/d/full/a.txt").read_bytes() == b"a"
    assert bool(list(state.glob("personal/*/d"))) == (what == "copy")


@pytest.mark.parametrize("dst", ["@shared/e/", "@personal/new"], ids=["same-area", "other-area"])
async def test_directory_moves_in_one_step(ada: Desk, dst: str) -> None:
    await ada.put("@shared/d/a.txt", b"a")
    state = ada.here.service.subscriber.areas.state
    before = (state / "shared/d").stat().st_ino

    answer = await ada.post("/api/move/", json={"src": "@shared/d", "dst": dst})

    assert answer.json() == f"{dst.rstrip('/')}/d"
    moved = [path for path in state.rglob("d") if path.is_dir() and path.parent.name in {"e", "new"}]
    assert [path.stat().st_ino for path in moved] == [before]


@pytest.mark.parametrize("what", ["move", "copy"])
async def test_directory_does_not_go_into_itself(ada: Desk, what: str) -> None:
    await ada.put("@personal/d/a.txt", b"a")

    answer = await ada.post(f"/api/{what}/", json={"src": "@personal/d", "dst": "@personal/d/e"})

    assert answer.status_code == 400
    assert await ada.names("@personal") == ["d/a.txt"]


async def test_move_onto_itself_changes_nothing(ada: Desk) -> None:
    await ada.put("@personal/a.txt", b"a")

    answer = await ada.post("/api/move/", json={"src": "@personal/a.txt", "dst": "@personal"})

    assert answer.json() == "@personal/a.txt"
    assert await ada.bytes("@personal/a.txt") == b"a"


async def test_exact_move_renames_a_directory(ada: Desk) -> None:
    await ada.put("@personal/old/a.txt", b"a")

    answer = await ada.post(
        "/api/move/", json={"src": "@personal/old", "dst": "@personal/new", "exact": True}
    )

    assert answer.json() == "@personal/new"
    assert await ada.names("@personal") == ["new/a.txt"]


async def test_exact_move_onto_something_is_refused(ada: Desk) -> None:
    await ada.put("@personal/a.txt", b"a")
    await ada.put("@personal/b.txt", b"b")

    answer = await ada.post(
        "/api/move/", json={"src": "@personal/a.txt", "dst": "@personal/b.txt", "exact": True}
    )

    assert answer.status_code == 409
    assert answer.json()["code"] == "already-exists"
    assert await ada.bytes("@personal/b.txt") == b"b"


async def test_plain_file_does_not_become_an_array_by_its_name(ada: Desk) -> None:
    await ada.put("@personal/a.txt", b"a")

    answer = await ada.post("/api/move/", json={"src": "@personal/a.txt", "dst": "@personal/a.b2nd"})

    assert answer.status_code == 400
    assert await ada.names("@personal") == ["a.txt"]


async def test_missing_source_is_404(ada: Desk) -> None:
    answers = [
        await ada.post("/api/move/", json={"src": "@personal/none", "dst": "@shared"}),
        await ada.post("/api/copy/", json={"src": "@personal/none", "dst": "@shared"}),
        await ada.post("/api/remove/@personal/none"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404]


async def test_area_is_emptied_but_stays(ada: Desk) -> None:
    await ada.put("@shared/d/a.txt", b"a")

    answer = await ada.post("/api/remove/@shared/")

    assert (answer.status_code, answer.json()) == (200, "@shared")
    assert await ada.names("@shared") == []
    assert "@shared" in (await ada.get("/api/roots")).json()


async def test_notebook_is_made_once(ada: Desk) -> None:
    answers = [
        await ada.post(f"/api/addnotebook/@personal/{name}") for name in ("a.ipynb", "a.ipynb", "a.txt")
    ]

    assert [answer.status_code for answer in answers] == [200, 400, 400]
    assert json.loads(await ada.bytes("@personal/a.ipynb"))["nbformat"] == 4


# append


async def test_append_grows_axis_0(ada: Desk) -> None:
    await ada.put("@shared/cube.b2nd", frame(chunks=(30, 60), blocks=(10, 20)))
    await ada.get("/api/fetch/@shared/cube.b2nd?slice_=0")

    answer = await ada.post("/api/append/@shared/cube.b2nd", files={"file": ("x", frame(CUBE[:7] + 1))})

    assert answer.json() == [107, 60]
    whole = await ada.get("/api/fetch/@shared/cube.b2nd")
    np.testing.assert_array_equal(
        blosc2.ndarray_from_cframe(whole.content)[:], np.concatenate([CUBE, CUBE[:7] + 1])
    )


@pytest.mark.parametrize(
    "rows", [CUBE[:, :5], CUBE.astype("i8"), CUBE[0], np.int32(1)], ids=["shape", "dtype", "ndim", "0-d"]
)
async def test_rows_that_do_not_fit_are_refused(ada: Desk, rows: np.ndarray) -> None:
    await ada.put("@shared/cube.b2nd", frame())

    answer = await ada.post("/api/append/@shared/cube.b2nd", files={"file": ("x", frame(np.asarray(rows)))})

    assert answer.status_code == 400, answer.text
    assert await ada.bytes("@shared/cube.b2nd") == frame()


# generations


async def test_writer_with_an_old_etag_is_told_412(ada: Desk) -> None:
    first = (await ada.put("@shared/a.txt", b"1")).headers["ETag"]
    second = await ada.put("@shared/a.txt", b"22", headers={"If-Match": first})

    third = await ada.put("@shared/a.txt", b"333", headers={"If-Match": first})

    assert (second.status_code, third.status_code) == (200, 412)
    assert await ada.bytes("@shared/a.txt") == b"22"


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/api/remove/@shared/a.b2nd", {}),
        ("/api/append/@shared/a.b2nd", {"files": {"file": ("rows.b2nd", frame())}}),
        ("/api/move/", {"json": {"src": "@shared/a.b2nd", "dst": "@shared/b.b2nd"}}),
        ("/api/copy/", {"json": {"src": "@shared/a.b2nd", "dst": "@shared/b.b2nd"}}),
    ],
    ids=["remove", "append", "move", "copy"],
)
async def test_every_change_of_an_old_generation_is_412(ada: Desk, url: str, body: dict[str, Any]) -> None:
    old = (await ada.put("@shared/a.b2nd", frame(CUBE + 1))).headers["ETag"]
    new = (await ada.put("@shared/a.b2nd", frame())).headers["ETag"]

    refused = await ada.post(url, **body, headers={"If-Match": old})
    names = await ada.names("@shared")
    content = await ada.bytes("@shared/a.b2nd")
    done = await ada.post(url, **body, headers={"If-Match": new})

    assert (refused.status_code, names, content) == (412, ["a.b2nd"], frame())
    assert done.status_code == 200, done.text


@pytest.mark.parametrize("what", ["move", "copy"])
@pytest.mark.parametrize("src", ["@shared/a.txt", "@shared/d"], ids=["file", "directory"])
async def test_nothing_is_replaced_if_asked_so(ada: Desk, what: str, src: str) -> None:
    for path in ("@shared/a.txt", "@shared/d/a.txt", "@personal/d/b.txt", "@personal/a.txt"):
        await ada.put(path, path.encode())

    answer = await ada.post(
        f"/api/{what}/", json={"src": src, "dst": "@personal"}, headers={"If-None-Match": "*"}
    )

    assert answer.status_code == 412
    assert await ada.names("@personal") == ["a.txt", "d/b.txt"]
    assert await ada.bytes("@personal/a.txt") == b"@personal/a.txt"
    assert await ada.names("@shared") == ["a.txt", "d/a.txt"]


async def test_new_file_does_not_replace_one_if_asked_so(ada: Desk) -> None:
    answers = [await ada.put("@shared/a.txt", b"1", headers={"If-None-Match": "*"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 412]


async def test_two_writers_leave_one_of_their_files(ada: Desk) -> None:
    versions = [bytes([65 + i]) * 200_000 for i in range(4)]

    await asyncio.gather(*(ada.put("@shared/a.txt", data) for data in versions))

    assert await ada.bytes("@shared/a.txt") in versions
    assert staged(ada.here) == []


async def test_reader_sees_the_old_file_or_the_new_one(ada: Desk) -> None:
    versions = [bytes([65 + i]) * 100_000 for i in range(2)]
    await ada.put("@shared/a.txt", versions[0])

    async def write() -> None:
        for i in range(10):
            await ada.put("@shared/a.txt", versions[i % 2])

    writing = asyncio.create_task(write())
    seen = []
    while not writing.done():
        seen.append(await ada.bytes("@shared/a.txt"))
    await writing

    assert set(seen) <= set(versions)


# room


async def test_quota_is_counted_exactly(ada: Desk) -> None:
    taken = [await ada.put("@personal/a", b"x" * 1_500_000), await ada.put("@personal/b", b"x" * 500_000)]

    more = await ada.put("@personal/c", b"x")

    assert [answer.status_code for answer in taken] == [200, 200]
    assert (more.status_code, more.json()["code"]) == (400, "quota-exceeded")
    assert (await ada.put("@personal/a", b"y" * 1_500_000)).status_code == 200
    await ada.post("/api/remove/@personal/b")
    assert (await ada.put("@personal/c", b"x" * 500_000)).status_code == 200


async def test_quota_of_all_areas_counts_what_everybody_has(ada: Desk, bob: Desk) -> None:
    answers = [await ada.put(f"@shared/{i}", b"x" * 1_900_000) for i in range(2)]

    more = await bob.put("@personal/x", b"x" * 200_001)
    rest = await bob.put("@personal/x", b"x" * 200_000)

    await bob.post("/api/remove/@personal")
    assert [answer.status_code for answer in (*answers, more, rest)] == [200, 200, 400, 200]


async def test_quota_is_right_after_all_kinds_of_changes(ada: Desk) -> None:
    await ada.put("@personal/d/a.txt", b"x" * 1000)
    await ada.put("@personal/d/a.txt", b"x" * 10)
    await ada.put("@shared/cube.b2nd", frame())
    await ada.put("@shared/bad.b2nd", b"x" * 1000)
    await ada.post("/api/append/@shared/cube.b2nd", files={"file": ("x", frame())})
    await ada.post("/api/copy/", json={"src": "@personal/d", "dst": "@shared"})
    await ada.post("/api/move/", json={"src": "@personal/d", "dst": "@shared/e"})
    await ada.post("/api/move/", json={"src": "@shared/e/d/a.txt", "dst": "@shared/d/a.txt"})
    await ada.put("@public/z", zipped(a=b"x" * 5000), params={"unpack": "true"})
    await ada.post("/api/remove/@public/z")

    areas = ada.here.service.subscriber.areas
    used = {area.key: area.files.ledgers for area in areas.all()}

    assert [ledger.promised for ledgers in used.values() for ledger in ledgers] == [0] * sum(
        map(len, used.values())
    )
    counted = areas.ledger.used
    areas.ledger.recount()
    assert areas.ledger.used == counted


async def test_full_disk_is_told_and_leaves_nothing(ada: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage_areas.os, "fsync", full)
    answer = await ada.put("@personal/a", b"x" * 3_000)
    monkeypatch.undo()

    assert (answer.status_code, answer.json()["code"]) == (400, "quota-exceeded")
    assert (await ada.names("@personal"), staged(ada.here)) == ([], [])


# resumed uploads


async def test_upload_goes_on_at_its_offset(ada: Desk) -> None:
    data = os.urandom(100_000)
    state = (await ada.post("/api/uploads", json={"path": "@personal/x.bin", "size": len(data)})).json()
    url = f"/api/uploads/{state['id']}"

    async def part(start: int, stop: int) -> int:
        answer = await ada.here.http.patch(
            url, content=data[start:stop], headers={**ada.headers, "Upload-Offset": str(start)}
        )
        return answer.status_code

    statuses = [await part(0, 40_000), await part(0, 40_000), await part(40_000, 100_000)]
    head = await ada.here.http.head(url, headers=ada.headers)
    done = await ada.post(url)

    assert statuses == [200, 409, 200]
    assert (head.headers["Upload-Offset"], done.json()) == ("100000", "@personal/x.bin")
    assert await ada.bytes("@personal/x.bin") == data
    assert staged(ada.here) == []


async def test_upload_is_of_the_one_who_began_it(ada: Desk, bob: Desk) -> None:
    state = (await ada.post("/api/uploads", json={"path": "@shared/x.bin", "size": 10})).json()

    answer = await bob.get(f"/api/uploads/{state['id']}")

    assert answer.status_code == 404
    gone = await ada.here.http.delete(f"/api/uploads/{state['id']}", headers=ada.headers)
    assert (gone.status_code, staged(ada.here)) == (200, [])


async def test_upload_sets_room_aside(ada: Desk) -> None:
    begun = await ada.post("/api/uploads", json={"path": "@personal/x.bin", "size": 1_999_999})
    other = await ada.put("@personal/y", b"xx")

    assert (begun.status_code, other.status_code) == (201, 400)
    await ada.here.http.delete(f"/api/uploads/{begun.json()['id']}", headers=ada.headers)


async def test_incomplete_upload_gets_no_name(ada: Desk) -> None:
    state = (await ada.post("/api/uploads", json={"path": "@personal/x.bin", "size": 10})).json()

    answer = await ada.post(f"/api/uploads/{state['id']}")

    assert answer.status_code == 409
    await ada.here.http.delete(f"/api/uploads/{state['id']}", headers=ada.headers)


async def test_upload_outlives_a_restart(tmp_path: Path) -> None:
    async with lab(tmp_path) as first:
        await first.add(ADA)
        headers = await first.log_in(ADA)
        state = (
            await first.http.post("/api/uploads", json={"path": "@shared/x", "size": 6}, headers=headers)
        ).json()
        await first.http.patch(
            f"/api/uploads/{state['id']}", content=b"abc", headers={**headers, "Upload-Offset": "0"}
        )
        (tmp_path / "sub" / "shared" / ".incoming" / "left").write_bytes(b"half")
    async with lab(tmp_path) as second:
        desk = Desk(second, await second.log_in(ADA))
        left = staged(second)
        answer = await second.http.patch(
            f"/api/uploads/{state['id']}", content=b"def", headers={**desk.headers, "Upload-Offset": "3"}
        )
        await desk.post(f"/api/uploads/{state['id']}")

        assert answer.status_code == 200
        assert await desk.bytes("@shared/x") == b"abcdef"
        assert "left" not in left
