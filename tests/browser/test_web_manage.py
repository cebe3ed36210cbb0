"""What superusers do on the web page: manage users, and see how the service is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from caterva2.cli import admin
from caterva2.storage.userdb import UserDb
from tests.support.jupyter import REPOSITORY
from tests.support.processes import Network, until
from tests.support.webpage import AXE, BUILT, PASSWORD, OpenPage, WebPage

pytestmark = pytest.mark.slow
MANY = 2_000
SHOTS = REPOSITORY / "_browser" / "web"
BOSS, ADA = "boss@example.org", "ada@example.org"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """A network with very many users, and roots of which one goes away."""
    if not BUILT.exists():
        pytest.skip("the page is not built: make web")
    home = tmp_path_factory.mktemp("manage")
    for name in ("foo", "bar"):
        (home / name).mkdir()
    with Network(home, roots=("foo", "bar"), secret="correct horse battery staple") as network:
        network.add_array("foo/data.b2nd", np.random.default_rng(0).random(500_000), chunks=(50_000,))
        network.add_array("bar/data.b2nd", np.arange(1000))
        admin.adduser(["--statedir", str(network.state), "--superuser", BOSS, PASSWORD])
        admin.adduser(["--statedir", str(network.state), ADA, PASSWORD])
        with UserDb(network.state / "users.sqlite") as db:
            for n in range(MANY):
                db.add(f"user{n:04d}@lab.example.org", "no password")
            ada = db.by_email(ADA)
            assert ada is not None
            db.set_groups(ada.id, frozenset({"staff", "imaging"}))
            db.set_quota(ada.id, 1 << 20)
        for root in ("foo", "bar"):
            network.subscribe(root)
        until(lambda: network.status("foo/data.b2nd") == 200, "foo/data.b2nd to be known")
        network.fetch("foo/data.b2nd")
        _work_as_ada(network)
        yield network


def _work_as_ada(network: Network) -> None:
    form = {"username": ADA, "password": PASSWORD}
    cookie = network.http.post("/auth/jwt/login", data=form).headers["Set-Cookie"].partition(";")[0]
    headers = {"Cookie": cookie}
    network.http.cookies.clear()
    upload = network.http.post(
        "/api/upload/@personal/a.bin", files={"file": ("a.bin", bytes(870_000))}, headers=headers
    )
    assert upload.status_code == 200
    for name, scope in (("script", "write"), ("dashboard", "read")):
        network.http.post("/api/tokens", json={"name": name, "scope": scope}, headers=headers)


@pytest.fixture
def web(web: WebPage) -> WebPage:
    """A page of a superuser."""
    return _manage(web)


@pytest.fixture
def open_in(open_in: OpenPage) -> OpenPage:
    """Open pages of a superuser in browsers of other settings."""
    return lambda **settings: _manage(open_in(**settings))


def _manage(web: WebPage) -> WebPage:
    web.log_in(BOSS)
    web.page.get_by_role("link", name="Manage").click()
    return web


def find(web: WebPage, email: str) -> Locator:
    """Look for a user and return his row."""
    web.page.get_by_role("searchbox", name="Find users by e-mail").fill(email)
    row = web.page.locator(f'tr[data-email="{email}"]')
    row.wait_for()
    return row


def test_users_are_found_among_many(web: WebPage) -> None:
    expect(web.page.get_by_role("status").filter(has_text="users")).to_have_text("2002 users")
    expect(web.page.get_by_role("row")).to_have_count(51)
    web.button("Next").click()
    expect(web.page.get_by_text("51 to 100 of 2002")).to_be_visible()

    row = find(web, "user1234@lab.example.org")

    expect(web.page.get_by_role("row")).to_have_count(2)
    expect(row).to_contain_text("no limit")
    web.page.get_by_role("searchbox").fill("nobody-like-this")
    expect(web.page.get_by_text("No user has this in his e-mail.")).to_be_visible()


def test_a_limit_is_changed_where_it_stands(web: WebPage) -> None:
    row = find(web, ADA)
    expect(row.get_by_role("meter")).to_have_attribute("aria-valuenow", "83")

    web.button(f"Change the limit of {ADA}").click()
    field = web.page.get_by_role("textbox", name=f"Limit of {ADA}")
    expect(field).to_be_focused()
    expect(field).to_have_value("1 MiB")
    field.fill("much")
    field.press("Enter")
    expect(row.get_by_role("alert")).to_contain_text("“much” is not a size")
    field.fill("10 GiB")
    field.press("Enter")
    expect(row).to_contain_text("of 10 GiB")

    web.button(f"Change the limit of {ADA}").click()
    field.fill("1")
    field.press("Escape")
    expect(row).to_contain_text("of 10 GiB")
    web.button(f"Change the limit of {ADA}").click()
    field.fill("1 M")
    web.button("Save").click()
    expect(row).to_contain_text("of 1 MiB")


def test_the_last_superuser_is_kept_and_another_one_made(web: WebPage) -> None:
    row = find(web, BOSS)
    row.get_by_role("switch").click()
    web.dialog.get_by_role("button", name="Make an ordinary user").click()
    expect(web.dialog.get_by_role("alert")).to_contain_text("boss@example.org is the only superuser")
    web.button("Cancel").click()

    row = find(web, "user0000@lab.example.org")
    switch = row.get_by_role("switch", name="user0000@lab.example.org is a superuser")
    switch.click()
    web.dialog.get_by_role("button", name="Make a superuser").click()
    expect(switch).to_be_checked()
    switch.click()
    web.dialog.get_by_role("button", name="Make an ordinary user").click()
    expect(switch).not_to_be_checked()


def test_tokens_of_a_user_are_revoked(web: WebPage) -> None:
    row = find(web, ADA)
    web.button(f"2 tokens of {ADA}").click()
    expect(web.dialog).to_contain_text("for reading and writing")

    web.dialog.get_by_role("button", name="Revoke the token script").click()
    expect(web.dialog.get_by_text("script")).to_be_hidden()
    web.dialog.get_by_role("button", name="Close").click()

    expect(row.get_by_role("button", name=f"1 token of {ADA}")).to_be_visible()


def test_a_user_is_added_put_in_groups_helped_and_removed_with_the_keyboard(
    web: WebPage, network: Network
) -> None:
    web.button("Add user").click()
    web.dialog.get_by_label("E-mail").fill("new@example.org")
    web.dialog.get_by_role("button", name="Add").click()
    expect(web.dialog).to_contain_text("It is shown only once")
    password = web.page.locator(".c2-secret").text_content() or ""
    form = {"username": "new@example.org", "password": password}
    assert network.http.post("/auth/jwt/login", data=form).status_code == 204
    network.http.cookies.clear()
    web.dialog.get_by_role("button", name="Close").click()

    row = find(web, "new@example.org")
    more = row.get_by_role("button", name="More about new@example.org")
    more.focus()
    web.page.keyboard.press("Enter")
    expect(web.page.get_by_role("menuitem", name="Groups…")).to_be_focused()
    web.page.keyboard.press("Enter")
    web.dialog.get_by_label("Groups", exact=True).fill("staff, guests,")
    web.page.keyboard.press("Enter")
    expect(row).to_contain_text("guests")

    more.focus()
    web.page.keyboard.press("Enter")
    web.page.keyboard.press("ArrowDown")
    web.page.keyboard.press("Enter")
    web.button("Make a link").click()
    expect(web.page.locator(".c2-secret")).to_contain_text("/reset-password/")
    web.dialog.get_by_role("button", name="Close").click()

    more.focus()
    web.page.keyboard.press("Enter")
    web.page.keyboard.press("End")
    web.page.keyboard.press("Enter")
    web.dialog.get_by_role("button", name="Remove").click()
    expect(row).to_be_hidden()


def test_the_service_is_seen_as_it_changes(web: WebPage, network: Network) -> None:
    web.page.get_by_role("navigation", name="Manage").get_by_role("link", name="Service").click()
    expect(web.page).to_have_url(f"{web.base}/admin/service")
    rows = web.page.get_by_role("table", name="Publishers").get_by_role("row")
    bar, foo = rows.filter(has_text="bar"), rows.filter(has_text="foo")
    expect(foo).to_contain_text("online")
    expect(bar).to_contain_text("online")
    expect(web.page.get_by_role("meter", name="Cache")).to_be_visible()

    network.publishers["bar"].kill()
    expect(bar).to_contain_text("offline")
    expect(bar).to_contain_text(re.compile("current .* ago"))
    answer = network.get("/api/fetch/bar/data.b2nd", headers={"X-Request-Id": "not-here"})
    assert answer.status_code == 503
    errors = web.page.get_by_role("list", name="Last errors")
    expect(errors.get_by_role("listitem").filter(has_text="not-here")).to_contain_text("does not answer")

    web.screenshot(SHOTS / "admin-service-offline.png")

    network.publishers["bar"].start()
    expect(bar).to_contain_text("online")


def test_what_was_known_stays_when_the_subscriber_does_not_answer(web: WebPage) -> None:
    web.open("admin/service")
    table = web.page.get_by_role("table", name="Publishers")
    table.wait_for()

    web.page.route("**/api/service", lambda route: route.abort())
    expect(web.page.get_by_role("alert")).to_contain_text("does not answer")
    expect(web.page.get_by_role("alert")).to_contain_text("What is shown was so at")
    expect(table).to_be_visible()

    web.page.unroute("**/api/service")
    web.button("Try again").click()
    expect(web.page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_people_who_see_or_move_little_can_manage(
    open_in: Callable[..., WebPage], scheme: str, width: int
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: make labtest")
    web = open_in(color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce")
    for place, ready in (("admin", "row"), ("admin/service", "meter")):
        web.open(place)
        web.page.get_by_role(ready).last.wait_for()  # type: ignore[arg-type]
        name = place.replace("/", "-")
        web.screenshot(SHOTS / f"{name}-{scheme}-{width}.png")
        assert web.flaws() == [], place
        assert web.overflow() <= 0, place
    web.open("admin")
    find(web, ADA)
    web.button(f"Change the limit of {ADA}").click()
    web.screenshot(SHOTS / f"admin-limit-{scheme}-{width}.png")
    assert web.flaws() == []
    web.button("Cancel").click()
    web.button(f"More about {ADA}").click()
    web.screenshot(SHOTS / f"admin-menu-{scheme}-{width}.png")
    assert web.flaws() == []
    web.page.keyboard.press("Escape")
    web.page.get_by_role("button", name=re.compile(f"tokens? of {ADA}")).click()
    web.dialog.get_by_role("button", name="Revoke the token dashboard").wait_for()
    web.screenshot(SHOTS / f"admin-tokens-{scheme}-{width}.png")
    assert web.flaws() == []
