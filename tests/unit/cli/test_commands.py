"""The pure parts of the commands."""

from __future__ import annotations

import pytest

from caterva2.cli.commands import COMMANDS
from caterva2.client.display import draw_tree, grow_tree
from caterva2.model.events import DatasetRemoved, Event, Resync, RootChanged, concerns
from caterva2.model.roots import RootStatus
from caterva2.model.slicing import split_slice


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("foo/a", ("foo/a", "")),
        ("foo/a[]", ("foo/a", "")),
        ("foo/a[1:2, 3]", ("foo/a", "1:2, 3")),
        ("foo/a[1].b2nd", ("foo/a[1].b2nd", "")),
        ("foo/a[1].b2nd[0]", ("foo/a[1].b2nd", "0")),
        ("foo/a]", ("foo/a]", "")),
    ],
)
def test_slice_is_what_stands_in_the_last_brackets(argument: str, expected: tuple[str, str]) -> None:
    assert split_slice(argument) == expected


def test_tree_is_drawn_with_branches() -> None:
    tree = grow_tree(["README.md", "dir1/a", "dir1/sub/b", "dir2/c"])

    assert list(draw_tree(tree)) == [
        "├── README.md",
        "├── dir1",
        "│   ├── a",
        "│   └── sub",
        "│       └── b",
        "└── dir2",
        "    └── c",
    ]


def test_tree_of_nothing_is_empty() -> None:
    assert list(draw_tree(grow_tree([]))) == []


@pytest.mark.parametrize(
    ("event", "path", "expected"),
    [
        (DatasetRemoved(root="foo", path="a/x"), "foo", True),
        (DatasetRemoved(root="foo", path="a/x"), "foo/a", True),
        (DatasetRemoved(root="foo", path="a/x"), "foo/a/x", True),
        (DatasetRemoved(root="foo", path="a/xy"), "foo/a/x", False),
        (DatasetRemoved(root="foobar", path="a"), "foo", False),
        (RootChanged(root="foo", http="h:1", status=RootStatus.ONLINE), "foo/a", True),
        (RootChanged(root="bar", http="h:1", status=RootStatus.ONLINE), "foo", False),
        (Resync(), "foo/a", True),
        (Resync(root="bar"), "foo/a", False),
    ],
    ids=str,
)
def test_event_concerns_what_is_below_a_path(event: Event, path: str, expected: bool) -> None:
    assert concerns(event, path) is expected


def test_every_command_has_a_name_of_its_own_and_help() -> None:
    names = [name for command in COMMANDS for name in (command.NAME, *command.ALIASES)]

    assert len(names) == len(set(names))
    assert all(command.HELP.endswith(".") for command in COMMANDS)
