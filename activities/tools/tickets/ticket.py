"""Tickets and comments: the arguments of the tools, the results of a tracker, and its protocol.

Neither GitHub nor Jira supports idempotency keys. Each request that creates something therefore carries a
marker derived from the key. People do not see the marker; `Tracker.find_ticket` finds the effect with it.

The tools and each vendor's module import this module; it imports none of them.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Final, Protocol

from pydantic import AfterValidator, BaseModel, Field

from activities.tools.control_characters import control_character
from plangate.domain.plans.tool import Reference, ToolArguments
from plangate.tool import NotFound

MAX_TITLE: Final = 250  # Jira takes 254 characters, GitHub 256
MAX_BODY: Final = 30_000  # Jira takes 32,767 characters, GitHub 65,536
MAX_NUMBER: Final = 10**12
# The time limit for a call. A request ends much sooner (`Limits`); the rest is for a vendor that is still
# processing it, or whose lists lag. After the limit, an effect that is not listed did not happen.
ACT_SECONDS: Final = 75
MARK: Final = "<!-- plangate:"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take, in seconds: to connect, between parts of the response, and in total."""

    connect: float = 5
    read: float = 20
    whole: float = 30


def marker_of(idempotency_key: str) -> str:
    """Return the marker of an effect, 64 hex digits."""
    return hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(text: str, allowed: str, limit: int) -> str:
    control = control_character(text, allowed)
    if control:
        raise ValueError(f"contains the control character {control}; remove it")
    text = unicodedata.normalize("NFC", text)
    if text != text.strip():
        raise ValueError("begins or ends with a space or a line break; remove it")
    # UTF-16 units, as Java and JavaScript count them: an emoji is two.
    if len(text.encode("utf-16-le")) > 2 * limit:
        raise ValueError(f"is longer than {limit:,} characters")
    return text


def _plain_title(text: str) -> str:
    return _plain(text, "", MAX_TITLE)


def _plain_body(text: str) -> str:
    text = _plain(text, "\n\t", MAX_BODY)
    if MARK in text:
        raise ValueError(f"contains {MARK!r}, which marks what Plangate has written; remove it")
    return text


Project = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?$",
        max_length=150,
        description="where: a GitHub repository such as acme/support, or the key of a Jira project",
    ),
]
Body = Annotated[
    str, Field(min_length=1, max_length=MAX_BODY, description="text"), AfterValidator(_plain_body)
]


class CreateTicketArguments(ToolArguments):
    """One ticket, exactly as shown to the approver and as sent."""

    project: Project
    title: Annotated[str, AfterValidator(_plain_title)] = Field(
        min_length=1, max_length=MAX_TITLE, description="one line"
    )
    body: Body


class CommentTicketArguments(ToolArguments):
    """One comment, exactly as shown to the approver and as sent."""

    project: Project
    ticket: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | Reference = Field(
        description="the number of the ticket: 12 for OPS-12"
    )
    body: Body


class CreatedTicket(BaseModel):
    """The fields of a receipt that later steps can refer to."""

    number: int
    key: str
    url: str


class AddedComment(BaseModel):
    """The same as `CreatedTicket`, for a comment."""

    id: str
    ticket: str
    url: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """An existing ticket.

    Attributes:
        number: its number in the project where it was created; None if it was moved to another project, so
            that no later step mistakes it for a number in the original project.
        key: its displayed name.
        url: its address in the browser.
        differs: the way in which it differs from the request.
    """

    number: int | None
    key: str
    url: str
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Comment:
    """An existing comment; ``differs`` as in `Ticket`."""

    id: str
    url: str
    differs: str = ""


@dataclass(frozen=True, slots=True)
class TicketState:
    """The state of a ticket, as shown to the approvers of a comment."""

    title: str
    state: str
    kind: str = "ticket"


class Tracker(Protocol):
    """A vendor's ticket system.

    Each method that changes something sends one request and raises the same errors as
    `plangate.tool.Tool.act`; the others raise `ToolUnavailable` or `ToolRefused`.
    """

    name: str
    projects: tuple[str, ...]
    setting: str
    can_close: bool

    def key_of(self, project: str, number: int) -> str:
        """Return the displayed name of a ticket."""

    async def create(self, wanted: CreateTicketArguments, marker: str) -> Ticket:
        """Create a ticket."""

    async def find_ticket(self, wanted: CreateTicketArguments, marker: str) -> Ticket | NotFound:
        """Return the oldest ticket with this marker."""

    async def close(self, project: str, number: int) -> None:
        """Close a ticket as not planned."""

    async def ticket_state(self, project: str, number: int) -> TicketState:
        """Return the state of a ticket."""

    async def comment(self, project: str, number: int, body: str, marker: str) -> Comment:
        """Comment on a ticket."""

    async def find_comment(self, project: str, number: int, body: str, marker: str) -> Comment | NotFound:
        """Return the oldest comment with this marker on the ticket."""

    async def delete_comment(self, project: str, number: int, comment: str) -> None:
        """Delete a comment."""

    async def has_comment(self, project: str, number: int, comment: str) -> bool:
        """Return whether a comment exists."""


def where_to_look(what: str, where: str) -> str:
    """Return the place where a person can look if the lists do not include the time of the call."""
    return f"Its marker is not among the newest entries. Look for {what} in {where}."


def oldest_of(created: Sequence[datetime], *, is_whole: bool) -> datetime | None:
    """Return the time from which a list of entries, newest first, is complete; None if none are missing.

    A list in any other order is complete only from the time of its newest entry onward.
    """
    if is_whole:
        return None
    is_newest_first = all(newer >= older for newer, older in pairwise(created))
    return created[-1] if is_newest_first else max(created)
