"""Provide commands with settings, records, and the other interfaces to a run."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

from plangate.logs.setup import configure_logs
from plangate.presentation.deciding_page import TemporalAccess
from plangate.records.database import Database
from plangate.settings import Settings, load_settings
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import address_of, cli_flags


def settings_for_people() -> Settings:
    """Return the settings, with logs for a person: on stderr, only warnings unless they ask for more."""
    settings = load_settings()
    if settings.log_level == "info":
        settings = settings.model_copy(update={"log_level": "warning"})
    configure_logs(settings)
    return settings


def access_of(settings: Settings, namespace: str) -> TemporalAccess:
    """Return the other ways to see runs, with the Web UI of the configured or the embedded server.

    By default, an inbox runs next to each worker. Settings that turn it off may specify an inbox elsewhere.
    """
    server = embedded_server.running(settings.var_dir)
    is_ours = server is not None and server.address == address_of(settings)
    ui_url = settings.public_temporal_ui or (server.ui_url if server and is_ours else None)
    program = "temporal" if settings.public_temporal_address else temporal_program()
    has_inbox = settings.web_address != "off" or "web_url" in settings.model_fields_set
    return TemporalAccess(
        cli_flags(settings),
        namespace,
        ui_url and ui_url.rstrip("/"),
        program=program,
        inbox_url=settings.web_url.rstrip("/") if has_inbox else None,
    )


def temporal_program() -> str:
    """Return the command of Temporal's command line: its name, or its path next to this Python."""
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
