"""A complete test instance with records in PostgreSQL, which is killed and disconnected during runs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest_asyncio
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from plangate.domain.errors import EffectUnknown, RecordsUnavailable
from plangate.domain.runs.audit import AuditEntry
from tests.support.fakes import notes
from tests.support.gate import Gate, build_gate
from tests.support.postgres import PostgresServer
from tests.support.record_writer import assert_unbroken
from tests.workflow.test_unrecorded_decisions import waiting as unrecorded


@pytest_asyncio.fixture(loop_scope="session")
async def gate(env: WorkflowEnvironment, tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Gate]:
    """A test instance with records in PostgreSQL and one running worker."""
    built = build_gate(env, tmp_path, f"pg-{uuid4().hex[:12]}", database_url=postgres.new_records())
    async with built.worker():
        yield built
    built.database.close()


def kinds(trail: tuple[AuditEntry, ...]) -> list[str]:
    assert_unbroken(trail)
    return [entry.event.kind for entry in trail]


async def test_an_approved_plan_runs_and_is_on_its_trail(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
    assert kinds(gate.api.trail(status.workflow_id)) == [
        "requested", "drafted", "decided", "claimed", "done", "claimed", "done", "closed",
    ]  # fmt: skip


async def test_of_equal_plans_drafted_concurrently_all_but_one_have_a_duplicate(gate: Gate) -> None:
    ids = await asyncio.gather(*(gate.submit("pay kim") for _ in range(8)))
    drafted = [await gate.until("in_review", one) for one in ids]
    assert sorted(bool(one.duplicates) for one in drafted) == [False] + [True] * 7


async def test_requested_changes_make_a_new_revision_that_alone_can_be_approved(gate: Gate) -> None:
    first = await gate.in_review(request="one")
    assert (await gate.decide(first, "request_changes", comment="two, please")).accepted
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert not (await gate.decide(first)).accepted
    assert (await gate.decide(second)).accepted
    assert (await gate.result(first.workflow_id)).revision == 2
    assert gate.notebook.texts() == ["one", "two, please"]
    assert kinds(gate.api.trail(first.workflow_id)) == [
        "requested", "drafted", "decided", "drafted", "decided", "decided",
        "claimed", "done", "claimed", "done", "closed",
    ]  # fmt: skip


async def test_an_effect_with_an_unknown_result_is_in_doubt_and_not_repeated(gate: Gate) -> None:
    gate.notebook.failures = [EffectUnknown("The connection broke.")]
    gate.notebook.writes_before_failing = True
    status = await gate.in_review("one", "two")
    await gate.decide(status)
    after = await gate.held(status.workflow_id)
    assert [step.state for step in after.steps] == ["in_doubt", "pending"]
    assert gate.notebook.texts() == ["one"]
    assert "in_doubt" in kinds(gate.api.trail(status.workflow_id))


async def test_a_run_survives_a_killed_postgresql_and_every_effect_happens_once(
    gate: Gate, postgres: PostgresServer
) -> None:
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    waiting = await gate.in_review("three")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    postgres.kill_9()
    try:
        gate.notebook.gate.set()  # the first step acts while its receipt cannot be stored
        await gate.signal(waiting)
        await unrecorded(gate, waiting)
        assert gate.notebook.texts() == ["one"]
    finally:
        postgres.start()
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert (await gate.result(waiting.workflow_id)).outcome == "executed"
    assert sorted(gate.notebook.texts()) == ["one", "three", "two"]
    assert kinds(gate.api.trail(status.workflow_id)).count("done") == 2


async def test_a_receipt_whose_commit_was_not_confirmed_is_found_by_the_next_attempt(gate: Gate) -> None:
    """The connection is lost after COMMIT and before its response; the next attempt finds its own receipt."""
    write = gate.database.write
    lost: list[str] = []

    class LostConfirmation:
        def __init__(self, **options: bool) -> None:
            self.transaction = write(**options)

        def __enter__(self) -> object:
            return self.transaction.__enter__()

        def __exit__(self, *error: object) -> None:
            self.transaction.__exit__(*error)  # type: ignore[arg-type]
            if gate.notebook.texts() and not lost:
                lost.append("lost")
                raise RecordsUnavailable("The connection was lost.")

    gate.database.write = LostConfirmation  # type: ignore[method-assign,assignment]
    status = await gate.in_review("one", "two")
    await gate.decide(status)
    result = await gate.result(status.workflow_id)
    assert (result.outcome, lost) == ("executed", ["lost"])
    assert gate.notebook.texts() == ["one", "two"]
    assert kinds(gate.api.trail(status.workflow_id)).count("done") == 2


async def test_an_id_that_cannot_be_stored_fails_the_run_with_the_reason(gate: Gate) -> None:
    handle: WorkflowHandle[object, dict[str, str]] = await gate.client.start_workflow(
        "PlanApproval",
        {"requester": "rita", "plan": notes("one")},
        id=f"a\x00b-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
        result_type=dict,
    )
    result = await handle.result()
    assert result["outcome"] == "failed"
    assert "U+0000" in result["reason"]
    assert gate.notebook.texts() == []
