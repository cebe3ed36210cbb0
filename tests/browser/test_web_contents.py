"""The list of what is in a directory, on the web page: facts, order, keys, drops, and who may do what."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from tests.support.processes import Network
from tests.support.webpage import AXE, BUILT, WebPage

pytestmark = pytest.mark.slow
MANY = 5_000

_OPEN = """
([link, entry]) => new Promise(resolve => {
    const begun = performance.now();
    const look = () => document.querySelector(`[data-entry="${entry}"]`)
        ? requestAnimationFrame(() => resolve(performance.now() - begun))
        : requestAnimationFrame(look);
    document.querySelector(`main a[href$="${link}"]`).click();
    look();
})
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    home = tmp_path_factory.mktemp("contents")
    (home / "many").mkdir()
    for number in range(MANY):
        (home / "many" / f"file-{number:05d}.txt").write_bytes(b"%d\n" % number)
    with Network(home, roots=("foo", "many", "quiet"), secret="correct horse battery staple") as network:
        network.add_array("foo/stack.b2nd", np.zeros((24, 32, 48), dtype="f4"))
        network.add_array("foo/dir/line.b2nd", np.arange(10))
        network.add("foo/README.md", b"# About\n")
        network.add("foo/random.bin", os.urandom(50_000))
        for file in (network.home / "foo").rglob("*.*"):
            os.utime(file, (1_700_000_000, 1_700_000_000))
        os.utime(network.home / "foo" / "README.md", (1_800_000_000, 1_800_000_000))
        for root in ("foo", "many"):
            network.subscribe(root)
        yield network


def test_a_directory_lists_what_is_in_it_with_facts(web: WebPage) -> None:
    web.open("roots/foo")
    line = entry(web, "foo/stack.b2nd")

    expect(line.get_by_role("cell").nth(1)).to_have_text("array")
    expect(line.get_by_role("cell").nth(2)).to_have_text(
        "24\N{MULTIPLICATION SIGN}32\N{MULTIPLICATION SIGN}48 · float32"
    )
    expect(line.get_by_role("cell").nth(3)).to_have_text(re.compile(r"\d+ k?B"))
    expect(line.get_by_role("cell").nth(4)).to_have_text(re.compile(r"2023-11-1\d \d\d:\d\d"))
    expect(web.page.get_by_role("article")).to_contain_text("published root · 4 entries")
    expect(web.page.get_by_role("article")).to_contain_text("up to date")
    with web.page.expect_download() as download:
        line.get_by_role("link", name="Download stack.b2nd").click()
    assert download.value.suggested_filename == "stack.b2nd"
    entry(web, "foo/dir").get_by_role("link").click()
    entry(web, "foo/dir/line.b2nd").get_by_role("link", name="line.b2nd", exact=True).click()
    web.shown("foo/dir/line.b2nd")


def test_a_middle_click_opens_another_tab(web: WebPage) -> None:
    web.open("roots/foo")
    with web.page.context.expect_page() as opened:
        entry(web, "foo/stack.b2nd").click(button="middle", position={"x": 300, "y": 10})

    expect(opened.value).to_have_url(f"{web.base}/roots/foo/stack.b2nd")


def test_entries_are_sorted_by_a_column_directories_first(web: WebPage) -> None:
    web.open("roots/foo")
    entry(web, "foo/dir").wait_for()
    assert names(web) == ["dir", "random.bin", "README.md", "stack.b2nd"]

    header = web.page.get_by_role("columnheader", name="Size")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    assert names(web) == ["dir", "random.bin", "stack.b2nd", "README.md"]
    header.get_by_role("button").click()
    assert names(web) == ["dir", "README.md", "stack.b2nd", "random.bin"]
    web.page.get_by_role("columnheader", name="Changed").get_by_role("button").click()
    assert names(web)[:2] == ["dir", "README.md"]


def test_what_a_publisher_adds_is_in_the_list_at_once(web: WebPage, network: Network) -> None:
    web.open("roots/foo/dir")
    entry(web, "foo/dir/line.b2nd").wait_for()

    network.add("foo/dir/fresh.txt", b"new")
    entry(web, "foo/dir/fresh.txt").wait_for(timeout=2_000)
    (network.home / "foo" / "dir" / "fresh.txt").unlink()
    expect(entry(web, "foo/dir/fresh.txt")).to_be_hidden(timeout=2_000)


def test_thousands_of_entries_are_usable_at_once_and_by_keyboard(web: WebPage) -> None:
    took = []
    for _ in range(3):
        web.open()
        web.page.get_by_role("main").get_by_role("link", name="many").wait_for()
        took.append(web.page.evaluate(_OPEN, ["roots/many", "many/file-00000.txt"]))
    assert min(took) < 300

    first = entry(web, "many/file-00000.txt").get_by_role("link", name="file-00000.txt", exact=True)
    first.focus()
    web.page.keyboard.press("ArrowDown")
    expect(web.page.get_by_role("link", name="file-00001.txt", exact=True)).to_be_focused()
    web.page.keyboard.press("End")
    last = web.page.get_by_role("link", name=f"file-{MANY - 1:05d}.txt", exact=True)
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport()
    assert web.page.get_by_role("main").get_by_role("row").count() < 150
    web.page.keyboard.press("Home")
    expect(first).to_be_focused()
    web.page.keyboard.press("Enter")
    web.shown("many/file-00000.txt")


def test_who_comes_back_finds_his_place_in_the_list(web: WebPage) -> None:
    web.open("roots/many")
    entry(web, "many/file-00000.txt").get_by_role("link").first.focus()
    web.page.keyboard.press("End")
    last = entry(web, f"many/file-{MANY - 1:05d}.txt")
    expect(last.get_by_role("link").first).to_be_focused()
    web.page.keyboard.press("Enter")
    web.shown(f"many/file-{MANY - 1:05d}.txt")

    web.page.go_back()

    expect(last).to_be_in_viewport()


def test_an_empty_area_invites_to_drop_files_and_takes_them(web: WebPage, tmp_path: Path) -> None:
    web.register("drop@example.org")
    web.open("roots/@personal")
    expect(web.page.get_by_text("Drop files or folders here")).to_be_visible()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.txt").write_text("a")
    web.drop_on(web.page.get_by_text("Drop files or folders here"), tmp_path / "run")
    entry(web, "@personal/run").wait_for()

    (tmp_path / "b.txt").write_text("b")
    web.drop_on(entry(web, "@personal/run"), tmp_path / "b.txt")
    entry(web, "@personal/run").get_by_role("link").click()
    entry(web, "@personal/run/a.txt").wait_for()
    entry(web, "@personal/run/b.txt").wait_for()
    assert web.page.request.get(f"{web.base}/api/download/@personal/run/b.txt").text() == "b"


def test_a_drop_on_a_published_root_is_refused_with_a_reason(web: WebPage, tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("b")
    web.register("refused@example.org")
    web.open("roots/foo")
    web.drop_on(entry(web, "foo/README.md"), tmp_path / "b.txt")

    expect(web.page).to_have_url(f"{web.base}/roots/foo")
    expect(web.page.locator(".jp-Caterva2-upload")).to_have_count(0)


CHANGES = re.compile("Upload|New |Expression|Compute|Rename|Move|Copy$|Delete|Share|Make a|Choose")


@pytest.mark.parametrize("place", ["", "roots/foo", "roots/foo/stack.b2nd", "roots/@public", "roots/quiet"])
def test_nobody_in_particular_is_offered_only_what_works(web: WebPage, network: Network, place: str) -> None:
    network.add("@public/note.txt", b"note")
    web.open(place)
    web.row("foo").wait_for()
    web.page.get_by_role("heading", level=1).wait_for()

    expect(web.page.get_by_role("button", name=CHANGES)).to_have_count(0)
    expect(web.page.get_by_text("Drop files")).to_have_count(0)


def test_the_holder_of_a_link_is_offered_only_what_works(
    web: WebPage, open_in: Callable[..., WebPage]
) -> None:
    web.register("giver@example.org")
    web.open("roots/foo")
    web.button("Share").click()
    web.button("Make a link").click()
    token = (web.dialog.get_by_test_id("share").text_content() or "").rpartition("/")[2]

    other = open_in()
    other.page.goto(f"{other.base}/share/{token}")
    line = entry(other, "foo/stack.b2nd")
    line.wait_for()
    expect(other.page.get_by_role("button", name=CHANGES)).to_have_count(0)
    with other.page.expect_download():
        line.get_by_role("link", name="Download stack.b2nd").click()
    line.get_by_role("link", name="stack.b2nd", exact=True).click()
    other.shown("foo/stack.b2nd")
    expect(other.page.get_by_role("button", name=CHANGES)).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lists_and_uploads_are_for_people_who_see_or_move_little(
    open_in: Callable[..., WebPage], scheme: str, width: int, tmp_path: Path
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make labtest")
    web = open_in(color_scheme=scheme, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    files = [tmp_path / f"{name}.txt" for name in "abc"]
    for file in files:
        file.write_text("x")
    web.register(f"{scheme}-{width}@example.org")
    for place in ("roots/@personal", "roots/foo", "roots/many"):
        web.open(place)
        web.page.locator(".c2-list, .c2-empty-drop").first.wait_for()
        assert web.flaws() == [], place
        assert web.overflow() <= 0, place
    web.open("roots/@personal")
    for _ in range(2):
        with web.page.expect_file_chooser() as chosen:
            web.page.get_by_role("main").get_by_role(
                "button", name=re.compile("Upload|Choose files")
            ).first.click()
        chosen.value.set_files(files)
        entry(web, "@personal/c.txt").wait_for()
    web.page.get_by_role("checkbox", name="for all of these 3 files").wait_for()
    assert web.flaws() == []
    assert web.overflow() <= 0


def entry(web: WebPage, path: str) -> Locator:
    return web.page.locator(f'[data-entry="{path}"]')


def names(web: WebPage) -> list[str]:
    return web.page.locator("[data-entry] .c2-entry").all_text_contents()
