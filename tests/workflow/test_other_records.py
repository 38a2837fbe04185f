"""A worker with other records neither checks decisions nor executes steps of a run, and reports why."""

from pathlib import Path

from plangate.records.queries import runs_on_record
from tests.support.gate import Gate, build_gate


def with_other_records(gate: Gate, folder: Path) -> Gate:
    """Another test instance whose worker takes work from the same task queue, by mistake."""
    folder.mkdir()
    return build_gate(gate.server, folder, gate.settings.task_queue)


async def test_a_worker_with_other_records_checks_no_decision_and_executes_no_step(
    idle_gate: Gate, tmp_path: Path
) -> None:
    other = with_other_records(idle_gate, tmp_path / "other")
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
    async with other.worker():
        await idle_gate.signal(status)
        waiting = await idle_gate.until(
            "in_review", status.workflow_id, lambda now: now.unrecorded is not None
        )
        assert waiting.unrecorded is not None
        for installation in (idle_gate.database.installation, other.database.installation):
            assert installation in waiting.unrecorded.cause
        assert "a worker with the run's records continues" in waiting.unrecorded.cause
    assert other.notebook.texts() == []
    assert runs_on_record(other.database) == []
    async with idle_gate.worker():
        result = await idle_gate.result(status.workflow_id)
    assert (result.outcome, result.approved_by) == ("executed", ("dana",))
    assert idle_gate.notebook.texts() == ["one"]
    other.database.close()
