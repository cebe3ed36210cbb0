"""The order, filtering and paging of names."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.compute.listing import chosen, cut, item_of, key_of, sorted_keys, with_directories

names = st.text("ab1029 .-Ä", min_size=1, max_size=8)
items = st.lists(st.tuples(names, st.booleans()).map(lambda t: t[0] + "/" * t[1]), unique=True)


def test_directories_come_first_and_numbers_by_value() -> None:
    keys = sorted_keys(["b10", "B9", "a", "z/", "y10/", "y9/"])
    assert [item_of(key) for key in keys] == ["y9/", "y10/", "z/", "a", "B9", "b10"]


def test_at_any_depth_what_is_in_a_directory_follows_it() -> None:
    keys = sorted_keys(with_directories(["a-x", "a/2", "a/10", "a.b"]), deep=True)
    assert [item_of(key) for key in keys] == ["a/", "a/2", "a/10", "a-x", "a.b"]


@given(items, st.integers(1, 5))
def test_pages_together_are_all_items_in_order(found: list[str], limit: int) -> None:
    keys = sorted_keys(found)
    pages, after = [], None
    while True:
        page = cut(keys, after, limit)
        assert len(page.items) <= limit
        pages += page.items
        after = page.next
        if after is None:
            break
    assert pages == [item_of(key) for key in keys]
    assert sorted(pages) == sorted(found)


@given(items, st.integers(0, 12), st.integers(1, 5))
def test_a_page_may_begin_at_any_item(found: list[str], offset: int, limit: int) -> None:
    keys = sorted_keys(found)
    page = cut(keys, None, limit, offset=offset)
    assert page.items == [item_of(key) for key in keys][offset : offset + limit]
    assert page.offset == min(offset, len(keys))


@given(items, names)
def test_a_page_may_begin_behind_what_is_gone(found: list[str], gone: str) -> None:
    keys = sorted_keys(found)
    assert cut(keys, gone, 100).items == [item_of(key) for key in keys if key > key_of(gone)]


@given(items, names)
def test_a_filter_is_a_part_of_the_name_without_regard_to_capitals(found: list[str], text: str) -> None:
    kept = {item_of(key) for key in chosen(sorted_keys(found), text)}
    assert kept == {item for item in found if text.casefold() in item.removesuffix("/").casefold()}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("*.b2nd", ["a/x.b2nd", "X.B2ND"]),
        ("a", ["a/", "a/cat"]),
        ("a/", ["a/cat", "a/x.b2nd"]),
        ("a/*t", ["a/cat"]),
        ("[xy]*", ["X.B2ND", "a/x.b2nd"]),
        ("[", []),
    ],
)
def test_patterns_look_at_names_and_with_a_slash_at_paths(text: str, wanted: list[str]) -> None:
    keys = sorted_keys(with_directories(["a/cat", "a/x.b2nd", "X.B2ND"]), deep=True)
    assert sorted(item_of(key) for key in chosen(keys, text)) == sorted(wanted)


@given(st.text("*?[]!a-", max_size=40))
def test_no_pattern_takes_long(text: str) -> None:
    keys = sorted_keys(["a" * 200])
    assert bool(chosen(keys, text)) == (
        fnmatch.fnmatchcase("a" * 200, text) if set(text) & set("*?[") else text in "a" * 200
    )
