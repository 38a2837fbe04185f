"""Notices to one person about one run, and the results of sending them."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from plangate.domain.base import AwareDatetime, Frozen


class NoticeKind(StrEnum):
    """The purpose of a notice."""

    NEEDED = "needed"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    CHANGED = "changed"
    VOIDED = "voided"
    RELIEVED = "relieved"
    HELD = "held"
    OUTCOME = "outcome"
    STUCK = "stuck"
    UNSTUCK = "unstuck"
    TROUBLE = "trouble"
    AWAY = "away"
    TEST = "test"


REMINDED: Final = "reminded:"
"""The prefix of the event names of reminders."""
ASKING: Final = frozenset(
    {NoticeKind.NEEDED, NoticeKind.REMINDER, NoticeKind.ESCALATED, NoticeKind.CHANGED, NoticeKind.HELD}
)
"""The kinds that ask for a decision."""
INFORMING: Final = frozenset({NoticeKind.VOIDED, NoticeKind.RELIEVED, NoticeKind.OUTCOME, NoticeKind.UNSTUCK})
"""The kinds that report that nothing more needs to be done."""


class Facts(Frozen):
    """The only facts that a notice may contain; each channel writes them in its own form.

    Attributes:
        workflow_id: the run; empty for a problem with the installation.
        revision: the revision of the plan, from 1; 0 before the first.
        tools: the plan's tools in order, without duplicates, each with the number of its steps.
        requester: the requester.
        deadline: the time by which a person has to decide; None if no one has to.
        happened: what happened, in Plangate's text: why it is held, how it ended, what is wrong.
        done: the steps that were done, by number and tool, or by number and preview if there are ``details``.
        not_done: the steps that were not done.
        not_known: the steps for which it is not known whether they were done.
        skipped: the steps that a person skipped.
        undone: the steps whose effect was undone.
        skipped_tools: the skipped steps by number and tool, for the subject, which never has a preview.
        details: the previews of the steps; empty unless every rule with a requirement allows details.
        by: the person who decided, for people who have nothing more to do.
        verdict: the result without the person's name, such as ``approved`` or ``expired without a decision``;
            empty while open.
        comment: the comment of the person who rejected it; empty unless every rule allows details.
        needs_signature: whether the decision must be signed.
        lacks_key: whether the reader cannot decide yet, because they have no key.
        begins: the earliest time at which the plan runs; None if immediately.
        instead_of: the absent people whose message the reader gets; the reader may not decide now.
        may_from: when the reader may decide themselves, if they get messages for others first.
        goes_to: the people who get messages while the reader is away.
        away_until: when the reader is back.
        is_held: whether the run is held, and waits for a resolution.
        is_reopened: whether the plan is in review again although it did not change.
        link: the run's page in the inbox.
    """

    workflow_id: str = ""
    revision: int = 0
    tools: tuple[tuple[str, int], ...] = ()
    requester: str = ""
    deadline: AwareDatetime | None = None
    happened: str = ""
    done: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    skipped_tools: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    by: str = ""
    verdict: str = ""
    comment: str = ""
    needs_signature: bool = False
    lacks_key: bool = False
    begins: AwareDatetime | None = None
    instead_of: tuple[str, ...] = ()
    may_from: AwareDatetime | None = None
    goes_to: tuple[str, ...] = ()
    away_until: AwareDatetime | None = None
    is_held: bool = False
    is_reopened: bool = False
    link: str = ""


class Notice(Frozen):
    """One event about which one person is notified.

    Attributes:
        person: the name as in the list of people; ``role:NAME`` for the addresses of a role.
        event: the event's name, unique for this run and person, such as ``needed:1``.
        due_at: when to send it.
    """

    person: str
    kind: NoticeKind
    event: str
    due_at: AwareDatetime
    facts: Facts

    @property
    def is_reminder(self) -> bool:
        """Whether the person was asked before; a reminder of a held run has the kind ``held``, too."""
        return self.kind is NoticeKind.REMINDER or self.event.startswith(REMINDED)

    @property
    def asks_reader(self) -> bool:
        """Whether the reader can now make the decision that the notice asks for."""
        return self.kind in ASKING and not (self.facts.lacks_key or self.facts.instead_of)


class Sending(Frozen):
    """One message to one address, with one notice, or several as a digest.

    Attributes:
        zone: the reader's time zone, an IANA name.
        is_repeat: whether an earlier attempt without a recorded result may have been delivered.
        message_id: an id that is the same for each attempt of the message.
    """

    address: str
    person: str
    notices: tuple[Notice, ...]
    zone: str = "UTC"
    is_repeat: bool = False
    message_id: str = ""


class Delivery(StrEnum):
    """How one attempt ended."""

    SENT = "sent"
    LATER = "later"
    REFUSED = "refused"


class Attempted(Frozen):
    """The result of one attempt.

    Attributes:
        reason: the reason, in Plangate's text, without secrets.
        retry_at: when to try again, if the server gave a time.
        is_in_doubt: whether the message may have been delivered, so that the next attempt is a repeat.
    """

    delivery: Delivery
    reason: str = ""
    retry_at: AwareDatetime | None = None
    is_in_doubt: bool = False


class Channel(Protocol):
    """Sends messages to some kinds of addresses. It makes one attempt, and never raises errors."""

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        ...
