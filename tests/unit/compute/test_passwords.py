"""Which passwords are taken, and how they are kept."""

from __future__ import annotations

import pytest

from caterva2.compute import passwords
from caterva2.errors import BadPassword

STORED = passwords.hash_password("a good password", cost=4)


def test_the_password_and_no_other_is_verified() -> None:
    assert passwords.verify_password("a good password", STORED)
    assert not passwords.verify_password("a good passwore", STORED)


def test_same_password_gives_other_hashes() -> None:
    assert passwords.hash_password("a good password", cost=4) != STORED


@pytest.mark.parametrize("password", ["", "7 chars", "x" * 73, "\N{SNOWMAN}" * 25])
def test_password_out_of_bounds_is_refused(password: str) -> None:
    with pytest.raises(BadPassword):
        passwords.hash_password(password)


@pytest.mark.parametrize("password", ["8 chars!", "x" * 72, "\N{SNOWMAN}" * 24, "nul\0inside"])
def test_password_in_bounds_is_taken_whole(password: str) -> None:
    stored = passwords.hash_password(password, cost=4)

    assert passwords.verify_password(password, stored)
    assert not passwords.verify_password(password[:-1], stored)


def test_what_lies_beyond_72_bytes_is_not_cut_silently() -> None:
    stored = passwords.hash_password("x" * 72, cost=4)

    assert not passwords.verify_password("x" * 73, stored)


def test_nobody_costs_as_much_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    real = passwords.bcrypt.checkpw
    monkeypatch.setattr(passwords.bcrypt, "checkpw", lambda p, h: checked.append(h[:7]) or real(p, h))

    somebody = passwords.hash_password("a good password")
    passwords.verify_password("another password", somebody)
    passwords.verify_password("another password", None)

    assert checked == [b"$2b$10$", b"$2b$10$"]


def test_made_passwords_are_long_and_differ() -> None:
    made = {passwords.make_password() for _ in range(50)}

    assert len(made) == 50
    assert {len(password) for password in made} == {24}


def test_made_passwords_can_not_be_taken_for_options() -> None:
    assert all(passwords.make_password().isalnum() for _ in range(500))
