"""The tools `create_ticket` and `comment_ticket`: one ticket or one comment, in an allowed project.

`ticket` defines the arguments and the protocol of a tracker; `github` and `jira` each talk to one vendor;
`answers` classifies the responses; `choice` reads the settings.

Neither vendor supports idempotency keys, so both tools look up their effect by its marker. If there is no
trace of it, the worker waits until it can no longer happen (docs/decisions/0057).
"""

import re
from dataclasses import replace
from typing import ClassVar, Final, Self

from pydantic import JsonValue

from activities.tools.tickets.choice import Missing, tracker_of
from activities.tools.tickets.ticket import (
    ACT_SECONDS,
    AddedComment,
    Comment,
    CommentTicketArguments,
    CreatedTicket,
    CreateTicketArguments,
    Ticket,
    Tracker,
    marker_of,
)
from plangate.domain.errors import ToolRefused
from plangate.domain.escaping import cut
from plangate.domain.plans.tool import Receipt, Reference, RetrySafety, ToolDeclaration
from plangate.domain.plurals import counted, line_count
from plangate.settings import Settings
from plangate.tool import EffectStatus, Happened, NotFound, Observes, Repeatable

_MENTION: Final = re.compile(
    r"(?<![\w@/.])@[A-Za-z0-9][A-Za-z0-9-]*(?:/[A-Za-z0-9_.-]+)?|\[~[^\]\n]{1,100}\]"
)
_SHOWN_MENTIONS: Final = 200  # characters in a preview
_SHOWN_TITLE: Final = 260


class _TicketTool:
    """The common base class of both tools."""

    def __init__(self, tracker: Tracker | Missing) -> None:
        self._chosen = tracker

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool for the tracker that the settings specify.

        Raises:
            SettingsInvalid: a setting of the tracker cannot be used.
        """
        return cls(tracker_of(settings))

    def lacks(self) -> str | None:
        """Return what is missing: a setting or a library."""
        return self._chosen.sentence if isinstance(self._chosen, Missing) else None

    def advice(self) -> str:
        """Return the allowed projects for the planner."""
        if isinstance(self._chosen, Missing):
            return ""
        return f"Allowed projects, on {self._chosen.name}: {', '.join(self._chosen.projects)}."

    def objection(self, arguments: CreateTicketArguments | CommentTicketArguments) -> str | None:
        """Return the reason why the settings forbid this project, or None."""
        if isinstance(self._chosen, Missing):
            return self._chosen.sentence
        if arguments.project in self._chosen.projects:
            return None
        allowed = ", ".join(self._chosen.projects)
        return (
            f"the project {arguments.project} may not be used; allowed: {allowed}; an operator can add it "
            f"to {self._chosen.setting}"
        )

    @property
    def _tracker(self) -> Tracker:
        """The tracker.

        Raises:
            ToolRefused: no tracker is configured.
        """
        if isinstance(self._chosen, Missing):
            raise ToolRefused(f"Tickets cannot be used: {self._chosen.sentence}.")
        return self._chosen

    @property
    def _where(self) -> str:
        return "" if isinstance(self._chosen, Missing) else f" on {self._chosen.name}"


class CreateTicketWithoutUndo(_TicketTool):
    """Creates one ticket, on a tracker without a reliable way to close it."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="create_ticket",
        description="Create one ticket (an issue) in an allowed project.",
        arguments=CreateTicketArguments,
        identifying=("project", "title"),
        retry_safety=RetrySafety.LOOK_UP,
        seconds=ACT_SECONDS,
        receipt=CreatedTicket,
    )

    def preview(self, arguments: CreateTicketArguments, observation: JsonValue) -> str:
        """Return ``Create a ticket in acme/support on GitHub: "Refund of order 7", 3 lines``."""
        del observation
        preview = f'Create a ticket in {arguments.project}{self._where}: "{arguments.title}"'
        return f"{preview}, {_in_words(arguments.body)}"

    async def act(self, arguments: CreateTicketArguments, idempotency_key: str) -> Receipt:
        """Create the ticket."""
        return _created(await self._tracker.create(arguments, marker_of(idempotency_key)))

    async def find_out(self, arguments: CreateTicketArguments, idempotency_key: str) -> EffectStatus:
        """Look up the ticket by its marker."""
        found = await self._tracker.find_ticket(arguments, marker_of(idempotency_key))
        return found if isinstance(found, NotFound) else Happened(_created(found))


class CreateTicket(CreateTicketWithoutUndo):
    """Creates one ticket; undoing it closes the ticket."""

    declaration: ClassVar[ToolDeclaration] = replace(CreateTicketWithoutUndo.declaration, undoable=True)

    @classmethod
    def from_settings(cls, settings: Settings) -> CreateTicketWithoutUndo:  # type: ignore[override]
        """Build the tool, without an undo if the tracker cannot close tickets.

        Raises:
            SettingsInvalid: a setting of the tracker cannot be used.
        """
        tracker = tracker_of(settings)
        can_close = isinstance(tracker, Missing) or tracker.can_close
        return cls(tracker) if can_close else CreateTicketWithoutUndo(tracker)

    async def undo(self, arguments: CreateTicketArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        """Close the ticket."""
        del idempotency_key
        await self._tracker.close(arguments.project, int(str(receipt.details["number"])))
        return _closed(receipt)

    async def find_out_undo(
        self, arguments: CreateTicketArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        """Return whether the ticket is closed; closing it twice changes nothing."""
        del idempotency_key
        seen = await self._tracker.ticket_state(arguments.project, int(str(receipt.details["number"])))
        return Happened(_closed(receipt)) if seen.state == "closed" else Repeatable()


class CommentTicket(_TicketTool, Observes):
    """Adds one comment to a ticket that has not changed since the plan was drafted."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="comment_ticket",
        description="Add one comment to a ticket (an issue) of an allowed project.",
        arguments=CommentTicketArguments,
        identifying=("project", "ticket", "body"),
        retry_safety=RetrySafety.LOOK_UP,
        seconds=ACT_SECONDS,
        undoable=True,
        receipt=AddedComment,
    )

    def preview(self, arguments: CommentTicketArguments, observation: JsonValue) -> str:
        """Return ``Comment on acme/support#12 on GitHub, "Refund of order 7", which is open: 3 lines``."""
        if isinstance(arguments.ticket, Reference):
            which = f"{arguments.ticket} in {arguments.project}{self._where}"
        else:
            which = f"{self._key(arguments)}{self._where}"
        if isinstance(observation, dict):
            title, state = cut(str(observation["title"]), _SHOWN_TITLE), observation["state"]
            is_ticket = observation["kind"] == "ticket"
            which += f', {"" if is_ticket else "a pull request, "}"{title}", which is {state}'
        return f"Comment on {which}: {_in_words(arguments.body)}"

    async def observe(self, arguments: CommentTicketArguments) -> JsonValue:
        """Return the ticket's title and state."""
        objection = self.objection(arguments)
        if objection:
            raise ToolRefused(f"{objection[0].upper()}{objection[1:]}.")
        seen = await self._tracker.ticket_state(arguments.project, _number(arguments))
        return {
            "ticket": self._key(arguments),
            "title": cut(seen.title, _SHOWN_TITLE),
            "state": seen.state,
            "kind": seen.kind,
        }

    async def act(self, arguments: CommentTicketArguments, idempotency_key: str) -> Receipt:
        """Add the comment."""
        number, marker = _number(arguments), marker_of(idempotency_key)
        added = await self._tracker.comment(arguments.project, number, arguments.body, marker)
        return self._receipt(arguments, added)

    async def find_out(self, arguments: CommentTicketArguments, idempotency_key: str) -> EffectStatus:
        """Look up the comment by its marker."""
        number, marker = _number(arguments), marker_of(idempotency_key)
        found = await self._tracker.find_comment(arguments.project, number, arguments.body, marker)
        return found if isinstance(found, NotFound) else Happened(self._receipt(arguments, found))

    async def undo(
        self, arguments: CommentTicketArguments, receipt: Receipt, idempotency_key: str
    ) -> Receipt:
        """Delete the comment."""
        del idempotency_key
        comment = str(receipt.details["id"])
        await self._tracker.delete_comment(arguments.project, _number(arguments), comment)
        return self._deleted(arguments, comment)

    async def find_out_undo(
        self, arguments: CommentTicketArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        """Return whether the comment was deleted; a second deletion would be refused."""
        del idempotency_key
        comment = str(receipt.details["id"])
        if await self._tracker.has_comment(arguments.project, _number(arguments), comment):
            return Repeatable()
        # For a token that can no longer see the ticket, its comments do not exist either.
        await self._tracker.ticket_state(arguments.project, _number(arguments))
        return Happened(self._deleted(arguments, comment))

    def _key(self, arguments: CommentTicketArguments) -> str:
        return self._tracker.key_of(arguments.project, _number(arguments))

    def _receipt(self, arguments: CommentTicketArguments, added: Comment) -> Receipt:
        key = self._key(arguments)
        difference = f"; {added.differs}" if added.differs else ""
        return Receipt(
            summary=f"commented on {key} ({added.url}){difference}",
            details=AddedComment(id=added.id, ticket=key, url=added.url).model_dump(),
        )

    def _deleted(self, arguments: CommentTicketArguments, comment: str) -> Receipt:
        key = self._key(arguments)
        return Receipt(
            summary=f"deleted the comment on {key}", details={"id": comment, "ticket": key, "deleted": True}
        )


def _created(ticket: Ticket) -> Receipt:
    difference = f"; {ticket.differs}" if ticket.differs else ""
    details: dict[str, JsonValue] = {"key": ticket.key, "url": ticket.url}
    if ticket.number is not None:
        details = CreatedTicket(number=ticket.number, key=ticket.key, url=ticket.url).model_dump()
    return Receipt(summary=f"created {ticket.key} ({ticket.url}){difference}", details=details)


def _closed(receipt: Receipt) -> Receipt:
    key = receipt.details["key"]
    return Receipt(summary=f"closed {key} as not planned", details={**receipt.details, "state": "closed"})


def _number(arguments: CommentTicketArguments) -> int:
    assert isinstance(arguments.ticket, int)  # references are resolved before a step acts or observes
    return arguments.ticket


def _in_words(body: str) -> str:
    """Return ``3 lines, which mention @dana``, because the vendor notifies the people mentioned."""
    lines = counted(line_count(body), "line")
    mentions = list(dict.fromkeys(_MENTION.findall(body)))
    if not mentions:
        return lines
    verb = "mentions" if "\n" not in body else "mention"
    return f"{lines}, which {verb} {cut(', '.join(mentions), _SHOWN_MENTIONS)}"
