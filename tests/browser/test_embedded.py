"""JupyterLab right after its installation: a subscriber of its own, over the directory of the notebooks."""

from __future__ import annotations

import os

import blosc2
import numpy as np
import pytest
from playwright.sync_api import expect

from tests.support.jupyterlab import JupyterLab
from tests.support.labpage import LATE_MS, LabPage

pytestmark = pytest.mark.slow


def test_a_new_user_finds_looks_and_computes(lab: LabPage, alone: JupyterLab, workspace: str) -> None:
    image = np.add.outer(np.arange(60.0), np.arange(80.0))
    blosc2.asarray(image, urlpath=str(alone.notebooks / "mine.b2nd"), mode="w")
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    expect(lab.sidebar).to_contain_text("This Jupyter server")
    lab.expand("@public")
    lab.open_dataset("@public/mine.b2nd")

    lab.choose("@public/mine.b2nd", "Insert Code")
    lab.notification("No notebook is open").get_by_role("button", name="New notebook").click()
    expect(lab.source(0)).to_contain_text('caterva2.Root("@public")["mine.b2nd"]', timeout=LATE_MS)
    lab.wait_kernel()
    output = lab.run_cell(0)
    expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)


def test_a_dropped_file_is_uploaded_and_replaced_only_if_one_says_so(
    lab: LabPage, alone: JupyterLab, workspace: str
) -> None:
    file = alone.notebooks / "drop.txt"
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    lab.row("@public").wait_for()
    uploads = lab.sidebar.locator(".jp-Caterva2-upload")

    lab.drop_file("@public", "drop.txt", b"first")
    lab.row("@public/drop.txt").wait_for()
    assert file.read_bytes() == b"first"

    lab.drop_file("@public", "drop.txt", b"second")
    question = uploads.filter(has_text="There is a file of this name")
    question.get_by_role("button", name="Keep it").click()
    expect(question).to_be_hidden()
    assert file.read_bytes() == b"first"

    lab.drop_file("@public", "drop.txt", b"third")
    question.get_by_role("button", name="Replace it").click()
    expect(lab.sidebar.locator('.jp-Caterva2-upload[data-state="done"]')).to_have_count(2)
    assert file.read_bytes() == b"third"


def test_a_large_file_goes_through_jupyter_in_parts(lab: LabPage, alone: JupyterLab, workspace: str) -> None:
    content = os.urandom(20 << 20)
    parts: list[str] = []
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    lab.row("@public").wait_for()
    lab.page.on("request", lambda request: parts.append(request.url) if request.method == "PATCH" else None)

    lab.drop_file("@public", "large.bin", content)

    lab.row("@public/large.bin").wait_for()
    assert (alone.notebooks / "large.bin").read_bytes() == content
    assert len([url for url in parts if "/api/uploads/" in url]) == 3


def test_a_folder_is_made_and_a_file_renamed_and_deleted(
    lab: LabPage, alone: JupyterLab, workspace: str
) -> None:
    (alone.notebooks / "old.txt").write_bytes(b"text")
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("@public")

    lab.choose("@public", "New Folder")
    lab.page.locator(".jp-Dialog input").fill("made")
    lab.page.keyboard.press("Enter")
    lab.row("@public/made").wait_for()
    assert (alone.notebooks / "made").is_dir()

    lab.row("@public/old.txt").click()
    lab.page.keyboard.press("F2")
    editor = lab.sidebar.get_by_role("textbox", name="New name")
    editor.fill("new.txt")
    editor.press("Enter")
    lab.row("@public/new.txt").wait_for()
    expect(lab.row("@public/old.txt")).to_be_hidden()

    lab.row("@public/new.txt").click()
    lab.page.keyboard.press("Delete")
    lab.page.locator(".jp-Dialog").get_by_role("button", name="Delete").click()
    expect(lab.row("@public/new.txt")).to_be_hidden()
    assert not (alone.notebooks / "new.txt").exists()


def test_an_expression_is_made_and_opened(lab: LabPage, alone: JupyterLab, workspace: str) -> None:
    blosc2.asarray(np.arange(12.0), urlpath=str(alone.notebooks / "twelve.b2nd"), mode="w")
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("@public")

    lab.choose("@public/twelve.b2nd", "New Expression")
    dialog = lab.page.locator(".jp-Dialog")
    dialog.get_by_label("Name", exact=True).fill("more")
    dialog.get_by_role("button", name="Create").click()

    lab.shown("@personal/more.b2nd")
