"""Room that is taken: counts do not lose what happens while they are made."""

from __future__ import annotations

from caterva2.storage.ledger import Ledger


def test_file_that_arrives_during_a_count_is_counted_once() -> None:
    files = [10]

    def count() -> int:
        found = sum(files)
        if len(files) == 1:
            files.append(5)
            ledger.changed(5)
        return found

    ledger = Ledger(None, "all", count)

    ledger.recount()

    assert ledger.used == 15


def test_count_that_is_always_disturbed_leaves_what_was_known() -> None:
    def count() -> int:
        ledger.changed(1)
        return 1000

    ledger = Ledger(None, "all", count)

    ledger.recount()

    assert ledger.used == 3
