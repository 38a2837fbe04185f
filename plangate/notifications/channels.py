"""Pick the channel of an address by its scheme."""

from datetime import datetime

from plangate.notifications.apprise_channel import AppriseChannel
from plangate.notifications.in_thread import Attempts
from plangate.notifications.mail import SCHEME, MailChannel
from plangate.notifications.notice import Attempted, Channel, Sending
from plangate.notifications.webhook import SCHEMES, WebhookChannel
from plangate.settings import Settings


class Channels:
    """All channels; implements `plangate.notifications.notice.Channel`."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingsInvalid: the sender or the server of mails cannot be used.
        """
        attempts = Attempts()
        self._by_scheme: dict[str, Channel] = {SCHEME: MailChannel(settings)}
        self._by_scheme |= dict.fromkeys(SCHEMES, WebhookChannel(settings, attempts))
        self._otherwise = AppriseChannel(settings, attempts)

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        scheme = sending.address.partition(":")[0].lower()
        return await self._by_scheme.get(scheme, self._otherwise).send(sending, now)
