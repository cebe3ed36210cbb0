"""Names of a directory, in the order of people, filtered and cut into pages.

An *item* is a path below the directory; that of a directory ends in a slash. A
*key* sorts as its item should, and ends in it: one text for each, for there may be many.
"""

from __future__ import annotations

import bisect
import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

_DIGITS = re.compile(r"[0-9]+")
_WIDTH = 20
_END = "\0"
"""In no name there can be."""


class Cut(NamedTuple):
    """A page: items, what to ask for the next one (None at the end), and how many are before it."""

    items: list[str]
    next: str | None
    offset: int


def key_of(item: str, *, deep: bool = False) -> str:
    """Return the key of an item: directories before files, unless `deep`; numbers by their value."""
    natural = _DIGITS.sub(_padded, item.casefold())
    if deep:
        return f"{natural.replace('/', chr(1))}{_END}{item}"
    return f"{'0' if item.endswith('/') else '1'}{natural}{_END}{item}"


def item_of(key: str) -> str:
    """Return the item of a key."""
    return key[key.rindex(_END) + 1 :]


def sorted_keys(items: Iterable[str], *, deep: bool = False) -> list[str]:
    """Return the keys of items, sorted."""
    return sorted(key_of(item, deep=deep) for item in items)


def cut(
    keys: Sequence[str], after: str | None, limit: int, *, offset: int | None = None, deep: bool = False
) -> Cut:
    """Return at most `limit` items behind the item `after`, which may be gone meanwhile.

    With `offset` so many items are before the page, wherever `after` is.
    """
    if offset is not None:
        start = min(offset, len(keys))
    else:
        start = 0 if after is None else bisect.bisect_right(keys, key_of(after, deep=deep))
    items = [item_of(key) for key in keys[start : start + limit]]
    return Cut(items, items[-1] if items and start + limit < len(keys) else None, start)


def chosen(keys: Iterable[str], text: str) -> list[str]:
    """Return the keys whose items have `text` in their name, or match it as a pattern.

    With a slash in `text` all of the path is looked at.
    """
    text = text.casefold()
    found = _matcher(text)
    if "/" in text:
        return [key for key in keys if found(item_of(key).removesuffix("/").casefold())]
    return [key for key in keys if found(item_of(key).removesuffix("/").rpartition("/")[2].casefold())]


def with_directories(paths: Iterable[str]) -> list[str]:
    """Return the items of files and of all directories that they are in."""
    items: list[str] = []
    seen: set[str] = set()
    for path in paths:
        items.append(path)
        at = path.rfind("/")
        while at > 0 and (directory := path[: at + 1]) not in seen:
            seen.add(directory)
            items.append(directory)
            at = path.rfind("/", 0, at)
    return items


def _padded(match: re.Match[str]) -> str:
    return match[0].zfill(_WIDTH)


def _matcher(text: str) -> Callable[[str], object]:
    if any(mark in text for mark in "*?["):
        return re.compile(fnmatch.translate(text)).match
    return lambda name: text in name
