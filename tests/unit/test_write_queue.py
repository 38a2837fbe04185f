"""Receipts are written before all other waiting entries."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.errors import RecordsUnavailable
from plangate.records.write_queue import WriteQueue
from tests.support.wait_limit import WAIT_LIMIT


async def write(queue: WriteQueue, written: list[str], name: str, *, receipt: bool = False) -> None:
    async with queue.slot(receipt=receipt):
        written.append(name)
        await asyncio.sleep(0)


async def test_a_receipt_takes_precedence_over_earlier_waiters() -> None:
    queue, written = WriteQueue(1, 10), list[str]()
    others = [write(queue, written, f"claim {number}") for number in range(3)]
    receipts = [write(queue, written, f"receipt {number}", receipt=True) for number in range(2)]
    await asyncio.gather(*others, *receipts)
    assert written == ["claim 0", "receipt 0", "receipt 1", "claim 1", "claim 2"]


async def test_the_number_of_concurrent_writers_is_limited() -> None:
    queue, most, now = WriteQueue(2, 10), 0, 0

    async def one() -> None:
        nonlocal most, now
        async with queue.slot(receipt=False):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(one() for _ in range(10)))
    assert most == 2


@pytest.mark.parametrize("is_given", [False, True])
async def test_the_slot_of_a_cancelled_waiter_is_granted_to_the_next(is_given: bool) -> None:
    """This is true even if the waiter is cancelled at the moment it gets the slot."""
    queue, written = WriteQueue(1, 10), list[str]()
    async with queue.slot(receipt=False):
        leaving = asyncio.create_task(write(queue, written, "leaving"))
        staying = asyncio.create_task(write(queue, written, "staying"))
        await asyncio.sleep(0)
        if not is_given:
            leaving.cancel()
            await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await asyncio.wait_for(staying, WAIT_LIMIT)
    assert written == ["staying"]


async def test_a_waiter_that_times_out_gets_no_slot() -> None:
    queue, written = WriteQueue(1, 0.01), list[str]()
    async with queue.slot(receipt=False):
        with pytest.raises(RecordsUnavailable, match="has waited"):
            await write(queue, written, "late", receipt=True)
    await write(queue, written, "next")
    assert written == ["next"]


@settings(max_examples=300)
@given(
    slots=st.integers(1, 3),
    waiters=st.lists(
        st.tuples(st.booleans(), st.integers(0, 4), st.none() | st.integers(0, 12)), max_size=12
    ),
)
def test_all_others_get_a_slot_after_any_cancellations(
    slots: int, waiters: list[tuple[bool, int, int | None]]
) -> None:
    """Each writer may have a receipt, writes for this many passes, and may be cancelled in a given pass."""

    async def run_case() -> None:
        queue, done = WriteQueue(slots, 10), set[int]()

        async def one(number: int, receipt: bool, passes: int) -> None:
            async with queue.slot(receipt=receipt):
                for _ in range(passes):
                    await asyncio.sleep(0)
                done.add(number)

        tasks = [
            asyncio.create_task(one(number, receipt, passes))
            for number, (receipt, passes, _) in enumerate(waiters)
        ]
        for moment in range(13):
            for task, (*_, leaves) in zip(tasks, waiters, strict=True):
                if leaves == moment:
                    task.cancel()
            await asyncio.sleep(0)
        ends = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), WAIT_LIMIT)
        assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends), ends
        assert done == {number for number, end in enumerate(ends) if end is None}
        assert all(end is None for end, (*_, leaves) in zip(ends, waiters, strict=True) if leaves is None)
        async with asyncio.timeout(WAIT_LIMIT), AsyncExitStack() as taken:  # every slot is available again
            for _ in range(slots):
                await taken.enter_async_context(queue.slot(receipt=False))

    asyncio.run(run_case())
