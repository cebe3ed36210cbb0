"""What a scientist does in JupyterLab with our sidebar, from a look at the tree to a widget in a notebook."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Error, expect

from tests.support.labpage import LATE_MS, LabPage, drag
from tests.support.labsite import MANY, Site
from tests.support.processes import until

pytestmark = pytest.mark.slow


def test_browse_open_move_slider_insert_code_run_widget(lab: LabPage, site: Site, workspace: str) -> None:
    name = site.lab.add_notebook("journey.ipynb", "")
    lab.open(site.lab.lab_url(workspace, name))
    lab.wait_kernel()
    lab.show_sidebar()
    lab.expand("foo")
    expect(lab.row("foo/stack.b2nd")).to_contain_text(
        "64\N{MULTIPLICATION SIGN}128\N{MULTIPLICATION SIGN}192"
    )

    viewer = lab.open_dataset("foo/stack.b2nd")
    viewer.get_by_role("slider", name="Axis 0").fill("41")
    expect(viewer.locator(".jp-Caterva2-View-place")).to_contain_text("[41,")
    lab.shown("foo/stack.b2nd")

    lab.page.get_by_role("tab", name=name).click()
    lab.choose("foo/stack.b2nd", "Insert Code")
    expect(lab.source(0)).to_contain_text('ds = caterva2.Root("foo")["stack.b2nd"]')
    output = lab.run_cell(0)
    expect(output.locator(".jupyter-widgets").first).to_be_visible(timeout=LATE_MS)
    expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)


def test_a_dataset_dragged_into_a_notebook_becomes_a_cell(lab: LabPage, site: Site, workspace: str) -> None:
    name = site.lab.add_notebook("drag.ipynb", "1 + 1")
    lab.open(site.lab.lab_url(workspace, name))
    lab.wait_kernel()
    lab.show_sidebar()
    lab.expand("foo", "foo/dir")

    drag(lab.page, lab.row("foo/dir/line.b2nd"), lab.cell(0))

    cell = lab.notebook.locator(".jp-CodeCell").filter(has_text='Root("foo")["dir/line.b2nd"]')
    expect(cell).to_be_visible()


def test_a_file_dropped_on_a_published_root_is_refused_with_the_reason(
    lab: LabPage, site: Site, workspace: str
) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.row("foo").wait_for()

    lab.drop_file("foo", "drop.txt", b"no")

    expect(lab.notification("foo is published by others")).to_be_visible()


def test_a_new_file_of_a_publisher_is_seen_within_two_seconds(
    lab: LabPage, site: Site, workspace: str
) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo", "foo/dir")
    lab.row("foo/dir/line.b2nd").wait_for()

    site.network.add_array("foo/dir/fresh.b2nd", np.arange(10))
    began = time.monotonic()
    lab.row("foo/dir/fresh.b2nd").wait_for()
    took = time.monotonic() - began
    (site.network.home / "foo" / "dir" / "fresh.b2nd").unlink()

    assert took < 2
    expect(lab.row("foo/dir/fresh.b2nd")).to_be_hidden()


def test_an_open_viewer_follows_the_file(lab: LabPage, site: Site, workspace: str) -> None:
    site.network.add_array("foo/live.b2nd", np.zeros(7))
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    viewer = lab.open_dataset("foo/live.b2nd")

    site.network.add_array("foo/live.b2nd", np.zeros(11))

    expect(viewer.locator(".jp-Caterva2-View-about")).to_contain_text("11")
    lab.shown("foo/live.b2nd")


def test_the_filter_finds_at_any_depth(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.row("foo").wait_for()

    lab.filter("LINE.b2")
    lab.row("foo/dir/line.b2nd").wait_for()
    expect(lab.sidebar.get_by_role("status")).to_contain_text("1 match")
    expect(lab.row("foo/stack.b2nd")).to_be_hidden()

    lab.filter("no such thing")
    expect(lab.sidebar.get_by_role("status")).to_contain_text("Nothing matches")

    lab.filter("")
    lab.row("@public").wait_for()


def test_everything_by_the_keyboard(lab: LabPage, site: Site, workspace: str) -> None:
    name = site.lab.add_notebook("keys.ipynb", "")
    lab.open(site.lab.lab_url(workspace, name))
    lab.wait_kernel()
    keys = lab.page.keyboard

    lab.run("Datasets (Caterva2)")
    expect(lab.tree).to_be_focused()
    selected = lab.tree.get_by_role("treeitem", selected=True)
    keys.type("foo")
    expect(selected).to_have_attribute("data-path", "foo")
    keys.press("ArrowRight")
    lab.row("foo/stack.b2nd").wait_for()
    keys.type("stack")
    expect(selected).to_have_attribute("data-path", "foo/stack.b2nd")
    keys.press("Enter")
    viewer = lab.shown("foo/stack.b2nd")
    slider = viewer.get_by_role("slider", name="Axis 0")
    slider.focus()
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    expect(viewer.locator(".jp-Caterva2-View-place")).to_contain_text("[34,")

    lab.run("Datasets (Caterva2)")
    expect(lab.tree).to_be_focused()
    lab.run("Insert Code")
    expect(lab.page.locator(".jp-Notebook .cm-content").first).to_contain_text('["stack.b2nd"]')


def test_a_closed_tab_is_gone_and_can_be_opened_again(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    lab.open_dataset("foo/README.md")

    lab.page.keyboard.press("Alt+w")
    expect(lab.viewer("foo/README.md")).to_have_count(0)

    lab.open_dataset("foo/README.md")


def test_reload_brings_tree_and_tabs_back(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo", "foo/dir")
    lab.open_dataset("foo/dir/table.b2nd")
    viewer = lab.open_dataset("foo/stack.b2nd")
    viewer.get_by_role("slider", name="Axis 0").fill("17")
    expect(viewer.locator(".jp-Caterva2-View-place")).to_contain_text("[17,")
    lab.wait_saved(site.lab, workspace, stack="17", expanded="foo/dir", table="foo/dir/table.b2nd")

    lab.reload()

    viewer = lab.shown("foo/stack.b2nd")
    expect(viewer.locator(".jp-Caterva2-View-place")).to_contain_text("[17,")
    expect(lab.sidebar).to_be_visible()
    lab.row("foo/dir/table.b2nd").wait_for()
    expect(lab.page.get_by_role("tab", name="table.b2nd")).to_be_visible()


def test_a_directory_of_5000_files_scrolls_to_its_end(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("many")
    lab.row("many/file-00000.txt").wait_for()
    assert len(lab.rows()) < 200

    lab.tree.focus()
    lab.page.keyboard.press("End")

    last = lab.row(f"many/file-{MANY - 1:05d}.txt")
    lab.tree.evaluate("tree => tree.scrollTo(0, tree.scrollHeight)")
    last.wait_for()
    expect(last).to_have_attribute("aria-setsize", str(MANY))
    last.dblclick()
    expect(lab.shown(f"many/file-{MANY - 1:05d}.txt")).to_contain_text(str(MANY - 1))


def test_every_kind_of_file_is_shown(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo", "foo/dir")

    table = lab.open_dataset("foo/dir/table.b2nd")
    expect(table).to_contain_text("run3")
    expect(table).to_contain_text("energy")
    line = lab.open_dataset("foo/dir/line.b2nd")
    expect(line.locator("path.jp-Caterva2-View-path")).to_be_visible()
    markdown = lab.open_dataset("foo/README.md")
    expect(markdown.get_by_role("heading", name="About")).to_be_visible()
    expect(markdown.locator("em")).to_have_text("measured")


def test_the_dark_theme_is_dark_and_readable(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    lab.open_dataset("foo/stack.b2nd")
    lab.use_theme("JupyterLab Dark")
    try:
        for place in (
            lab.row("foo/README.md").locator(".jp-Caterva2-row-name"),
            lab.row("foo/stack.b2nd").locator(".jp-Caterva2-row-facts"),
            lab.sidebar.locator(".jp-Caterva2-subscriber-name"),
            lab.viewer("foo/stack.b2nd").locator(".jp-Caterva2-View-place"),
        ):
            text, ground = lab.colors(place)
            assert ground < 0.2, place
            assert (text + 0.05) / (ground + 0.05) > 4.5, place
    finally:
        lab.use_theme("JupyterLab Light")


def test_the_sidebar_says_why_the_subscriber_is_away_and_finds_it_again(
    lab: LabPage, site: Site, workspace: str
) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    lab.row("foo/stack.b2nd").wait_for()
    notice = lab.sidebar.locator(".jp-Caterva2-treePane .jp-Caterva2-notice-error")

    site.network.subscriber.stop()
    try:
        expect(notice).to_be_visible()
        expect(notice).to_contain_text(site.network.subscriber.http)
        expect(notice.get_by_role("button", name="Retry")).to_be_enabled()
        lab.row("foo/README.md").dblclick()
        expect(lab.shown("foo/README.md", "error").get_by_role("alert")).to_be_visible()
    finally:
        site.network.subscriber.start()
    if notice.is_visible():
        # It may go by itself meanwhile.
        with contextlib.suppress(Error):
            notice.get_by_role("button", name="Retry").click(timeout=2_000)

    expect(notice).to_be_hidden()
    lab.shown("foo/README.md")  # by itself
    site.network.add("foo/back.txt", b"back")
    lab.row("foo/back.txt").wait_for()
    (site.network.home / "foo" / "back.txt").unlink()


def test_a_root_without_its_publisher_is_marked_offline(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    lab.row("foo/stack.b2nd").wait_for()
    publisher = site.network.publishers["foo"]

    publisher.stop()
    try:
        expect(lab.row("foo")).to_contain_text("offline")
        expect(lab.row("foo/stack.b2nd")).to_be_visible()
    finally:
        publisher.start()

    expect(lab.row("foo")).not_to_contain_text("offline", timeout=LATE_MS)


def test_a_notebook_that_is_opened_again_shows_what_its_widgets_left(
    lab: LabPage, site: Site, workspace: str
) -> None:
    code = 'import caterva2_jupyter\ncaterva2_jupyter.show("foo/stack.b2nd")'
    name = site.lab.add_notebook("again.ipynb", code)
    lab.open(site.lab.lab_url(workspace, name))
    lab.wait_kernel()
    output = lab.run_cell(0)
    expect(output.locator("img:visible")).to_have_count(1, timeout=LATE_MS)  # the widget's, not what is left
    lab.page.keyboard.press("ControlOrMeta+S")
    until(lambda: "caterva2-still" in (site.lab.notebooks / name).read_text(), "the saved notebook")
    site.lab.end_kernels()

    lab.open(site.lab.lab_url(f"{workspace}-again", name))

    left = lab.cell(0).locator(".jp-OutputArea")
    expect(left.get_by_text("(64, 128, 192)")).to_be_visible()
    expect(left.locator("img:visible")).to_have_count(1)
    lost = left.get_by_text("model not found")
    lost.wait_for(state="attached")
    expect(lost).to_be_hidden()


def test_notebook_7_has_the_sidebar_too(lab: LabPage, site: Site) -> None:
    name = site.lab.add_notebook("seven.ipynb", "")
    lab.open(site.lab.notebook_url(name))
    lab.wait_kernel()

    def is_shown() -> bool:
        # Notebook 7 may still arrange its side panels, and hide them all once more.
        lab.run("Datasets (Caterva2)")
        with contextlib.suppress(AssertionError):
            expect(lab.sidebar).to_be_visible(timeout=3_000)
        return lab.sidebar.is_visible()

    until(is_shown, "the sidebar")
    lab.expand("foo")

    lab.open_dataset("foo/stack.b2nd")
    lab.choose("foo/stack.b2nd", "Insert Code")
    expect(lab.source(0)).to_contain_text('ds = caterva2.Root("foo")["stack.b2nd"]')
    output = lab.run_cell(0)
    expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)


def test_nothing_of_the_viewers_data_is_read_whole(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url))

    lab.open_dataset("foo/stack.b2nd")

    windows = [url for url in asked if "/api/window/" in url]
    assert windows
    assert all("slice_=" in url for url in windows)
    assert not any("/api/fetch/" in url or "/api/download/" in url for url in asked)


def test_opening_a_root_subscribes_to_it(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    expect(lab.row("other")).to_have_attribute("title", re.compile("Not subscribed yet"))

    lab.expand("other")

    lab.row("other/note.txt").wait_for()
    assert site.network.get("/api/roots").json()["other"]["subscribed"]


def test_path_and_code_are_copied(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")

    lab.choose("foo/stack.b2nd", "Copy Path")
    assert lab.clipboard() == "foo/stack.b2nd"
    lab.choose("foo/stack.b2nd", "Copy Code")
    assert 'ds = caterva2.Root("foo")["stack.b2nd"]' in lab.clipboard()


def test_a_file_is_downloaded_as_it_was_published(
    lab: LabPage, site: Site, workspace: str, tmp_path: Path
) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")

    with lab.page.expect_download() as download:
        lab.choose("foo/stack.b2nd", "Download")
    download.value.save_as(tmp_path / "stack.b2nd")

    assert (tmp_path / "stack.b2nd").read_bytes() == (site.network.home / "foo/stack.b2nd").read_bytes()


def test_what_can_not_be_done_says_why(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")

    lab.row("foo/README.md").click(button="right")

    menu = lab.page.locator(".lm-Menu")
    expect(menu.get_by_text("Rename… (published roots are read-only)")).to_be_visible()
    expect(menu.get_by_text("Delete (published roots are read-only)")).to_be_visible()


def test_high_contrast_is_readable(lab: LabPage, site: Site, workspace: str) -> None:
    lab.open(site.lab.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("foo")
    lab.use_theme("JupyterLab Dark High Contrast")
    try:
        text, ground = lab.colors(lab.row("foo/README.md").locator(".jp-Caterva2-row-name"))
        assert (text + 0.05) / (ground + 0.05) > 7
    finally:
        lab.use_theme("JupyterLab Light")
