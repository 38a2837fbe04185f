"""Send a notice by Apprise: Slack, Teams, Telegram, ntfy and many more. The only importer of apprise."""

import asyncio
from datetime import datetime
from typing import Final

from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.texts import CHAT, written
from plangate.policy.notify_addresses import filled_in, variables_in
from plangate.settings import Settings, variable_of_environment

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 10


class AppriseChannel:
    """Sends notices by Apprise."""

    def __init__(self, settings: Settings) -> None:
        self._inbox = settings.web_url

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        values = {name: variable_of_environment(name) for name in variables_in(sending.address)}
        missing = [name for name, value in values.items() if not value]
        if missing:
            said = f"The address {sending.address} needs the variable {missing[0]}, which is not set here."
            return Attempted(delivery=Delivery.REFUSED, reason=said)
        url = filled_in(sending.address, {name: value or "" for name, value in values.items()})
        message = written(sending, now, self._inbox, CHAT)
        return await asyncio.to_thread(_notified, url, sending.address, message.subject, message.text)


def _notified(url: str, address: str, subject: str, text: str) -> Attempted:
    import apprise  # noqa: PLC0415  a quarter of a second, in the sender of notices only

    one = apprise.Apprise()
    if not one.add(url):
        return Attempted(delivery=Delivery.REFUSED, reason=f"The address {address} is not one of Apprise.")
    result = one.notify(title=subject, body=text, body_format=apprise.NotifyFormat.TEXT)
    if result:
        return Attempted(delivery=Delivery.SENT)
    return Attempted(delivery=Delivery.LATER, reason=f"{address} did not take the message.")
