"""Build a notifier from the settings, and run it in its own process."""

from datetime import timedelta

import structlog

from plangate.notifications.audience_lookup import Readers
from plangate.notifications.channels import Channels
from plangate.notifications.ledger import Ledger, Pace
from plangate.notifications.notifier import Notifier
from plangate.records.database import Database
from plangate.settings import Settings
from plangate.temporal.worker_process import in_background, stop_on_signals

_log = structlog.get_logger(__name__)


def notifier_of(settings: Settings, database: Database, *, sends: bool = True) -> Notifier:
    """Return the notifier that these settings describe.

    Args:
        settings: the settings of this process.
        database: the records.
        sends: whether it sends; otherwise it only records the problems that are reported to it.

    Raises:
        SettingsInvalid: a mail setting cannot be used.
    """
    pace = Pace(settings.notices_per_hour, timedelta(seconds=settings.notice_digest))
    ledger = Ledger(database, Readers(settings.operators, settings.web_url), pace)
    return Notifier(ledger, Channels(settings), sends=sends)


async def run_alone(settings: Settings) -> None:
    """Send notices until SIGTERM or SIGINT.

    Raises:
        SettingsInvalid: a setting for mail or for the records cannot be used.
    """
    database = Database(settings.records)
    stopping = stop_on_signals()
    try:
        notifier = notifier_of(settings, database)
        _log.info("This process sends notices, or waits while another process sends them.", action="notices")
        async with in_background(notifier.keep_notifying()):
            await stopping.wait()
    finally:
        database.close()
