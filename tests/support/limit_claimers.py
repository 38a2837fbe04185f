"""Processes that claim the first steps of their plans at once, each of which a limit lets pass alone."""

import time
from pathlib import Path

from activities.limiting import Reserved, reserve_or_need
from activities.requiring import Requiring
from plangate.domain.policy import Requirement
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


def claim_together(number: int, url: str, log: str) -> None:
    """Claim one plan of 300 in each round, and note the rounds whose limit let it pass."""
    database, requiring = Database(url), Requiring(limit())
    free = Requirement(policy_hash=requiring.policy.policy_hash)  # type: ignore[attr-defined]
    for round_number in range(ROUNDS):
        run = f"run-{round_number}-{number}"
        plan = refund_plan("300", currency=f"R{round_number}")  # a sum of its own for each round
        event = drafted(plan, run=run, requirement=free)
        with database.write() as connection:
            opened = open_trail(connection, run_ref(run))
            opened.append(note("requested", run_ref(run).requested), note("drafted", event))
        with database.write() as connection:
            opened = open_trail(connection, run_ref(run))
            reserved = reserve_or_need(
                opened, opened.state(), requiring, step=1, arguments=plan.steps[0].arguments, now=NOON
            )
            time.sleep(0.01)  # before the commit, so that others look meanwhile if they can
        if isinstance(reserved, Reserved):
            with Path(log).open("a") as file:
                file.write(f"{round_number}\n")
    database.close()
