"""A run is closed while its step is still acting: the late result of that attempt changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from temporalio.testing import ActivityEnvironment

from activities.closing import Closing
from activities.tasks import CloseTask
from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.runs.audit import Outcome, Requested, RunRef
from plangate.domain.runs.status import Status
from plangate.records.records import Records
from plangate.records.tables import effects
from tests.support.gate import Gate


async def close_while_acting(gate: Gate, status: Status) -> None:
    """Close the run on the record, like a worker that considers the acting worker dead."""
    opened = gate.api.trail(status.workflow_id)[0].event
    assert isinstance(opened, Requested)
    task = CloseTask(
        run=RunRef(workflow_id=status.workflow_id, chain_id=opened.chain_id, requested=opened),
        outcome=Outcome.WITHDRAWN,
        reason="by rita",
        at=datetime.now(UTC),
        fingerprint=status.fingerprint,
        step=1,
    )
    elsewhere = ActivityEnvironment(gate.client)
    elsewhere.info = replace(
        elsewhere.info, workflow_id=status.workflow_id, workflow_type="PlanApproval", is_local=True
    )
    await elsewhere.run(Closing(Records(gate.database)).close_run, task)


@pytest.mark.parametrize(
    "failure", [None, ToolRefused("full"), ToolUnavailable("away"), EffectUnknown("lost")]
)
async def test_the_step_stays_in_doubt_regardless_of_its_stale_attempts_result(
    gate: Gate, failure: ToolError | None
) -> None:
    gate.notebook.gate.clear()
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    await close_while_acting(gate, status)
    if failure is not None:
        gate.notebook.failures = [failure]
    gate.notebook.gate.set()
    assert (await gate.result(status.workflow_id)).outcome != "executed"
    kinds = [entry.event.kind for entry in gate.api.trail(status.workflow_id)]
    assert kinds[-3:] == ["claimed", "in_doubt", "closed"]
    with gate.database.read() as connection:
        (row,) = connection.execute(select(effects)).all()
        assert (row.state, row.receipt) == ("in_doubt", None)
        assert inspect_all(connection, Trust(), lambda *_: None).findings == ()
