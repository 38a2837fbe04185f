"""Create thousands of runs in review, in one transaction."""

from datetime import timedelta

from sqlalchemy import Connection

from plangate.domain.plans.plan import Audience, Plan, Step
from plangate.domain.runs.audit import Drafted, Requested, RunRef
from plangate.records.database import Database
from plangate.records.trail import Note, open_trail
from tests.support.build import NOON, drafted, requested

PLAN = Plan(
    summary="Write to Kim",
    steps=(
        Step(
            tool="send_email",
            arguments={"to": ["kim@example.org"], "cc": [], "subject": "Hello", "body": "Hello Kim"},
            reason="so that Kim knows",
        ),
    ),
)
REQUESTERS = ("rita", "hugo", "Rita")


def put_waiting(database: Database, count: int, *, prefix: str = "w") -> list[str]:
    """Add this many waiting runs, the last one with the earliest deadline; return their ids, oldest first."""
    audience = Audience(installation=database.installation, namespace="default")
    ids = [f"{prefix}-{number:05}" for number in range(count)]
    with database.write() as connection:
        for number, workflow_id in enumerate(ids):
            at = NOON + timedelta(seconds=number)
            deadline = at + timedelta(days=365 * 100, seconds=-2 * number)
            first = requested(
                request=f"Tell Kim, {number}",
                requester=REQUESTERS[number % 3],
                requested_at=at,
                chain_id=f"chain-{number}",
            )
            plan = drafted(PLAN, run=workflow_id, audience=audience, drafted_at=at, deadline=deadline)
            append_plan(connection, workflow_id, first, plan)
    return ids


def append_plan(
    connection: Connection, workflow_id: str, first: Requested, plan: Drafted, *more: Note
) -> None:
    """Add a run with its request and its plan, and what came after them."""
    run = RunRef(workflow_id=workflow_id, chain_id=first.chain_id, requested=first)
    note = Note(key="drafted:1", at=plan.drafted_at, actor="worker@here", event=plan)
    open_trail(connection, run).append(note, *more)
