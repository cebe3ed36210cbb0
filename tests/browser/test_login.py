"""JupyterLab over a subscriber with users, under another host name."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.support.accounts import PASSWORD
from tests.support.demonet import ADA, demo_network
from tests.support.jupyterlab import JupyterLab, running_lab
from tests.support.labpage import LATE_MS, LabPage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab_far_away(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterLab]:
    with demo_network(tmp_path_factory.mktemp("network")) as network:
        url = f"http://localhost:{urlsplit(network.url).port}"
        home = tmp_path_factory.mktemp("lab")
        options = (
            f"--Caterva2App.subscribers=institute={url}",
            f"--Caterva2App.token_file={home / 'tokens.json'}",
            "--Caterva2App.embedded=True",
        )
        with running_lab(home, *options) as lab:
            yield lab


def test_log_in_look_and_compute(lab: LabPage, lab_far_away: JupyterLab, workspace: str) -> None:
    name = lab_far_away.add_notebook("far.ipynb", "")
    lab.open(lab_far_away.lab_url(workspace, name))
    lab.wait_kernel()
    lab.show_sidebar()

    lab.sidebar.get_by_role("button", name="Log in").click()
    form = lab.page.locator(".jp-Dialog")
    form.get_by_label("User").fill(ADA)
    form.get_by_label("Password").fill("a wrong password")
    lab.page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_be_visible()
    form.get_by_label("Password").fill(PASSWORD)
    lab.page.keyboard.press("Enter")

    expect(lab.sidebar).to_contain_text(ADA)
    lab.row("@personal").wait_for()
    lab.expand("foo", "foo/dir1")
    lab.open_dataset("foo/dir1/ds-2d.b2nd")
    lab.page.get_by_role("tab", name=name).click()
    lab.choose("foo/dir1/ds-2d.b2nd", "Insert Code")
    code = lab.source(0)
    expect(code).to_contain_text('caterva2.Root("foo")["dir1/ds-2d.b2nd"]')
    assert PASSWORD not in (code.text_content() or "")
    output = lab.run_cell(0)
    expect(output.locator("img:visible").first).to_be_visible(timeout=LATE_MS)

    lab.drop_file("@personal", "mine.txt", b"mine")
    lab.row("@personal/mine.txt").wait_for()

    lab.sidebar.get_by_role("button", name="Log out").click()
    expect(lab.sidebar.get_by_role("button", name="Log in")).to_be_visible()
    expect(lab.row("@personal")).to_be_hidden()


def test_the_secrets_of_the_subscriber_never_reach_the_browser(
    lab: LabPage, lab_far_away: JupyterLab, workspace: str
) -> None:
    answers: list[dict[str, str]] = []
    lab.page.on("response", lambda answer: answers.append(answer.headers))
    lab.open(lab_far_away.lab_url(workspace))
    lab.show_sidebar()
    lab.row("foo").wait_for()

    assert answers
    assert not any("caterva2" in headers.get("set-cookie", "").lower() for headers in answers)
    assert "c2token" not in lab.page.evaluate("document.cookie")


def test_one_subscriber_and_the_other(lab: LabPage, lab_far_away: JupyterLab, workspace: str) -> None:
    (lab_far_away.notebooks / "here.txt").write_bytes(b"here")
    lab.open(lab_far_away.lab_url(workspace))
    lab.show_sidebar()
    choice = lab.sidebar.get_by_role("combobox", name="Subscriber")
    lab.row("foo").wait_for()

    choice.select_option(label="This Jupyter server")
    expect(lab.row("foo")).to_be_hidden()
    lab.expand("@public")
    lab.row("@public/here.txt").wait_for()

    choice.select_option("institute")
    lab.row("foo").wait_for()
