"""Random cases, executed by the simple run and by Plangate's own activities."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from random import Random

from plangate.audit.rules import rule_violations
from plangate.records.database import Database
from plangate.records.queries import status_on_record
from plangate.records.trail import read_trail
from tests.support.build import NOON
from tests.support.naive_run import CallResults, NaiveRun, some_decision
from tests.support.simulated_run import SimulatedRun


async def differences(database: Database, seed: int) -> list[str]:
    """Run the case of one seed; return how the run differs from the simple one, and its errors."""
    rng = Random(seed)
    naive = NaiveRun(
        texts=[f"line {number}" for number in range(1, rng.randint(1, 3) + 1)],
        now=NOON,
        call_results=CallResults(seed),
        needed=rng.choice([1, 1, 2]),
        remembers=rng.random() < 0.5,
        undoable=rng.random() < 0.8,
        watches=rng.random() < 0.4,
        valid=rng.choice([None, None, timedelta(hours=2)]),
        strike_keeps_approver=rng.random() < 0.5,
    )
    run = SimulatedRun(database, f"run-{seed}", naive, rng)
    await run.run()
    wrong: list[str] = []
    for number in range(rng.randint(6, 22)):
        wrong += [f"after {number}: {one}" for one in [found async for found in _next(run, naive, rng)]]
        if wrong:
            break
    return [f"case {seed}: {one}" for one in [*wrong, *_audited(database, run)]]


async def _next(run: SimulatedRun, naive: NaiveRun, rng: Random) -> AsyncIterator[str]:
    before, phase = list(naive.world), naive.phase
    what = rng.choices(["decide", "wait", "withdraw", "change"], weights=[20, 3, 0.4, 2])[0]
    said: object = what
    match what:
        case "decide":
            said = choice, by, plan, more = some_decision(rng, naive)
            accepted = naive.decide(choice, by, plan, more)
            answer, reason = await run.decide(choice, by, plan, more)
            if answer is not accepted:
                yield f"{said} is {answer} ({reason}), expected {accepted}"
            may_act = accepted and choice in ("approve", "resolve")
        case "wait":
            naive.wait(timedelta(hours=rng.choice([0, 1, 1, 3, 8, 71, 72]), minutes=7))
            await run.pass_time()
            may_act = False
        case "withdraw":
            naive.withdraw()
            await run.withdraw()
            may_act = False
        case _:
            naive.version += 1
            may_act = False
    if run.shown() != naive.shown():
        yield f"{said} in {phase} led to {run.shown()}, expected {naive.shown()}"
    world = run.world()
    if world != naive.world:
        yield f"{said} in {phase} had the effects {world}, expected {naive.world}"
    if not may_act and world != before:
        yield f"{said} in {phase} had an effect"


def _audited(database: Database, run: SimulatedRun) -> Iterator[str]:
    """Yield the auditor's findings, and where the record differs from the run."""
    with database.read() as connection:
        entries = tuple(read_trail(connection, run.id))
    yield from (finding.what for finding in rule_violations(run.id, entries))
    recorded = status_on_record(database, run.id)
    if recorded is None or recorded.state != run.state.state:
        yield f"is recorded as {recorded.state if recorded else None}, and is {run.state.state}"
