"""Set up a server, a ticket service, an outbox and workers for the demo, and remove them afterwards."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from temporalio.client import Client

from plangate.cli.console import Console, Session
from plangate.cli.demo.effects import Outbox
from plangate.cli.demo.ticket_service import TicketService, open_ticket_service
from plangate.cli.demo.worker_process import Workers, run_workers
from plangate.cli.environment import opened_records, temporal_program
from plangate.client import Client as PlangateClient
from plangate.domain.errors import OperatorError
from plangate.files.durable_file import write_over
from plangate.files.locks import try_lock
from plangate.files.private_files import make_private_folder, open_private
from plangate.logs.setup import temporal_runtime
from plangate.presentation.deciding_page import TemporalAccess
from plangate.settings import PROJECT, Settings, environment_with
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.dev_server import EmbeddedServer

NAMESPACE: Final = "default"
TASK_QUEUE: Final = "plangate-demo"  # a separate queue, which no other worker uses
_RECORDED: Final = PROJECT / "examples" / "demo" / "model.json"
_RECORDED_URL: Final = "http://127.0.0.1:8099/tickets"


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of the demo.

    Attributes:
        folder: the folder of the demo's own files.
        environment: the environment variables of its workers and of the ``temporal`` program.
        planner: a description of the model that plans.
    """

    settings: Settings
    folder: Path
    server: EmbeddedServer
    session: Session
    service: TicketService
    outbox: Outbox
    workers: Workers
    environment: dict[str, str]
    planner: str


@asynccontextmanager
async def set_up(console: Console) -> AsyncIterator[Resources]:
    """Set up everything for the duration of the block; afterwards, only the embedded server keeps running.

    Raises:
        OperatorError: something is missing, or another demo is running.
    """
    settings = console.settings.model_copy(update={"task_queue": TASK_QUEUE, "smtp_url": None})
    folder = settings.var_dir.absolute() / "demo"
    with _only_demo(folder), open_ticket_service() as service, opened_records(settings) as database:
        async with _server(settings) as server:
            client = await Client.connect(
                server.address,
                namespace=NAMESPACE,
                data_converter=DATA_CONVERTER,
                runtime=temporal_runtime(settings),
            )
            flags = ("--address", server.address)
            access = TemporalAccess(flags, NAMESPACE, server.ui_url, program=temporal_program())
            connected = PlangateClient(client, TASK_QUEUE, database)
            environment = _environment(settings, server, service, folder)
            with run_workers(folder, environment) as workers:
                yield Resources(
                    settings=settings,
                    folder=folder,
                    server=server,
                    session=Session(replace(console, settings=settings), database, connected, access),
                    service=service,
                    outbox=Outbox(settings.outbox),
                    workers=workers,
                    environment=environment,
                    planner=_planner(settings),
                )


def _environment(
    settings: Settings, server: EmbeddedServer, service: TicketService, folder: Path
) -> dict[str, str]:
    """Return the environment of this process, changed to the demo's server, service and outbox."""
    changes: dict[str, str | None] = {
        "TEMPORAL_ADDRESS": server.address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_CONFIG_FILE": os.devnull,
        "PLANGATE_TASK_QUEUE": TASK_QUEUE,
        "PLANGATE_VAR_DIR": str(settings.var_dir.absolute()),
        "PLANGATE_SMTP_URL": None,
        "PLANGATE_WORKER_BUILD_ID": None,
        "PLANGATE_HTTP_ALLOWED_HOSTS": service.place,
        "PLANGATE_HTTP_PRIVATE_HOSTS": service.place,
        "PLANGATE_HTTP_IDEMPOTENT_HOSTS": service.place,
        "PLANGATE_LOG_FORMAT": "json",
        "PLANGATE_LOG_LEVEL": "info",
    }
    if not settings.has_model:
        recorded = folder / "model.json"
        write_over(
            recorded, _RECORDED.read_text(encoding="utf-8").replace(_RECORDED_URL, service.url).encode()
        )
        changes["PLANGATE_MODEL_CONFIG"] = str(recorded)
    elif settings.model_config_file is not None:
        changes["PLANGATE_MODEL_CONFIG"] = str(settings.model_config_file.absolute())
    return environment_with(changes, without="TEMPORAL_")


def _planner(settings: Settings) -> str:
    if settings.model_config_file is not None:
        return f"the model of {settings.model_config_file}, live"
    if settings.has_openai:
        return f"{settings.model}, live"
    return "a recorded model conversation, since neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"


@asynccontextmanager
async def _server(settings: Settings) -> AsyncIterator[EmbeddedServer]:
    """Keep the embedded server running while the block runs, and afterwards."""
    lease = await embedded_server.take_lease(settings.var_dir)
    try:
        yield await embedded_server.ensure_running(settings.var_dir)
    finally:
        await asyncio.to_thread(os.close, lease.file)  # not release_lease(), which stops an unused server


@contextmanager
def _only_demo(folder: Path) -> Iterator[None]:
    """Hold a lock that allows only one demo on this machine; two demos would compete for the same work.

    Raises:
        OperatorError: another demo is running.
    """
    try:
        make_private_folder(folder)
    except OSError as error:
        raise OperatorError(
            f"The folder {folder} cannot be created ({error.strerror}); set PLANGATE_VAR_DIR."
        ) from None
    with open(folder / "lock", "w", opener=open_private) as file:
        if not try_lock(file.fileno(), fcntl.LOCK_EX):
            raise OperatorError("Another demo is running here; wait until it ends.")
        yield
