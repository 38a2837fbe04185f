"""Notices without Temporal: runs change in the records; a channel stores the sent messages."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Closed, Decided, Event, Outcome
from plangate.notifications.audience_lookup import Readers
from plangate.notifications.ledger import Ledger, Pace
from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.notifier import Notifier
from plangate.presentation.clock import now as machine_time
from plangate.records.checkpoints import seal_changed_runs
from plangate.records.database import Database
from plangate.records.trail import Note, reopen_trail
from plangate.signing.checkpoints import checkpoint_after
from tests.support.build import NOON
from tests.support.sealed_records import SEAL_KEY
from tests.support.shown_runs import plan, put_people, put_run, step

FINANCE = Requirement(needs=(Need(role="finance", count=1),))
OPERATOR = Requirement(needs=(Need(role="operator", count=1),))
TWO = Requirement(needs=(Need(role="finance", count=2),))
MAIL = plan(step("send_email", "Email 1 recipient: kim@example.org", to=["kim@example.org"]))
PEOPLE = "".join(
    f'[[person]]\nname = "{name}"\nmail = "{name}@example.org"\nroles = [{roles}]\n\n'
    for name, roles in {"rita": "", "dana": '"finance"', "kim": '"finance"', "olga": '"operator"'}.items()
)
SENT = Attempted(delivery=Delivery.SENT)


def _noon_tomorrow() -> datetime:
    """Return a time that is later than the database's, and the same time of day in every run of a test."""
    return (machine_time() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)


@dataclass
class StoringChannel:
    """A channel that stores its messages, and returns the results that a test sets."""

    sent: list[Sending] = field(default_factory=list)
    answers: Callable[[Sending], Attempted] = lambda _sending: SENT
    blocked: dict[str, asyncio.Event] = field(default_factory=dict)

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Store a message, once its address is no longer blocked."""
        del now
        if sending.address in self.blocked:
            await self.blocked[sending.address].wait()
        self.sent.append(sending)
        return self.answers(sending)

    def take(self) -> list[str]:
        """Return the messages by recipient, and delete them."""
        found = [f"{one.person} {notice.kind}" for one in self.sent for notice in one.notices]
        self.sent.clear()
        return sorted(found)


@dataclass
class NoticeHarness:
    """Records, a notifier over them, and its clock."""

    database: Database
    channel: StoringChannel
    pace: Pace = field(default_factory=Pace)
    now: datetime = field(default_factory=_noon_tomorrow)
    people: str = PEOPLE

    def __post_init__(self) -> None:
        if self.people:
            self.list_people(self.people)
        self.notifier = self.another()

    def list_people(self, text: str) -> None:
        """Record a list of people, and move the clock past that time."""
        put_people(self.database, text)
        self.now = max(self.now, machine_time()) + timedelta(seconds=1)

    def another(self) -> Notifier:
        """Return the notifier of another process."""

        def clock(_: Connection) -> datetime:
            return self.now

        self.ledger = Ledger(self.database, Readers("operator", "http://inbox"), self.pace, clock)
        return Notifier(self.ledger, self.channel)

    async def deliver(self, notifier: Notifier | None = None) -> list[str]:
        """Make the notifier do all work that is due; return the messages by recipient."""
        working = notifier or self.notifier
        while True:
            handed_out = await working.step()
            await working.wait_until_idle()
            if not (handed_out.messages or handed_out.has_more):
                return self.channel.take()

    def put(self, name: str, shown: Plan = MAIL, **more: Any) -> str:
        """Record a run in review; return its plan's fingerprint."""
        fields = {"requirement": FINANCE, "deadline": self.now + timedelta(days=1), **more}
        return put_run(self.database, name, shown, at=self.now, **fields)

    def add_events(self, name: str, *events: Event) -> None:
        """Append more events to a run."""
        with self.database.write() as connection:
            trail = reopen_trail(connection, name)
            for event in events:
                key = f"later:{len(trail.entries())}"
                trail.append(Note(key=key, at=self.now, actor="worker@here", event=event))

    def seal(self) -> None:
        """Seal the changed runs."""
        with self.database.write() as connection:
            seal_changed_runs(connection, lambda last, seals, at: checkpoint_after(last, seals, at, SEAL_KEY))


def decided(by: str, fingerprint: str, what: Choice = Choice.APPROVE, **more: Any) -> Decided:
    """Return a person's accepted decision in the role finance."""
    decision = Decision(decision=what, by=by, plan=fingerprint, comment="agreed", **more)
    standing = PersonRoles(person=by, roles=("finance", ANYONE))
    return Decided(
        arrival=Arrival(
            key=f"{what}:{by}:{fingerprint[:8]}:{len(more)}",
            name=what,
            via=Via.SIGNAL,
            received_at=NOON,
            decision=decision,
        ),
        verdict=Verdict(accepted=True, reason=""),
        approver=Approver(name=by, standings=(standing,)),
    )


def closed(outcome: Outcome = Outcome.EXECUTED) -> Closed:
    """Return the end of a run."""
    return Closed(outcome=outcome)
