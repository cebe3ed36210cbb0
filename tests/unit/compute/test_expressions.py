"""The grammar of expressions: what it takes, and what it refuses before anything is evaluated."""

from __future__ import annotations

import sys
import threading
from typing import Any

import blosc2
import pytest

from caterva2.compute.expressions import MAX_TEXT, check_name, parse
from caterva2.compute.nodes import (
    ARITY,
    ELSEWHERE,
    REDUCTIONS,
    SPELLINGS,
    Apply,
    Cast,
    Constant,
    Field,
    Name,
    Part,
    Reduce,
    names,
)
from caterva2.errors import BadExpression

HOSTILE = [
    "",
    "   ",
    "a.save('x')",
    "a.__class__",
    "a.b",
    "a.T",
    "().__class__.__bases__",
    "(1).real",
    "1 .real",
    "__import__('os')",
    "__import__",
    "a__b + 1",
    "_a + 1",
    "eval('1')",
    "exec('1')",
    "open('x')",
    'a + eval(\'__import__("os").system("true")\')',
    "zeros(eval('3'))",
    "zeros((100000, 100000))",
    "ones(3)",
    "arange(10)",
    "linspace(0, 1, 3)",
    "full(3, 4)",
    "empty(3)",
    "fromfunction(sin, 3)",
    "array([1])",
    "frombuffer(a)",
    "load('x')",
    "compile('a', 'b', 'eval')",
    "getattr(a, 'b')",
    "globals()",
    "locals()",
    "print(a)",
    "type(a)",
    "vars(a)",
    "dir()",
    "input()",
    "breakpoint()",
    "lambda: a",
    "(lambda x: x)(a)",
    "[x for x in a]",
    "{x for x in a}",
    "{x: x for x in a}",
    "sum(x for x in a)",
    "(a := 1)",
    "a := 1",
    "f'{a}'",
    'f"{a}"',
    "b'x' + a",
    "rb'x'",
    "u'x'",
    "'a' + a",
    "a == 'x'",
    "'''a'''",
    "a['f' 'g']",
    "a[b]",
    "a[a > 1]",
    "a[1.5]",
    "a[True]",
    "a[None]",
    "a['__class__'].b",
    "a['f'](1)",
    "a[::-1]",
    "a[::0]",
    "a[1:2:3:4]",
    "a[0]['f', 'g']",
    "a[9999999999999999999999]",
    "(a + 1)['f']",
    "3[0]",
    "'abc'[0]",
    "9**9**9",
    "9**9**9**9",
    "a**9**9**9",
    "a**100000",
    "10**400 + a",
    "2**1025 + a",
    "1e999 + a",
    "1/0 + a",
    "1 % 0 + a",
    "(-8)**0.5 + a",
    "1" * 41 + " + a",
    "1" * 5000,
    "0x10 + a",
    "1_000 + a",
    "1j + a",
    "1if a else 2",
    "a if b else c",
    "a and b",
    "a or b",
    "not a",
    "a is b",
    "a in b",
    "a < b < c",
    "a @ b",
    "await a",
    "yield a",
    "*a",
    "sin(*a)",
    "sin(**a)",
    "sin(x=a)",
    "sin(a, out=b)",
    "sin()",
    "sin(a, b)",
    "sin(a)(b)",
    "a(b)",
    "sum(a, axis=b)",
    "sum(a, axis='x')",
    "sum(a, dtype=b)",
    "sum(a, out=b)",
    "sum(a, keepdims=b)",
    "sum(a, 0, True)",
    "sum(a, axis=0, axis=1)",
    "sum()",
    "std(a, ddof=-1)",
    "astype(a, 'object')",
    "astype(a, 'O')",
    "astype(a, b)",
    "astype(a, 'S100000000')",
    "astype(a, '>f4')",
    "astype(a, 'V8')",
    "argmin(a, axis=(0, 1))",
    "argmax(a, ddof=1)",
    "count_nonzero(2)",
    "cumulative_sum(a)",
    "cumsum(a, 0)",
    "startswith(a, 'x')",
    "broadcast_to(a, (3, 3))",
    "astype(a, 'float32', 1)",
    "astype(2, 'int8')",
    "(a, b)",
    "[a]",
    "{a}",
    "{}",
    "a; b",
    "a\nb",
    "a\\\n+ b",
    "a # b",
    "import os",
    "del a",
    "a = 1",
    "a += 1",
    "a:b",
    "a, b",
    "return a",
    "...",
    "None",
    "None + a",
    "a + ...",
    "\x00a",
    "a\x00",
    "a + \u0430",  # a Cyrillic letter that looks like a
    "\uff41 + 1",  # a full-width letter, which Python would read as a
    "s\u0131n(a)",
    "a + \u00b2",
    "a \u2212 1",
    "a\u00a0+ 1",
    "\U0001d44e + 1",
    "(" * 33 + "a" + ")" * 33,
    "(" * 300 + "a" + ")" * 300,
    "-" * 9 + "a",
    "-" * 2000 + "a",
    "~" * 500 + "a",
    "+".join(["a"] * 300),
    "sin(" * 40 + "a" + ")" * 40,
    "a[" * 60 + "0" + "]" * 60,
    "a" * 65 + " + 1",
    "a + " + "b" * MAX_TEXT,
    "(a",
    "a)",
    "a +",
    "+ * a",
    "a b",
    "1 2",
    "a ? b : c",
    "a $ b",
    "a ! b",
    "`a`",
    "~True + a",
    "1 << 5000",
    "a%",
]


@pytest.fixture
def no_python_runs() -> Any:
    """Fail if anything is compiled to code, evaluated, imported or opened."""
    seen: list[str] = []
    active = True
    thread = threading.get_ident()  # a thread that an earlier test left does what it likes

    def hook(event: str, args: tuple[Any, ...]) -> None:
        watched = active and threading.get_ident() == thread
        if watched and event in {"exec", "import", "open", "os.system", "subprocess.Popen"}:
            seen.append(event)

    sys.addaudithook(hook)
    yield seen
    active = False


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_outside_the_grammar_is_refused_and_nothing_runs(text: str, no_python_runs: list[str]) -> None:
    with pytest.raises(BadExpression):
        parse(text)

    assert no_python_runs == []


def test_there_are_many_hostile_expressions() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "_a", "a__b", "lambda", "\u0430", "a" * 65, "a b"])
def test_odd_operand_name_is_refused(name: str) -> None:
    with pytest.raises(BadExpression):
        check_name(name)


A, B = Name("a"), Name("b")


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a + b", Apply("add", (A, B))),
        ("a*2.5", Apply("multiply", (A, Constant(2.5)))),
        ("-a", Apply("negative", (A,))),
        ("2*3 + a", Apply("add", (Constant(6), A))),
        (
            "(a < b) & ~(b == 1)",
            Apply(
                "bitwise_and", (Apply("less", (A, B)), Apply("invert", (Apply("equal", (B, Constant(1))),)))
            ),
        ),
        ("a['f']", Field(A, "f")),
        ('a["f g"]', Field(A, "f g")),
        ("a[0, 1:5, ..., ::2]", Part(A, "0,1:5,...,::2")),
        ("a[-1]", Part(A, "-1")),
        ("sum(a)", Reduce("sum", A)),
        ("mean(a, 0)", Reduce("mean", A, (0,))),
        ("max(a, axis=(0, -1), keepdims=True)", Reduce("max", A, (0, -1), True)),
        ("std(a, ddof=1)", Reduce("std", A, None, False, 1)),
        ("astype(a, 'float32')", Cast(A, "float32")),
        ("astype(a, float32)", Cast(A, "float32")),
        ("astype(a, 'f4')", Cast(A, "float32")),
        ("astype(a, '<i2')", Cast(A, "int16")),
        ("argmin(a, axis=1)", Reduce("argmin", A, (1,))),
        ("count_nonzero(a, 0)", Reduce("sum", Apply("not_equal", (A, Constant(0))), (0,))),
        ("where(a > 0, a, b)", Apply("where", (Apply("greater", (A, Constant(0))), A, B))),
        ("abs(a)", Apply("absolute", (A,))),
        ("asin(a)", Apply("arcsin", (A,))),
        ("a**2", Apply("power", (A, Constant(2)))),
        ("True & a", Apply("bitwise_and", (Constant(True), A))),
    ],
)
def test_text_of_the_grammar_becomes_nodes(text: str, node: object) -> None:
    assert parse(text) == node


def test_names_are_those_of_operands() -> None:
    assert names(parse("sin(b) + where(a > 0, a, 1)")) == ["a", "b"]


def test_every_elementwise_function_of_blosc2_is_there() -> None:
    """Blosc2 names those of the array API; what is left out says why."""
    wanted = set(blosc2.utils.elementwise_funcs)
    known = {*ARITY, *SPELLINGS}

    assert wanted - known - set(ELSEWHERE) == set()
    assert wanted & set(ELSEWHERE) == {
        "broadcast_to", "contains", "startswith", "endswith", "lower", "upper",
    }  # fmt: skip


def test_every_reduction_of_blosc2_is_there() -> None:
    wanted = set(sys.modules["blosc2.lazyexpr"].reducers)  # the package has a function of the same name

    assert wanted - REDUCTIONS == {"count_nonzero", "cumulative_sum", "cumulative_prod"}
    assert parse("count_nonzero(a)") == parse("sum(a != 0)")
    assert {"cumulative_sum", "cumulative_prod"} <= ELSEWHERE.keys()


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_function_that_is_not_there_says_why(name: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(f"{name}(a)")

    assert caught.value.hint == ELSEWHERE[name]


@pytest.mark.parametrize(
    ("text", "hint"),
    [("a + 2j", "complex128"), ("a * 1.5e3J", "complex128"), ("0 < a < 2", "&"), ("a and b", "&"),
     ("not a", "~"), ("astype(a, 'x')", "float32")],
)  # fmt: skip
def test_refusal_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(BadExpression) as caught:
        parse(text)

    assert hint in str(caught.value.hint)
