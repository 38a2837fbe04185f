"""A decision that is only in the records, because a worker died before the run received the result."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Via
from plangate.domain.people.people import People, identify
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import Requested, RunRef
from plangate.domain.runs.review import judge
from plangate.domain.runs.status import Status
from plangate.records.tables import runs
from plangate.records.trail import Note, open_trail, read_trail
from plangate.records.used_signatures import use_token
from plangate.signing.decisions import Subject, verify
from tests.support.gate import Gate


def record_only(
    gate: Gate,
    status: Status,
    choice: Choice,
    comment: str = "",
    people: People | None = None,
    **more: Any,
) -> None:
    """Record dana's accepted decision on the plan of ``status``, without sending it to the run."""
    at = datetime.now(UTC)
    said = Decision(decision=choice, by="dana", plan=status.fingerprint or "", comment=comment, **more)
    arrival = Arrival(key="lost:update:1", via=Via.UPDATE, name="decide", received_at=at, decision=said)
    with gate.database.write() as connection:
        row = connection.execute(select(runs).where(runs.c.workflow_id == status.workflow_id)).one()
        requested = read_trail(connection, status.workflow_id)[0].event
        assert isinstance(requested, Requested)
        run = RunRef(workflow_id=status.workflow_id, chain_id=row.chain_id, requested=requested)
        trail = open_trail(connection, run)
        sender = identify(people, "dana", at)
        if people is not None and said.signature:
            audience = Audience(installation=status.installation or "", namespace=status.namespace or "")
            subject = Subject(
                workflow_id=status.workflow_id, fingerprint=status.fingerprint or "", audience=audience
            )
            sender = use_token(trail, arrival.key, verify(said, subject=subject, people=people, at=at))
        event = judge(trail.state(), arrival, sender)
        event = event.model_copy(update={"people": people.hash if people else ""})
        assert event.verdict.accepted, event.verdict.reason
        trail.append(Note(key=arrival.key, at=at, actor="dana", event=event))
