"""Pick the channel of an address by its scheme."""

from datetime import datetime

from plangate.notifications.apprise_channel import AppriseChannel
from plangate.notifications.mail import SCHEME, MailChannel
from plangate.notifications.notice import Attempted, Sending
from plangate.settings import Settings


class Channels:
    """All channels; implements `plangate.notifications.notice.Channel`."""

    def __init__(self, settings: Settings) -> None:
        """Read the settings.

        Raises:
            SettingsInvalid: the sender or the server of mails cannot be used.
        """
        self._mail = MailChannel(settings)
        self._apprise = AppriseChannel(settings)

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        if sending.address.partition(":")[0].lower() == SCHEME:
            return await self._mail.send(sending, now)
        return await self._apprise.send(sending, now)
