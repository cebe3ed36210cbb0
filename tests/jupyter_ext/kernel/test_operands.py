"""Reading expressions of cells: names, paths and numbers."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest

from caterva2.compute.expressions import parse
from caterva2.errors import BadExpression
from caterva2_jupyter.operands import read_expression


@pytest.mark.parametrize(
    ("text", "namespace", "expected", "operands"),
    [
        ('"foo/a.b2nd" + 1', {}, "d0 + 1", {"d0": "foo/a.b2nd"}),
        ("'foo/a.b2nd' * \"foo/a.b2nd\"", {}, "d0 * d0", {"d0": "foo/a.b2nd"}),
        ("a + 1", {"a": "foo/x.b2nd"}, "a + 1", {"a": "foo/x.b2nd"}),
        ("a + 1", {"a": PurePosixPath("foo/x.b2nd")}, "a + 1", {"a": "foo/x.b2nd"}),
        ("_a + grün", {"_a": "foo/x", "grün": "foo/y"}, "d0 + d1", {"d0": "foo/x", "d1": "foo/y"}),
        ('d0 + "foo/y"', {"d0": "foo/x"}, "d0 + d1", {"d0": "foo/x", "d1": "foo/y"}),
        ("a*k", {"a": "f/x", "k": -2}, "a * (-2)", {"a": "f/x"}),
        ("a*k", {"a": "f/x", "k": np.float32(0.5)}, "a * 0.5", {"a": "f/x"}),
        ("np.sin(a) + np.pi", {"a": "f/x"}, "sin ( a ) + 3.141592653589793", {"a": "f/x"}),
        ("sum(a, axis=0)", {"a": "f/x", "axis": 5}, "sum ( a , axis = 0 )", {"a": "f/x"}),
        ('a["x"] > 3', {"a": "f/x"}, 'a [ "x" ] > 3', {"a": "f/x"}),
        ('astype(a, "float32")', {"a": "f/x"}, 'astype ( a , "float32" )', {"a": "f/x"}),
        ('where(a > 0, "f/y", 0)', {"a": "f/x"}, "where ( a > 0 , d1 , 0 )", {"a": "f/x", "d1": "f/y"}),
        ("a[1:, ::2]  # why\n + 1e-3", {"a": "f/x"}, "a [ 1 : , : : 2 ] + 1e-3", {"a": "f/x"}),
    ],
)
def test_expression(text: str, namespace: dict, expected: str, operands: dict[str, str]) -> None:
    found = read_expression(text, namespace)

    assert (found.text, found.operands) == (expected, operands)
    parse(found.text)  # what is left is in the server's grammar


@pytest.mark.parametrize(
    ("text", "namespace", "said"),
    [
        ("", {}, "the expression is empty"),
        ("# nothing", {}, "the expression is empty"),
        ("a + 1", {}, "there is no variable 'a'"),
        ("a + 1", {"a": np.arange(3)}, "expected 'a' to be a dataset, a path or a number, found ndarray"),
        ("a + 1", {"a": "x"}, "expected 'a' to be the path of a dataset"),
        ("a + 1", {"a": float("nan")}, "expected 'a' to be a dataset"),
        ('"x" + 1', {}, "expected the path of a dataset"),
        ("a.T", {"a": "f/x"}, "'a.T' has a dot in it"),
        ("np.newaxis", {}, "expected a function behind 'np.'"),
        ("a and a", {"a": "f/x"}, "expressions do not know the word 'and'"),
    ],
)
def test_refusal(text: str, namespace: dict[str, Any], said: str) -> None:
    with pytest.raises(BadExpression, match=said):
        read_expression(text, namespace)


@pytest.mark.parametrize(
    "value", [10**400, -(10**5000), float("inf"), float("nan")], ids=["a", "b", "c", "d"]
)
def test_numbers_that_no_server_has_are_refused(value: float) -> None:
    with pytest.raises(BadExpression, match="to be a dataset, a path or a number"):
        read_expression("x + 1", {"x": value})
