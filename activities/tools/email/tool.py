"""The tool ``send_email``: one plain-text mail, by SMTP, or as a file where no server is set.

An approver must be able to read where a mail goes. So an address is nothing but ``name@host``: no display
name that says something else, no quoting, no routing characters (``%``, ``!``). It has one spelling, in lower
case and with the host in A-labels; whom a plan names twice is named once. Subject and body are in Unicode's
normal form C. Nothing in the arguments can add a header: each is checked for line breaks here.

``mail_wire.py`` makes the bytes, and compares what leaves with what was approved. Files are written by
``outbox.py``. The SMTP side, with the vendor's library, is ``smtp_delivery.py``. One of them is imported.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Annotated, ClassVar, Final, Protocol, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from activities.tools.email.wire import Letter, composed, difference
from activities.tools.host_names import one_host
from plangate.domain.errors import SettingsInvalid, ToolRefused
from plangate.domain.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import EffectStatus

MAX_RECIPIENTS: Final = 50
MAX_SUBJECT: Final = 200
MAX_BODY: Final = 100_000

_ATOM: Final = r"[A-Za-z0-9_+=&'~#$*/-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_MAX_NAME: Final = 64
_MAX_ADDRESS: Final = 254
_ENCODED_WORD: Final = re.compile(r"=\?[^?]*\?[^?]*\?[^?]*\?=")
_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def _control_character(text: str, allowed: str) -> str | None:
    """Return the name of the first character that breaks or steers a line, if there is one."""
    for char in text:
        if unicodedata.category(char) in _CONTROL and char not in allowed:
            return f"U+{ord(char):04X}"
    return None


def one_address(text: str) -> str:
    """Return the one spelling of an address that means just what it looks like.

    Raises:
        ValueError: it is none; the message says why.
    """
    name, at, host = text.rpartition("@")
    if at and not host.isascii() and not any(char.isspace() for char in host):
        text = f"{name}@{one_host(host)}"
    foreign = next((char for char in text if not char.isascii()), None)
    if foreign is not None:
        raise ValueError(
            f"holds U+{ord(foreign):04X}, which is not ASCII and may only look like another letter; "
            "use an address whose part before the @ is ASCII"
        )
    text = text.lower()
    if not _ADDRESS.fullmatch(text) or text.index("@") > _MAX_NAME or len(text) > _MAX_ADDRESS:
        raise ValueError("is no plain address such as dana@example.org; leave out names, brackets and blanks")
    return f"{text.rpartition('@')[0]}@{one_host(text.rpartition('@')[2])}"


def _plain_subject(text: str) -> str:
    control = _control_character(text, allowed="")
    if control:
        raise ValueError(f"holds the control character {control}; a subject is one line of text")
    if text != text.strip():
        raise ValueError("begins or ends with a blank; take it out")
    if _ENCODED_WORD.search(text):
        raise ValueError(
            "holds '=?…?…?…?=', which mail programs turn into other text; write that text itself"
        )
    if len(text := unicodedata.normalize("NFC", text)) > MAX_SUBJECT:
        raise ValueError(f"is longer than {MAX_SUBJECT} characters in Unicode's normal form C")
    return text


def _plain_body(text: str) -> str:
    control = _control_character(text, allowed="\n\t")
    if control:
        raise ValueError(f"holds the control character {control}; use line breaks (\\n) and tabs alone")
    if len(text := unicodedata.normalize("NFC", text)) > MAX_BODY:
        raise ValueError(f"is longer than {MAX_BODY} characters in Unicode's normal form C")
    return text


def _somebody(addresses: tuple[str, ...]) -> tuple[str, ...]:
    # Not pydantic's min_length, which counts the valid ones only and so adds a second, wrong fault.
    if not addresses:
        raise ValueError("names nobody; give one address at least")
    return _once_each(addresses)


def _once_each(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


Address = Annotated[str, Field(max_length=_MAX_ADDRESS), AfterValidator(one_address)]


class SendEmailArguments(ToolArguments):
    """One mail, as the approver sees it and as it goes out."""

    to: Annotated[tuple[Address, ...], AfterValidator(_somebody)] = Field(
        max_length=MAX_RECIPIENTS,
        description="plain addresses such as dana@example.org",
        json_schema_extra={"minItems": 1},
    )
    cc: Annotated[tuple[Address, ...], AfterValidator(_once_each)] = Field(
        default=(), max_length=MAX_RECIPIENTS, description="plain addresses that get a copy"
    )
    subject: Annotated[str, AfterValidator(_plain_subject)] = Field(
        min_length=1, max_length=MAX_SUBJECT, description="one line"
    )
    body: Annotated[str, AfterValidator(_plain_body)] = Field(max_length=MAX_BODY, description="plain text")

    @field_validator("cc", mode="after")
    @classmethod
    def _copy_nobody_who_gets_it(cls, cc: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(address for address in cc if address not in info.data.get("to", ()))


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it goes out: what it says, the bytes, and the name that its idempotency key gives it."""

    name: str
    letter: Letter
    content: bytes

    @property
    def recipients(self) -> tuple[str, ...]:
        """Everybody who gets it."""
        return (*self.letter.to, *self.letter.cc)


def compose(arguments: SendEmailArguments, sender: str, idempotency_key: str) -> Mail:
    """Return the mail of one effect; under the same key it has the same names, whenever it is composed.

    Raises:
        ToolRefused: its bytes do not say what was approved.
    """
    name = hashlib.sha256(idempotency_key.encode()).hexdigest()
    letter = Letter(
        sender=sender,
        to=arguments.to,
        cc=arguments.cc,
        subject=arguments.subject,
        body=arguments.body,
        # This machine's own clock will do: the date is for the mail's reader; Plangate's record has its own.
        date=formatdate(),
        message_id=f"<{name}@{sender.rpartition('@')[2]}>",
    )
    content = composed(letter)
    refuse_unlike(difference(content, letter))
    return Mail(name=name, letter=letter, content=content)


def refuse_unlike(unlike: str | None) -> None:
    """Do nothing where a mail's bytes say what was approved.

    Raises:
        ToolRefused: they do not, in the part that ``unlike`` names.
    """
    if unlike:
        raise ToolRefused(
            f"What would be sent is not the mail that was approved ({unlike}); nothing was sent. This "
            "is a fault of Plangate or its mail library: report it."
        )


class Delivery(Protocol):
    """A way for a mail to go out."""

    async def deliver(self, mail: Mail) -> Receipt:
        """Send it; raises as `Tool.act` does."""

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Say what became of an earlier delivery of the same mail."""


def mail_receipt(
    summary: str, *, message_id: str, to: Iterable[str], cc: Iterable[str], subject: str, **more: str
) -> Receipt:
    """Return the receipt of a mail, the same in form whichever way it went out."""
    return Receipt(
        summary=summary,
        details={"message_id": message_id, "to": [*to], "cc": [*cc], "subject": subject, **more},
    )


class SendEmail:
    """Sends one mail, or knows whether it was sent."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="send_email",
        description="Send one plain-text mail. Nothing can be attached, and nobody gets a blind copy.",
        arguments=SendEmailArguments,
        # What holds under any setting: an outbox knows what began in it, but a mail server cannot be asked.
        retry_safety=RetrySafety.UNKNOWABLE,
        # Five minutes to get in, five for the envelope, ten for the last reply: see smtp_delivery.py.
        seconds=21 * 60,
    )

    def __init__(self, delivery: Delivery, sender: str) -> None:
        self._delivery = delivery
        self._sender = sender

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool: over SMTP if a server is set, over the outbox else.

        Raises:
            SettingsInvalid: the sender or the server's address cannot be used.
        """
        try:
            sender = one_address(settings.mail_from)
        except ValueError as error:
            raise SettingsInvalid(f"The setting PLANGATE_MAIL_FROM cannot be used: it {error}.") from None
        if settings.smtp_url is None:
            from activities.tools.email.outbox import Outbox  # noqa: PLC0415  as the other one

            return cls(Outbox(settings.outbox), sender)
        from activities.tools.email.smtp import SmtpServer  # noqa: PLC0415  slow to import, seldom needed

        return cls(SmtpServer.from_url(settings.smtp_url), sender)

    def objection(self, arguments: SendEmailArguments) -> str | None:  # noqa: ARG002  part of every tool
        """Object to nothing: whatever the arguments' model lets through may be sent."""
        return None

    async def act(self, arguments: SendEmailArguments, idempotency_key: str) -> Receipt:
        """Send the mail."""
        return await self._delivery.deliver(compose(arguments, self._sender, idempotency_key))

    async def find_out(self, arguments: SendEmailArguments, idempotency_key: str) -> EffectStatus:
        """Say whether the mail was sent, as far as its delivery can know."""
        return await self._delivery.find_out(compose(arguments, self._sender, idempotency_key))
