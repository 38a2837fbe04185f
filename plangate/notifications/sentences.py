"""Write the subject of a notice and the first sentence of its message: what to do, and for which run."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never

from plangate.domain.plurals import counted, joined
from plangate.notifications.inert_text import inert
from plangate.notifications.notice import ASKING, Facts, Notice, NoticeKind
from plangate.notifications.reader_times import brief, day_and_time

HOW_TO_GET_A_PASSKEY: Final = "add one on “My page” and have it confirmed"
_MOST_TOOLS: Final = 5
_MOST_NAMES: Final = 3
_MOST_SKIPPED: Final = 2
_LONGEST_TOOL: Final = 60
_LONGEST_ID: Final = 40
_LONGEST_NAME: Final = 40
_LONGEST_NAMES: Final = 200


def subject_of(notice: Notice, zone: str, now: datetime) -> str:  # noqa: PLR0912  one case for each kind
    """Return what to do and for which run, in one line."""
    facts = notice.facts
    run, steps = run_of(facts), steps_of(facts)
    by = f"by {brief(facts.deadline, zone, now)}" if facts.deadline and notice.kind in ASKING else ""
    soon = f", {by}" if by else ""
    if notice.kind in ASKING and not notice.asks_reader:
        return f"{_passed_on(notice, soon)}: {steps}"
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed for {run}{soon}: {steps}"
        case NoticeKind.REMINDER:
            return f"Reminder: your approval is needed for {run}{soon}: {steps}"
        case NoticeKind.ESCALATED:
            return f"Escalated to you: your approval is needed for {run}{soon}: {steps}"
        case NoticeKind.CHANGED:
            return f"{_lost(facts)}, please review again: {run}{soon}: {steps}"
        case NoticeKind.VOIDED:
            return f"Your approval of {run} is no longer valid; no action is needed: {steps}"
        case NoticeKind.RELIEVED:
            return f"{_no_longer_asked(facts)}: {steps}"
        case NoticeKind.HELD:
            begin = "Reminder: a run" if notice.is_reminder else "A run"
            return f"{begin} is held: {run}{f', to be resolved {by}' if by else ''}: {steps}"
        case NoticeKind.OUTCOME:
            return _ended(facts)
        case NoticeKind.STUCK:
            return f"Cannot be {_wanted(facts)} now: {run}, {steps}"
        case NoticeKind.UNSTUCK:
            return f"Can be {_wanted(facts)} again: {run}, {steps}"
        case NoticeKind.TROUBLE:
            return "Plangate needs an operator"
        case NoticeKind.AWAY:
            return (
                f"Your messages go to {_names(facts.goes_to)}" if facts.goes_to else "You are marked as away"
            )
        case NoticeKind.TEST:
            return "A test of your notices"
        case _:
            assert_never(notice.kind)


def opening_of(notice: Notice, zone: str) -> str:  # noqa: PLR0912  one case for each kind
    """Return the subject as a sentence without a full stop, for a message that has the deadline below."""
    facts = notice.facts
    what = f"{run_of(facts)}: {steps_of(facts)}"
    if notice.kind in ASKING and not notice.asks_reader:
        return f"{_passed_on(notice)}: {steps_of(facts)}"
    match notice.kind:
        case NoticeKind.NEEDED:
            return f"Your approval is needed for {what}"
        case NoticeKind.REMINDER:
            return f"Your approval is still needed for {what}"
        case NoticeKind.ESCALATED:
            return f"Others have not decided yet, so your approval is requested too: {what}"
        case NoticeKind.CHANGED:
            return f"{_lost_of(facts)}. Please review it again: {steps_of(facts)}"
        case NoticeKind.VOIDED:
            return f"Your approval is no longer valid, and nothing is needed from you: {what}"
        case NoticeKind.RELIEVED:
            return _nothing_more(facts)
        case NoticeKind.HELD:
            return f"A run has stopped until a person decides how it continues: {what}"
        case NoticeKind.OUTCOME:
            return _ended(facts, _LONGEST_NAMES)
        case NoticeKind.STUCK:
            return f"This run cannot be {_wanted(facts)} now: {what}"
        case NoticeKind.UNSTUCK:
            return f"This run can be {_wanted(facts)} again: {what}. You do not need to do anything"
        case NoticeKind.TROUBLE:
            return "There is a problem that only an operator can fix"
        case NoticeKind.AWAY:
            return _away(facts, f" until {day_and_time(facts.away_until, zone)}" if facts.away_until else "")
        case NoticeKind.TEST:
            return "This is a test: notices for you arrive here"
        case _:
            assert_never(notice.kind)


def _passed_on(notice: Notice, soon: str = "") -> str:
    """Return the request, worded for a reader who cannot decide now."""
    facts, is_held = notice.facts, notice.kind is NoticeKind.HELD
    if not facts.instead_of:
        return f"You need a passkey to {'resolve' if is_held else 'approve'} {run_of(facts)}{soon}"
    what = (
        f"a run is held: {run_of(facts)}{soon}" if is_held else f"approval needed for {run_of(facts)}{soon}"
    )
    begin = "Reminder for" if notice.is_reminder else "For"
    return f"{begin} {_names(facts.instead_of)}, who {are(len(facts.instead_of))} away: {what}"


def passkey_needed(found: Sequence[Facts]) -> str:
    """Return the same for several runs: ``You need a passkey to decide on 3 runs: a, b and c``."""
    named = [run_of(one) for one in found[:_MOST_NAMES]]
    if len(found) > _MOST_NAMES:
        named.append(f"{len(found) - _MOST_NAMES} more")
    return f"You need a passkey to decide on {counted(len(found), 'run')}: {joined(named)}"


def run_of(facts: Facts) -> str:
    """Return the run's id in a form that is safe in a subject."""
    return inert(facts.workflow_id, _LONGEST_ID) if facts.workflow_id else "a run"


def steps_of(facts: Facts) -> str:
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


def are(count: int) -> str:
    """Return ``is`` or ``are`` for this number."""
    return "is" if count == 1 else "are"


def _lost(facts: Facts) -> str:
    """Return the reason why a person must review again, in a subject."""
    return "Your approval is no longer valid" if facts.is_reopened else "The plan changed"


def _lost_of(facts: Facts) -> str:
    """Return the same as a sentence in the message."""
    if facts.is_reopened:
        return f"Your approval of {run_of(facts)} is no longer valid"
    return f"The plan of {run_of(facts)} changed, and your approval is no longer valid"


def _wanted(facts: Facts) -> str:
    return "resolved" if facts.is_held else "approved"


def _names(names: Sequence[str]) -> str:
    """Return ``dana``, ``dana and kim`` or ``dana, kim and 2 more``."""
    shown = [inert(name, _LONGEST_NAME) for name in names[:_MOST_NAMES]]
    shown += [f"{len(names) - _MOST_NAMES} more"] if len(names) > _MOST_NAMES else []
    return joined(shown) if shown else ""


def _verdict(facts: Facts, longest: int = _LONGEST_NAME) -> str:
    """Return ``approved by dana``, ``expired without a decision``; empty while open."""
    by = f" by {inert(facts.by, longest)}" if facts.verdict and facts.by else ""
    return f"{facts.verdict}{by}"


def _no_longer_asked(facts: Facts) -> str:
    """Return ``Approved by dana; nothing more to do for refund-4711``, or to whom the messages go."""
    run, said = run_of(facts), _verdict(facts)
    if facts.goes_to:
        return f"Your messages about {run} go to {_names(facts.goes_to)}"
    begin = f"{said[0].upper()}{said[1:]}; nothing" if said else "Nothing"
    return f"{begin} more to do for {run}"


def _nothing_more(facts: Facts) -> str:
    """Return the same as a sentence in the message."""
    what, said = f"{run_of(facts)}: {steps_of(facts)}", _verdict(facts, _LONGEST_NAMES)
    if facts.goes_to:
        return f"While you are away, {_names(facts.goes_to)} will get your messages about {what}"
    begin = f"{said[0].upper()}{said[1:]}. There" if said else "There"
    return f"{begin} is nothing more for you to do about {what}"


def _ended(facts: Facts, longest: int = _LONGEST_NAME) -> str:
    """Return how a request ended: the result, unless the counts show it, and how many steps were done."""
    on_behalf = f"The request {run_of(facts)} of {_names(facts.instead_of)}"
    begin = on_behalf if facts.instead_of else f"Your request {run_of(facts)}"
    verdict = f"{_verdict(facts, longest)}; " if is_shown_by_verdict(facts) else ""
    return f"{begin} has ended: {verdict}{_counts(facts)}"


def is_shown_by_verdict(facts: Facts) -> bool:
    """Return whether the result shows how a request ended, because its steps did not all run."""
    return bool(facts.verdict) and not facts.verdict.startswith("approved")


def _counts(facts: Facts) -> str:
    """Return ``1 of 3 steps done, 1 not known``; skipped steps are named."""
    planned = sum(times for _, times in facts.tools)
    counts = [
        (len(facts.not_known), "not known"),
        (len(facts.skipped), _skipped(facts)),
        (len(facts.undone), "undone"),
    ]
    found = [f"{count} {word}" for count, word in counts if count]
    if not planned or (is_shown_by_verdict(facts) and not (facts.done or found)):
        return "no step ran"
    return ", ".join([f"{len(facts.done)} of {counted(planned, 'step')} done", *found])


def _skipped(facts: Facts) -> str:
    named = ", ".join(inert(one, _LONGEST_TOOL) for one in facts.skipped_tools)
    return f"skipped ({named})" if 0 < len(facts.skipped_tools) <= _MOST_SKIPPED else "skipped"


def _away(facts: Facts, until: str = "") -> str:
    said = f"Your messages go to {_names(facts.goes_to)}" if facts.goes_to else "You are marked as away"
    return f"{said}{until}"
