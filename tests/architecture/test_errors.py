"""The error tree is part of the API: codes are unique, statuses fit their branch."""

from __future__ import annotations

import re
from collections import Counter
from http import HTTPStatus

import pytest

from caterva2 import errors


def _descendants(cls: type[errors.Caterva2Error]) -> list[type[errors.Caterva2Error]]:
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in _descendants(child))]


TREE = _descendants(errors.Caterva2Error)
BRANCHES = [
    *((cls, 4) for cls in _descendants(errors.RequestError)),
    *((cls, 5) for cls in _descendants(errors.ServiceError)),
]


def test_codes_are_unique() -> None:
    codes = Counter(cls.code for cls in TREE)

    assert [code for code, count in codes.items() if count > 1] == []


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_class_states_its_own_code_in_kebab_case(cls: type[errors.Caterva2Error]) -> None:
    assert "code" in vars(cls)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", cls.code)


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_class_has_a_status_that_http_knows(cls: type[errors.Caterva2Error]) -> None:
    assert HTTPStatus(cls.status) >= HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(("cls", "hundreds"), BRANCHES, ids=lambda value: getattr(value, "__name__", ""))
def test_status_fits_the_branch(cls: type[errors.Caterva2Error], hundreds: int) -> None:
    assert cls.status // 100 == hundreds


@pytest.mark.parametrize("cls", TREE, ids=lambda cls: cls.__name__)
def test_every_class_lives_in_errors_and_is_described(cls: type[errors.Caterva2Error]) -> None:
    assert cls.__module__ == "caterva2.errors"
    assert cls.__doc__
    assert cls.__name__ in (errors.__doc__ or "")
