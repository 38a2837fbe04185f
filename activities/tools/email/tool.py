"""The tool `send_email`: one plain-text email, sent by SMTP or, without a server, written to a folder.

`message` validates the arguments and composes the email; `wire` produces its bytes and compares them with the
approved email; `outbox` and `smtp` deliver it; `attachments` reads the attached files.

A file is read once, when the plan is drafted. Its bytes are stored under their digest, which the approvers
see, and exactly these bytes are sent. If the file changes later, the step still runs, and the new content is
never sent (docs/decisions/0050).
"""

import asyncio
import hashlib
from collections.abc import Collection
from typing import ClassVar, Final, Self

from pydantic import JsonValue

from activities.tools.email.attachments import MAX_BYTES, SETTING, AttachmentsFolder, media_type_of
from activities.tools.email.message import Delivery, Mail, SendEmailArguments, SentMail, compose
from activities.tools.email.outbox import Outbox
from plangate.domain.errors import RecordsUnavailable, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut
from plangate.domain.plans.attachments import Attachment, attachments_in, observation_of
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolDeclaration
from plangate.domain.plurals import counted, line_count
from plangate.mail.address import checked_sender
from plangate.mail.wire import AttachedFile
from plangate.settings import Settings
from plangate.tool import Blobs, EffectStatus, Observes

_MAX_SHOWN_LIST: Final = 700  # characters for all recipients, or for all files, in a preview
_KILO: Final = 1_000


class SendEmail(Observes):
    """Sends one email; after a crash, looks up whether it was sent, if that is possible."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="send_email",
        description="Send one plain-text mail, with attachments if an operator allows them. There are no "
        "blind copies.",
        arguments=SendEmailArguments,
        identifying=("to", "cc", "subject"),
        # Correct for all settings: an outbox can look up its deliveries, but a mail server cannot be queried.
        retry_safety=RetrySafety.UNKNOWABLE,
        # 5 minutes to connect, 5 for the envelope, 10 for the last reply (see plangate.mail), 1 in reserve.
        seconds=21 * 60,
        receipt=SentMail,
    )

    def __init__(
        self,
        delivery: Delivery,
        sender: str,
        folder: AttachmentsFolder | None = None,
        blobs: Blobs | None = None,
        seen: tuple[Attachment, ...] | None = None,
    ) -> None:
        self._delivery = delivery
        self._sender = sender
        self._folder = folder
        self._blobs = blobs
        self._seen = seen

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool: with SMTP if a server is configured, otherwise with the outbox.

        Raises:
            SettingsInvalid: the sender, the server's address or the folder of attachments cannot be used.
        """
        sender = checked_sender(settings.mail_from)
        folder = AttachmentsFolder(settings.attachments_dir) if settings.attachments_dir else None
        if settings.smtp_url is None:
            return cls(Outbox(settings.outbox), sender, folder)
        # The command line reads declarations without loading the vendor's library.
        from activities.tools.email.smtp import SmtpDelivery  # noqa: PLC0415

        return cls(SmtpDelivery.from_url(settings.smtp_url), sender, folder)

    def with_blobs(self, blobs: Blobs) -> "SendEmail":
        """Return the tool with a store for attachments."""
        return SendEmail(self._delivery, self._sender, self._folder, blobs)

    def having_observed(self, seen: JsonValue) -> "SendEmail":
        """Return the tool for a step whose attachments were observed when its plan was drafted."""
        return SendEmail(self._delivery, self._sender, self._folder, self._blobs, attachments_in(seen))

    def lacks(self) -> str | None:
        """Return None, because without a mail server, emails go to the outbox."""
        return None

    def advice(self) -> str:
        """Return whether attachments can be sent."""
        if self._folder is None:
            return "Attachments cannot be sent here."
        return "Attachments are files in the operator's folder; attach only files that the request mentions."

    def objection(self, arguments: SendEmailArguments) -> str | None:
        """Return the reason why the settings forbid the email's attachments, or None."""
        if arguments.attachments and (self._folder is None or self._blobs is None):
            return f"attachments cannot be sent; an operator can set {SETTING}"
        return None

    def preview(self, arguments: SendEmailArguments, observation: JsonValue) -> str:
        """Return ``Email 1 recipient: ana@example.org, subject "Refund of 42.50 EUR", 3 lines``."""
        copies = [f"copy to {address}" for address in arguments.cc]
        parts = [
            cut(", ".join([*arguments.to, *copies]), _MAX_SHOWN_LIST),
            f'subject "{arguments.full_subject}"',
            _lines(arguments.body),
        ]
        files = attachments_in(observation)
        if files:
            listed = ", ".join(f"{one.name} ({_size(one.bytes)})" for one in files)
            parts.append(f"{counted(len(files), 'attachment')}: {cut(listed, _MAX_SHOWN_LIST)}")
        recipients = counted(len(arguments.to) + len(arguments.cc), "recipient")
        return f"Email {recipients}: {', '.join(parts)}"

    @property
    def observed_arguments(self) -> Collection[str]:
        """The attachments only, because the cited item may come from an earlier step."""
        return ("attachments",)

    def observes(self, arguments: SendEmailArguments) -> bool:
        """Return whether the email has attachments."""
        return bool(arguments.attachments)

    async def observe(self, arguments: SendEmailArguments) -> JsonValue:
        """Store the attachments and return their digests; for a drafted step, return the stored ones."""
        if not arguments.attachments:
            return None
        blobs = self._allowed(arguments)
        if self._seen is not None:
            kept = [one for one in self._seen if await blobs.read(one.sha256) is not None]
            return observation_of(kept)
        found: list[Attachment] = []
        for name in arguments.attachments:
            assert self._folder is not None  # `_allowed` has checked this
            left = MAX_BYTES - sum(one.bytes for one in found)
            content = await asyncio.to_thread(self._folder.read, name, left)
            found.append(
                Attachment(
                    name=name,
                    sha256=await blobs.keep(content),
                    bytes=len(content),
                    media_type=media_type_of(name),
                )
            )
        return observation_of(found)

    async def act(self, arguments: SendEmailArguments, idempotency_key: str) -> Receipt:
        """Send the email, with the bytes that were stored when the plan was drafted."""
        files = await self._files(arguments)
        mail = await asyncio.to_thread(compose, arguments, self._sender, idempotency_key, files)
        receipt = await self._delivery.deliver(mail)
        return _with_files(receipt, arguments, mail)

    async def find_out(self, arguments: SendEmailArguments, idempotency_key: str) -> EffectStatus:
        """Determine whether the email was sent, if the delivery supports this."""
        return await self._delivery.find_out(compose(arguments, self._sender, idempotency_key))

    def _allowed(self, arguments: SendEmailArguments) -> Blobs:
        objection = self.objection(arguments)
        if objection:
            raise ToolRefused(f"{objection[0].upper()}{objection[1:]}.")
        assert self._blobs is not None  # otherwise `objection` has refused the call
        return self._blobs

    async def _files(self, arguments: SendEmailArguments) -> tuple[AttachedFile, ...]:
        """Return the approved attachments from their store.

        Raises:
            ToolRefused: they differ from the attachments in the arguments, or are not stored.
            ToolUnavailable: the records are unavailable.
        """
        if not arguments.attachments:
            return ()
        blobs, seen = self._allowed(arguments), self._seen or ()
        if tuple(one.name for one in seen) != arguments.attachments:
            raise ToolRefused("The plan does not contain the digests of its attachments; nothing was sent.")
        files = []
        for one in seen:
            try:
                content = await blobs.read(one.sha256)
            except RecordsUnavailable as error:
                raise ToolUnavailable(f"The attachment {one.name} cannot be read now: {error}") from error
            if content is None or hashlib.sha256(content).hexdigest() != one.sha256:
                raise ToolRefused(
                    f"The attachment {one.name} is no longer in the records; nothing was sent. Propose the "
                    "plan again."
                )
            files.append(AttachedFile(one.name.rpartition("/")[2], one.media_type, content))
        return tuple(files)


def _with_files(receipt: Receipt, arguments: SendEmailArguments, mail: Mail) -> Receipt:
    """Return the receipt with the attachments that were sent."""
    if not arguments.attachments:
        return receipt
    sent: list[JsonValue] = [
        {"name": name, "sha256": hashlib.sha256(file.content).hexdigest(), "bytes": len(file.content)}
        for name, file in zip(arguments.attachments, mail.email.files, strict=True)
    ]
    return receipt.model_copy(update={"details": {**receipt.details, "attachments": sent}})


def _lines(body: str) -> str:
    return counted(line_count(body), "line") if body.strip() else "no text"


def _size(count: int) -> str:
    if count < _KILO:
        return counted(count, "byte")
    kilobytes = count / _KILO
    return f"{kilobytes:.0f} kB" if kilobytes < _KILO else f"{kilobytes / _KILO:.1f} MB"
