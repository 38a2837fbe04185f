"""The two search attributes: up to date if the server has them, and optional."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from plangate.client.run_status import RunStatuses
from plangate.domain.runs.status import Status
from plangate.temporal.search_attributes import (
    KEYS,
    PLANGATE_REQUESTER,
    PLANGATE_STATE,
    ensure_search_attributes,
)
from tests.support.fakes import notes
from tests.support.gate import Gate, build_gate
from tests.support.server import start_plain_server
from tests.support.wait_limit import WAIT_LIMIT


async def listed(gate: Gate, query: str) -> set[str]:
    return {execution.id async for execution in gate.client.list_workflows(query)}


async def attributes(gate: Gate, workflow_id: str) -> tuple[str | None, str | None]:
    found = (await gate.handle(workflow_id).describe()).typed_search_attributes
    return found.get(PLANGATE_STATE), found.get(PLANGATE_REQUESTER)


async def until_listed(gate: Gate, query: str, ids: set[str]) -> None:
    """Wait until a list has the runs; lists lag by up to a second."""
    async with asyncio.timeout(WAIT_LIMIT):
        while not ids <= await listed(gate, query):
            await asyncio.sleep(0.05)


async def until_pending(gate: Gate, *ids: str) -> None:
    async with asyncio.timeout(WAIT_LIMIT):
        while {status.workflow_id for status in (await gate.api.waiting()).found} != set(ids):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def plain_gate(folder: Path, *search_attributes: str) -> AsyncIterator[Gate]:
    """A test instance on a separate, unprepared server; no worker is running yet."""
    server = await start_plain_server(*search_attributes)
    gate = build_gate(server.client, folder, f"plain-{uuid4().hex[:12]}")
    yield gate
    gate.database.close()
    await server.shutdown()


async def test_state_and_requester_can_be_listed_from_start_to_end(gate: Gate) -> None:
    gate.planner.gate.clear()
    workflow_id = await gate.submit(request="one", requester="rita")
    assert await attributes(gate, workflow_id) == ("drafting", "rita")
    gate.planner.gate.set()
    status = await gate.until("in_review", workflow_id)
    await until_listed(gate, "PlangateState = 'in_review' AND PlangateRequester = 'rita'", {workflow_id})
    await gate.decide(status)
    await gate.result(workflow_id)
    assert await attributes(gate, workflow_id) == ("executed", "rita")


@pytest.mark.parametrize("outcome", ["rejected", "withdrawn"])
async def test_the_state_of_an_ended_run_is_its_outcome(gate: Gate, outcome: str) -> None:
    status = await gate.in_review("one")
    if outcome == "rejected":
        await gate.decide(status, "reject")
    else:
        await gate.api.withdraw(status.workflow_id, "changed my mind")
    await gate.result(status.workflow_id)
    assert await attributes(gate, status.workflow_id) == (outcome, "rita")


async def test_pending_queries_only_runs_that_may_wait(tmp_path: Path) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate, gate.worker():
        waiting, decided = await gate.in_review("one"), await gate.in_review("two")
        gate.notebook.gate.clear()
        await gate.decide(decided)
        await gate.until("executing", decided.workflow_id)
        started_by_hand = await gate.client.start_workflow(
            "PlanApproval",
            {"requester": "rita", "plan": notes("three")},
            id="by-hand",
            task_queue=gate.settings.task_queue,
        )
        await gate.until("in_review", started_by_hand.id)
        await until_pending(gate, waiting.workflow_id, "by-hand")
        gate.notebook.gate.set()


async def test_on_a_server_without_them_a_run_starts_is_listed_and_is_executed(tmp_path: Path) -> None:
    async with plain_gate(tmp_path) as gate, gate.worker():
        status = await gate.in_review("one")
        assert await attributes(gate, status.workflow_id) == (None, None)
        await until_pending(gate, status.workflow_id)
        await gate.signal(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        await until_pending(gate)


@pytest.mark.parametrize("kind", ["Int", "Text", "KeywordList", "Bool", "Datetime"])
async def test_with_another_attribute_type_a_run_works_too(tmp_path: Path, kind: str) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}={kind}" for key in KEYS)) as gate, gate.worker():
        warning = await ensure_search_attributes(gate.client, "default")
        assert warning is not None
        assert f"PlangateState is of type {kind} " in warning
        status = await gate.in_review("one")
        await until_pending(gate, status.workflow_id)
        await gate.signal(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        await until_pending(gate)
        assert await gate.blocked() == 0


async def test_registering_them_repeatedly_is_harmless_and_does_not_disturb_waiting_runs(
    tmp_path: Path,
) -> None:
    async with plain_gate(tmp_path) as gate:
        async with gate.worker():
            before = await gate.in_review("one")
            assert await ensure_search_attributes(gate.client, "default") is None
            assert await ensure_search_attributes(gate.client, "default") is None
            after = await gate.in_review("two")
            assert await attributes(gate, after.workflow_id) == ("in_review", "rita")
            await until_pending(gate, before.workflow_id, after.workflow_id)
        async with gate.worker():  # which replays both from their histories
            for status in (before, after):
                assert (await gate.decide(status)).accepted
                assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_unresponsive_runs_are_queried_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these queries takes its full time limit."""
    real, asked, most = RunStatuses.unchecked, set[str](), 0

    async def counting(statuses: RunStatuses, workflow_id: str) -> Status:
        nonlocal most
        asked.add(workflow_id)
        most = max(most, len(asked))
        try:
            return await real(statuses, workflow_id)
        finally:
            asked.remove(workflow_id)

    async with plain_gate(tmp_path) as gate:
        async with gate.worker():
            waiting = await gate.in_review("one")
        request = {"requester": "rita", "plan": notes("two")}
        others = {f"{number}" for number in range(40)}
        for other in others:
            await gate.client.start_workflow("PlanApproval", request, id=other, task_queue="no-worker")
        await until_listed(gate, "WorkflowType = 'PlanApproval'", others)
        monkeypatch.setattr(RunStatuses, "unchecked", counting)
        await until_pending(gate, waiting.workflow_id)
        assert most >= 40
