"""A decision on the record alone, as a worker leaves it that dies before its run has the verdict."""

from datetime import UTC, datetime

from sqlalchemy import select

from plangate.domain.audit import Requested, RunRef
from plangate.domain.decision import Arrival, Choice, Decision, Via
from plangate.domain.people import identify
from plangate.domain.review import judge
from plangate.domain.status import Status
from plangate.records.tables import runs
from plangate.records.trail import Note, open_trail, read_trail
from tests.support.gate import Gate


def record_alone(gate: Gate, status: Status, choice: Choice, comment: str = "") -> None:
    """Record dana's accepted decision on the plan of ``status`` past its run."""
    at = datetime.now(UTC)
    said = Decision(decision=choice, by="dana", plan=status.fingerprint or "", comment=comment)
    arrival = Arrival(key="lost:update:1", via=Via.UPDATE, name="decide", received_at=at, decision=said)
    with gate.database.write() as connection:
        row = connection.execute(select(runs).where(runs.c.workflow_id == status.workflow_id)).one()
        requested = read_trail(connection, status.workflow_id)[0].event
        assert isinstance(requested, Requested)
        run = RunRef(workflow_id=status.workflow_id, chain_id=row.chain_id, requested=requested)
        trail = open_trail(connection, run)
        event = judge(trail.state(), arrival, identify(None, "dana", at))
        assert event.verdict.accepted, event.verdict.reason
        trail.append(Note(key=arrival.key, at=at, actor="dana", event=event))
