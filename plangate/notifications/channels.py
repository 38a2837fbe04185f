"""Pick the channel for an address by its scheme."""

from collections.abc import Iterator
from datetime import datetime

from plangate.domain.people.people import ROLE, People
from plangate.notifications.addresses import addresses_of
from plangate.notifications.apprise_channel import AppriseChannel
from plangate.notifications.in_thread import Attempts
from plangate.notifications.mail import SCHEME, MailChannel
from plangate.notifications.notice import Attempted, Sending
from plangate.notifications.timeouts import TIMEOUTS, Timeouts
from plangate.notifications.webhook import SCHEMES, WebhookChannel
from plangate.settings import Settings


class Channels:
    """All channels; implements `plangate.notifications.notice.Channel`."""

    def __init__(self, settings: Settings, timeouts: Timeouts = TIMEOUTS) -> None:
        """Read the settings.

        Raises:
            SettingsInvalid: the mail sender or the mail server cannot be used.
        """
        attempts = Attempts(timeouts)
        self._mail = MailChannel(settings, timeouts)
        self._webhooks = WebhookChannel(settings, attempts)
        self._apprise = AppriseChannel(settings, attempts)

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        return await self._for(sending.address).send(sending, now)

    def objections(self, people: People) -> Iterator[tuple[str, str, str]]:
        """Yield each address that cannot be used, with its person or role, and the reason.

        Errors that only the server can report are not detected. The first call loads Apprise, which takes
        0.25 s.
        """
        names = [person.name for person in people.persons]
        names += [f"{ROLE}{role.name}" for role in people.described_roles]
        for name in names:
            for address in addresses_of(people, name):
                wrong = self._for(address).objection(address)
                if wrong:
                    yield name, address, wrong

    def _for(self, address: str) -> MailChannel | WebhookChannel | AppriseChannel:
        scheme = address.partition(":")[0].lower()
        if scheme == SCHEME:
            return self._mail
        return self._webhooks if scheme in SCHEMES else self._apprise
