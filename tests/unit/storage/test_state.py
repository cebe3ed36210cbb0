"""What a role remembers: order, ranges, replacement, threads, and files that are broken."""

from __future__ import annotations

import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caterva2.errors import InternalError
from caterva2.model.datasets import Entry, FileInfo
from caterva2.storage.state import BrokerState, Catalog, StoredRoot, Summary


def entry(path: str, *, etag: str = "1", size: int = 1, mtime_ns: int = 1) -> Entry:
    return Entry(path=path, etag=etag, mtime_ns=mtime_ns, size=size, info=FileInfo(size=size))


def entries(*paths: str) -> list[Entry]:
    return [entry(path) for path in paths]


@pytest.fixture
def catalog(tmp_path):
    with Catalog(tmp_path / "catalog.sqlite") as catalog:
        yield catalog


@pytest.fixture
def broker_path(tmp_path):
    return tmp_path / "state" / "broker.sqlite"


class TestCatalog:
    def test_an_entry_comes_back_as_it_was_stored(self, catalog):
        stored = entry("dir/a.b2nd", etag="x", size=7, mtime_ns=5)

        catalog.upsert("foo", [stored])

        assert catalog.get("foo", "dir/a.b2nd") == stored

    def test_an_unknown_path_or_root_is_none(self, catalog):
        catalog.upsert("foo", entries("a"))

        assert catalog.get("foo", "b") is None
        assert catalog.get("bar", "a") is None

    def test_a_second_upsert_replaces_the_first(self, catalog):
        catalog.upsert("foo", [entry("a", etag="1")])
        catalog.upsert("foo", [entry("a", etag="2")])

        assert list(catalog.etags("foo")) == [("a", "2")]
        assert catalog.get("foo", "a").etag == "2"

    def test_roots_do_not_see_each_other(self, catalog):
        catalog.upsert("foo", entries("a"))
        catalog.upsert("bar", entries("b"))
        catalog.replace_root("foo", [])

        assert catalog.names("foo") == []
        assert catalog.names("bar") == ["b"]

    def test_removed_paths_are_gone_and_others_stay(self, catalog):
        catalog.upsert("foo", entries("a", "b"))

        catalog.remove("foo", ["a", "never-there"])
        catalog.remove("unknown", ["a"])

        assert catalog.names("foo") == ["b"]
        assert catalog.get("foo", "a") is None

    def test_order_is_that_of_the_bytes(self, catalog):
        paths = ["é", "z", "Z", "a b", "a/b", "a-b", "\U0001f600", "\uffff"]

        catalog.upsert("foo", entries(*paths))

        assert catalog.names("foo") == sorted(paths, key=lambda path: path.encode())
        assert [e.path for e in catalog.page("foo")] == catalog.names("foo")

    def test_a_directory_is_no_prefix_of_names(self, catalog):
        catalog.upsert("foo", entries("dir-x", "dir/a", "dir/sub/b", "dir0", "dir", "dis"))

        assert catalog.names("foo", "dir") == ["dir/a", "dir/sub/b"]
        assert catalog.names("foo", "dir/sub") == ["dir/sub/b"]
        assert catalog.names("foo", "di") == []

    def test_signs_of_patterns_mean_nothing(self, catalog):
        catalog.upsert("foo", entries("a%/x", "ab/x", "a_/x"))

        assert catalog.names("foo", "a%") == ["a%/x"]
        assert catalog.names("foo", "a_") == ["a_/x"]

    def test_pages_of_names_join_to_the_whole(self, catalog):
        paths = [f"d/{i:02d}" for i in range(10)]
        catalog.upsert("foo", entries(*paths, "e"))

        first = catalog.names("foo", "d", limit=4)
        rest = catalog.names("foo", "d", after=first[-1])

        assert first + rest == paths

    def test_after_a_path_before_the_directory_skips_nothing(self, catalog):
        catalog.upsert("foo", entries("d/1", "d/2"))

        assert catalog.names("foo", "d", after="a") == ["d/1", "d/2"]

    def test_pages_of_entries_join_to_the_whole(self, catalog):
        catalog.upsert("foo", entries("a", "b", "c"))

        first = catalog.page("foo", limit=2)

        assert [e.path for e in first] == ["a", "b"]
        assert [e.path for e in catalog.page("foo", after="b", limit=2)] == ["c"]

    def test_a_directory_exists_by_its_files(self, catalog):
        catalog.upsert("foo", entries("dir/sub/a"))

        assert catalog.has_directory("foo", "dir")
        assert catalog.has_directory("foo", "dir/sub")
        assert catalog.has_directory("foo")
        assert not catalog.has_directory("foo", "dir/sub/a")
        assert not catalog.has_directory("bar")

    def test_a_summary_counts_all_below(self, catalog):
        catalog.upsert(
            "foo",
            [
                entry("d/a", size=5, mtime_ns=9),
                entry("d/s/b", size=7, mtime_ns=3),
                entry("e", size=100, mtime_ns=50),
            ],
        )

        assert catalog.directory_summary("foo", "d") == Summary(nfiles=2, size=12, mtime_ns=9)
        assert catalog.directory_summary("foo", "none") == Summary(0, 0, 0)
        assert catalog.count("foo") == 3

    def test_replacing_keeps_exactly_what_was_named(self, catalog):
        catalog.upsert("foo", entries("a", "b", "c"))

        removed = catalog.replace_root("foo", [[entry("b", etag="2")], entries("d")])

        assert removed == 2
        assert list(catalog.etags("foo")) == [("b", "2"), ("d", "1")]

    def test_a_change_during_a_replacement_survives_it(self, catalog):
        catalog.upsert("foo", entries("old"))

        generation = catalog.begin_replace("foo")
        catalog.upsert("foo", entries("page"))
        catalog.upsert("foo", entries("event"))
        catalog.end_replace("foo", generation)

        assert catalog.names("foo") == ["event", "page"]

    def test_an_overtaken_replacement_removes_nothing(self, catalog):
        first = catalog.begin_replace("foo")
        catalog.upsert("foo", entries("a"))
        catalog.begin_replace("foo")

        assert catalog.end_replace("foo", first) == 0
        assert catalog.names("foo") == ["a"]

    def test_an_interrupted_replacement_loses_nothing(self, catalog):
        catalog.upsert("foo", entries("a", "b"))

        def pages():
            yield entries("a")
            raise OSError("the publisher went away")

        with pytest.raises(OSError, match="went away"):
            catalog.replace_root("foo", pages())

        assert catalog.names("foo") == ["a", "b"]

    def test_a_failed_upsert_stores_nothing(self, catalog):
        def half():
            yield entry("a")
            raise RuntimeError("stop")

        with pytest.raises(RuntimeError):
            catalog.upsert("foo", half())

        assert catalog.names("foo") == []

    def test_values_of_a_root_are_kept_together(self, catalog):
        catalog.set_root_state("foo", epoch="e", seq="5")
        catalog.set_root_state("foo", seq="6", epoch=None)

        assert catalog.root_state("foo") == {"seq": "6"}
        assert catalog.root_state("bar") == {}

    def test_a_forgotten_root_leaves_nothing(self, catalog):
        catalog.upsert("foo", entries("a"))
        catalog.set_root_state("foo", seq="6")

        catalog.forget_root("foo")
        catalog.forget_root("foo")

        assert catalog.roots() == []
        assert catalog.root_state("foo") == {}
        assert catalog.get("foo", "a") is None

    def test_all_is_there_after_reopening(self, tmp_path):
        with Catalog(tmp_path / "c") as catalog:
            catalog.upsert("foo", entries("a"))
            catalog.set_root_state("foo", seq="6")

        with Catalog(tmp_path / "c") as catalog:
            assert catalog.names("foo") == ["a"]
            assert catalog.root_state("foo") == {"seq": "6"}

    def test_threads_write_and_read_at_once(self, catalog):
        def work(number):
            catalog.upsert("foo", entries(f"{number:03d}"))
            return catalog.get("foo", f"{number:03d}").path

        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(work, range(100)))

        assert catalog.names("foo") == seen

    def test_reading_goes_on_while_a_replacement_runs(self, catalog):
        catalog.upsert("foo", entries(*(f"{i:05d}" for i in range(6000))))
        walk = catalog.etags("foo")
        first = next(walk)

        catalog.replace_root("foo", [[entry("05999", etag="2")]])

        assert first == ("00000", "1")
        assert list(walk)[-1] == ("05999", "2")

    def test_a_closed_catalog_says_so(self, catalog):
        catalog.close()
        catalog.close()

        with pytest.raises(InternalError, match="closed"):
            catalog.names("foo")

    def test_connection_in_use_is_closed_when_it_is_given_back(self, catalog):
        with catalog._reading() as db:
            catalog.close()
            still = db.execute("SELECT 1").fetchone()

        assert still == (1,)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")

    @pytest.mark.slow
    def test_a_hundred_thousand_files_are_quick(self, catalog):
        def pages():
            for start in range(0, 100_000, 1000):
                yield entries(*(f"dir{i // 500}/file-{i:06d}.b2nd" for i in range(start, start + 1000)))

        begin = time.perf_counter()
        catalog.replace_root("foo", pages())
        stored = time.perf_counter()
        names = catalog.names("foo")
        listed = time.perf_counter()

        assert len(names) == 100_000
        assert stored - begin < 3 * 5  # wanted: 3 s; a busy machine may take longer
        assert listed - stored < 0.5 * 5

    @given(
        paths=st.sets(st.text("ab/é0-", min_size=1, max_size=6)),
        directory=st.text("ab/é0-", max_size=3),
    )
    def test_names_are_those_of_a_plain_filter(self, tmp_path_factory, paths, directory):
        prefix = f"{directory}/" if directory else ""
        wanted = [p for p in sorted(paths, key=str.encode) if p.startswith(prefix) and p != prefix]

        with Catalog(tmp_path_factory.mktemp("given") / "c") as catalog:
            catalog.upsert("foo", entries(*paths))

            assert catalog.names("foo", directory) == wanted


class TestBrokerState:
    def test_roots_are_there_after_reopening(self, broker_path):
        foo = StoredRoot(name="foo", http="localhost:8001", token_hash=b"\0\1", left=True)
        with BrokerState(broker_path) as state:
            state.put(StoredRoot(name="foo", http="elsewhere:1", token_hash=b""))
            state.put(foo)
            state.put(StoredRoot(name="bar", http="x:1", token_hash=b""))
            state.forget("bar")

        with BrokerState(broker_path) as state:
            assert state.load() == [foo]

    def test_a_file_of_rubbish_is_moved_aside(self, broker_path, caplog):
        broker_path.parent.mkdir()
        broker_path.write_bytes(b"rubbish " * 1000)

        with caplog.at_level(logging.WARNING), BrokerState(broker_path) as state:
            assert state.load() == []

        assert "can not be used" in caplog.text
        (aside,) = broker_path.parent.glob("broker.sqlite.broken-*")
        assert aside.read_bytes().startswith(b"rubbish")

    def test_a_damaged_table_is_moved_aside(self, broker_path):
        with BrokerState(broker_path) as state:
            for i in range(500):
                state.put(StoredRoot(name=f"root-{i}", http="localhost:8001", token_hash=bytes(32)))
        data = bytearray(broker_path.read_bytes())
        data[4096 * 2 : 4096 * 4] = b"\xff" * 8192
        broker_path.write_bytes(data)

        with BrokerState(broker_path) as state:
            assert state.load() == []

    def test_a_database_of_a_later_version_is_moved_aside(self, broker_path):
        with BrokerState(broker_path) as state:
            state.put(StoredRoot(name="foo", http="x:1", token_hash=b""))
        db = sqlite3.connect(broker_path)
        db.execute("PRAGMA user_version=99")
        db.close()

        with BrokerState(broker_path) as state:
            assert state.load() == []

        assert list(broker_path.parent.glob("broker.sqlite.broken-*"))

    def test_a_path_that_can_not_be_opened_is_one_error(self, tmp_path):
        (tmp_path / "taken").mkdir()

        with pytest.raises(InternalError, match="can not be opened"):
            BrokerState(tmp_path / "taken")
