"""The tool `send_email`: one plain-text mail, by SMTP, or written to a folder if no server is configured.

`message` validates the arguments and composes the mail; `wire` makes its bytes and compares what is about to
be sent with what was approved; `outbox` and `smtp` deliver it.
"""

from typing import ClassVar, Self

from activities.tools.email.message import Delivery, SendEmailArguments, compose, one_address
from activities.tools.email.outbox import Outbox
from plangate.domain.errors import SettingsInvalid
from plangate.domain.tool import Receipt, RetrySafety, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import EffectStatus


class SendEmail:
    """Sends one mail, and says after a crash whether it was sent, where that can be known."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="send_email",
        description="Send one plain-text mail. Attachments and blind copies are not supported.",
        arguments=SendEmailArguments,
        # True under any setting: an outbox knows what it began, but a mail server cannot be asked.
        retry_safety=RetrySafety.UNKNOWABLE,
        # 5 minutes to connect, 5 for the envelope, 10 for the last reply (see smtp.py), 1 in reserve.
        seconds=21 * 60,
    )

    def __init__(self, delivery: Delivery, sender: str) -> None:
        self._delivery = delivery
        self._sender = sender

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool: over SMTP if a server is configured, else over the outbox.

        Raises:
            SettingsInvalid: the sender or the server's address cannot be used.
        """
        try:
            sender = one_address(settings.mail_from)
        except ValueError as error:
            raise SettingsInvalid(f"The setting PLANGATE_MAIL_FROM cannot be used: it {error}.") from None
        if settings.smtp_url is None:
            return cls(Outbox(settings.outbox), sender)
        # The command line reads declarations without loading the vendor's library.
        from activities.tools.email.smtp import SmtpServer  # noqa: PLC0415

        return cls(SmtpServer.from_url(settings.smtp_url), sender)

    def objection(self, arguments: SendEmailArguments) -> str | None:  # noqa: ARG002  part of every tool
        """Return None: every mail that its arguments model accepts may be sent."""
        return None

    async def act(self, arguments: SendEmailArguments, idempotency_key: str) -> Receipt:
        """Send the mail."""
        return await self._delivery.deliver(compose(arguments, self._sender, idempotency_key))

    async def find_out(self, arguments: SendEmailArguments, idempotency_key: str) -> EffectStatus:
        """Determine whether the mail was sent, as far as its delivery can know."""
        return await self._delivery.find_out(compose(arguments, self._sender, idempotency_key))
