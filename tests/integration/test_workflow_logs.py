"""A workflow's log lines pass through our handler once, despite replays."""

import io
import json
import logging

import pytest
import structlog
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from plangate.logs.setup import configure_logs
from plangate.settings import Settings
from tests.integration.logging_workflow import LoggingWorkflow


@pytest.fixture
def written():
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    stream = io.StringIO()
    configure_logs(Settings(log_format="json"), stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


async def test_a_workflow_logs_once_with_its_identity(env: WorkflowEnvironment, written: io.StringIO):
    # Without a cache, every task replays the whole history.
    async with Worker(
        env.client,
        task_queue="logging",
        workflows=[LoggingWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    ):
        handle = await env.client.start_workflow(LoggingWorkflow.run, id="logging", task_queue="logging")
        await handle.describe()
        await handle.signal(LoggingWorkflow.resume)
        await handle.result()

    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [(line["action"], line["message"], line["workflow_id"]) for line in lines] == [
        ("first", "First\x1b[2K.", "logging"),
        ("second", "Second.", "logging"),
    ]
    assert lines[0]["run_id"] == handle.first_execution_run_id
