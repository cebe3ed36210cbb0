"""The subscriber is as its OpenAPI document says, whatever it is asked and whoever asks.

Schemathesis makes the requests out of the document: what it allows, and what it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from caterva2.cli import admin
from caterva2.model.openapi import document
from make_example_root import make_example_root
from tests.support.accounts import PASSWORD
from tests.support.processes import Network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
LONGEST_S = 5.0
WHO = ("nobody", "user", "superuser")
HONEST = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.missing_required_header,
)
"""Not whether what the schema allows is accepted: a text may be a path, slice or expression, or none. Not
whether all else is refused: known values make some of it right, and a blank one in a query counts as none."""

# What random texts do not hit: things that are there, and things that must not be.
PATHS = (
    "foo", "foo/ds-1d.b2nd", "foo/dir1/ds-2d.b2nd", "foo/dir1/ds-3d.b2nd", "foo/dir2/ds-4d.b2nd",
    "foo/ds-1d-fields.b2nd", "foo/ds-hello.b2frame", "foo/README.md", "foo/dir1", "foo/none", "other",
    "@public", "@public/ds-1d.b2nd", "@public/README.md", "@shared", "@shared/x.b2nd", "@personal",
    "@personal/x", "foo/../foo", "../../etc/passwd", "foo/\0", "@nowhere/x", "foo/ds-1d.b2nd/zarr.json",
    "foo/dir1/ds-3d.b2nd/c/0/0/0", "foo/zarr.json", "foo//ds-1d.b2nd", "x" * 3000, "foo/" + "a/" * 200,
)  # fmt: skip
VALUES: dict[str, tuple[object, ...]] = {
    "slice_": ("", "0", "-1", "0:2", ":", "1:0:-1", "0,1", "...", "0:1,0:1,0:1", "9" * 40, "::0", "a"),
    "indices": ("[0]", "[[0,1]]", '["0:2"]', "[null]", "[", "{}", "[1e99]"),
    "field": ("a", "b", "none", ""),
    "filter": ("a > 1", "(a > 1) & (b < 2)", "a >", "__import__('os')", "a > 'x'"),
    "sortby": ("a", "-b", "a,b", "none", ","),
    "points": (1, 100, 0, -1, 2**70),
    "blocks": (1, 65536, 65537, -1),
    "encoding": ("raw", "json", "xml"),
    "src": ("foo/ds-1d.b2nd", "foo", "@personal/x", "@shared", "none/x"),
    "dst": ("@personal/x", "@shared/", "@personal/new/deep", "foo/x", ""),
    "path": ("foo/ds-1d.b2nd", "@personal", "none"),
    "expression": ("a + 1", "a * b", "a[0:2]", "a +", "sin(a)", "().__class__", "a ** 10 ** 10"),
    "operands": ({"a": "foo/ds-1d.b2nd"}, {"a": "foo/ds-1d.b2nd", "b": "@public/ds-1d.b2nd"}, {"a": "x"}),
    "nchunk": (0, 1, -1, 2**70),
}

API = schemathesis.openapi.from_dict(document())
ALONE = schemathesis.openapi.from_dict(document(has_users=False))
EXAMPLES = settings(
    max_examples=10,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
FRAMING = {"connection", "content-length", "expect", "transfer-encoding", "upgrade"}
"""Headers by which HTTP itself would fail: with a wrong one there is no request that could be answered."""


@API.hook
@ALONE.hook
def before_generate_path_parameters(context: Any, strategy: Any) -> Any:
    """Let half of the paths be known ones."""
    name = context.operation.path.rpartition("{")[2].removesuffix("}")
    if name not in {"path", "root"}:
        return strategy
    return st.one_of(strategy, st.sampled_from(PATHS).map(lambda path: {name: path}))


@API.hook
@ALONE.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any]:
    """Leave the framing of requests alone."""
    del context
    return {name: text for name, text in (headers or {}).items() if name.strip().lower() not in FRAMING}


@API.hook
@ALONE.hook
def flatmap_query(context: Any, query: dict[str, Any] | None) -> Any:
    """Put known values into some queries."""
    del context
    return _with_known(query)


@API.hook
@ALONE.hook
def flatmap_body(context: Any, body: Any) -> Any:
    """Put known values into some bodies."""
    del context
    return _with_known(body) if isinstance(body, dict) else st.just(body)


def _with_known(given: dict[str, Any] | None) -> Any:
    all_ = given or {}
    known = st.fixed_dictionaries({name: st.sampled_from(VALUES[name]) for name in all_ if name in VALUES})
    return st.one_of(st.just(given), known.map(lambda found: {**all_, **found}))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Broker, publisher and subscriber, each a process, with the example data."""
    home = tmp_path_factory.mktemp("document")
    with Network(home, roots=("foo", "other"), secret="correct horse battery staple") as network:
        make_example_root(home / "foo")
        make_example_root(network.public)
        network.subscribe("foo")
        yield network
        assert network.subscriber.is_running


@pytest.fixture(scope="module")
def headers(network: Network) -> dict[str, dict[str, str]]:
    """Headers by who sends them."""
    made: dict[str, dict[str, str]] = {"nobody": {}}
    for who, scope in (("user", "write"), ("superuser", "admin")):
        email = f"{who}@example.org"
        more = ["--superuser"] if who == "superuser" else []
        assert admin.adduser(["--statedir", str(network.state), *more, email, PASSWORD]) == 0
        form = {"username": email, "password": PASSWORD}
        cookie = network.http.post("/auth/jwt/login", data=form).headers["Set-Cookie"].partition(";")[0]
        token = network.http.post(
            "/api/tokens", json={"name": "t", "scope": scope}, headers={"Cookie": cookie}
        )
        made[who] = {"Authorization": f"Bearer {token.json()['token']}"}
    network.http.cookies.clear()
    return made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The same without users."""
    home = tmp_path_factory.mktemp("alone")
    with Network(home) as network:
        make_example_root(home / "foo")
        make_example_root(network.public)
        network.subscribe("foo")
        yield network
        assert network.subscriber.is_running


def test_subscriber_serves_the_document_that_is_played(network: Network, alone: Network) -> None:
    assert network.get("/api/openapi.json").json()["paths"].keys() == document()["paths"].keys()
    assert alone.get("/api/openapi.json").json()["paths"].keys() == ALONE.raw_schema["paths"].keys()


@pytest.mark.parametrize("who", WHO)
@API.parametrize()
@EXAMPLES
def test_every_answer_is_in_the_document(
    case: Any, who: str, network: Network, headers: dict[str, dict[str, str]]
) -> None:
    check(case, network, headers[who])


@ALONE.parametrize()
@EXAMPLES
def test_every_answer_of_a_subscriber_without_users_is_in_its_document(case: Any, alone: Network) -> None:
    check(case, alone, {})


def check(case: Any, network: Network, headers: dict[str, str]) -> None:
    answer = case.call_and_validate(
        base_url=network.subscriber.url, headers=headers, checks=list(HONEST), timeout=4 * LONGEST_S
    )

    assert answer.elapsed < LONGEST_S
