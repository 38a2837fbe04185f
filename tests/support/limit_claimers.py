"""Processes that claim the first steps of their plans concurrently; a limit allows each plan, but not all."""

import time
from pathlib import Path

from sqlalchemy import Connection

from activities.requirement_check import Requiring
from activities.rolling_totals import Reserved, StricterRequirement, reserve_unless_stricter
from plangate.domain.policies.requirement import Requirement
from plangate.policy.policy_file import FilePolicy, checked_policy
from plangate.records.database import Database
from plangate.records.trail import open_trail
from tests.support.build import NOON, drafted
from tests.support.record_writer import note, run_ref
from tests.support.refund_tool import Refunds, refund_plan

ROUNDS = 6
_LIMIT = """
[[rule]]
name = "much"
when = "recent('refund', 'amount', '24h') > 500"
needs = [{ role = "anyone" }]

[default]
needs = []
"""


def limit() -> FilePolicy:
    """Return the policy."""
    return checked_policy(_LIMIT, {"refund": Refunds(Path("nowhere")).declaration}, None)


def drafted_run(database: Database, run: str, requiring: Requiring, currency: str = "EUR") -> None:
    """Record a run whose plan for 300 needs no approval."""
    free = Requirement(policy_hash=requiring.policy.policy_hash)  # type: ignore[attr-defined]
    event = drafted(refund_plan("300", currency=currency), run=run, requirement=free)
    with database.write() as connection:
        opened = open_trail(connection, run_ref(run))
        opened.append(note("requested", run_ref(run).requested), note("drafted", event))


def claim_in(connection: Connection, run: str, requiring: Requiring) -> Reserved | StricterRequirement:
    """Claim the first step of this run, in an open transaction."""
    opened = open_trail(connection, run_ref(run))
    state = opened.state()
    assert state.drafted is not None
    arguments = state.drafted.plan.steps[0].arguments
    return reserve_unless_stricter(opened, state, requiring, step=1, arguments=arguments, now=NOON)


def claim_together(number: int, url: str, log: str) -> None:
    """Claim one plan for 300 in each round, and record the rounds in which the limit allowed it."""
    database, requiring = Database(url), Requiring(limit())
    for round_number in range(ROUNDS):
        run = f"run-{round_number}-{number}"
        drafted_run(database, run, requiring, f"R{round_number}")  # a separate sum for each round
        with database.write() as connection:
            reserved = claim_in(connection, run, requiring)
            time.sleep(0.01)  # before the commit, so that others can read in the meantime
        if isinstance(reserved, Reserved):
            with Path(log).open("a") as file:
                file.write(f"{round_number}\n")
    database.close()
