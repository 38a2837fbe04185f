"""A complete installation made of real processes: a Temporal server, workers, two external
services, and a data folder.

All processes are stopped when the block ends.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from random import Random

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from chaos.external_service import ExternalService, approval_lookup
from chaos.orders import APPROVER, Order, Place
from chaos.server import Server
from chaos.worker_process import WorkerProcess
from plangate.client import Client as PlangateClient
from plangate.domain.errors import RecordsUnavailable, TemporalUnreachable
from plangate.domain.runs.audit import AuditEntry
from plangate.domain.runs.status import RunResult, Status
from plangate.records.database import Database
from plangate.records.queries import status_on_record
from plangate.settings import PROJECT, environment_with
from plangate.temporal.connection import DATA_CONVERTER
from tests.support.holds import resolution

WAIT_LIMIT = 120.0
# A worker that outlived another run of a scenario may poll the same port, but not this queue.
TASK_QUEUE = f"chaos-{os.getpid()}"


@dataclass
class Installation:
    """The parts of the installation under test."""

    folder: Path
    server: Server
    address: str
    client: Client
    database: Database
    api: PlangateClient
    vendor: ExternalService
    keyless: ExternalService
    rng: Random
    settings: dict[str, str]
    forks: bool = False  # whether its workers start with their modules loaded
    signs_resolutions: bool = False  # whether held runs are aborted with a signed resolution
    program: Path = PROJECT / "worker.py"
    workers: list[WorkerProcess] = field(default_factory=list)

    @property
    def var_dir(self) -> Path:
        """The folder for the workers' data."""
        return self.folder / "var"

    @property
    def worker(self) -> WorkerProcess:
        """The newest worker."""
        return self.workers[-1]

    @property
    def urls(self) -> dict[Place, str]:
        """The URLs of the external services."""
        return {Place.VENDOR: self.vendor.url, Place.KEYLESS: self.keyless.url}

    def environment(self) -> dict[str, str]:
        """Return the environment for every program of this installation."""
        settings = {"TEMPORAL_ADDRESS": self.address, "PLANGATE_LOG_FORMAT": "json", **self.settings}
        return environment_with(settings, without=("TEMPORAL_", "PLANGATE_", "OPENAI_", "PYTEST"))

    async def start_worker(self, *, wait: bool = True) -> WorkerProcess:
        """Start a worker; by default, wait until it accepts work."""
        number = len(self.workers) + 1
        self.workers.append(self.process(number, self.folder, self.program))
        if wait:
            await self.worker.ready()
        return self.worker

    def process(self, number: int, folder: Path, program: Path) -> WorkerProcess:
        """Start a program of this installation, with its log in this folder."""
        return WorkerProcess(number, folder, self.environment(), program, is_forked=self.forks)

    def handle(self, workflow_id: str) -> WorkflowHandle[object, object]:
        """Return the run's handle."""
        return self.client.get_workflow_handle(workflow_id)

    async def submit(self, order: Order, timeout_seconds: int = 3_600) -> None:
        """Start a requested run."""
        await self.api.submit(order.request(self.urls, timeout_seconds), order.workflow_id)

    def recorded(self, workflow_id: str) -> Status | None:
        """Return a run's status from the records, without a worker."""
        return status_on_record(self.database, workflow_id)

    async def until(
        self, state: str, workflow_id: str, condition: Callable[[Status], bool] = lambda _status: True
    ) -> Status:
        """Wait until the records show the run in this state (and the condition holds)."""
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                with suppress(RecordsUnavailable):
                    status = await asyncio.to_thread(self.recorded, workflow_id)
                    if status is not None and status.state == state and condition(status):
                        return status
                await asyncio.sleep(0.05)

    async def result(self, workflow_id: str, time_limit: float = WAIT_LIMIT) -> RunResult:
        """Wait until a run has ended, even across outages of the server; abort the run if it is held."""
        aborting = asyncio.create_task(self._abort_when_held(workflow_id))
        try:
            async with asyncio.timeout(time_limit):
                while True:
                    with suppress(RPCError, TemporalUnreachable):
                        return await self.api.wait(workflow_id)
                    await asyncio.sleep(0.2)
        finally:
            aborting.cancel()

    async def _abort_when_held(self, workflow_id: str) -> None:
        while True:
            await asyncio.sleep(1)
            with suppress(RPCError, RecordsUnavailable):
                status = await asyncio.to_thread(self.recorded, workflow_id)
                if status is not None and status.held is not None:
                    message = resolution(status, "abort", APPROVER, sign_it=self.signs_resolutions)
                    await self.handle(workflow_id).signal("resolve", message)
                    await asyncio.sleep(5)

    def trail(self, workflow_id: str) -> tuple[AuditEntry, ...]:
        """Return the audit trail of a run."""
        return self.api.trail(workflow_id)

    async def count_blocked(self) -> int:
        """Count the open runs whose workflow task fails repeatedly."""
        problem = "TemporalReportedProblems IN ('category=WorkflowTaskFailed')"
        return (await self.client.count_workflows(f"{problem} AND ExecutionStatus = 'Running'")).count

    def mails(self) -> dict[str, list[Path]]:
        """Return the emails in the outbox by subject, which is the token of a step."""
        found: dict[str, list[Path]] = {}
        for path in (self.var_dir / "outbox").glob("*.eml"):
            headers = BytesHeaderParser(policy=policy.default).parsebytes(path.read_bytes())
            found.setdefault(str(headers["Subject"]), []).append(path)
        return found

    def log_lines_with(self, text: str) -> list[str]:
        """Return the lines of all workers' logs that contain this text."""
        lines = [line for each in self.workers for line in each.log.read_text(errors="replace").splitlines()]
        return [line for line in lines if text in line]


@asynccontextmanager
async def installation(
    folder: Path,
    server: Server,
    *,
    seed: int,
    records_url: str | None = None,
    model: Path | None = None,
    forks: bool = False,
) -> AsyncIterator[Installation]:
    """Set up all parts except a worker, and always tear them down."""
    folder.mkdir(parents=True, exist_ok=True)
    address = await server.start()
    url = records_url or f"sqlite:///{folder / 'var' / 'records.db'}"
    rng = Random(seed)
    vendor, keyless = (
        ExternalService(
            honours_keys=honours, is_approved=approval_lookup(url), delay=lambda: rng.uniform(0, 0.6)
        )
        for honours in (True, False)
    )
    settings = {
        "PLANGATE_VAR_DIR": str(folder / "var"),
        "PLANGATE_TASK_QUEUE": TASK_QUEUE,
        "PLANGATE_SEAL_SECONDS": "1",
        "PLANGATE_LATE_EFFECT_SECONDS": "1",
        "PLANGATE_HTTP_ALLOWED_HOSTS": f"{vendor.host},{keyless.host}",
        "PLANGATE_HTTP_PRIVATE_HOSTS": f"{vendor.host},{keyless.host}",
        "PLANGATE_HTTP_IDEMPOTENT_HOSTS": vendor.host,
        **({"PLANGATE_DATABASE_URL": records_url} if records_url else {}),
        **({"PLANGATE_MODEL_CONFIG": str(model)} if model else {}),
    }
    database = Database(url)
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    api = PlangateClient(client, TASK_QUEUE, database)
    installed = Installation(
        folder, server, address, client, database, api, vendor, keyless, rng, settings, forks
    )
    try:
        yield installed
    finally:
        for worker in installed.workers:
            worker.kill()
        for service in (vendor, keyless):
            service.close()
        database.close()
        await server.stop()
