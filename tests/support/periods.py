"""Records of some hours, with checkpoints at set times, and the evidence of one period.

The period is from 1 p.m. until 3 p.m. Before it, the run ``before`` ends and ``slow`` begins. In the period,
``slow`` and three others end, and ``waiting`` begins. ``late`` is executed between its end and the closing
checkpoint, ``after`` later.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from plangate.audit.period_check import PeriodCheck
from plangate.audit.period_export import PeriodExport
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import RULES_TRAIL, RulesInEffect
from plangate.domain.runs.findings import Finding
from plangate.records.checkpoints import seal_changed_runs
from plangate.records.database import Database
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_own_trail
from plangate.signing.checkpoints import checkpoint_after
from plangate.signing.jws import public_of
from tests.support.build import NOON
from tests.support.fakes import Notebook
from tests.support.forger import Forger
from tests.support.gate import Gate
from tests.support.sealed_records import KEYS, SEAL_KEY, people

SINCE, UNTIL = NOON + timedelta(hours=1), NOON + timedelta(hours=3)
SIGNED = Requirement(needs=(Need(role=ANYONE, count=1),), assurance=Assurance.SIGNED)
TRUSTED = frozenset({public_of(SEAL_KEY)})


class RecordedHours:
    """Writes runs and checkpoints at given times."""

    def __init__(self, database: Database, seal_key: Ed25519PrivateKey = SEAL_KEY) -> None:
        self.database = database
        self._seal_key = seal_key
        self._gate = cast(
            "Gate", SimpleNamespace(database=database, tools={"note": Notebook("note", Path())})
        )
        self._begun: dict[str, Forger] = {}
        self._changes = 0

    def use(self, text: str, at: datetime) -> None:
        """Record this list of people as current from now on, according to this clock."""
        self._changes += 1
        event = RulesInEffect(what="people", hash=hashlib.sha256(text.encode()).hexdigest())
        with self.database.write() as connection:
            connection.execute(insert(rule_texts), {"hash": event.hash, "text": text})
            trail = open_own_trail(connection, RULES_TRAIL, "worker@here", at)
            trail.append(Note(key=f"people:{self._changes}", at=at, actor="worker@here", event=event))

    def begin(self, run: str, at: datetime) -> Forger:
        """Record the request and the draft of a run."""
        forger = self._begun[run] = Forger(self._gate, run, at)
        forger.draft(SIGNED)
        return forger

    def finish(self, run: str, at: datetime) -> None:
        """Record the approval and the execution of a run."""
        forger = self._begun[run]
        forger.advance_to(at)
        forger.approve("dana", KEYS["dana"], people())
        forger.execute(people())

    def complete(self, run: str, at: datetime) -> None:
        self.begin(run, at)
        self.finish(run, at + timedelta(minutes=1))

    def seal(self, at: datetime) -> None:
        with self.database.write() as connection:
            assert seal_changed_runs(
                connection, lambda last, seals, _: checkpoint_after(last, seals, at, self._seal_key)
            )


def some_hours(database: Database, seal_key: Ed25519PrivateKey = SEAL_KEY) -> RecordedHours:
    hours = RecordedHours(database, seal_key)

    def at(hour: int, minute: int) -> datetime:
        return NOON + timedelta(hours=hour, minutes=minute)

    hours.use(people().text, at(0, 0))
    hours.complete("before", at(0, 5))
    hours.begin("slow", at(0, 20))
    hours.seal(at(0, 30))
    hours.finish("slow", at(1, 10))
    hours.complete("one", at(1, 12))
    hours.complete("two", at(1, 14))
    hours.seal(at(1, 20))
    hours.begin("waiting", at(2, 30))
    hours.complete("three", at(2, 32))
    hours.use(people().text + "\n", at(2, 35))
    hours.seal(at(2, 40))
    hours.complete("late", at(3, 10))
    hours.seal(at(3, 20))
    hours.finish("waiting", at(3, 25))
    hours.complete("after", at(3, 32))
    hours.seal(at(3, 40))
    return hours


def exported(database: Database, since: datetime = SINCE, until: datetime = UNTIL) -> list[bytes]:
    with database.read() as connection:
        return list(PeriodExport(connection, since, until).lines(lambda *_: None))


def examined(lines: Iterable[bytes], trusted: frozenset[str] = TRUSTED) -> tuple[PeriodCheck, list[Finding]]:
    check = PeriodCheck(trusted=trusted, people=people(), now=NOON)
    return check, list(check.findings(lines))
