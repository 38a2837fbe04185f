"""Many runs in review or ended, each with notices due to five people, and two later reminders."""

import hashlib
from datetime import timedelta
from typing import Final

from sqlalchemy import update

from plangate.domain.plans.plan import Audience, fingerprint_of
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Closed, Drafted, Outcome, Requested, RunRef
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.notices import DeliveryState
from plangate.records.rule_texts import record_rules
from plangate.records.tables import deliveries
from plangate.records.trail import Note, open_trail
from tests.support.waiting_runs import PLAN

_PEOPLE: Final = 100
_ROLES: Final = 20
_REMIND: Final = (86_400, 7_200)
_TOGETHER: Final = 1_000


def put_runs(database: Database, count: int, prefix: str, *, ended: bool = False) -> None:
    """Add this many runs in review, or withdrawn ones."""
    audience = Audience(installation=database.installation, namespace="default")
    for start in range(0, count, _TOGETHER):
        with database.write() as connection:
            for number in range(start, min(count, start + _TOGETHER)):
                name, at = f"{prefix}-{number:06}", now()
                requested = Requested(
                    request=f"Tell Kim, {number}",
                    requester="requester",
                    timeout_seconds=3_600,
                    requested_at=at,
                    chain_id=f"chain-{name}",
                )
                drafted = Drafted(
                    revision=1,
                    plan=PLAN,
                    fingerprint=fingerprint_of(PLAN, 1, name, audience),
                    audience=audience,
                    requirement=Requirement(
                        needs=(Need(role=f"role-{number % _ROLES}", count=1),), remind=_REMIND
                    ),
                    drafted_at=at,
                    deadline=at + timedelta(days=30),
                )
                run = RunRef(workflow_id=name, chain_id=requested.chain_id, requested=requested)
                notes = [Note(key="drafted:1", at=at, actor="worker@here", event=drafted)]
                if ended:
                    end = Closed(outcome=Outcome.WITHDRAWN)
                    notes.append(Note(key="closed", at=at, actor="worker@here", event=end))
                open_trail(connection, run).append(*notes)


def list_people(database: Database) -> None:
    """Record a list of a hundred people, five with each role."""
    people = '[[person]]\nname = "requester"\n\n' + "".join(
        f'[[person]]\nname = "person {number}"\nmail = "p{number}@example.org"\n'
        f'roles = ["role-{number % _ROLES}"]\n\n'
        for number in range(_PEOPLE)
    )
    record_rules(database, "people", people, hashlib.sha256(people.encode()).hexdigest(), "worker@here")


def mark_sent(database: Database) -> None:
    """Mark all notices but the reminders as sent some hours ago."""
    is_due = deliveries.c.due_at <= now()
    sent = {"state": DeliveryState.SENT, "ended_at": now() - timedelta(hours=3), "message_id": "before"}
    with database.write() as connection:
        connection.execute(update(deliveries).where(is_due).values(**sent))
