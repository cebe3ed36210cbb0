"""What a scientist does in JupyterLab with our sidebar, from a look at the tree to a widget in a notebook."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.support.labpage import LATE_MS, LabPage, drag
from tests.support.labsite import MANY, Site

pytestmark = pytest.mark.slow


def slider_to(lab: LabPage, path: str, axis: int, index: int) -> None:
    lab.viewer(path).get_by_role("slider", name=f"Axis {axis}").fill(str(index))


def test_browse_open_move_slider_insert_code_run_widget(lab: LabPage, site: Site, workspace: str) -> None:
    name = site.lab.add_notebook("journey.ipynb", "")
    lab.open(site.lab.lab_url(workspace, name))
    lab.wait_kernel()
    lab.show_sidebar()
    lab.expand("foo")
    expect(lab.row("foo/stack.b2nd")).to_contain_text("64×128×192")

    lab.open_dataset("foo/stack.b2nd")
    slider_to(lab, "foo/stack.b2nd", 0, 41)
    viewer = lab.shown("foo/stack.b2nd")
    expect(viewer.locator(".jp-Caterva2-View-place")).to_contain_text("[41,")

    lab.page.get_by_role("tab", name=name).click()
    lab.choose("foo/stack.b2nd", "Insert Code")
    code = lab.cell(0).locator(".cm-content")
    expect(code).to_contain_text('ds = caterva2.Root("foo")["stack.b2nd"]')
    output = lab.run_cell(0)
    expect(output.locator(".jupyter-widgets").first).to_be_visible(timeout=LATE_MS)
    expect(output.locator("img").first).to_be_visible(timeout=LATE_MS)
