"""Runs take their turns in the worker's event loop, which stays its own; a long turn is no deadlock."""

import asyncio
import threading

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.integration.slow_workflow import Slow

_PATIENCE = 30.0
_LONG = 2.5  # seconds, where the library takes two for a deadlock


@pytest.fixture
async def client(env: WorkflowEnvironment):
    async with Worker(
        env.client,
        task_queue="slow",
        workflows=[Slow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        debug_mode=True,
    ):
        yield env.client


async def test_a_long_turn_is_not_taken_for_a_deadlock(client):
    handle = await client.start_workflow(Slow.run, _LONG, id="long", task_queue="slow")
    async with asyncio.timeout(_PATIENCE):
        assert await handle.result() == threading.get_ident()
    kinds = [event.WhichOneof("attributes") async for event in handle.fetch_history_events()]
    assert not [kind for kind in kinds if "failed" in kind or "timed_out" in kind]


async def test_the_loop_is_released_after_each_turn_even_a_failed_one(client):
    loop = asyncio.get_running_loop()
    for number, fails in enumerate((False, True, False)):
        run = client.execute_workflow(Slow.run, args=[0.0, fails], id=f"turn-{number}", task_queue="slow")
        if fails:
            with pytest.raises(WorkflowFailureError):
                await asyncio.wait_for(run, _PATIENCE)
        else:
            assert await asyncio.wait_for(run, _PATIENCE) == threading.get_ident()
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)
