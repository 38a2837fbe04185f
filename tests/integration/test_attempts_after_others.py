"""An attempt to execute a step, after earlier attempts that may still act, on both databases."""

import random
from datetime import timedelta
from typing import Any

import pytest

from plangate.domain.policies.rolling_totals import RESERVED_FOR
from plangate.domain.runs.run import Phase
from plangate.records.database import Database
from plangate.records.reservations import with_others
from plangate.tool import EffectStatus
from tests.support.build import NOON
from tests.support.compared_limits import LimitCase, LimitedRun
from tests.support.naive_run import CallResults, NaiveRun

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class FixedResults(CallResults):
    """The results of the calls, in order."""

    def __init__(self, *results: str) -> None:
        self._results = results

    def of(self, line: str, call: int) -> str:
        del line
        return self._results[call - 1]


async def approved(database: Database, *results: str) -> LimitedRun:
    """Return a run with one step that is about to begin, whose tool can look up its effect."""
    case = LimitCase(database, 1, random.Random(1), NOON, "24h", "")
    naive = NaiveRun(
        texts=["line"], now=NOON, call_results=FixedResults(*results), needed=1, remembers=True,
        undoable=True, watches=False, valid=None, strike_keeps_approver=False,
    )  # fmt: skip
    run = LimitedRun(database, "run", naive, case.rng, case)
    await run.advance()
    if run.state.phase is Phase.IN_REVIEW:
        await run.decide("approve", "dana", "newest", {})
    assert run.state.phase is Phase.EXECUTING
    return run


async def test_an_effect_that_appears_after_its_claim_was_taken_over_is_not_repeated(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is slow, not dead: it acts once the second one has found nothing."""
    run = await approved(database, "killed before", "done")
    find_out, late = run.account.find_out, list[tuple[str, str]]()

    async def find_out_too_early(arguments: Any, key: str) -> EffectStatus:
        found = await find_out(arguments, key)
        if not late:
            late.append((key, f"booked {arguments.text}"))
            run.account.world.extend(late)
        return found

    monkeypatch.setattr(run.account, "find_out", find_out_too_early)
    await run.advance()
    assert run.state.state == "executed"
    assert run.account.world == late


async def test_a_new_attempt_renews_the_reservation_of_its_step(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await approved(database, "killed before", "done")
    assert run.state.drafted is not None
    (wanted,) = run.state.drafted.recent
    act, find_out, counted = run.account.act, run.account.find_out, list[str | None]()

    async def find_out_later(arguments: Any, key: str) -> EffectStatus:
        with database.read() as connection:
            for at in (NOON + RESERVED_FOR + HOUR, run.naive.now + RESERVED_FOR + HOUR):
                (found,) = with_others(connection, [wanted], run="another", plan="", now=at)
                counted.append(found.others)
        return await find_out(arguments, key)

    async def act_and_wait(arguments: Any, key: str) -> Any:
        try:
            return await act(arguments, key)
        finally:
            run.naive.now += 2 * DAY

    monkeypatch.setattr(run.account, "act", act_and_wait)
    monkeypatch.setattr(run.account, "find_out", find_out_later)
    await run.advance()
    assert run.state.state == "executed"
    assert counted[:2] == [wanted.own, "0"]
