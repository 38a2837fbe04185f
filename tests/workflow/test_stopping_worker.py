"""A worker that shuts down lets steps finish; the next one looks up those that exceed the grace period."""

import asyncio
from datetime import timedelta

import pytest

import worker
from plangate.domain.errors import RecordsUnavailable
from tests.support.fakes import Notebook
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT


@pytest.mark.parametrize("remembers", [False, True])
async def test_the_next_worker_looks_up_a_step_that_exceeds_the_grace_period(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, remembers: bool
) -> None:
    gate = idle_gate
    monkeypatch.setattr(worker, "GRACE", timedelta(seconds=0.5))
    gate.tools["note"] = gate.notebook = Notebook("note", gate.notebook.path, remembers=remembers)
    gate.notebook.gate.clear()
    async with asyncio.timeout(WAIT_LIMIT), gate.worker():
        status = await gate.in_review("one")
        await gate.signal(status)
        await gate.notebook.entered.wait()
    assert gate.notebook.texts() == []
    gate.notebook.gate.set()
    async with gate.worker():
        if remembers:
            assert (await gate.result(status.workflow_id)).outcome == "executed"
        else:
            assert (await gate.held(status.workflow_id)).steps[0].state == "in_doubt"
    assert gate.notebook.texts() == (["one"] if remembers else [])


async def test_a_worker_stops_immediately_while_decisions_wait_for_the_records(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = idle_gate

    def unavailable(**_: object) -> object:
        raise RecordsUnavailable("The records are unavailable.")

    async with asyncio.timeout(WAIT_LIMIT), gate.worker():
        status = await gate.in_review("one")
        with monkeypatch.context() as patch:
            patch.setattr(gate.database, "write", unavailable)
            await gate.signal(status)
            await gate.until("in_review", status.workflow_id, lambda now: now.unrecorded is not None)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "executed"
