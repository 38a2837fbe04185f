"""One command's way to the system: settings, records, the gateway, and where else a run can be seen."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import Any

from plangate.client import Client
from plangate.logs.setup import configure_logs
from plangate.presentation.run_page import Doors
from plangate.records.database import Database
from plangate.settings import Settings, load_settings
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import address_of, cli_flags, connect


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with while it runs."""

    settings: Settings
    database: Database
    gateway: Client
    doors: Doors


def run_async(main: Coroutine[Any, Any, int]) -> int:
    """Run a command's coroutine to its exit code."""
    return asyncio.run(main)


def settings_for_people() -> Settings:
    """Return the settings, with logs set up for a person: on stderr, and warnings only unless asked for."""
    settings = load_settings()
    if settings.log_level == "info":
        settings = settings.model_copy(update={"log_level": "warning"})
    configure_logs(settings)
    return settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Session]:
    """Connect to the server, open the records, and close both at the end.

    Raises:
        OperatorError: the server cannot be reached, or a setting cannot be used.
    """
    with opened_records(settings) as database:
        client = await connect(settings)
        doors = doors_of(settings, client.namespace)
        gateway = Client(client, settings.task_queue, database, unpause_command=doors.unpause_command)
        yield Session(settings, database, gateway, doors)


def doors_of(settings: Settings, namespace: str) -> Doors:
    """Return where else runs can be seen; the Web UI is known where it is set, or the embedded server's."""
    server = embedded_server.running(settings.var_dir)
    is_ours = server is not None and server.address == address_of(settings)
    ui_url = settings.public_temporal_ui or (server.ui_url if server and is_ours else None)
    program = "temporal" if settings.public_temporal_address else temporal_program()
    return Doors(cli_flags(settings), namespace, ui_url and ui_url.rstrip("/"), program=program)


def temporal_program() -> str:
    """Return how to call Temporal's command line: by its name, or as it lies beside our own Python."""
    ours = Path(sys.executable).with_name("temporal")
    if which("temporal") or not ours.exists():
        return "temporal"
    return str(ours.relative_to(Path.cwd())) if ours.is_relative_to(Path.cwd()) else str(ours)


@contextmanager
def opened_records(settings: Settings) -> Iterator[Database]:
    """Open the records for reading.

    Raises:
        SettingsInvalid: their address cannot be used.
    """
    database = Database(settings.records)
    try:
        yield database
    finally:
        database.close()
