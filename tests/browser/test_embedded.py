"""JupyterLab right after its installation: a subscriber of its own, over the directory of the notebooks."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator

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


def test_copied_url_leads_to_the_file(lab: LabPage, alone: JupyterLab, workspace: str) -> None:
    (alone.notebooks / "a b.txt").write_bytes(b"found")
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()
    lab.expand("@public")

    lab.choose("@public/a b.txt", "Copy Download URL")

    # Its subscriber has no address but the one inside Jupyter, where one must be logged in.
    asked = urllib.request.Request(lab.clipboard(), headers=alone.server.headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.read() == b"found"


@pytest.fixture
def settings(alone: JupyterLab) -> Iterator[None]:
    """Let a person have chosen other settings than the usual ones."""
    chosen = {"showDetails": False, "confirmDelete": False, "pageSize": 20}
    with alone.server.client() as client:
        path = "lab/api/settings/@caterva2/jupyterlab:plugin"
        client.put(path, json={"raw": json.dumps(chosen)}).raise_for_status()
        yield
        client.put(path, json={"raw": "{}"}).raise_for_status()


@pytest.mark.usefixtures("settings")
def test_settings_are_honoured(lab: LabPage, alone: JupyterLab, workspace: str) -> None:
    (alone.notebooks / "many").mkdir()
    for number in range(50):
        (alone.notebooks / "many" / f"n{number}.txt").write_bytes(b"text")
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url))
    lab.open(alone.lab_url(workspace))
    lab.show_sidebar()

    lab.expand("@public", "@public/many")
    lab.row("@public/many/n0.txt").click()
    expect(lab.sidebar.get_by_text("Freshness")).to_be_hidden()
    lab.page.keyboard.press("Delete")

    expect(lab.row("@public/many/n0.txt")).to_be_hidden()
    assert not (alone.notebooks / "many" / "n0.txt").exists()
    assert any("/api/tree/@public/many?" in url and "limit=20&" in f"{url}&" for url in asked)
