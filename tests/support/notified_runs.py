"""Many runs in review or ended, each with notices due to five people, and two later reminders."""

import hashlib
from datetime import timedelta
from typing import Final

from sqlalchemy import update

from plangate.domain.plans.plan import Audience
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Closed, Outcome
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.notices import DeliveryState
from plangate.records.rule_texts import record_rules
from plangate.records.tables import deliveries
from plangate.records.trail import Note
from tests.support.build import drafted, requested
from tests.support.waiting_runs import PLAN, append_plan

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
                first = requested(
                    request=f"Tell Kim, {number}",
                    requester="requester",
                    requested_at=at,
                    chain_id=f"chain-{name}",
                )
                plan = drafted(
                    PLAN,
                    run=name,
                    audience=audience,
                    requirement=Requirement(
                        needs=(Need(role=f"role-{number % _ROLES}", count=1),), remind=_REMIND
                    ),
                    drafted_at=at,
                    deadline=at + timedelta(days=30),
                )
                end = Note(key="closed", at=at, actor="worker@here", event=Closed(outcome=Outcome.WITHDRAWN))
                append_plan(connection, name, first, plan, *([end] if ended else []))


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
