"""What a catalog tells of one directory: names in it, and whether they changed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from caterva2.storage.state import Catalog
from tests.unit.storage.test_state import entry as make_entry

PATHS = st.lists(
    st.lists(st.sampled_from(["a", "a-", "a.b", "b", "a0", "é"]), min_size=1, max_size=4).map("/".join),
    unique=True,
)


@settings(max_examples=40, deadline=None)
@given(PATHS, st.sampled_from(["", "a", "a/a", "b", "a-"]))
def test_children_are_the_names_in_a_directory(paths: list[str], directory: str) -> None:
    with tempfile.TemporaryDirectory() as home, Catalog(f"{home}/c.sqlite") as catalog:
        catalog.upsert("r", [make_entry(path) for path in paths])
        prefix = f"{directory}/" if directory else ""
        below = [path[len(prefix) :] for path in paths if path.startswith(prefix)]
        wanted = {name if not slash else f"{name}/" for name, slash, _ in (p.partition("/") for p in below)}

        found = catalog.children("r", directory, limit=1000)

        assert sorted(found) == sorted(wanted)
        assert catalog.children("r", directory, limit=1) == found[:1]


def test_children_jump_over_what_is_in_large_directories(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        catalog.upsert("r", [make_entry(f"{d}/{i:04}") for d in "abc" for i in range(1200)])
        catalog.upsert("r", [make_entry(f"f{i:04}") for i in range(1200)])
        assert catalog.children("r", limit=5000) == ["a/", "b/", "c/", *(f"f{i:04}" for i in range(1200))]


def test_the_version_of_names_changes_when_files_come_or_go(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        versions = [catalog.names_version("r")]
        for change in (
            lambda: catalog.upsert("r", [make_entry("a")]),
            lambda: catalog.upsert("r", [make_entry("a"), make_entry("b")]),
            lambda: catalog.remove("r", ["a"]),
            lambda: catalog.replace_root("r", [[]]),
            lambda: catalog.forget_root("r"),
        ):
            change()
            versions.append(catalog.names_version("r"))
        assert len(set(versions)) == len(versions)


def test_a_new_generation_leaves_the_version_of_names(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        catalog.upsert("r", [make_entry("a")])
        before = catalog.names_version("r")
        catalog.upsert("r", [make_entry("a")])
        assert catalog.names_version("r") == before


def test_the_version_of_entries_changes_with_all_that_is_known_of_a_root(tmp_path: Path) -> None:
    with Catalog(tmp_path / "c.sqlite") as catalog:
        other = catalog.entries_version("other")
        versions = [catalog.entries_version("r")]
        for change in (
            lambda: catalog.upsert("r", [make_entry("a")]),
            lambda: catalog.upsert("r", [make_entry("a")]),
            lambda: catalog.remove("r", ["a"]),
            lambda: catalog.replace_root("r", [[]]),
            lambda: catalog.forget_root("r"),
        ):
            change()
            versions.append(catalog.entries_version("r"))
        assert versions == sorted(set(versions))
        assert catalog.entries_version("other") == other
