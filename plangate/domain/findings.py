"""What an examination of the records finds: each finding is a sentence with its place.

`broken_links` looks at the chain of hashes alone, `broken_story` at what the entries say: whether one thing
may follow from the other. Both need nothing but the entries, so that a bundle far from our servers is
examined by the same rules as the records.
"""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final, assert_never

from plangate.domain.audit import (
    FIRST_HASH,
    RULES_TRAIL,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Outcome,
    Released,
    Reopened,
    Requested,
    RulesInForce,
    RuleText,
    StepDone,
    StepFailed,
    StepInDoubt,
    WrittenEntry,
    read_event,
)
from plangate.domain.claims import SLOW_CLAIM, beginnings
from plangate.domain.dates import Order, other_time_than_said
from plangate.domain.errors import NotApproved
from plangate.domain.listed import list_named
from plangate.domain.model import Frozen
from plangate.domain.people import Identified, same_person
from plangate.domain.plan import MIN_PREFIX, idempotency_key, short
from plangate.domain.review import authorise, judge
from plangate.domain.revocation import may_be_put_back, stale_approvers
from plangate.domain.run import Phase, RunState, StepState, apply, changes
from plangate.domain.visible import one_line

_SEARCHED: Final = 500  # entries among which the true place of one is looked for


def _nobody(entry: WrittenEntry) -> Iterable[str]:
    del entry
    return ()


class Finding(Frozen):
    """Something that is not as Plangate wrote it, or cannot be told from that (``is_unsealed``).

    ``entry`` is its number in its run, if it has one.
    """

    workflow_id: str
    entry: int | None = None
    what: str
    is_unsealed: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        place = one_line(self.workflow_id) if self.workflow_id else "the records"
        return f"{place}, entry {self.entry}: {self.what}" if self.entry else f"{place}: {self.what}"


def broken_links(
    workflow_id: str,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]] = _nobody,
) -> Iterator[Finding]:
    """Yield every place at which these are not the whole trail of one run, from its first entry on, in order.

    ``owners`` says to which other runs an entry that does not belong here might belong, where that is known.
    """
    number = 1
    link: str | None = FIRST_HASH  # none where it is unknown: nobody is blamed for the fault ahead of them
    for entry in entries:
        if entry.number > number:
            yield _missing(workflow_id, number, entry.number - 1)
            link = None
        wrong = _wrong_by_itself(workflow_id, entry, number, entries, owners)
        if wrong is None and link is not None and entry.previous_hash != link:
            wrong = "does not follow from the entry before it, by its hash"
        if wrong:
            yield _finding(workflow_id, entry, wrong)
        link = None if wrong else entry.hash
        number = max(number, entry.number + 1)
    for key, count in Counter(entry.key for entry in entries).items():
        if count > 1:
            yield Finding(workflow_id=workflow_id, what=f"{count} entries have the key {one_line(key)}")


def readable(entries: Iterable[WrittenEntry]) -> Iterator[AuditEntry | Finding]:
    """Yield each entry with its event, or the finding that it cannot be read."""
    for entry in entries:
        try:
            event = read_event(entry.written)
        except ValueError:
            yield _finding(entry.workflow_id, entry, "holds no event that this release of Plangate can read")
            continue
        yield AuditEntry(**{**dict(entry), "event": event})
        if not _is_within(json.loads(entry.written), json.loads(event.model_dump_json())):
            yield _finding(entry.workflow_id, entry, "says more than this release of Plangate knows")


def _is_within(written: object, known: object) -> bool:
    """Whether all fields that were written are known; a field that was added later may be missing."""
    match written, known:
        case dict(), dict():
            return all(name in known and _is_within(value, known[name]) for name, value in written.items())
        case list(), list():
            return len(written) == len(known) and all(map(_is_within, written, known))
        case _:
            return True


def rules_named(entries: Iterable[AuditEntry]) -> dict[str, int]:
    """Return the hashes of the texts that a trail was judged by, each with the number of the first entry."""
    named: dict[str, int] = {}
    for entry in entries:
        match entry.event:
            case Drafted(requirement=requirement):
                named.setdefault(requirement.policy_hash, entry.number)
            case RulesInForce(hash=hash_of_text):
                named.setdefault(hash_of_text, entry.number)
            case event:
                named.setdefault(list_named(event), entry.number)
    named.pop("", None)
    return named


def missing_rules(
    workflow_id: str, entries: Sequence[AuditEntry], texts: Iterable[RuleText]
) -> Iterator[Finding]:
    """Yield each entry that was judged by a text which is not there, or is another one than it was."""
    kept = {text.hash: text for text in texts}
    for name, number in rules_named(entries).items():
        if name not in kept:
            what = f"was judged by a policy or list of people that is missing ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)
        elif not kept[name].is_as_named():
            what = f"was judged by a policy or list of people that was changed since ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)


def broken_story(workflow_id: str, entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that says what could not follow from the entries before it."""
    if workflow_id == RULES_TRAIL:
        yield from _broken_rules(entries)
        return
    state = RunState(workflow_id=workflow_id)
    claimed: Counter[str] = Counter()
    begin = beginnings(workflow_id, entries)
    order, has_ended = Order(), False
    for position, entry in enumerate(entries):
        event = entry.event
        if position == 0 and not isinstance(event, Requested):
            objection: str | None = "is not the request, which opens every trail"
        elif has_ended and not _may_come_late(state, event, claimed):
            objection = f"tells of a run ({event.kind}) that had ended"
        else:
            objection = (
                _objection(state, entry, claimed)
                or _begun_too_late(state, entry, begin)
                or _put_back(state, entries[:position], event)
                or _closed_early(entries[position - 1], entry)
                or other_time_than_said(entry)
                or order.objection(entry)
            )
        if objection:
            yield _finding(workflow_id, entry, objection)
        if isinstance(event, Claimed):
            claimed[event.idempotency_key] += 1
        order.follow(state, entry)
        has_ended = has_ended or isinstance(event, Closed)
        state = apply(state, event)


def _broken_rules(entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry of the trail of rules that is none, or not the next change."""
    last: dict[str, str] = {}
    counts: Counter[str] = Counter()
    latest = None
    for entry in entries:
        event = entry.event
        if not isinstance(event, RulesInForce):
            yield _finding(RULES_TRAIL, entry, "belongs on the trail of a run, not on that of rules")
            continue
        counts[event.what] += 1
        if latest is not None and entry.at < latest:
            yield _finding(RULES_TRAIL, entry, "is dated before the entry ahead of it")
        if entry.key != f"{event.what}:{counts[event.what]}":
            yield _finding(RULES_TRAIL, entry, f"has the key {one_line(entry.key)}, not the next one")
        if last.get(event.what) == event.hash:
            yield _finding(RULES_TRAIL, entry, "is no change: the same was in force before")
        last[event.what], latest = event.hash, entry.at


def _may_come_late(state: RunState, event: Event, claimed: Counter[str]) -> bool:
    """Whether this may stand behind the end of its run: a decision, or the end of a step that was acting."""
    match event:
        case Decided():
            return True
        case StepDone() | Released() | StepFailed() | StepInDoubt():
            return idempotency_key(state.workflow_id, state.fingerprint or "", event.step) in claimed
        case _:
            return False


def _missing(workflow_id: str, first: int, last: int) -> Finding:
    what = "is missing" if first == last else f"is missing, and every one up to entry {last}"
    return Finding(workflow_id=workflow_id, entry=first, what=what)


def _wrong_by_itself(
    workflow_id: str,
    entry: WrittenEntry,
    number: int,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]],
) -> str | None:
    if entry.number < number:
        return f"stands where entry {number} belongs"
    if entry.workflow_id != workflow_id:
        return f"belongs to the run {one_line(entry.workflow_id)}"
    if not _is_as_written(entry):
        return _how_it_was_changed(entry, entries, owners(entry))
    return None


def _is_as_written(entry: WrittenEntry) -> bool:
    try:
        return entry.hash == entry.expected_hash()
    except ValueError:
        return False


def _how_it_was_changed(entry: WrittenEntry, entries: Sequence[WrittenEntry], owners: Iterable[str]) -> str:
    """Say where the entry's content belongs, if it was only moved; else that it was changed."""
    for owner in owners:
        if _is_as_written(entry.model_copy(update={"workflow_id": owner})):
            return f"belongs to the run {one_line(owner)}"
    for other in entries if len(entries) <= _SEARCHED else ():
        moved = entry.model_copy(update={"number": other.number, "previous_hash": other.previous_hash})
        if other is not entry and _is_as_written(moved):
            return f"is in the place of another: it was written as entry {other.number}"
    return "was changed: its hash does not fit what it says"


def _objection(state: RunState, entry: AuditEntry, claimed: Counter[str]) -> str | None:
    event = entry.event
    match event:
        case Requested():
            return "is a second request" if state.requested else None
        case Drafted():
            return _wrong_draft(state, event)
        case Decided():
            return _wrong_maker(entry, event) or _wrong_verdict(state, event)
        case Reopened():
            return _wrong_reopening(state, event)
        case Claimed():
            return _wrong_claim(state, event, claimed)
        case StepDone() | Released() | StepFailed() | StepInDoubt():
            return _wrong_end(state, event, claimed)
        case Closed():
            return _wrong_close(state, entry, event)
        case RulesInForce():
            return "belongs on the trail of rules, not on that of a run"
        case _:
            assert_never(event)


def _wrong_draft(state: RunState, event: Drafted) -> str | None:
    if not event.is_as_named(state.workflow_id):
        return f"the fingerprint {short(event.fingerprint)} is not that of its plan"
    if event.revision != state.next_revision:
        return f"is revision {event.revision} where revision {state.next_revision} belongs"
    if state.drafted is not None and state.drafted.audience != event.audience:
        return "was made for another installation or namespace than the revision before"
    if state.phase is not Phase.DRAFTING:
        return f"a plan was made while the run was {state.state}"
    if event.requester and not same_person(event.requester, state.requester):
        return (
            f"calls {one_line(event.requester)} the requester, and {one_line(state.requester)} asked for it"
        )
    longest = state.requested.timeout_seconds if state.requested else 0
    if event.deadline - event.drafted_at > timedelta(seconds=longest):
        return "its review takes longer than was asked for"
    return None


def _wrong_maker(entry: AuditEntry, event: Decided) -> str | None:
    """Compare who decided, and when, with what the entry is listed under."""
    decision, approver = event.arrival.decision, event.approver
    if approver is not None and (decision is None or not same_person(approver.name, decision.by)):
        return f"is taken for a decision by {one_line(approver.name)}, who is not named in it"
    if approver is not None and entry.actor != approver.name:
        return f"is listed under {one_line(entry.actor)}, and was decided by {one_line(approver.name)}"
    if entry.at != event.arrival.received_at:
        return "is listed at another time than it was received"
    return None


def _wrong_verdict(state: RunState, event: Decided) -> str | None:
    """Judge an accepted decision that changed something once more, as the run stood and by what was known."""
    decision = event.arrival.decision
    if event.verdict.accepted and (decision is None or len(decision.plan) < MIN_PREFIX):
        return "was accepted, and names no plan"
    if not changes(state, event):
        return None
    again = judge(state, event.arrival, Identified(approver=event.approver))
    return None if again.verdict.accepted else f"was accepted, though {again.verdict.reason}"


def _put_back(state: RunState, before: Sequence[AuditEntry], event: Event) -> str | None:
    """Say so where an approval counted that may be an earlier one which came once more."""
    if not isinstance(event, Decided) or len(apply(state, event).approvals) <= len(state.approvals):
        return None
    again = may_be_put_back(state, [entry.event for entry in before], event.arrival, event.approver)
    return f"was accepted, though {again}" if again else None


def _closed_early(before: AuditEntry, entry: AuditEntry) -> str | None:
    if isinstance(entry.event, Closed) and entry.at < before.at:
        return "ends the run at a time before the entry ahead of it"
    return None


def _wrong_reopening(state: RunState, event: Reopened) -> str | None:
    if state.phase is not Phase.EXECUTING or event.fingerprint != state.fingerprint:
        return "opens the review of a plan again that was not being executed"
    if not event.lost:
        return "opens the review of a plan again for no reason"
    drafted = state.drafted
    if drafted and event.deadline - event.reopened_at > drafted.deadline - drafted.drafted_at:
        return "opens the review again for longer than the first time"
    strangers = {one.name for one in event.lost} - {one.name for one in state.approvers}
    if strangers:
        return f"calls an approval lost that there was not: {', '.join(map(one_line, sorted(strangers)))}"
    return None


def _wrong_claim(state: RunState, event: Claimed, claimed: Counter[str]) -> str | None:
    if event.idempotency_key != idempotency_key(state.workflow_id, event.fingerprint, event.step):
        return "its idempotency key is not that of its plan and step"
    try:
        authorise(state, event.fingerprint, event.step)
    except NotApproved as error:
        return f"a step began that was not allowed to: {error}"
    if event.attempt != claimed[event.idempotency_key] + 1:
        return f"calls attempt {event.attempt} what is attempt {claimed[event.idempotency_key] + 1}"
    return None


def _begun_too_late(state: RunState, entry: AuditEntry, begin: Container[int]) -> str | None:
    if not isinstance(entry.event, Claimed) or entry.number not in begin:
        return None
    stale = stale_approvers(state, entry.at - SLOW_CLAIM)
    if not stale:
        return None
    return f"a step began under an approval by {', '.join(map(one_line, stale))} that was too old"


def _wrong_end(
    state: RunState, event: StepDone | Released | StepFailed | StepInDoubt, claimed: Counter[str]
) -> str | None:
    """Compare what became of a step with its claims; only a step that did not happen may have had none."""
    if not 1 <= event.step <= len(state.steps):
        return f"speaks of step {event.step}, which the plan has not"
    claims = claimed[idempotency_key(state.workflow_id, state.fingerprint or "", event.step)]
    is_done = state.steps[event.step - 1].state is StepState.DONE
    match event:
        case StepDone() if not claims:
            return f"step {event.step} was done without having begun under this plan"
        case StepDone():
            return f"step {event.step} was done a second time" if is_done else None
        case _ if is_done:
            return f"step {event.step} was done already"
        case StepInDoubt() if not claims:
            return f"step {event.step} is in doubt without having begun under this plan"
        case Released() if event.attempt != claims:
            return f"gives back attempt {event.attempt} of step {event.step}, of which {claims} began"
        case _:
            return None


def _wrong_close(state: RunState, entry: AuditEntry, event: Closed) -> str | None:
    undone = [number for number, step in enumerate(state.steps, 1) if step.state is not StepState.DONE]
    was_rejected = state.closed is not None and state.closed.outcome is Outcome.REJECTED
    match event.outcome:
        case Outcome.EXECUTED if undone or not state.steps:
            return "is called executed, and not every step was done"
        case Outcome.REJECTED if not was_rejected:
            return "is called rejected, and nobody who may rejected it"
        case Outcome.EXPIRED if state.deadline is None or entry.at < state.deadline:
            return "is called expired ahead of its deadline"
        case Outcome.FAILED | Outcome.WITHDRAWN | Outcome.EXPIRED if state.steps and not undone:
            return f"is called {event.outcome.value}, and every step was done"
        case _:
            return None


def _finding(workflow_id: str, entry: WrittenEntry, what: str) -> Finding:
    return Finding(workflow_id=workflow_id, entry=entry.number, what=what)
