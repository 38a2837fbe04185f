"""The two variants as the driver uses them: each has its worker process, and a way to start a run.

Both are approved with the same signal, watched in the same way, and wait for the same time. An approval of
Plangate's plan must contain its fingerprint, which the driver computes like an approver's own tools.
"""

import asyncio
import sys
from abc import ABC, abstractmethod
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client, WorkflowHandle

from activities.plan_check import PlanCheck
from bench.bare import Bare
from bench.noop import NoOp, plan_for
from plangate.client import Client as PlangateClient
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of, short
from plangate.domain.runs.request import PlanRequest
from plangate.domain.times.durations import DEFAULT_TIMEOUT
from plangate.records.database import Database
from plangate.settings import PROJECT, Settings

Handle = WorkflowHandle[Any, Any]
_TIMEOUT: Final = int(DEFAULT_TIMEOUT.total_seconds())


class Variant(ABC):
    """One of the variants that are compared."""

    name: str

    def __init__(self, client: Client, task_queue: str, process: Process) -> None:
        self.client = client
        self.task_queue = task_queue
        self._process = process
        self._numbers = count(1)

    @abstractmethod
    async def start(self) -> Handle:
        """Start one run."""

    @abstractmethod
    def approval(self, workflow_id: str) -> dict[str, str]:
        """Return the message that approves a run."""

    def next_id(self) -> str:
        """Return a new id for this variant."""
        return f"{self.task_queue}-{next(self._numbers)}"

    async def cpu_seconds(self) -> float:
        """Return the CPU time that the worker has used since its start."""
        return float(await self._ask("cpu"))

    async def memory_bytes(self) -> int:
        """Return the worker's resident memory after a garbage collection."""
        return int(await self._ask("memory"))

    async def _ask(self, question: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n".encode())
        return (await self._process.stdout.readline()).decode()


class PlangateVariant(Variant):
    """Plangate, used through its own interface."""

    name = "plangate"

    def __init__(self, client: Client, task_queue: str, process: Process, var_dir: Path) -> None:
        super().__init__(client, task_queue, process)
        database = Database(Settings(var_dir=var_dir, database_url=None).records)
        self._gateway = PlangateClient(client, task_queue, database)
        self._database = database
        self._plan_check = PlanCheck({NoOp.declaration.name: NoOp()}, max_steps=1)
        self._plans: dict[str, Plan] = {}

    async def start(self) -> Handle:
        """Submit a prepared plan."""
        workflow_id = self.next_id()
        plan = plan_for(workflow_id)
        checked = self._plan_check.check(plan)
        self._plans[workflow_id] = await self._plan_check.with_previews(checked)
        request = PlanRequest(requester="rita", request="Do nothing", plan=plan, timeout_seconds=_TIMEOUT)
        await self._gateway.submit(request, workflow_id)
        return self.client.get_workflow_handle(workflow_id)

    def approval(self, workflow_id: str) -> dict[str, str]:
        """Return an approval of the plan by its short fingerprint."""
        audience = Audience(installation=self._database.installation, namespace=self.client.namespace)
        return {
            "by": "dana",
            "plan": short(fingerprint_of(self._plans[workflow_id], 1, workflow_id, audience)),
        }


class BareVariant(Variant):
    """A Temporal workflow of the same shape, on a bare or a tuned worker."""

    name = "bare"

    async def start(self) -> Handle:
        """Start the workflow with the plan."""
        workflow_id = self.next_id()
        return await self.client.start_workflow(
            Bare.run, args=[plan_for(workflow_id), _TIMEOUT], id=workflow_id, task_queue=self.task_queue
        )

    def approval(self, workflow_id: str) -> dict[str, str]:
        """Return an approval with a placeholder instead of a fingerprint."""
        return {"by": "dana", "plan": short(workflow_id)}


@asynccontextmanager
async def both(
    client: Client, address: str, var_dir: Path, label: str, bare_worker: str
) -> AsyncIterator[tuple[Variant, Variant]]:
    """Run a fresh worker of each variant, on its own task queue, while the block runs."""
    async with (
        _worker("plangate", address, f"{label}-plangate", var_dir) as ours,
        _worker(bare_worker, address, f"{label}-bare", var_dir) as bare,
    ):
        yield (
            PlangateVariant(client, f"{label}-plangate", ours, var_dir),
            BareVariant(client, f"{label}-bare", bare),
        )


@asynccontextmanager
async def _worker(variant: str, address: str, task_queue: str, var_dir: Path) -> AsyncIterator[Process]:
    command = ("-m", "bench.worker_process", variant, address, task_queue, str(var_dir))
    with (var_dir / f"{task_queue}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-E", *command, stdin=PIPE, stdout=PIPE, stderr=log, cwd=PROJECT
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if (await process.stdout.readline()).strip() != b"ready":
            raise RuntimeError(f"The worker of {task_queue} did not start; its log: {log.name}")
        yield process
    finally:
        process.stdin.close()
        await process.wait()
