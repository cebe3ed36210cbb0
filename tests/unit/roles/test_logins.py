"""How often passwords may be tried, by a clock that the test turns."""

from __future__ import annotations

import asyncio

import pytest

from caterva2.errors import TooManyRequests
from caterva2.roles.subscriber.logins import (
    ACCOUNT_REFILL_S,
    ADDRESS_REFILL_S,
    PER_ACCOUNT,
    PER_ADDRESS,
    Bucket,
    LoginLimits,
)
from tests.support.clock import ManualClock

pytestmark = pytest.mark.asyncio


async def fail(limits: LoginLimits, address: str, account: str) -> None:
    async with limits.attempt(address, account):
        pass


async def succeed(limits: LoginLimits, address: str, account: str) -> None:
    async with limits.attempt(address, account) as attempt:
        attempt.succeeded()


async def test_account_is_closed_after_so_many_failures_from_anywhere() -> None:
    limits = LoginLimits(ManualClock())
    for i in range(PER_ACCOUNT):
        await fail(limits, f"10.0.0.{i}", "ada")

    with pytest.raises(TooManyRequests) as caught:
        await fail(limits, "10.1.1.1", "ada")

    assert caught.value.fields["retry_after_s"] == ACCOUNT_REFILL_S


async def test_account_opens_again_after_the_time_that_is_told() -> None:
    clock = ManualClock()
    limits = LoginLimits(clock)
    for _ in range(PER_ACCOUNT):
        await fail(limits, "a", "ada")

    await clock.advance(ACCOUNT_REFILL_S)

    await fail(limits, "a", "ada")
    with pytest.raises(TooManyRequests):
        await fail(limits, "a", "ada")


async def test_address_is_closed_whichever_accounts_it_tries() -> None:
    limits = LoginLimits(ManualClock())
    for i in range(PER_ADDRESS):
        await fail(limits, "a", f"user{i}")

    with pytest.raises(TooManyRequests) as caught:
        await fail(limits, "a", "another")

    assert caught.value.fields["retry_after_s"] == ADDRESS_REFILL_S
    await fail(limits, "b", "another")


async def test_success_counts_nothing_and_forgets_failures() -> None:
    limits = LoginLimits(ManualClock())
    for _ in range(PER_ACCOUNT - 1):
        await fail(limits, "a", "ada")

    for _ in range(2 * PER_ADDRESS):
        await succeed(limits, "a", "ada")

    for _ in range(PER_ACCOUNT):
        await fail(limits, "a", "ada")


async def test_attempts_at_once_are_all_counted() -> None:
    limits = LoginLimits(ManualClock())

    results = await asyncio.gather(*(fail(limits, "a", "ada") for _ in range(50)), return_exceptions=True)

    assert results.count(None) == PER_ACCOUNT
    assert limits._queues == {}


async def test_memory_is_bounded() -> None:
    bucket = Bucket(ManualClock(), 10, 1.0, remembered=100)

    for i in range(1000):
        bucket.add(str(i))

    assert len(bucket) == 100
