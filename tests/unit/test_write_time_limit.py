"""A local activity waits for a write for a limited time, and the write itself continues."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from activities import waiting_for_records
from activities.waiting_for_records import with_time_limit
from plangate.domain.errors import RecordsUnavailable
from plangate.records.database import Database
from plangate.records.records import Records

_LIMIT = 0.05


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    """Records that are never opened, with a short limit."""
    monkeypatch.setattr(waiting_for_records, "_WRITE_LIMIT", _LIMIT)
    return Records(Database(tmp_path / "records.db"))


async def reported_during(act: Callable[[], Awaitable[None]]) -> list[str]:
    """Return what asyncio itself reports about errors that were never retrieved."""
    found: list[str] = []
    loop = asyncio.get_running_loop()  # all tests of this process share it
    loop.set_exception_handler(lambda _, context: found.append(context["message"]))
    try:
        await act()
        gc.collect(1)  # the error is in a recent object; a collection of all objects can take seconds
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    return found


async def answer(after: float, done: list[str]) -> str:
    await asyncio.sleep(after)
    done.append("written")
    return "written"


async def failure(after: float, error: BaseException) -> str:
    await asyncio.sleep(after)
    raise error


async def test_an_answer_or_an_error_in_time_is_passed_on(records: Records) -> None:
    assert await with_time_limit(records, answer(0, [])) == "written"
    for error in (ValueError("no"), TimeoutError("its own"), RecordsUnavailable("gone")):
        with pytest.raises(type(error), match=str(error)):
            await with_time_limit(records, failure(0, error))


async def test_a_late_answer_is_reported_as_an_outage_but_the_write_continues(records: Records) -> None:
    done: list[str] = []
    with pytest.raises(RecordsUnavailable, match=r"did not respond within 0\.05 seconds"):
        await with_time_limit(records, answer(2 * _LIMIT, done))
    assert not done
    await asyncio.sleep(2 * _LIMIT)
    assert done


async def test_a_cancelled_activity_does_not_stop_its_write(records: Records) -> None:
    done: list[str] = []
    activity = asyncio.ensure_future(with_time_limit(records, answer(_LIMIT / 2, done)))
    await asyncio.sleep(_LIMIT / 10)
    activity.cancel()
    with pytest.raises(asyncio.CancelledError):
        await activity
    await asyncio.sleep(_LIMIT)
    assert done


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_an_error_that_comes_too_late_is_not_reported_by_asyncio(
    records: Records, is_cancelled: bool
) -> None:
    async def fail_late() -> None:
        activity = asyncio.ensure_future(with_time_limit(records, failure(2 * _LIMIT, ValueError("late"))))
        await asyncio.sleep(_LIMIT / 2)
        if is_cancelled:
            activity.cancel()
        with pytest.raises(asyncio.CancelledError if is_cancelled else RecordsUnavailable):
            await activity
        await asyncio.sleep(3 * _LIMIT)

    assert await reported_during(fail_late) == []
