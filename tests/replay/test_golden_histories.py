"""Open runs continue under this code: every recorded history replays."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from plangate.temporal.connection import DATA_CONVERTER
from tests.replay import recordings
from tests.replay.paths import PATHS
from tests.support.gate import Gate
from workflows.access import PlangateLook
from workflows.delegation import PlangateDelegation
from workflows.plan_approval import PlanApproval
from workflows.settlement import PlangateSettlement
from workflows.stop import PlangateStop


@pytest.mark.parametrize("name", sorted(recordings.names()))
async def test_the_recorded_run_replays_with_this_code(name: str) -> None:
    replayer = Replayer(
        workflows=[PlanApproval, PlangateDelegation, PlangateSettlement, PlangateStop, PlangateLook],
        data_converter=DATA_CONVERTER,
    )
    history = WorkflowHistory.from_json("golden", recordings.read(name))
    workflow_id = history.events[0].workflow_execution_started_event_attributes.workflow_id
    await replayer.replay_workflow(WorkflowHistory(workflow_id, history.events))


def test_every_recorded_history_belongs_to_a_path() -> None:
    assert {name for name in recordings.names() if "/" not in name} == {path.__name__ for path in PATHS}


async def test_a_run_in_review_replays_too(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.decide(status, by="rita")
    history = await gate.handle(status.workflow_id).fetch_history()
    replayer = Replayer(workflows=[PlanApproval], data_converter=DATA_CONVERTER)
    await replayer.replay_workflow(history)


async def test_one_approval_and_one_step_cost_at_most_twenty_six_events(gate: Gate) -> None:
    for by_update in (False, True):
        status = await gate.in_review("one")
        await (gate.decide(status) if by_update else gate.signal(status))
        await gate.result(status.workflow_id)
        history = await gate.handle(status.workflow_id).fetch_history()
        assert len(history.events) <= 26
