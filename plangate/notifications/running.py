"""Wire a notifier from the settings."""

from datetime import timedelta

from plangate.notifications.channels import Channels
from plangate.notifications.ledger import Ledger, Pace
from plangate.notifications.notifier import Notifier
from plangate.notifications.readers import Readers
from plangate.records.database import Database
from plangate.settings import Settings


def notifier_of(settings: Settings, database: Database) -> Notifier:
    """Return the notifier that these settings describe.

    Raises:
        SettingsInvalid: a setting of mails cannot be used.
    """
    pace = Pace(settings.notices_per_hour, timedelta(seconds=settings.notice_digest))
    ledger = Ledger(database, Readers(settings.operators, settings.web_url), pace)
    return Notifier(ledger, Channels(settings), sends=settings.notices == "on")
