"""What is told of an answer before it is made."""

from __future__ import annotations

import itertools

import pytest

from caterva2.model.slicing import NDSlice
from caterva2.roles.subscriber.explain import _most_rows

BOUNDS = ["", "0", "2", "7", "12", "-1", "-4", "-20"]
SLICES = [f"{a}:{b}:{c}" for a, b, c in itertools.product(BOUNDS, BOUNDS, ["1", "3"])]


@pytest.mark.parametrize("text", SLICES)
def test_most_rows_of_a_slice_are_never_exceeded(text: str) -> None:
    asked = NDSlice.parse(text)
    real = max(asked.bind((n,)).shape[0] for n in range(10))

    (most,) = _most_rows(asked, 9, exact=False)

    assert real <= most <= 9
    assert _most_rows(asked, 9, exact=True) == asked.bind((9,)).shape
