"""Write the message of a `Sending`: subject, plain text and HTML, which say the same.

It has the tools and how many steps, the requester, the deadline and the link. A summary, arguments, amounts
and recipients are not among the facts, unless the rules allow details. The subject has no text that a person
typed. Everything else that a person, a model or a server may have worded passes through `inert`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, assert_never
from urllib.parse import quote

from plangate.domain.plurals import counted
from plangate.notifications.html_part import html_of
from plangate.notifications.inert import inert
from plangate.notifications.message import Message, Part, markdown_of, plain_of
from plangate.notifications.notice import Facts, Notice, NoticeKind, Sending
from plangate.notifications.reader_times import brief, whole

_MOST_TOOLS: Final = 5
_LONGEST_TOOL: Final = 60
_SHORTEST: Final = 50
_LONGEST_LINK: Final = 2_000
_IN_LINKS: Final = "-._~:/?#[]@!$&'()*+,;=%"
_UNSAFE_IN_TEXT: Final = {ord(char): f"%{ord(char):02X}" for char in "'()*[]!,;@"}

_DECIDING: Final = frozenset(
    {NoticeKind.NEEDED, NoticeKind.REMINDER, NoticeKind.ESCALATED, NoticeKind.CHANGED}
)
_WAITING: Final = _DECIDING | {NoticeKind.HELD}
_ON_THE_PAGE: Final = "You decide on the page, after you sign in. Without a decision nothing is approved."
_REPEATED: Final = "This message may have reached you before: it is sent again because that is not certain."


@dataclass(frozen=True, slots=True)
class Lengths:
    """How much a message may have.

    Attributes:
        notices: of a digest.
        lines: of each list.
        text: characters of each text that a person may have typed.
        whole: characters of subject and plain text. Services split or refuse longer messages.
    """

    notices: int
    lines: int
    text: int
    whole: int

    def halved(self) -> "Lengths | None":
        """Return the same with shorter texts, then with fewer; None if nothing is left to leave out."""
        if self.text > _SHORTEST:
            return replace(self, text=max(_SHORTEST, self.text // 2))
        if self.notices == self.lines == 1:
            return None
        return replace(self, notices=max(1, self.notices // 2), lines=max(1, self.lines // 2))


MAIL: Final = Lengths(notices=25, lines=25, text=200, whole=50_000)
CHAT: Final = Lengths(notices=6, lines=8, text=200, whole=1_900)


def written(sending: Sending, now: datetime, inbox: str, lengths: Lengths = MAIL) -> Message:
    """Return the message for one address.

    Args:
        sending: what to say to whom.
        now: the current time.
        inbox: the address of the list of runs.
        lengths: how much it may list.
    """
    message = _message(sending, now, inbox, lengths)
    while len(message.subject + message.text) > lengths.whole and (shorter := lengths.halved()):
        lengths = shorter
        message = _message(sending, now, inbox, lengths)
    return message


def _message(sending: Sending, now: datetime, inbox: str, lengths: Lengths) -> Message:
    if len(sending.notices) == 1:
        notice = sending.notices[0]
        subject = _subject(notice, sending.zone, now)
        parts = [_part(notice, sending.zone, now, lengths)]
        closing = [_ON_THE_PAGE] if notice.kind in _DECIDING else []
    else:
        subject, parts, closing = _digest(sending, now, inbox, lengths)
    if sending.is_repeat:
        subject, closing = f"(sent again) {subject}", [*closing, _REPEATED]
    return Message(
        subject,
        text=plain_of(parts, closing),
        html=html_of(subject, parts, closing),
        markdown=markdown_of(parts, closing),
    )


def _digest(
    sending: Sending, now: datetime, inbox: str, lengths: Lengths
) -> tuple[str, list[Part], list[str]]:
    """Return subject, parts and closing lines of several notices, those with the first deadline first."""
    notices = sorted(sending.notices, key=_urgency)
    waiting = [one for one in notices if one.kind in _DECIDING]
    if waiting:
        first = ""
        if waiting[0].facts.deadline is not None:
            by = brief(waiting[0].facts.deadline, sending.zone, now)
            first = f", by {by}" if len(waiting) == 1 else f", the first by {by}"
        subject = f"{counted(len(waiting), 'decision')} of yours {_are(len(waiting))} needed{first}"
        if len(waiting) < len(notices):
            subject += f", and {counted(len(notices) - len(waiting), 'other notice')}"
    else:
        subject = counted(len(notices), "notice")
    parts = [Part(f"{subject}.", link=_link(inbox), action="Open the inbox")]
    shown = notices[: lengths.notices]
    parts += [_part(one, sending.zone, now, lengths, is_one_of_many=True) for one in shown]
    if len(shown) < len(notices):
        parts.append(Part(f"{counted(len(notices) - len(shown), 'more notice')}: see the inbox."))
    return subject, parts, [_ON_THE_PAGE] if waiting else []


def _urgency(notice: Notice) -> tuple[int, datetime]:
    """Sort what a person has to decide first, by its deadline."""
    never = datetime.max.replace(tzinfo=UTC)
    return notice.kind not in _DECIDING, notice.facts.deadline or never


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _subject(notice: Notice, zone: str, now: datetime) -> str:
    facts = notice.facts
    steps = _steps(facts)
    by = f", by {brief(facts.deadline, zone, now)}" if facts.deadline and notice.kind in _WAITING else ""
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed: {steps}{by}"
        case NoticeKind.REMINDER:
            return f"Reminder: your approval is needed: {steps}{by}"
        case NoticeKind.ESCALATED:
            return f"Escalated to you: your approval is needed: {steps}{by}"
        case NoticeKind.CHANGED:
            return f"The plan changed, please look again: {steps}{by}"
        case NoticeKind.RELIEVED:
            return f"Nothing more to do: {steps}"
        case NoticeKind.HELD:
            return f"A run is held: {steps}{', to be resolved' if by else ''}{by}"
        case NoticeKind.OUTCOME:
            return f"Your request has ended: {_done(facts)}"
        case NoticeKind.STUCK:
            return f"Cannot be approved any more: {steps}"
        case NoticeKind.TROUBLE:
            return "Plangate needs an operator"
        case NoticeKind.AWAY:
            return "You are said to be away"
        case NoticeKind.TEST:
            return "A test of your notices"
        case _:
            assert_never(notice.kind)


def _part(
    notice: Notice, zone: str, now: datetime, lengths: Lengths, *, is_one_of_many: bool = False
) -> Part:
    facts = notice.facts
    fields: list[tuple[str, str]] = []
    if facts.happened:
        fields.append(("What happened", inert(facts.happened, 2 * lengths.text)))
    if facts.by:
        fields.append(("Decided by", inert(facts.by, lengths.text)))
    if facts.requester:
        fields.append(("Asked by", inert(facts.requester, lengths.text)))
    if facts.deadline and notice.kind in _WAITING:
        label = "To be resolved by" if notice.kind is NoticeKind.HELD else "Decide by"
        fields.append((label, whole(facts.deadline, zone, now)))
    listed = (("Steps", facts.details), ("Done", facts.done), ("Not done", facts.not_done))
    return Part(
        f"{_subject(notice, zone, now) if is_one_of_many else _opening(notice)}.",
        fields=tuple(fields),
        lists=tuple(
            (label, _lines(lines, lengths)) for label, lines in listed if lines and not is_one_of_many
        ),
        link=_link(facts.link),
        action="Look and decide" if notice.kind in _DECIDING else "Look at it",
    )


def _opening(notice: Notice) -> str:
    facts = notice.facts
    steps = _steps(facts)
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed for {steps}"
        case NoticeKind.REMINDER:
            return f"Your approval is still needed for {steps}"
        case NoticeKind.ESCALATED:
            return f"Others have not decided in time, so your approval is asked for: {steps}"
        case NoticeKind.CHANGED:
            return f"The plan changed, so what you decided on it counts no more. Please look again: {steps}"
        case NoticeKind.RELIEVED:
            return f"There is nothing more for you to do about {steps}"
        case NoticeKind.HELD:
            return f"A run has stopped and waits for a person to say how it goes on: {steps}"
        case NoticeKind.OUTCOME:
            return f"Your request has ended: {_done(facts)}"
        case NoticeKind.STUCK:
            return f"This plan cannot be approved any more as it is: {steps}"
        case NoticeKind.TROUBLE:
            return "Something is wrong that only an operator can put right"
        case NoticeKind.AWAY:
            return "Your messages go to others"
        case NoticeKind.TEST:
            return "This is a test: notices for you arrive here"
        case _:
            assert_never(notice.kind)


def _steps(facts: Facts) -> str:
    """Return ``3 steps (refund_payment, create_ticket x2)``."""
    count = sum(times for _, times in facts.tools)
    if not count:
        return "a plan"
    named = [
        inert(tool, _LONGEST_TOOL) + (f" x{times}" if times > 1 else "")
        for tool, times in facts.tools[:_MOST_TOOLS]
    ]
    more = len(facts.tools) - len(named)
    named += [counted(more, "more tool")] if more else []
    return f"{counted(count, 'step')} ({', '.join(named)})"


def _done(facts: Facts) -> str:
    if not facts.done:
        return f"nothing was done of {_steps(facts)}"
    return f"{len(facts.done)} done of {_steps(facts)}"


def _lines(lines: Sequence[str], lengths: Lengths) -> tuple[str, ...]:
    shown = tuple(inert(line, lengths.text) for line in lines[: lengths.lines])
    more = len(lines) - len(shown)
    return (*shown, f"and {more} more, on the page") if more > 0 else shown


def _link(url: str) -> str:
    """Return the address with each character encoded that could end it in a message; empty if it is none."""
    if not url.startswith(("https://", "http://")) or len(url) > _LONGEST_LINK:
        return ""
    return quote(url, safe=_IN_LINKS).translate(_UNSAFE_IN_TEXT)
