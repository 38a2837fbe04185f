"""Where mails go while no mail server is set: a folder of .eml files, one whole file for each mail, or none.

A folder answers for itself alone: another worker may have another one, the mail may have begun at a mail
server, and people file mails away. So it says nothing that a file is missing. Each mail begins as a hidden
draft of its name, which is renamed to be the mail:

    .NAME.begun      it began here and did not happen, nor will it once the draft is taken away
    NAME.eml         it happened
    neither          nobody can say from here: it began elsewhere, was filed away, or has not begun
"""

import asyncio
from contextlib import suppress
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

from activities.tools.email.tool import Mail, mail_receipt
from plangate.domain.errors import EffectUnknown, ToolUnavailable
from plangate.domain.tool import Receipt
from plangate.files.durable_file import move, take_away, write_over
from plangate.tool import DidNotHappen, EffectStatus, Happened, Unknown


class Outbox:
    """The folder of one worker, or of several that share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, mail: Mail) -> Receipt:
        """Write the mail, unless it lies there already."""
        return await asyncio.to_thread(self._put, mail)

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Say what became of a mail, and make sure of it: one that did not happen cannot any more."""
        return await asyncio.to_thread(self._settle, mail)

    def _put(self, mail: Mail) -> Receipt:
        there = self._receipt(mail)
        if there is not None:
            return there
        self._begin(mail)
        try:
            with suppress(FileNotFoundError):  # another attempt has put it there, or taken it away
                move(self._draft(mail), self._path(mail))
            return _receipt_of_file(self._path(mail))
        except OSError as error:
            raise EffectUnknown(self._fault("written to", error)) from error

    def _begin(self, mail: Mail) -> None:
        try:
            write_over(self._draft(mail), mail.content)
        except OSError as error:
            with suppress(OSError):  # the claim is given back, and the next attempt may have another outbox
                take_away(self._draft(mail))
            raise ToolUnavailable(self._fault("written to", error)) from error

    def _settle(self, mail: Mail) -> EffectStatus:
        try:
            never_was_there = take_away(self._draft(mail))
        except OSError as error:
            raise ToolUnavailable(self._fault("written to", error)) from error
        there = self._receipt(mail)
        if there is not None:
            return Happened(there)
        if never_was_there:
            return DidNotHappen()
        return Unknown(
            f"The mail is not in the outbox {self._folder}, where it may never have begun. Look for the "
            f"Message-ID {mail.letter.message_id} where its mails are filed away, in the outboxes of other "
            "workers, and in the log of a mail server that was set before."
        )

    def _receipt(self, mail: Mail) -> Receipt | None:
        try:
            return _receipt_of_file(self._path(mail))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ToolUnavailable(self._fault("read", error)) from error

    def _fault(self, done: str, error: OSError) -> str:
        return f"The outbox {self._folder} cannot be {done} ({error.strerror})."

    def _path(self, mail: Mail) -> Path:
        return self._folder / f"{mail.name}.eml"

    def _draft(self, mail: Mail) -> Path:
        return self._folder / f".{mail.name}.begun"


def _receipt_of_file(path: Path) -> Receipt:
    """Read the receipt back from the mail that lies there; another attempt may have written it."""
    headers = BytesHeaderParser(policy=policy.default).parsebytes(path.read_bytes())
    return mail_receipt(
        f"written to {path.name} in the outbox, as no mail server is set",
        message_id=str(headers["Message-ID"]).strip(),  # a folded header begins with its fold
        to=_addresses(headers["To"]),
        cc=_addresses(headers["Cc"]),
        subject=str(headers["Subject"]),
        file=str(path),
    )


def _addresses(header: str | None) -> list[str]:
    return [address.strip() for address in str(header).split(",")] if header else []
