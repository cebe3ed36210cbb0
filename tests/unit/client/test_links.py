"""Share links as clients read them."""

from __future__ import annotations

import pytest

from caterva2 import AsyncClient, Client
from caterva2.client.links import Link, parse_link
from caterva2.errors import BadRequest


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("http://localhost:8002/share/c2s_x.y", Link("http://localhost:8002", "c2s_x.y")),
        ("https://a.example/lab/share/c2s_x.y/", Link("https://a.example/lab", "c2s_x.y")),
        (
            "https://a.example/share/c2s_x.y/roots/@public/a%20b.b2nd?slice=0#top",
            Link("https://a.example", "c2s_x.y", "@public/a b.b2nd"),
        ),
        ("https://a.example/share/c2s_x%2Ey/roots/", Link("https://a.example", "c2s_x.y")),
    ],
)
def test_link_is_read(text: str, link: Link) -> None:
    assert parse_link(text) == link


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2s_x.y",
        "http://localhost:8002",
        "http://localhost/share/x",
        "/share/c2s_x",
        "http:///share/c2s_x",
    ],
)
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="expected a share link"):
        parse_link(text)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_link_goes_with_no_other_credentials(kind: type) -> None:
    with pytest.raises(BadRequest, match="no other way"):
        kind(share="http://localhost:8002/share/c2s_x.y", token="c2t_x")
