"""Uploads on the web page, while the subscriber is killed or the page is left in the middle of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Dialog, Locator, Request, expect

from tests.support.processes import Network, until
from tests.support.webpage import BUILT, WebPage

pytestmark = pytest.mark.slow
SIZE = 60 << 20
SLOW = 12 << 20
"""Bytes each second, so that there is a middle to be interrupted in."""
LATE_MS = 60_000


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    with Network(tmp_path_factory.mktemp("uploads"), secret="correct horse battery staple") as network:
        yield network


@pytest.fixture
def web(network: Network, page: Any) -> Iterator[WebPage]:
    """A page; nothing uncaught may have happened in it."""
    web = WebPage(page, network.subscriber.url)
    yield web
    assert web.problems == []


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that takes some seconds."""
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(SIZE))
    return file


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_an_upload_goes_on_by_itself_when_the_subscriber_comes_back(
    web: WebPage, network: Network, large: Path, end: str
) -> None:
    web.register(f"{end}@example.org")
    slow(web)
    choose(web, large)
    upload = middle(web)

    getattr(network.subscriber, end)()
    expect(upload).to_have_attribute("data-state", "away")
    expect(upload.get_by_role("status")).to_contain_text("Paused: the server is away. It goes on by itself.")
    network.subscriber.start()

    expect(upload).to_have_attribute("data-state", "done", timeout=LATE_MS)
    assert stored(web, "@personal/large.bin") == large.read_bytes()


def test_an_upload_goes_on_after_a_reload_when_the_file_is_chosen_again(
    web: WebPage, network: Network, large: Path
) -> None:
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    web.register("reload@example.org")
    slow(web)
    choose(web, large)
    middle(web)
    web.page.on("dialog", leave)
    web.page.reload()
    assert asked == ["beforeunload"]

    upload = web.page.locator('.jp-Caterva2-upload[data-state="left"]')
    assert percent(upload) > 0
    offsets = offsets_sent(web)
    choose(web, large)
    expect(web.page.locator('.jp-Caterva2-upload[data-state="done"]')).to_be_visible(timeout=LATE_MS)

    assert min(offsets) >= 8 << 20
    assert stored(web, "@personal/large.bin") == large.read_bytes()
    web.page.reload()
    web.row("@personal/large.bin").wait_for()
    expect(web.page.locator(".jp-Caterva2-upload")).to_have_count(0)
    assert asked == ["beforeunload"]


def test_an_upload_is_paused_resumed_and_cancelled(web: WebPage, network: Network, large: Path) -> None:
    web.register("pause@example.org")
    slow(web)
    choose(web, large)
    upload = middle(web)

    upload.get_by_role("button", name="Pause").click()
    expect(upload).to_have_attribute("data-state", "held")
    upload.get_by_role("button", name="Resume").click()
    expect(upload).to_have_attribute("data-state", "sending")
    upload.get_by_role("button", name="Cancel").click()

    expect(upload).to_be_hidden()
    until(lambda: not kept(network), "the room is free again")


def test_a_dropped_folder_arrives_with_all_that_is_in_it(web: WebPage, tmp_path: Path) -> None:
    tree = tmp_path / "run7"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "empty").mkdir()
    for name in ("one.txt", "a/two.txt", "a/b/three.txt", ".hidden"):
        (tree / name).write_text(name)
    web.register("folder@example.org")
    web.drop_paths("@personal", tree)

    web.expand("@personal/run7", "@personal/run7/a", "@personal/run7/a/b")
    web.row("@personal/run7/a/b/three.txt").wait_for()
    web.row("@personal/run7/empty").wait_for()
    expect(web.row("@personal/run7/.hidden")).to_be_hidden()
    expect(web.page.locator('.jp-Caterva2-upload[data-state="failed"]')).to_have_count(0)
    assert stored(web, "@personal/run7/a/b/three.txt") == b"a/b/three.txt"


def test_a_chosen_folder_arrives_with_all_that_is_in_it(web: WebPage, tmp_path: Path) -> None:
    tree = tmp_path / "run8"
    (tree / "a").mkdir(parents=True)
    for name in ("one.txt", "a/two.txt", ".hidden"):
        (tree / name).write_text(name)
    web.register("chosen@example.org")
    web.open("roots/@personal")
    with web.page.expect_file_chooser() as chosen:
        web.button("Upload folder").click()
    chosen.value.set_files(tree)

    web.expand("@personal/run8", "@personal/run8/a")
    web.row("@personal/run8/a/two.txt").wait_for()
    web.row("@personal/run8/one.txt").wait_for()
    expect(web.page.locator('.jp-Caterva2-upload[data-state="failed"]')).to_have_count(0)


def test_one_answer_holds_for_all_files_that_are_there(web: WebPage, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.txt" for name in "abcd"]
    for file in files:
        file.write_text("old")
    web.register("replace@example.org")
    choose(web, *files)
    expect(web.page.locator('.jp-Caterva2-upload[data-state="done"]')).to_have_count(4)
    for file in files:
        file.write_text("newer")
    choose(web, *files)
    question = web.page.get_by_role("alert").filter(has_text="There is a file of this name")
    expect(question).to_have_count(1)
    question.get_by_role("checkbox", name="for all of these 4 files").check()
    question.get_by_role("button", name="Replace all").click()

    expect(web.page.locator('.jp-Caterva2-upload[data-state="done"]')).to_have_count(8)
    assert stored(web, "@personal/d.txt") == b"newer"


def choose(web: WebPage, *files: Path) -> None:
    """Choose files with the button beside the tree."""
    with web.page.expect_file_chooser() as chosen:
        web.page.get_by_role("complementary").get_by_role("button", name="Upload", exact=True).click()
    chosen.value.set_files(files)


def slow(web: WebPage) -> None:
    """Let the page send slowly."""
    session = web.page.context.new_cdp_session(web.page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW}
    session.send("Network.emulateNetworkConditions", limits)


def middle(web: WebPage) -> Locator:
    """Wait until a part has arrived and the next one is under way."""
    upload = web.page.locator(".jp-Caterva2-upload").first
    until(lambda: percent(upload) > 100 * (9 << 20) / SIZE, "a part has arrived")
    return upload


def percent(upload: Locator) -> int:
    return int(upload.get_by_role("progressbar").get_attribute("aria-valuenow") or 0)


def offsets_sent(web: WebPage) -> list[int]:
    """Return the places in the file of the parts that are sent from now on."""
    offsets: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    web.page.on("request", note)
    return offsets


def stored(web: WebPage, path: str) -> bytes:
    """Return what the subscriber has, as this user."""
    return web.page.request.get(f"{web.base}/api/download/{path}").body()


def kept(network: Network) -> list[Path]:
    """Return what uploads have left."""
    return list(network.state.rglob(".incoming/*"))
