"""Deliver emails as .eml files into a folder, if no mail server is configured.

An email is written completely or not at all: it starts as a hidden draft, which is then renamed.

    .NAME.begun      the delivery began here and did not happen; once the draft is removed, it cannot
    NAME.eml         the email was delivered
    neither          unknown: the delivery began elsewhere, the file was moved away, or it never began

A missing file does not mean that the email was not delivered: another worker may use another folder, an
earlier attempt may have used a mail server, and people move files.
"""

import asyncio
from contextlib import suppress
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

from activities.tools.email.message import Mail, mail_receipt
from plangate.domain.errors import EffectUnknown, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.files.durable_file import delete_if_exists, move, write_over
from plangate.tool import DidNotHappen, EffectStatus, Happened, Unknown


class Outbox:
    """A folder of emails, used by one worker or shared by several."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, mail: Mail) -> Receipt:
        """Write the email unless it is already there."""
        return await asyncio.to_thread(self._put, mail)

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Determine whether the email was delivered; if not, ensure that it is not delivered later."""
        return await asyncio.to_thread(self._find_or_cancel, mail)

    def _put(self, mail: Mail) -> Receipt:
        receipt = self._receipt(mail)
        if receipt is not None:
            return receipt
        self._begin(mail)
        try:
            with suppress(FileNotFoundError):  # another attempt has delivered or cancelled it
                move(self._draft(mail), self._path(mail))
            return _receipt_of_file(self._path(mail))
        except OSError as error:
            raise EffectUnknown(self._problem("written to", error)) from error

    def _begin(self, mail: Mail) -> None:
        try:
            write_over(self._draft(mail), mail.content)
        except OSError as error:
            with suppress(OSError):  # the next attempt may use another outbox
                delete_if_exists(self._draft(mail))
            raise ToolUnavailable(self._problem("written to", error)) from error

    def _find_or_cancel(self, mail: Mail) -> EffectStatus:
        try:
            draft_was_removed = delete_if_exists(self._draft(mail))
        except OSError as error:
            raise ToolUnavailable(self._problem("written to", error)) from error
        receipt = self._receipt(mail)
        if receipt is not None:
            return Happened(receipt)
        if draft_was_removed:
            return DidNotHappen()
        return Unknown(
            f"The mail is not in the outbox {self._folder}, and may have been delivered elsewhere. Look for "
            f"the Message-ID {mail.email.message_id} where its emails are archived, in the outboxes "
            "of other workers, and in the log of any mail server that was configured before."
        )

    def _receipt(self, mail: Mail) -> Receipt | None:
        try:
            return _receipt_of_file(self._path(mail))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ToolUnavailable(self._problem("read", error)) from error

    def _problem(self, action: str, error: OSError) -> str:
        return f"The outbox {self._folder} cannot be {action} ({error.strerror})."

    def _path(self, mail: Mail) -> Path:
        return self._folder / f"{mail.name}.eml"

    def _draft(self, mail: Mail) -> Path:
        return self._folder / f".{mail.name}.begun"


def _receipt_of_file(path: Path) -> Receipt:
    """Read the receipt back from a stored email, which another attempt may have written."""
    headers = BytesHeaderParser(policy=policy.default).parsebytes(path.read_bytes())
    return mail_receipt(
        f"only put into the outbox, as {path.name}: no mail server is configured, so it was not sent",
        message_id=str(headers["Message-ID"]).strip(),  # a folded header begins with a line break
        to=_addresses(headers["To"]),
        cc=_addresses(headers["Cc"]),
        subject=str(headers["Subject"]),
        final=True,
        file=str(path),
    )


def _addresses(header: str | None) -> list[str]:
    return [address.strip() for address in str(header).split(",")] if header else []
