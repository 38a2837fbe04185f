"""Steps begin one at a time, and no step begins while a receipt waits to be stored."""

import asyncio

import pytest

from activities.pacing import Pacing
from plangate.domain.errors import RecordsUnavailable
from tests.support.wait_limit import WAIT_LIMIT


class Steps:
    """Steps that share one pacing; the test sets how long their calls take, and their states are counted."""

    def __init__(self) -> None:
        self.pacing = Pacing()
        self.claimed: list[int] = []
        self.answer = asyncio.Event()
        self.store = asyncio.Event()

    async def one(self, number: int) -> None:
        async with self.pacing.turn() as turn:
            self.claimed.append(number)
            turn.end_soon()
            await self.answer.wait()
            with self.pacing.storing():
                await self.store.wait()


async def until_idle() -> None:
    """Wait for a tenth of a second, so that everything that is ready can run."""
    await asyncio.sleep(0.1)


async def test_a_second_step_is_not_claimed_before_the_first_could_make_its_call() -> None:
    steps = Steps()
    tasks = [asyncio.create_task(steps.one(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert steps.claimed == [0]
    async with asyncio.timeout(WAIT_LIMIT):
        while steps.claimed != [0, 1, 2]:  # a slow response does not delay other steps
            await asyncio.sleep(0.01)
    steps.answer.set()
    steps.store.set()
    await asyncio.gather(*tasks)


async def test_no_step_is_claimed_while_a_receipt_waits() -> None:
    steps = Steps()
    first = asyncio.create_task(steps.one(1))
    await until_idle()
    steps.answer.set()
    await asyncio.sleep(0)
    second = asyncio.create_task(steps.one(2))
    await until_idle()
    assert steps.claimed == [1]
    steps.store.set()
    await asyncio.gather(first, second)
    assert steps.claimed == [1, 2]


async def test_a_step_whose_claim_fails_does_not_block_others() -> None:
    steps = Steps()
    steps.answer.set()
    steps.store.set()
    with pytest.raises(RecordsUnavailable):
        async with steps.pacing.turn():
            raise RecordsUnavailable
    await asyncio.wait_for(steps.one(1), WAIT_LIMIT)


async def test_a_step_withdrawn_while_it_waits_does_not_block_others() -> None:
    steps = Steps()
    with steps.pacing.storing():
        waiting = asyncio.create_task(steps.one(1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
    steps.answer.set()
    steps.store.set()
    await asyncio.wait_for(steps.one(2), WAIT_LIMIT)
    assert steps.claimed == [2]
