"""The email that `send_email` sends: its arguments, its normalized form, and the delivery interface.

An approver must see where an email goes. An address is therefore a plain ``name@host``: no misleading display
name, no quoting, no routing characters (``%``, ``!``). It is normalized to lower case, with the host in
A-labels. A recipient that is listed twice is kept once. Subject and body are in Unicode normal form C. No
argument can add a header, because all arguments are checked for line breaks.

The tool and both deliveries (`outbox`, `smtp`) import this module; it imports none of them.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Annotated, Final, Protocol

from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationInfo, field_validator

from activities.tools.control_characters import control_character
from activities.tools.email.attachments import MAX_FILES, MAX_PATH, normalized_name
from plangate.domain.plans.tool import Receipt, Reference, ToolArguments
from plangate.mail.address import MAX_ADDRESS, normalized_address
from plangate.mail.wire import AttachedFile, Email, composed, difference, refuse_difference
from plangate.tool import EffectStatus

MAX_RECIPIENTS: Final = 50
MAX_SUBJECT: Final = 200
MAX_BODY: Final = 100_000
MAX_CITED: Final = 100

_ENCODED_WORD: Final = re.compile(r"=\?[^?]*\?[^?]*\?[^?]*\?=")


def _plain_subject(text: str) -> str:
    control = control_character(text, allowed="")
    if control:
        raise ValueError(f"contains the control character {control}; a subject is one line of text")
    if text != text.strip():
        raise ValueError("begins or ends with a space; remove it")
    if _ENCODED_WORD.search(text):
        raise ValueError("contains '=?…?…?…?=', which mail programs decode; write the decoded text")
    if len(text := unicodedata.normalize("NFC", text)) > MAX_SUBJECT:
        raise ValueError(f"is longer than {MAX_SUBJECT} characters in Unicode normal form C")
    return text


def _plain_citation(text: str) -> str:
    text = _plain_subject(text)
    if len(text) > MAX_CITED:
        raise ValueError(f"is longer than {MAX_CITED} characters in Unicode normal form C")
    if "[" in text or "]" in text:
        raise ValueError("contains a square bracket, which the subject puts around it; remove it")
    return text


def _plain_body(text: str) -> str:
    control = control_character(text, allowed="\n\t")
    if control:
        raise ValueError(
            f"contains the control character {control}; only line breaks (\\n) and tabs are allowed"
        )
    if len(text := unicodedata.normalize("NFC", text)) > MAX_BODY:
        raise ValueError(f"is longer than {MAX_BODY} characters in Unicode normal form C")
    return text


def _at_least_one(addresses: tuple[str, ...]) -> tuple[str, ...]:
    # Not pydantic's min_length, which counts only valid addresses and would add a misleading second error.
    if not addresses:
        raise ValueError("is empty; give at least one address")
    return _without_duplicates(addresses)


def _without_duplicates(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))


def _with_distinct_names(paths: tuple[str, ...]) -> tuple[str, ...]:
    paths = _without_duplicates(paths)
    names = [path.rpartition("/")[2] for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"has two files called {name!r}, which their reader could not tell apart")
    return paths


def _is_empty(value: object) -> bool:
    return not value


FileName = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(normalized_name)]
Address = Annotated[str, Field(max_length=MAX_ADDRESS), AfterValidator(normalized_address)]


class SendEmailArguments(ToolArguments):
    """One mail, as the approver sees it and as it is sent."""

    to: Annotated[tuple[Address, ...], AfterValidator(_at_least_one)] = Field(
        max_length=MAX_RECIPIENTS,
        description="plain addresses such as dana@example.org",
        json_schema_extra={"minItems": 1},
    )
    cc: Annotated[tuple[Address, ...], AfterValidator(_without_duplicates)] = Field(
        default=(), max_length=MAX_RECIPIENTS, description="plain addresses that get a copy"
    )
    subject: Annotated[str, AfterValidator(_plain_subject)] = Field(
        min_length=1, max_length=MAX_SUBJECT, description="one line"
    )
    body: Annotated[str, AfterValidator(_plain_body)] = Field(max_length=MAX_BODY, description="plain text")

    # Omitted from the plan if empty, so that plans from before this field existed stay valid.
    attachments: Annotated[tuple[FileName, ...], AfterValidator(_with_distinct_names)] = Field(
        default=(),
        max_length=MAX_FILES,
        exclude_if=_is_empty,
        description="files of the folder of attachments, by relative name such as invoices/4711.pdf",
    )

    cites: Annotated[str, AfterValidator(_plain_citation)] | Reference = Field(
        default="",
        exclude_if=_is_empty,
        description="what the mail is about, such as the key of a ticket; it ends the subject, in brackets",
    )

    @property
    def full_subject(self) -> str:
        """The subject with the cited item, such as ``Your refund [acme/support#17]``."""
        return f"{self.subject} [{self.cites}]" if self.cites else self.subject

    @field_validator("cc", mode="after")
    @classmethod
    def _drop_recipients_from_cc(cls, cc: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(address for address in cc if address not in info.data.get("to", ()))


@dataclass(frozen=True, slots=True)
class Mail:
    """A composed email: its content as values and as bytes, and a name derived from the idempotency key."""

    name: str
    email: Email
    content: bytes

    @property
    def recipients(self) -> tuple[str, ...]:
        """All recipients: first ``to``, then ``cc``."""
        return self.email.recipients


def compose(
    arguments: SendEmailArguments, sender: str, idempotency_key: str, files: tuple[AttachedFile, ...] = ()
) -> Mail:
    """Compose the email for one effect; the same key always yields the same name and Message-ID.

    Raises:
        ToolRefused: its bytes differ from the approved email.
    """
    name = hashlib.sha256(idempotency_key.encode()).hexdigest()
    email = Email(
        sender=sender,
        to=arguments.to,
        cc=arguments.cc,
        subject=arguments.full_subject,
        body=arguments.body,
        # The local clock is good enough, because the date is only for the reader; the audit trail records its
        # own time.
        date=formatdate(),
        message_id=f"<{name}@{sender.rpartition('@')[2]}>",
        files=files,
    )
    content = composed(email)
    refuse_difference(difference(content, email))
    return Mail(name=name, email=email, content=content)


class Delivery(Protocol):
    """A way to deliver email."""

    async def deliver(self, mail: Mail) -> Receipt:
        """Deliver the email; raise the same errors as `Tool.act`."""

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Determine whether the same email was delivered earlier."""


class SentMail(BaseModel):
    """The fields of a receipt that later steps can refer to."""

    message_id: str
    subject: str


def mail_receipt(
    summary: str,
    *,
    message_id: str,
    to: Iterable[str],
    cc: Iterable[str],
    subject: str,
    final: bool,
    **more: JsonValue,
) -> Receipt:
    """Return the receipt for an email, in the same form for every delivery.

    ``final``: False if the email may still bounce, which is never looked up.
    """
    return Receipt(
        final=final,
        summary=summary,
        details={"message_id": message_id, "to": [*to], "cc": [*cc], "subject": subject, **more},
    )
