"""The last failures of a service: which count, and how many are kept."""

from __future__ import annotations

import pytest

from caterva2.errors import Caterva2Error, DatasetNotFound, InternalError, Overloaded, PublisherUnavailable
from caterva2.transport.failures import LONGEST, Failures


def add(failures: Failures, error: Caterva2Error, *, defect: str | None = None, name: str = "1") -> None:
    failures.add(error, at=0.5, request_id=name, method="GET", route="fetch", defect=defect)


@pytest.mark.parametrize("error", [InternalError("x"), Overloaded("x"), PublisherUnavailable("x")])
def test_failure_of_the_service_is_kept(error: Caterva2Error) -> None:
    failures = Failures()

    add(failures, error)

    (kept,) = failures.recent()
    assert (kept.status, kept.code, kept.at) == (error.status, error.code, "1970-01-01T00:00:00.500Z")


def test_what_was_asked_wrongly_is_not_kept() -> None:
    failures = Failures()

    add(failures, DatasetNotFound("x"))

    assert failures.recent() == []


def test_newest_comes_first_and_oldest_goes() -> None:
    failures = Failures(kept=2)

    for name in "123":
        add(failures, InternalError("x"), name=name)

    assert [failure.request_id for failure in failures.recent()] == ["3", "2"]


def test_defect_is_told_by_its_kind() -> None:
    failures = Failures()

    add(failures, InternalError("internal error"), defect="KeyError")

    assert failures.recent()[0].sentence == "internal error (KeyError)"


def test_long_message_is_cut() -> None:
    failures = Failures()

    add(failures, InternalError("x" * 10_000))

    assert len(failures.recent()[0].sentence) == LONGEST
