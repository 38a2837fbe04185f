"""Create thousands of runs in review, in one transaction."""

from datetime import timedelta

from plangate.domain.plans.plan import Audience, Plan, Step, fingerprint_of
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import Drafted, Requested, RunRef
from plangate.records.database import Database
from plangate.records.trail import Note, open_trail
from tests.support.build import NOON

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
            requested = Requested(
                request=f"Tell Kim, {number}",
                requester=REQUESTERS[number % 3],
                timeout_seconds=3_600,
                requested_at=at,
                chain_id=f"chain-{number}",
            )
            drafted = Drafted(
                revision=1,
                plan=PLAN,
                fingerprint=fingerprint_of(PLAN, 1, workflow_id, audience),
                audience=audience,
                requirement=ONE_APPROVAL,
                drafted_at=at,
                deadline=at + timedelta(days=365 * 100, seconds=-2 * number),
            )
            run = RunRef(workflow_id=workflow_id, chain_id=requested.chain_id, requested=requested)
            open_trail(connection, run).append(
                Note(key="drafted:1", at=at, actor="worker@here", event=drafted)
            )
    return ids
