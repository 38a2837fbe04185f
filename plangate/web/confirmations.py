"""Keep the decisions that a page asks a person to confirm, for five minutes.

The server stores what will be signed, so that a page cannot replace it. A confirmation is marked as
sent before its decision is sent, and its id is also the id of the update and of the token. If it is sent
again after a crash, or by a reloaded page, it is the same decision and takes effect once.
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.engine import Engine

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Decision, DecisionAnswer
from plangate.domain.runs.status import Status
from plangate.signing.decisions import Claims, claims_for, subject_of
from plangate.web.database import hash_of
from plangate.web.sessions import Session
from plangate.web.tables import confirmations

VALID_FOR: Final = timedelta(minutes=5)
_SHOWN_FOR: Final = timedelta(days=7)  # how long the page with its result can be opened
_ID_BYTES: Final = 24
_KEPT: Final = "kept"


class Confirmation(Frozen):
    """One decision that a person is asked to confirm, or has confirmed.

    Attributes:
        id: part of the address of its result, and the id of the token and of the update.
        session: the session that created it, and may send it.
        person: the person who decides.
        decision: the decision to send; with its token once it has been sent.
        claims: the claims to sign or to attest.
        sent_at: when it was confirmed; None until then.
        answer: its result; None while unknown.
        is_kept: whether the Temporal server kept it, because no worker was running.
    """

    id: str
    session: str
    person: str
    workflow_id: str
    decision: Decision
    claims: Claims
    made_at: AwareDatetime
    sent_at: AwareDatetime | None = None
    answer: DecisionAnswer | None = None
    is_kept: bool = False

    def has_ended(self, now: datetime) -> bool:
        """Return whether the confirmation has expired."""
        return self.sent_at is None and now >= self.made_at + VALID_FOR


class Confirmations:
    """Keeps confirmations in the web server's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def make(self, session: Session, decision: Decision, status: Status, now: datetime) -> Confirmation:
        """Keep a decision on the exact plan in ``status``, and return its confirmation.

        Raises:
            ValueError: the new plan of an edit cannot be signed.
        """
        subject = subject_of(status)
        assert subject is not None  # a status with a plan has its installation; otherwise it is not shown
        name = secrets.token_urlsafe(_ID_BYTES)
        made = Confirmation(
            id=name,
            session=session.token_hash,
            person=session.person,
            workflow_id=status.workflow_id,
            decision=decision,
            claims=claims_for(decision, subject, at=now, token_id=name),
            made_at=now,
        )
        at = int(now.timestamp())
        with self._engine.begin() as connection:
            too_old = at - int(_SHOWN_FOR.total_seconds())
            connection.execute(delete(confirmations).where(confirmations.c.made_at <= too_old))
            connection.execute(
                insert(confirmations).values(
                    id_hash=hash_of(name),
                    session=made.session,
                    person=made.person,
                    workflow_id=made.workflow_id,
                    decision=decision.model_dump_json(),
                    claims=made.claims.model_dump_json(),
                    made_at=at,
                )
            )
        return made

    def find(self, name: str, person: str, workflow_id: str | None = None) -> Confirmation | None:
        """Return this person's confirmation with that id; if a run is given, only for that run."""
        with self._engine.begin() as connection:
            row = connection.execute(
                select(confirmations).where(confirmations.c.id_hash == hash_of(name))
            ).one_or_none()
        if row is None or row.person != person or workflow_id not in (None, row.workflow_id):
            return None
        return _read(name, row)

    def record_sent(self, one: Confirmation, decision: Decision, now: datetime) -> Confirmation:
        """Record that it was confirmed, with its token, before it is sent. Later calls change nothing."""
        values = {"decision": decision.model_dump_json(), "sent_at": int(now.timestamp())}
        name = hash_of(one.id)
        with self._engine.begin() as connection:
            connection.execute(
                update(confirmations)
                .where(confirmations.c.id_hash == name, confirmations.c.sent_at.is_(None))
                .values(values)
            )
            row = connection.execute(select(confirmations).where(confirmations.c.id_hash == name)).one()
        return _read(one.id, row)

    def record_answer(self, one: Confirmation, answer: DecisionAnswer | None) -> None:
        """Record its result; None if the Temporal server keeps it for a worker."""
        said = _KEPT if answer is None else answer.model_dump_json()
        with self._engine.begin() as connection:
            connection.execute(
                update(confirmations).where(confirmations.c.id_hash == hash_of(one.id)).values(answer=said)
            )


def _read(name: str, row: Row[Any]) -> Confirmation:
    """Convert a row of the table; the columns have type ``Any``."""
    is_known = row.answer is not None and row.answer != _KEPT
    return Confirmation(
        id=name,
        session=row.session,
        person=row.person,
        workflow_id=row.workflow_id,
        decision=Decision.model_validate_json(row.decision),
        claims=Claims.model_validate_json(row.claims),
        made_at=datetime.fromtimestamp(row.made_at, UTC),
        sent_at=None if row.sent_at is None else datetime.fromtimestamp(row.sent_at, UTC),
        answer=DecisionAnswer.model_validate_json(row.answer) if is_known else None,
        is_kept=row.answer == _KEPT,
    )
