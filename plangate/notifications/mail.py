"""Send a notice as an email, to one recipient: over SMTP, or into the outbox if no server is set.

The emails about one run form one thread for each reader, because they all refer to one Message-ID, which no
email has. If a server refuses the recipient or the email, the failure is permanent. If it refuses the login,
the sender or encryption, an operator has to fix that, so the email is retried later.
"""

import asyncio
import hashlib
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from plangate.domain.errors import EffectUnknown, ToolError
from plangate.files.durable_file import write_over
from plangate.mail.address import checked_sender, normalized_address
from plangate.mail.failures import ContentRefused, RecipientsRefused
from plangate.mail.wire import Email, composed, difference, refuse_difference
from plangate.notifications.message import Message
from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.texts import written
from plangate.notifications.timeouts import TIMEOUTS, Timeouts
from plangate.settings import Settings

SCHEME: Final = "mailto"
# RFC 3463: the description of each class of replies.
_REASONS: Final = {
    "5.1.1": "there is no such mailbox",
    "5.1.2": "there is no such host",
    "5.1.6": "the mailbox has moved",
    "5.2.1": "the mailbox is disabled",
    "5.2.2": "the mailbox is full",
    "5.2.3": "the mail is too long for it",
    "5.4.1": "the server does not accept mail for it",
    "5.7.1": "the server does not allow mail to it",
    "5.7.26": "the server cannot verify the sender of the mail",
}
_BY_CODE: Final = {"550": "there is no such mailbox, or the server does not allow mail to it"}


class MailChannel:
    """Sends notices as emails."""

    def __init__(self, settings: Settings, timeouts: Timeouts = TIMEOUTS) -> None:
        """Read the settings.

        Raises:
            SettingsInvalid: the sender or the server's address cannot be used.
        """
        self._sender = checked_sender(settings.mail_from)
        self._inbox = settings.web_url
        self._outbox = settings.outbox
        self._server = None
        if settings.smtp_url is not None:
            from plangate.mail.smtp import SmtpServer  # noqa: PLC0415  the library, only where a server is set

            self._server = SmtpServer.from_url(
                settings.smtp_url, envelope_seconds=timeouts.envelope, reply_seconds=timeouts.reply
            )

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one email to one address."""
        typed = sending.address.removeprefix(f"{SCHEME}:")
        try:
            to = normalized_address(typed)
        except ValueError as error:
            return Attempted(delivery=Delivery.REFUSED, reason=f"The address {typed!r} {error}.")
        email = self._email(sending, to, written(sending, now, self._inbox), now)
        content = composed(email)
        try:
            refuse_difference(difference(content, email))
            if self._server is None:
                return await asyncio.to_thread(self._put, email, content)
            await self._server.send(email, content)
        except ToolError as error:
            return _attempted(error)
        return Attempted(delivery=Delivery.SENT)

    def objection(self, address: str) -> str:
        """Return the reason why an address cannot be used, beginning with a verb; empty if it can."""
        try:
            normalized_address(address.removeprefix(f"{SCHEME}:"))
        except ValueError as error:
            return str(error)
        return ""

    def _email(self, sending: Sending, to: str, message: Message, now: datetime) -> Email:
        host = self._sender.rpartition("@")[2]
        runs = {notice.facts.workflow_id for notice in sending.notices}
        events = (f"{one.facts.workflow_id} {one.event}" for one in sending.notices)
        own = sending.message_id or "\n".join(events)
        thread = f"<{_digest('thread', to, *runs)}@{host}>" if len(runs) == 1 else ""
        return Email(
            sender=self._sender,
            to=(to,),
            cc=(),
            subject=message.subject,
            body=message.text,
            date=format_datetime(now),
            message_id=f"<{_digest('mail', to, own)}@{host}>",
            html=message.html,
            fields=(
                *((("In-Reply-To", thread), ("References", thread)) if thread else ()),
                ("Auto-Submitted", "auto-generated"),
                ("X-Auto-Response-Suppress", "All"),
                ("List-Id", f"Plangate <notices.plangate.{host}>"),
            ),
        )

    def _put(self, email: Email, content: bytes) -> Attempted:
        path = self._outbox / f"{email.message_id[1:].partition('@')[0]}.eml"
        try:
            write_over(path, content)
        except OSError as error:
            reason = f"The outbox {self._outbox} cannot be written to ({error.strerror})."
            return Attempted(delivery=Delivery.LATER, reason=reason)
        reason = (
            f"only put into the outbox, as {path.name}: no mail server is configured, so it was not delivered"
        )
        return Attempted(delivery=Delivery.SENT, reason=reason)


def _attempted(error: ToolError) -> Attempted:
    match error:
        case RecipientsRefused(reply=reply):
            reason = f"{_reason(reply)} ({reply})."
            return Attempted(delivery=Delivery.REFUSED, reason=reason)
        case ContentRefused(reply=reply):
            reason = f"the mail server refuses this mail: {_reason(reply)} ({reply})."
            return Attempted(delivery=Delivery.REFUSED, reason=reason)
        case EffectUnknown():
            return Attempted(delivery=Delivery.LATER, reason=str(error), is_in_doubt=True)
        case _:  # the server, the connection, the login or the sender
            return Attempted(delivery=Delivery.LATER, reason=str(error))


def _reason(reply: str) -> str:
    code, _, rest = reply.partition(" ")
    return (
        _REASONS.get(rest.partition(" ")[0]) or _BY_CODE.get(code) or "the mail server refuses it permanently"
    )


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:40]
