"""The web page of a subscriber in a real browser: what somebody does who has nothing but an address."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from caterva2.cli import admin
from tests.support.jupyter import REPOSITORY
from tests.support.processes import Network, until
from tests.support.webpage import AXE, BUILT, WebPage

pytestmark = pytest.mark.slow
MANY = 5_000
SHOTS = REPOSITORY / "_browser" / "web"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with users, and something to look at."""
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    home = tmp_path_factory.mktemp("web")
    many = home / "many"
    many.mkdir()
    for number in range(MANY):
        (many / f"file-{number:05d}.txt").write_bytes(b"%d\n" % number)
    with Network(home, roots=("foo", "many"), secret="correct horse battery staple") as network:
        stack = np.arange(24 * 32 * 48, dtype="f4").reshape(24, 32, 48)
        network.add_array("foo/stack.b2nd", stack, chunks=(4, 32, 48), blocks=(1, 32, 48))
        table = np.zeros(500, dtype=[("name", "S8"), ("energy", "<f8")])
        table["name"] = [f"run{n}" for n in range(500)]
        table["energy"] = np.sqrt(np.arange(500))
        network.add_array("foo/dir/table.b2nd", table)
        network.add_array("foo/dir/line.b2nd", np.sin(np.linspace(0, 20, 1000)))
        network.add("foo/README.md", b"# About\n\nThese are *measured*.\n")
        for root in ("foo", "many"):
            network.subscribe(root)
        yield network


def test_register_log_in_upload_view_compute_log_out(web: WebPage) -> None:
    web.register("ada@example.org")
    web.log_out()
    web.log_in("ada@example.org", "a wrong password")
    expect(web.page.get_by_role("alert")).to_contain_text("password is wrong")
    web.log_in("ada@example.org")
    web.row("@personal").wait_for()

    web.drop_file("@personal", "notes.md", b"# Mine\n")
    web.row("@personal/notes.md").click()
    expect(web.shown("@personal/notes.md").get_by_role("heading", name="Mine")).to_be_visible()
    web.drop_file("@personal", "notes.md", b"# New\n")
    web.button("Replace it").click()
    expect(web.shown("@personal/notes.md").get_by_role("heading", name="New")).to_be_visible()

    web.expand("foo")
    web.row("foo/stack.b2nd").click()
    web.shown("foo/stack.b2nd")
    web.button("Compute with it").click()
    web.dialog.get_by_label("Name", exact=True).fill("double")
    web.dialog.get_by_label("Expression", exact=True).fill("a * nonsense(")
    web.button("Create").click()
    expect(web.dialog.get_by_role("alert")).to_be_visible()
    web.dialog.get_by_label("Expression", exact=True).fill("a * 2")
    web.button("Create").click()
    expect(web.dialog.get_by_test_id("cost")).to_contain_text("24 \N{MULTIPLICATION SIGN} 32")
    web.button("Open").click()
    web.shown("@personal/double.b2nd")
    expect(web.page).to_have_url(f"{web.base}/roots/@personal/double.b2nd")

    web.log_out()
    expect(web.row("@personal")).to_be_hidden()


def test_paths_of_datasets_are_completed(web: WebPage) -> None:
    web.register("grace@example.org")
    web.button("Expression").click()

    web.dialog.get_by_label("Path of dataset 1").fill("line")

    expect(web.dialog.locator('datalist option[value="foo/dir/line.b2nd"]')).to_be_attached()


def test_an_address_shows_the_same_to_others(web: WebPage, open_in: Callable[..., WebPage]) -> None:
    web.open()
    web.expand("foo")
    web.row("foo/stack.b2nd").click()
    web.shown("foo/stack.b2nd").get_by_role("slider", name="Axis 0").fill("7")
    expect(web.page).to_have_url(re.compile(re.escape(f"{web.base}/roots/foo/stack.b2nd") + r"\?.*at=7,"))
    place = web.page.url.removeprefix(f"{web.base}/")
    web.row("foo/README.md").click()
    web.shown("foo/README.md")

    web.page.go_back()
    where = web.shown("foo/stack.b2nd").locator(".jp-Caterva2-View-place")
    expect(where).to_contain_text("[7,")
    web.page.go_forward()
    web.shown("foo/README.md")

    other = open_in()
    other.open(place)
    expect(other.shown("foo/stack.b2nd").locator(".jp-Caterva2-View-place")).to_contain_text("[7,")
    expect(other.row("foo/stack.b2nd")).to_have_attribute("aria-selected", "true")


def test_what_is_not_there_offers_nothing_and_appears_by_itself(web: WebPage, network: Network) -> None:
    web.open("roots/foo/late.md")
    expect(web.page.get_by_role("alert")).to_contain_text("late.md")
    expect(web.page.get_by_role("link", name="Download")).to_be_hidden()

    network.add("foo/late.md", b"# Better late\n")
    expect(web.shown("foo/late.md").get_by_role("heading", name="Better late")).to_be_visible()
    expect(web.page.get_by_role("link", name="Download", exact=True)).to_be_visible()


def test_what_a_publisher_changes_is_seen_within_two_seconds(web: WebPage, network: Network) -> None:
    web.open()
    web.expand("foo", "foo/dir")
    web.row("foo/dir/line.b2nd").wait_for()

    network.add_array("foo/dir/fresh.b2nd", np.arange(10))
    began = time.monotonic()
    web.row("foo/dir/fresh.b2nd").wait_for()
    assert time.monotonic() - began < 2

    (network.home / "foo" / "dir" / "fresh.b2nd").unlink()
    began = time.monotonic()
    expect(web.row("foo/dir/fresh.b2nd")).to_be_hidden()
    assert time.monotonic() - began < 2


def test_folders_files_and_notebooks_are_made_moved_and_deleted(web: WebPage) -> None:
    web.register("mary@example.org")
    web.row("@personal").click()
    for what, name in (("New folder", "runs"), ("New notebook", "first")):
        web.row("@personal").click(position={"x": 60, "y": 8})
        web.page.get_by_role("complementary").get_by_role("button", name=what).click()
        web.dialog.get_by_label("Name").fill(name)
        web.button("Create").click()
    web.row("@personal/first.ipynb").wait_for()
    expect(web.page.get_by_role("heading", name="first.ipynb")).to_be_visible()

    web.button("Rename").click()
    web.dialog.get_by_label("New name").fill("second.ipynb")
    web.dialog.get_by_role("button", name="Rename").click()
    web.row("@personal/second.ipynb").wait_for()
    web.button("Move").click()
    web.dialog.get_by_label("To the directory").fill("@personal/runs")
    web.dialog.get_by_role("button", name="Move").click()
    web.row("@personal/runs/second.ipynb").wait_for()
    web.button("Copy").click()
    web.dialog.get_by_label("To the directory").fill("@personal")
    web.dialog.get_by_role("button", name="Copy").click()
    expect(web.page).to_have_url(f"{web.base}/roots/@personal/second.ipynb")

    web.row("@personal/runs").click()
    web.button("Delete").click()
    expect(web.dialog).to_contain_text("with everything in it")
    web.dialog.get_by_role("button", name="Delete").click()
    expect(web.row("@personal/runs")).to_be_hidden()
    web.row("@personal/second.ipynb").wait_for()


def test_a_token_and_a_new_password_are_made(web: WebPage, network: Network) -> None:
    web.register("emmy@example.org")
    web.page.get_by_role("link", name="emmy@example.org").click()
    expect(web.page.locator(".c2-room")).to_contain_text("in @personal")

    web.page.get_by_label("Name of a new token").fill("script")
    web.button("Make a token").click()
    token = web.page.locator(".c2-secret").text_content()
    who = network.get("/api/me", headers={"Authorization": f"Bearer {token}"})
    assert who.json()["email"] == "emmy@example.org"
    web.button("Revoke the token script").click()
    expect(web.page.get_by_role("cell", name="script", exact=True)).to_be_hidden()

    web.page.get_by_label("Password now").fill("a good password")
    web.page.get_by_label("New password").fill("another good password")
    web.button("Change password").click()
    expect(web.page.get_by_text("The password is changed")).to_be_visible()
    web.log_out()
    web.log_in("emmy@example.org", "another good password")
    web.row("@personal").wait_for()


def test_a_forgotten_password_is_set_anew(
    web: WebPage, network: Network, open_in: Callable[..., WebPage], capsys: pytest.CaptureFixture[str]
) -> None:
    web.register("hedy@example.org")
    other = open_in()
    other.open("login")
    other.page.get_by_role("link", name="Password forgotten?").click()
    other.page.get_by_label("E-mail").fill("hedy@example.org")
    other.button("Send a link").click()
    expect(other.page.get_by_role("status").filter(has_text="a link is on its way")).to_be_visible()

    told = until(
        lambda: re.search("cat2admin (reset-link hedy@example.org)", network.log), "a hint for operators"
    )
    assert admin.admin(["--statedir", str(network.state), *told[1].split()]) == 0
    place = re.search(r"reset-password/\S+", capsys.readouterr().out)
    assert place is not None
    other.open(place[0])
    other.page.get_by_role("textbox", name="New password").fill("quite another password")
    other.page.get_by_label("Password once more").fill("quite another one")
    other.button("Set the password").click()
    expect(other.page.get_by_role("alert")).to_contain_text("not the same")
    other.page.get_by_label("Password once more").fill("quite another password")
    other.button("Set the password").click()
    expect(other.page.get_by_text("The password is set")).to_be_visible()

    other.log_in("hedy@example.org", "quite another password")
    other.row("@personal").wait_for()
    web.page.reload()  # sessions of before have ended
    expect(web.page.get_by_role("link", name="Log in").first).to_be_visible()


def test_a_share_link_opens_without_an_account(
    web: WebPage, network: Network, open_in: Callable[..., WebPage]
) -> None:
    web.register("rosa@example.org")
    web.drop_file("@personal", "mine.md", b"# For you\n")
    web.row("@personal/mine.md").wait_for()
    web.row("@personal/mine.md").click()
    web.button("Share").click()
    web.button("Make a link").click()
    token = (web.dialog.get_by_test_id("share").text_content() or "").rpartition("/")[2]
    web.button("Close").click()

    other = open_in()
    other.page.goto(f"{other.base}/share/{token}")
    expect(other.shown("@personal/mine.md").get_by_role("heading", name="For you")).to_be_visible()
    expect(other.page.get_by_role("banner")).to_contain_text("Shared with you")
    expect(other.page.get_by_role("link", name="Log in")).to_be_hidden()
    expect(other.row("foo")).to_be_hidden()

    web.open("account")
    web.button("Revoke the link to @personal/mine.md").click()
    expect(web.page.get_by_text("Make one with the button")).to_be_visible()
    other.page.goto(f"{other.base}/share/{token}")
    expect(other.page.get_by_role("alert")).to_contain_text("revoked")


def test_names_and_texts_of_others_run_no_script(web: WebPage, network: Network) -> None:
    evil = "<img src=x onerror=document.title='taken'>"
    network.add(f"@public/{evil.replace('/', '')}.txt", evil.encode())
    network.add("@public/evil.md", f"# Evil\n\n{evil}\n\n<script>document.title='taken'</script>\n".encode())
    web.open()
    web.expand("@public")
    for path in (f"@public/{evil}.txt", "@public/evil.md"):
        row = web.page.locator(".jp-Caterva2-row").filter(has_text=path.partition("/")[2])
        row.click()
        expect(web.page.get_by_role("article", name=path)).to_be_visible()
        web.page.locator('.jp-Caterva2-View[data-state="ready"]').wait_for()
        assert "taken" not in web.page.title().replace("'taken'", "")


def test_the_first_page_is_light_and_fast(web: WebPage) -> None:
    sizes: list[int] = []
    web.page.on("response", lambda answer: sizes.append(int(answer.headers.get("content-length", "0"))))
    began = time.monotonic()
    web.open()
    web.row("foo").wait_for()
    took = time.monotonic() - began

    assert sum(sizes) <= 250_000
    paint = web.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert paint < 1_000
    assert took < 5  # on two cores that others use too

    web.row("many").click()
    web.row("many/file-00000.txt").wait_for()
    web.page.get_by_role("tree").evaluate("tree => { tree.scrollTop = tree.scrollHeight }")
    web.row(f"many/file-{MANY - 1:05d}.txt").wait_for()


def test_the_keys_reach_the_last_of_many_rows_at_once(web: WebPage) -> None:
    asked: list[str] = []
    web.open()
    web.row("many").click()
    web.row("many/file-00000.txt").wait_for()
    web.page.on("request", lambda request: asked.append(request.url))
    web.page.get_by_role("tree").press("End")
    last = web.row(f"many/file-{MANY - 1:05d}.txt")
    expect(last).to_have_attribute("aria-selected", "true")
    expect(last).to_have_attribute("aria-posinset", str(MANY))
    web.page.keyboard.press("PageUp")
    web.page.keyboard.press("Home")
    expect(web.page.locator('.jp-Caterva2-row[aria-selected="true"]')).to_have_attribute("aria-posinset", "1")
    assert len([url for url in asked if "/api/tree/many" in url]) == 1

    web.open(f"roots/many/file-{MANY - 900:05d}.txt")
    expect(web.row(f"many/file-{MANY - 900:05d}.txt")).to_have_attribute("aria-selected", "true")


def test_a_viewer_that_does_not_load_is_asked_for_again(web: WebPage) -> None:
    web.open()
    web.expand("foo")
    web.page.route("**/static/viewer-*", lambda route: route.abort())
    web.row("foo/stack.b2nd").click()
    expect(web.page.get_by_role("alert")).to_contain_text("could not be loaded")
    web.page.unroute("**/static/viewer-*")
    web.button("Retry").click()
    web.shown("foo/stack.b2nd")


def test_a_page_of_the_version_before_offers_to_be_loaded_again(web: WebPage) -> None:
    web.open()
    web.expand("foo")
    gone = {"status": 404, "json": {"detail": "the web page has no such file"}}
    web.page.route("**/static/viewer-*", lambda route: route.fulfill(**gone))
    another = re.sub("main-[A-Z0-9]{8}", "main-00000000", BUILT.read_text())
    web.page.route(f"{web.base}/", lambda route: route.fulfill(body=another, content_type="text/html"))
    web.row("foo/stack.b2nd").click()
    expect(web.page.get_by_role("alert")).to_contain_text("The subscriber was updated")
    web.page.unroute_all()
    web.button("Load the page again").click()
    web.shown("foo/stack.b2nd")


PLACES = (
    "", "roots/foo", "roots/foo/stack.b2nd", "roots/foo/dir/table.b2nd", "roots/foo/dir/line.b2nd",
    "roots/foo/README.md", "login", "account",
)  # fmt: skip


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_people_who_see_or_move_little_can_use_it(
    open_in: Callable[..., WebPage], scheme: str, width: int
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make labtest")
    web = open_in(color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce")
    web.register(f"{scheme}-{width}@example.org")
    for place in PLACES:
        web.open(place)
        if place.startswith("roots/foo/"):
            web.shown(place.removeprefix("roots/"))
        else:
            web.page.get_by_role("heading", level=1).wait_for()
        web.screenshot(_shot(place, scheme, width))
        assert web.flaws() == [], place
        assert web.overflow() <= 0, place


def test_the_theme_can_be_chosen_and_is_kept(web: WebPage) -> None:
    def background() -> str:
        return str(web.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    web.open()
    light = background()
    web.button("Theme: auto").click()
    web.button("Theme: light").click()
    expect(web.button("Theme: dark")).to_be_visible()
    assert background() != light
    web.page.reload()
    expect(web.button("Theme: dark")).to_be_visible()
    assert background() != light


def test_the_keyboard_suffices(web: WebPage) -> None:
    web.open()
    web.row("foo").wait_for()
    web.page.get_by_role("textbox", name="Find datasets and files by name").fill("line")
    web.row("foo/dir/line.b2nd").wait_for()
    web.page.keyboard.press("ArrowDown")
    tree = web.page.get_by_role("tree")
    expect(tree).to_be_focused()
    for _ in range(20):
        selected = web.page.locator('.jp-Caterva2-row[aria-selected="true"]')
        if selected.count() and selected.get_attribute("data-path") == "foo/dir/line.b2nd":
            break
        web.page.keyboard.press("ArrowDown")
    web.page.keyboard.press("Enter")
    web.shown("foo/dir/line.b2nd")
    web.page.get_by_role("tab", name="View").focus()
    web.page.keyboard.press("ArrowRight")
    expect(web.page.get_by_role("tab", name="Details")).to_have_attribute("aria-selected", "true")


def _shot(place: str, scheme: str, width: int) -> Path:
    return SHOTS / f"{place.replace('/', '-') or 'home'}-{scheme}-{width}.png"
