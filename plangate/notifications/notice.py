"""What one person is told about one run, and what became of telling them."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from plangate.domain.base import AwareDatetime, Frozen


class NoticeKind(StrEnum):
    """What a notice is for."""

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


ASKING: Final = frozenset(
    {NoticeKind.NEEDED, NoticeKind.REMINDER, NoticeKind.ESCALATED, NoticeKind.CHANGED, NoticeKind.HELD}
)
"""The kinds that ask for a decision."""
INFORMING: Final = frozenset({NoticeKind.VOIDED, NoticeKind.RELIEVED, NoticeKind.OUTCOME, NoticeKind.UNSTUCK})
"""The kinds after which there is nothing to do."""


class Facts(Frozen):
    """What a notice may say. Channels write it in their own form; nothing else reaches a message.

    Attributes:
        workflow_id: the run; empty for a trouble of the installation.
        revision: of the plan, from 1; 0 before the first.
        tools: the plan's tools in order, each once, with the number of its steps.
        requester: who asked.
        deadline: until when a person has to decide; None if no one has to.
        happened: what happened, in our own words: why it is held, how it ended, what is in trouble.
        done: the steps that were done, in our own words: number and tool.
        not_done: the steps that were not.
        not_known: the steps of which that is not known.
        skipped: the steps that a person skipped.
        undone: the steps whose effect is taken back.
        details: the previews of the steps; empty unless each rule that demands something allows details.
        by: who decided, for those who need do nothing more.
        verdict: what became of it, without the name: ``approved``, ``expired without a decision``; empty if
            that is open.
        comment: what the person typed who rejected it; empty unless each rule allows details.
        needs_signature: whether what is asked for has to be signed.
        lacks_key: whether the reader cannot give it yet, since they have no key.
        begins: when the plan runs at the earliest; None if at once.
        instead_of: the people who are away and for whom the reader gets it, and may not decide now.
        may_from: from when on the reader may decide themselves, if they get it for others before.
        goes_to: the people who get it while the reader is away.
        away_until: until when the reader is away.
        is_held: whether the run is held, and waits for a resolution.
        link: the page of the run in the inbox.
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
    link: str = ""


class Notice(Frozen):
    """One event that one person is told about.

    Attributes:
        person: as the list of people spells the name; a role's own addresses have ``role:NAME``.
        event: what they are told of, once: unique for this run and person, such as ``needed:1``.
        due_at: when to send it.
    """

    person: str
    kind: NoticeKind
    event: str
    due_at: AwareDatetime
    facts: Facts

    @property
    def asks_reader(self) -> bool:
        """Whether the reader can give now what it asks for."""
        return self.kind in ASKING and not (self.facts.lacks_key or self.facts.instead_of)


class Sending(Frozen):
    """Notices for one address, as one message: one, or several as a digest.

    Attributes:
        zone: the reader's time zone, an IANA name.
        is_repeat: whether an earlier attempt may have arrived already, because nothing is on record of it.
        message_id: the same for each attempt of the same message.
    """

    address: str
    person: str
    notices: tuple[Notice, ...]
    zone: str = "UTC"
    is_repeat: bool = False
    message_id: str = ""


class Delivery(StrEnum):
    """What became of one attempt."""

    SENT = "sent"
    LATER = "later"
    REFUSED = "refused"


class Attempted(Frozen):
    """The result of one attempt.

    Attributes:
        reason: in our own words, without secrets.
        retry_at: when to try again, if the server named a time.
        is_in_doubt: whether the message may have arrived, so that the next attempt is a repeat.
    """

    delivery: Delivery
    reason: str = ""
    retry_at: AwareDatetime | None = None
    is_in_doubt: bool = False


class Channel(Protocol):
    """Sends messages to addresses of some kinds. It makes one attempt, and never raises."""

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        ...
