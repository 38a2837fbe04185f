"""Write the message of a `Sending`: subject, plain text and HTML, which say the same.

It has the run, the tools and how many steps, the requester, the deadline and the link. A summary, arguments,
amounts and recipients are not among the facts, unless the rules allow details. Everything that a person, a
model or a server may have worded passes through `inert`; of these, the subject has the run's id and names.
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
from plangate.notifications.notice import ASKING, Facts, Notice, NoticeKind, Sending
from plangate.notifications.reader_times import brief, whole

_MOST_TOOLS: Final = 5
_LONGEST_TOOL: Final = 60
_LONGEST_ID: Final = 40
_LONGEST_NAME: Final = 40
_SHORTEST: Final = 50
_LONGEST_LINK: Final = 2_000
_IN_LINKS: Final = "-._~:/?#[]@!$&'()*+,;=%"
_UNSAFE_IN_TEXT: Final = {ord(char): f"%{ord(char):02X}" for char in "'()*[]!,;@"}

_DECIDING: Final = ASKING - {NoticeKind.HELD}
_BY: Final = ("approved", "rejected", "resolved")
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
    """Return subject, parts and closing lines of several notices: a line of each run, the soonest first."""
    notices = sorted(_newest(sending.notices), key=_urgency)
    waiting = [one for one in notices if one.kind in ASKING]
    if waiting:
        first = ""
        if waiting[0].facts.deadline is not None:
            by = brief(waiting[0].facts.deadline, sending.zone, now)
            first = f", by {by}" if len(waiting) == 1 else f", the first by {by}"
        subject = f"{counted(len(waiting), 'decision')} of yours {_are(len(waiting))} needed{first}"
        subject += f": {_run(waiting[0].facts)}"
        if len(waiting) < len(notices):
            subject += f", and {counted(len(notices) - len(waiting), 'other notice')}"
    else:
        subject = f"{counted(len(notices), 'notice')}: {_subject(notices[0], sending.zone, now)}"
    parts = [Part(f"{_headline(waiting, notices)}.", link=_link(inbox), action="Open the inbox")]
    shown = notices[: lengths.notices]
    parts += [_row(one, sending.zone, now, lengths) for one in shown]
    if len(shown) < len(notices):
        parts.append(Part(f"{counted(len(notices) - len(shown), 'more notice')}: see the inbox."))
    return subject, parts, [_ON_THE_PAGE] if waiting else []


def _headline(waiting: Sequence[Notice], notices: Sequence[Notice]) -> str:
    if not waiting:
        return counted(len(notices), "notice")
    others = len(notices) - len(waiting)
    more = f", and {counted(others, 'other notice')}" if others else ""
    return f"{counted(len(waiting), 'decision')} of yours {_are(len(waiting))} needed{more}"


def _newest(notices: Sequence[Notice]) -> list[Notice]:
    """Return the last notice about each run, of those after which the earlier ones say nothing more."""
    found: dict[tuple[str, str], Notice] = {}
    for one in notices:
        is_about_approving = one.kind in _DECIDING or one.kind is NoticeKind.RELIEVED
        about = "approving" if is_about_approving else one.kind.value
        what = one.facts.workflow_id or one.event
        found[what, about] = one
    return list(found.values())


def _row(notice: Notice, zone: str, now: datetime, lengths: Lengths) -> Part:
    """Return one line of a digest, with its link; of what is wrong with the installation, all of it."""
    if not notice.facts.workflow_id:
        return _part(notice, zone, now, lengths)
    action = "Look and decide" if notice.kind in _DECIDING else "Look at it"
    return Part(f"{_subject(notice, zone, now)}.", link=_link(notice.facts.link), action=action, is_row=True)


def _urgency(notice: Notice) -> tuple[int, datetime]:
    """Sort what a person has to decide first, by its deadline."""
    never = datetime.max.replace(tzinfo=UTC)
    return notice.kind not in ASKING, notice.facts.deadline or never


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _subject(notice: Notice, zone: str, now: datetime) -> str:
    facts = notice.facts
    run, steps = _run(facts), _steps(facts)
    by = f", by {brief(facts.deadline, zone, now)}" if facts.deadline and notice.kind in ASKING else ""
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed for {run}{by}: {steps}"
        case NoticeKind.REMINDER:
            return f"Reminder: your approval is needed for {run}{by}: {steps}"
        case NoticeKind.ESCALATED:
            return f"Escalated to you: your approval is needed for {run}{by}: {steps}"
        case NoticeKind.CHANGED:
            return f"The plan changed, please look again at {run}{by}: {steps}"
        case NoticeKind.RELIEVED:
            return f"{_sentence(facts, 'Nothing more to do', '; nothing more to do')} for {run}: {steps}"
        case NoticeKind.HELD:
            return f"A run is held: {run}{', to be resolved' if by else ''}{by}: {steps}"
        case NoticeKind.OUTCOME:
            return f"Your request {run} has ended: {_ended(facts)}{_done(facts)}"
        case NoticeKind.STUCK:
            return f"Cannot be approved as it is: {run}, {steps}"
        case NoticeKind.TROUBLE:
            return "Plangate needs an operator"
        case NoticeKind.AWAY:
            return "You are said to be away"
        case NoticeKind.TEST:
            return "A test of your notices"
        case _:
            assert_never(notice.kind)


def _run(facts: Facts) -> str:
    """Return the run's id as it may stand in a subject."""
    return inert(facts.workflow_id, _LONGEST_ID) if facts.workflow_id else "a run"


def _verdict(facts: Facts) -> str:
    """Return ``approved by dana``, ``expired without a decision``; empty if that is open."""
    by = f" by {inert(facts.by, _LONGEST_NAME)}" if facts.verdict and facts.by else ""
    return f"{facts.verdict}{by}"


def _sentence(facts: Facts, otherwise: str, end: str) -> str:
    """Return ``Approved by dana; nothing more to do``."""
    said = _verdict(facts)
    return f"{said[0].upper()}{said[1:]}{end}" if said else otherwise


def _ended(facts: Facts) -> str:
    """Return how a request ended, unless what was done says it."""
    said = _verdict(facts)
    return f"{said}; " if said and not said.startswith("approved") else ""


def _part(notice: Notice, zone: str, now: datetime, lengths: Lengths) -> Part:
    facts = notice.facts
    fields: list[tuple[str, str]] = []
    if facts.happened:
        fields.append(("What happened", inert(facts.happened, 2 * lengths.text)))
    if facts.by:
        fields.append((_decided(facts), inert(facts.by, lengths.text)))
    if facts.comment:
        fields.append(("Reason given", inert(facts.comment, lengths.text)))
    if facts.requester:
        fields.append(("Asked by", inert(facts.requester, lengths.text)))
    if facts.deadline and notice.kind in ASKING:
        label = "To be resolved by" if notice.kind is NoticeKind.HELD else "Decide by"
        fields.append((label, whole(facts.deadline, zone, now)))
    listed = (("Steps", facts.details), ("Done", facts.done), ("Not done", facts.not_done))
    return Part(
        f"{_opening(notice)}.",
        fields=tuple(fields),
        lists=tuple((label, _lines(lines, lengths)) for label, lines in listed if lines),
        link=_link(facts.link),
        action="Look and decide" if notice.kind in _DECIDING else "Look at it",
    )


def _decided(facts: Facts) -> str:
    """Return the label of who decided."""
    return f"{facts.verdict.capitalize()} by" if facts.verdict in _BY else "Decided by"


def _opening(notice: Notice) -> str:
    facts = notice.facts
    what = f"{_run(facts)}: {_steps(facts)}"
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed for {what}"
        case NoticeKind.REMINDER:
            return f"Your approval is still needed for {what}"
        case NoticeKind.ESCALATED:
            return f"Others have not decided yet, so your approval is asked for, too: {what}"
        case NoticeKind.CHANGED:
            return f"What you decided counts no more; please look again at {what}"
        case NoticeKind.RELIEVED:
            return f"{_sentence(facts, 'There', '. There')} is nothing more for you to do about {what}"
        case NoticeKind.HELD:
            return f"A run has stopped and waits for a person to say how it goes on: {what}"
        case NoticeKind.OUTCOME:
            return f"Your request {_run(facts)} has ended: {_ended(facts)}{_done(facts)}"
        case NoticeKind.STUCK:
            return f"This plan cannot be approved as it is: {what}"
        case NoticeKind.TROUBLE:
            return "Something is wrong that only an operator can put right"
        case NoticeKind.AWAY:
            return "Your messages go to others"
        case NoticeKind.TEST:
            return "This is a test: notices for you arrive here"
        case _:
            assert_never(notice.kind)


def _steps(facts: Facts) -> str:
    """Return ``3 steps (refund_payment, 2 x create_ticket)``, with a real multiplication sign."""
    count = sum(times for _, times in facts.tools)
    if not count:
        return "a plan"
    named = [
        (f"{times} \u00d7 " if times > 1 else "") + inert(tool, _LONGEST_TOOL)
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
