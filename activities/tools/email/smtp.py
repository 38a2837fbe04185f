"""Deliver the emails of `send_email` over SMTP."""

from collections.abc import Mapping
from typing import Final, Self

from pydantic import JsonValue, SecretStr

from activities.tools.email.message import Mail, mail_receipt
from plangate.domain.escaping import cut
from plangate.domain.plans.tool import Receipt
from plangate.mail.smtp import SmtpServer, named
from plangate.tool import EffectStatus, Unknown

_MAX_SUMMARY: Final = 2_000


class SmtpDelivery:
    """Delivery through a mail server."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server

    @classmethod
    def from_url(cls, url: SecretStr) -> Self:
        """Read the server from the setting; raise the same errors as `SmtpServer.from_url`."""
        return cls(SmtpServer.from_url(url))

    async def deliver(self, mail: Mail) -> Receipt:
        """Send the email to all recipients that the server does not permanently refuse."""
        accepted = await self._server.send(mail.email, mail.content)
        return self._receipt(mail, accepted.refused, accepted.reply)

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Return the place where a person can look, because a mail server cannot be queried."""
        return Unknown(
            f"Look for the Message-ID {mail.email.message_id} in the log of {self._server.name}, or ask "
            f"{mail.recipients[0]}: Plangate cannot tell whether the mail was sent."
        )

    def _receipt(self, mail: Mail, refused: Mapping[str, str], reply: str) -> Receipt:
        summary = f"accepted by the mail server {self._server.name}"
        more: dict[str, JsonValue] = {}
        if refused:
            more["refused"] = dict(refused)
            count, all_of = len(mail.recipients) - len(refused), len(mail.recipients)
            summary += f" for {count} of {all_of} recipients; it refused {named(refused)}"
        return mail_receipt(
            cut(summary, _MAX_SUMMARY),
            message_id=mail.email.message_id,
            to=(one for one in mail.email.to if one not in refused),
            cc=(one for one in mail.email.cc if one not in refused),
            subject=mail.email.subject,
            final=False,
            reply=reply,
            **more,
        )
