"""Write the message of a `Sending`: its subject, and the same content as plain text and HTML.

It contains the run, the tools and the number of steps, the requester, the deadline and the link. It contains
no summary, arguments, amounts or recipients, unless the rules allow details. All text that a person, a model
or a server may have written passes through `inert`. The subject contains no such text except the run's id and
names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

from plangate.domain.people.people import same_person
from plangate.domain.plurals import counted
from plangate.notifications.html_part import html_of
from plangate.notifications.inert_text import inert
from plangate.notifications.message import Message, Part, markdown_of, plain_of
from plangate.notifications.notice import ASKING, Facts, Notice, NoticeKind, Sending
from plangate.notifications.reader_times import brief, in_zone, whole
from plangate.notifications.sentences import (
    HOW_TO_GET_A_PASSKEY,
    is_shown_by_verdict,
    opening_of,
    passkey_needed,
    run_of,
    subject_of,
)
from plangate.presentation.held_page import AT_THE_DEADLINE

_SHORTEST: Final = 50
_LONGEST_LINK: Final = 2_000
_IN_LINKS: Final = "-._~:/?#[]@!$&'()*+,;=%"
_UNSAFE_IN_TEXT: Final = {ord(char): f"%{ord(char):02X}" for char in "'()*[]!,;@"}

_DECIDING: Final = ASKING - {NoticeKind.HELD}
_NOTED: Final = (NoticeKind.NEEDED, NoticeKind.REMINDER, NoticeKind.ESCALATED, NoticeKind.AWAY)
_WITH_REASONS: Final = (NoticeKind.STUCK, NoticeKind.HELD)
_BY: Final = ("approved", "rejected", "resolved")
_ONE_SUBJECT: Final = {
    "approving": _DECIDING | {NoticeKind.VOIDED, NoticeKind.RELIEVED},
    "deciders": frozenset({NoticeKind.STUCK, NoticeKind.UNSTUCK}),
}
"""The kinds of notices where the last notice about a run replaces earlier ones."""
_ON_THE_PAGE: Final = "You {} on the page, after you sign in{}."
_SIGNED: Final = ", and sign with your passkey"
_SOME_SIGNED: Final = f"{_SIGNED} if a decision must be signed"
_NOT_APPROVED: Final = " Without a decision nothing is approved."
_IF_STUCK: Final = "wait, have the list of people changed, or withdraw the request"
_REPEATED: Final = "You may already have this message: it is sent again because its delivery is uncertain."


@dataclass(frozen=True, slots=True)
class Lengths:
    """The limits of a message.

    Attributes:
        notices: the maximum number of notices in a digest.
        lines: the maximum number of lines in a list.
        text: the maximum length of text that a person may have typed.
        whole: the maximum length of the subject and the plain text. Services split or refuse longer messages.
    """

    notices: int
    lines: int
    text: int
    whole: int

    def halved(self) -> "Lengths | None":
        """Return smaller limits: first shorter text, then fewer lines and notices; None at the minimum."""
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
        sending: the notices, and the address to send them to.
        now: the current time.
        inbox: the address of the list of runs.
        lengths: the limits of the message.
    """
    message = _message(sending, now, inbox, lengths)
    while len(message.subject + message.text) > lengths.whole and (shorter := lengths.halved()):
        lengths = shorter
        message = _message(sending, now, inbox, lengths)
    return message


def _message(sending: Sending, now: datetime, inbox: str, lengths: Lengths) -> Message:
    if len(sending.notices) == 1:
        notice = sending.notices[0]
        subject = subject_of(notice, sending.zone, now)
        parts = [_part(notice, sending.zone, now, lengths)]
        closing = _closing([notice])
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
    """Return the subject, parts and closing lines of several notices: one line per run, most urgent first.

    Notices to add a passkey are one line.
    """
    notices = sorted(_newest(sending.notices), key=_urgency)
    keyless = [one for one in notices if one.facts.lacks_key and not one.facts.instead_of]
    notices = [one for one in notices if one not in keyless[1:]]
    waiting = [one for one in notices if one.asks_reader]
    if waiting:
        first = ""
        if waiting[0].facts.deadline is not None:
            by = brief(waiting[0].facts.deadline, sending.zone, now)
            first = f", by {by}" if len(waiting) == 1 else f", the first by {by}"
        subject = _need_your_decision(waiting) + first
        subject += f": {run_of(waiting[0].facts)}"
        if len(waiting) < len(notices):
            subject += f", and {counted(len(notices) - len(waiting), 'other notice')}"
    else:
        subject = subject_of(notices[0], sending.zone, now)
        if notices[0] in keyless[:1] and len(keyless) > 1:
            subject = passkey_needed([one.facts for one in keyless])
        subject = f"{counted(len(notices), 'notice')}: {subject}" if len(notices) > 1 else subject
    parts = [Part(f"{_headline(waiting, notices)}.", link=_link(inbox), action="Open the inbox")]
    shown = notices[: lengths.notices]
    parts += [
        _passkey_row(keyless, inbox)
        if len(keyless) > 1 and one is keyless[0]
        else _row(one, sending.zone, now, lengths)
        for one in shown
    ]
    if len(shown) < len(notices):
        parts.append(Part(f"{counted(len(notices) - len(shown), 'more notice')}: see the inbox."))
    return subject, parts, _closing(waiting)


def _closing(notices: Sequence[Notice]) -> list[str]:
    """Return how to make the decisions that these notices ask for; empty if there are none."""
    asking = [one for one in notices if one.asks_reader]
    if not asking:
        return []
    is_held = all(one.kind is NoticeKind.HELD for one in asking)
    signed = [one for one in asking if one.facts.needs_signature]
    sign = (_SIGNED if len(signed) == len(asking) else _SOME_SIGNED) if signed else ""
    said = _ON_THE_PAGE.format("resolve it" if is_held and len(asking) == 1 else "decide", sign)
    return [said if is_held else said + _NOT_APPROVED]


def _need_your_decision(waiting: Sequence[Notice]) -> str:
    verb = "needs" if len(waiting) == 1 else "need"
    return f"{counted(len(waiting), 'run')} {verb} your decision"


def _headline(waiting: Sequence[Notice], notices: Sequence[Notice]) -> str:
    if not waiting:
        return counted(len(notices), "notice")
    others = len(notices) - len(waiting)
    more = f", and {counted(others, 'other notice')}" if others else ""
    return _need_your_decision(waiting) + more


def _newest(notices: Sequence[Notice]) -> list[Notice]:
    """Return the notices that are still relevant: the last one about each run replaces earlier ones."""
    found: dict[tuple[str, str], Notice] = {}
    for one in notices:
        about = next((name for name, kinds in _ONE_SUBJECT.items() if one.kind in kinds), one.kind.value)
        what = one.facts.workflow_id or one.event
        found[what, about] = one
    return list(found.values())


def _row(notice: Notice, zone: str, now: datetime, lengths: Lengths) -> Part:
    """Return one line of a digest, with its link: what to do, the reason if it matters, and the previews."""
    facts = notice.facts
    of_run = bool(facts.workflow_id)
    said = [subject_of(notice, zone, now) if of_run else opening_of(notice, zone)]
    if facts.happened and (notice.kind in _WITH_REASONS or facts.lacks_key or not of_run):
        happened = inert(in_zone(facts.happened, zone), 2 * lengths.text)
        said.append(f"{happened[0].upper()}{happened[1:]}")
    if facts.details:
        said.append(inert("; ".join(facts.details), lengths.text))
    sentence = " ".join(f"{one.rstrip('.')}." for one in said)
    return Part(sentence, link=_link(facts.link), action=_action(notice), is_row=True)


def _passkey_row(notices: Sequence[Notice], inbox: str) -> Part:
    """Return one line of a digest for several runs for which the reader needs a passkey."""
    how = f"{HOW_TO_GET_A_PASSKEY[0].upper()}{HOW_TO_GET_A_PASSKEY[1:]}"
    said = f"{passkey_needed([one.facts for one in notices])}. {how}."
    return Part(said, link=_link(f"{inbox}/me"), action="Open your page", is_row=True)


def _action(notice: Notice) -> str:
    """Return the text of a notice's link."""
    if notice.kind is NoticeKind.AWAY:
        return "Open your page"
    if notice.kind is NoticeKind.TEST:
        return "Open the inbox"
    if notice.kind is NoticeKind.HELD and notice.asks_reader:
        return "Resolve"
    return "Review and decide" if notice.kind in _DECIDING and notice.asks_reader else "View details"


def _urgency(notice: Notice) -> tuple[int, datetime]:
    """Return a sort key that puts decisions first, by their deadline."""
    never = datetime.max.replace(tzinfo=UTC)
    return not notice.asks_reader, notice.facts.deadline or never


def _part(notice: Notice, zone: str, now: datetime, lengths: Lengths) -> Part:
    facts = notice.facts
    fields: list[tuple[str, str]] = []
    if facts.happened:
        fields.append(
            (
                _label_of(notice.kind),
                inert(in_zone(facts.happened, zone), 2 * lengths.text),
            )
        )
    if notice.kind is NoticeKind.STUCK:
        fields.append(("What you can do", _IF_STUCK))
    if facts.by and not _opening_says_who(notice):
        fields.append((_decided(facts), inert(facts.by, lengths.text)))
    if facts.comment:
        fields.append(("Reason given", inert(facts.comment, lengths.text)))
    if facts.requester and not same_person(facts.requester, notice.person):
        fields.append(("Asked by", inert(facts.requester, lengths.text)))
    if facts.begins:
        fields.append(("Runs no earlier than", whole(facts.begins, zone, now)))
    if facts.may_from:
        fields.append(("You may approve it from", whole(facts.may_from, zone, now)))
    if facts.deadline and notice.kind is NoticeKind.HELD:
        fields.append(("To be resolved by", whole(facts.deadline, zone, now)))
        fields.append(("If no one does", AT_THE_DEADLINE))
    elif facts.deadline and notice.kind in ASKING:
        fields.append(("Decide by", whole(facts.deadline, zone, now)))
    ends = (
        ("Done", facts.done),
        ("Not known", facts.not_known),
        ("Not done", facts.not_done),
        ("Skipped", facts.skipped),
        ("Undone", facts.undone),
    )
    listed = ends if any(lines for _, lines in ends) else (("Steps", facts.details),)
    return Part(
        f"{opening_of(notice, zone)}.",
        fields=tuple(fields),
        lists=tuple((label, _lines(lines, lengths)) for label, lines in listed if lines),
        link=_link(facts.link),
        action=_action(notice),
    )


def _opening_says_who(notice: Notice) -> bool:
    """Return whether the first sentence states who decided."""
    if notice.kind is NoticeKind.OUTCOME:
        return is_shown_by_verdict(notice.facts)
    return notice.kind is NoticeKind.RELIEVED and bool(notice.facts.verdict) and not notice.facts.goes_to


def _decided(facts: Facts) -> str:
    """Return the label for the person who decided."""
    return f"{facts.verdict.capitalize()} by" if facts.verdict in _BY else "Decided by"


def _lines(lines: Sequence[str], lengths: Lengths) -> tuple[str, ...]:
    shown = tuple(inert(line, lengths.text) for line in lines[: lengths.lines])
    more = len(lines) - len(shown)
    return (*shown, f"and {more} more, on the page") if more > 0 else shown


def _link(url: str) -> str:
    """Return the address, encoding characters that could end the link; empty if it is invalid."""
    if not url.startswith(("https://", "http://")) or len(url) > _LONGEST_LINK:
        return ""
    return quote(url, safe=_IN_LINKS).translate(_UNSAFE_IN_TEXT)


def _label_of(kind: NoticeKind) -> str:
    """Return the label for what happened."""
    if kind in _NOTED:
        return "Note"
    return "What is missing" if kind is NoticeKind.STUCK else "What happened"
