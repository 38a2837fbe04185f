"""A complete Plangate instance in one process: a real Temporal server and database, and one test tool."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.planner import Planner
from plangate.client import Client as PlangateClient
from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer, Resolution
from plangate.domain.people.people import Directory
from plangate.domain.policies.policy import Policy
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import RunResult, Status
from plangate.policy.policy_file import FilePolicy
from plangate.records.database import Database
from plangate.records.queries import status_on_record
from plangate.records.rule_texts import record_rules
from plangate.settings import Settings
from plangate.tool import Tool
from tests.support.fakes import Notebook, ScriptedPlanner, notes
from tests.support.fresh_records import fresh_records
from tests.support.wait_limit import WAIT_LIMIT
from worker import build_worker


@dataclass
class Gate:
    """The parts of the Plangate instance under test."""

    server: WorkflowEnvironment | Client
    settings: Settings
    database: Database
    notebook: Notebook
    planner: ScriptedPlanner
    api: PlangateClient
    tools: dict[str, Tool] = field(default_factory=dict)
    policy: Policy | None = None
    directory: Directory | None = None
    drafts_with: Planner | None = None  # in place of the scripted planner

    @property
    def env(self) -> WorkflowEnvironment:
        """The server, which can skip time; fails for an instance on any other server."""
        assert isinstance(self.server, WorkflowEnvironment)
        return self.server

    @property
    def client(self) -> Client:
        return self.server if isinstance(self.server, Client) else self.server.client

    def handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id)

    @asynccontextmanager
    async def worker(self, client: Client | None = None, build_id: str | None = None) -> AsyncIterator[None]:
        """Run a worker while the block runs, with its policy recorded, as `worker.run` does."""
        if isinstance(self.policy, FilePolicy):
            policy = self.policy
            record_rules(self.database, "policy", policy.text, policy.policy_hash, "worker@here")
        worker = build_worker(
            client or self.client,
            self.settings.model_copy(update={"worker_build_id": build_id}),
            database=self.database,
            tools=self.tools,
            planner=self.drafts_with or self.planner,
            policy=self.policy,
            directory=self.directory,
        )
        async with worker:
            yield

    @asynccontextmanager
    async def foreign_worker(self, workflow: type) -> AsyncIterator[str]:
        """Run a separate worker with this workflow while the block runs; yield its task queue."""
        queue = f"foreign-{uuid4().hex[:8]}"
        async with Worker(
            self.client, task_queue=queue, workflows=[workflow], workflow_runner=UnsandboxedWorkflowRunner()
        ):
            yield queue

    async def submit(
        self, *texts: str, requester: str = "rita", timeout: timedelta = timedelta(hours=72), **more: Any
    ) -> str:
        """Start a run of a prepared plan that writes these notes; return its id."""
        more.setdefault("plan", notes(*texts) if texts else None)
        request = PlanRequest(requester=requester, timeout_seconds=int(timeout.total_seconds()), **more)
        return await self.api.submit(request)

    async def in_review(self, *texts: str, **more: Any) -> Status:
        """Start such a run and return its status once it is in review."""
        return await self.until("in_review", await self.submit(*texts, **more))

    async def until(
        self, state: str, workflow_id: str, condition: Callable[[Status], bool] | None = None
    ) -> Status:
        """Wait until the run is in this state (and the condition holds)."""
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                status = await self.api.status(workflow_id)
                if status.state == state and (condition is None or condition(status)):
                    return status
                await asyncio.sleep(0.02)

    async def held(self, workflow_id: str) -> Status:
        """Wait until the run is held; return its status."""
        return await self.until("held", workflow_id)

    async def resolve(
        self, workflow_id: str, resolution: str, by: str = "dana", **more: Any
    ) -> DecisionAnswer:
        """Wait until the run is held, and resolve it by update."""
        status = await self.held(workflow_id)
        assert status.held is not None
        more.setdefault("comment", f"{resolution} it")
        more.setdefault("hold", status.held.number)
        return await self.decide(
            status, "resolve", by, step=status.held.step, resolution=Resolution(resolution), **more
        )

    def recorded(self, workflow_id: str) -> Status | None:
        """Return the status of the run from the records alone."""
        return status_on_record(self.database, workflow_id)

    async def decide(
        self, status: Status, decision: str = "approve", by: str = "dana", **more: Any
    ) -> DecisionAnswer:
        """Decide on the plan of this status, by an update."""
        more.setdefault("plan", status.fingerprint)
        answer = await self.api.decide(status.workflow_id, Decision(decision=Choice(decision), by=by, **more))
        assert answer is not None
        return answer

    async def signal(self, status: Status, name: str = "approve", **message: Any) -> None:
        """Send a signal about the plan of this status, as an approver does."""
        message.setdefault("by", "dana")
        message.setdefault("plan", status.short_fingerprint)
        await self.handle(status.workflow_id).signal(name, message)

    async def result(self, workflow_id: str) -> RunResult:
        """Wait for the end of the run; return its result."""
        async with asyncio.timeout(WAIT_LIMIT):
            return await self.api.wait(workflow_id)

    async def blocked(self) -> int:
        """Count the runs whose workflow task fails repeatedly."""
        return (
            await self.client.count_workflows("TemporalReportedProblems IN ('category=WorkflowTaskFailed')")
        ).count


def build_gate(
    server: WorkflowEnvironment | Client, folder: Path, task_queue: str, database_url: str | None = None
) -> Gate:
    """Build a Plangate instance with its files in ``folder``, on the tests' server or another one.

    Args:
        server: the Temporal server.
        folder: the folder of its files.
        task_queue: the task queue of its worker.
        database_url: the URL of records with tables; by default new ones in ``folder``.
    """
    client = server if isinstance(server, Client) else server.client
    settings = Settings(task_queue=task_queue, var_dir=folder, late_effect_seconds=0)
    database = Database(database_url) if database_url else fresh_records(folder / "records.db")
    notebook = Notebook("note", folder / "notes.tsv")
    return Gate(
        server=server,
        settings=settings,
        database=database,
        notebook=notebook,
        planner=ScriptedPlanner(),
        api=PlangateClient(client, task_queue, database),
        tools={"note": notebook},
    )
