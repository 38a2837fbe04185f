"""Verify one trail: each entry must be allowed after the earlier entries.

`rule_violations` checks these rules without I/O. The hashes have already been checked by
`plangate.domain.findings.broken_links`. The entries may come from the records or from a bundle.

- The first entry is the request, and there is only one.
- A draft has the fingerprint of its plan, the next revision, the same installation, namespace and requester
  as before, and a review that is no longer than requested. It is made while the run is drafting, and may not
  be seen by more people than the previous plan.
- The actor and the time of a decision are those of the received message. An accepted decision refers to a
  plan; if it changed the run, `judge` accepts it again, and it cannot be an earlier approval that was sent
  again.
- A reopened review has the same requirement or a stricter one.
- A review is reopened only after an edit, or while its plan is being executed, and for no longer than the
  first time. Approvals recorded as invalid must have been accepted.
- A claim has its plan's idempotency key and the next attempt number, and `authorise` allows it. If the step
  may run after it (`plangate.audit.claims`), the step was allowed to begin at that time: no approval was too
  old, and the cooling-off time was over.
- A step that is done, undone, in doubt or released was claimed before; a step is done only once.
- A run is held at the step that failed or is in doubt, for no longer than its policy allows.
- An edited plan states its author, and is the plan that the edit contains. An accepted edit or resolution
  that changes nothing repeats an earlier one that did.
- An effect in doubt is not recorded as failed unless it was claimed again.
- A run ends as `plangate.domain.lifecycle.may_end` allows, and no earlier than the previous entry.
- After the end of the run, there are only decisions, results of claimed steps and settlements.
- A settlement is recorded after the end, at most one for each done step whose receipt was not final. The
  look-up ends no earlier than the step's entry specifies.
- The time of an entry is that of its event, and not before that of the entries that it depends on.

In the rules trail, every entry is the next change of the policy or of the list of people, or a request about
a key. In the access trail, every entry is an access by its actor.

    >>> list(rule_violations("plan-1", []))
    []
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from typing import Final, assert_never

from pydantic import JsonValue

from plangate.audit.claims import SLOW_CLAIM, beginnings
from plangate.audit.dates import DateOrder, differs_from_event_time
from plangate.domain.accesses import AccessRecorded
from plangate.domain.audit import (
    ACCESS_TRAIL,
    DELEGATIONS_TRAIL,
    RULES_TRAIL,
    STOPS_TRAIL,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Released,
    Reopened,
    Requested,
    RulesInEffect,
    Settlement,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
)
from plangate.domain.deadlines import exceeds_first_review, exceeds_hold, exceeds_request
from plangate.domain.decision import Choice
from plangate.domain.delegations import DelegationDecided
from plangate.domain.drafting import as_proposed_plan
from plangate.domain.errors import NotApproved, PlanInvalid, StepUnready
from plangate.domain.escaping import one_line
from plangate.domain.findings import Finding
from plangate.domain.fold import apply, changes
from plangate.domain.key_requests import KeyDecided
from plangate.domain.lifecycle import may_end
from plangate.domain.people import Identified, same_person
from plangate.domain.plan import MIN_PREFIX, removed_steps, short
from plangate.domain.references import resolve_references
from plangate.domain.repeats import repeats
from plangate.domain.requirement_comparison import asks_for_less
from plangate.domain.review import authorise, authorise_undo, judge
from plangate.domain.revocation import may_be_replayed, stale_approvers
from plangate.domain.run import Phase, RunState, StepState, key_of
from plangate.domain.starting import why_too_early, why_too_late, wrong_start_times
from plangate.domain.stops import StopDecided
from plangate.domain.viewers import missing_viewers


class _Effects:
    """The effects so far, by idempotency key: how often each was claimed, and which are in doubt."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.in_doubt: set[str] = set()

    def follow(self, state: RunState, event: Event) -> None:
        if isinstance(event, Claimed):
            self.claims[event.idempotency_key] += 1
            self.in_doubt.discard(event.idempotency_key)
        elif isinstance(event, StepInDoubt) and 1 <= event.step <= len(state.steps):
            self.in_doubt.add(key_of(state, event.step, undo=event.undo))


_OWN_TRAIL: Final = {
    RulesInEffect: "rules",
    KeyDecided: "rules",
    StopDecided: "stop",
    DelegationDecided: "delegation",
    AccessRecorded: "access",
}


def rule_violations(workflow_id: str, entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that is not allowed after the earlier entries."""
    if workflow_id == RULES_TRAIL:
        yield from _broken_rules_trail(entries)
        return
    if workflow_id in (STOPS_TRAIL, DELEGATIONS_TRAIL):
        return  # `plangate.audit.stops` and `plangate.audit.delegations` check these trails
    if workflow_id == ACCESS_TRAIL:
        yield from _broken_access_trail(entries)
        return
    state = RunState(workflow_id=workflow_id)
    effects = _Effects()
    begin = beginnings(entries)
    order, has_ended = DateOrder(), False
    events = [entry.event for entry in entries]
    for position, entry in enumerate(entries):
        event = entry.event
        if position == 0 and not isinstance(event, Requested):
            objection: str | None = "is not the request, which must come first"
        elif has_ended and not _may_follow_end(state, event, effects):
            objection = f"records {event.kind} after the end of the run"
        else:
            objection = (
                _objection(state, entry, effects, events[:position])
                or _begun_too_late(state, entry, begin)
                or _begun_too_early(state, entry, begin)
                or _replayed(state, events[:position], event)
                or _closed_early(entries[position - 1], entry)
                or differs_from_event_time(entry)
                or order.objection(entry)
            )
        if objection:
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=objection)
        effects.follow(state, event)
        order.follow(state, entry)
        has_ended = has_ended or isinstance(event, Closed)
        state = apply(state, event)


def _broken_rules_trail(entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that cannot be the next change in the rules trail."""
    last: dict[str, str] = {}
    counts: Counter[str] = Counter()
    latest = None
    for entry in entries:
        event = entry.event
        if not isinstance(event, RulesInEffect | KeyDecided):
            yield _on_rules_trail(entry, "belongs in a run's trail, not in the rules trail")
            continue
        if latest is not None and entry.at < latest:
            yield _on_rules_trail(entry, "is dated before the previous entry")
        latest = entry.at
        if isinstance(event, KeyDecided):
            continue  # `plangate.audit.key_requests` checks it
        counts[event.what] += 1
        if entry.key != f"{event.what}:{counts[event.what]}":
            yield _on_rules_trail(entry, f"has the key {one_line(entry.key)}, not the next one")
        if last.get(event.what) == event.hash:
            yield _on_rules_trail(entry, "changes nothing: the same text was in effect before")
        last[event.what] = event.hash


def _broken_access_trail(entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that does not belong in the access trail, or that has the wrong actor or time."""
    latest = None
    for entry in entries:
        event, what = entry.event, None
        if not isinstance(event, AccessRecorded):
            what = "belongs in a run's trail, not in the access trail"
        elif entry.actor != event.look.by:
            what = f"has the actor {one_line(entry.actor)}, but the access is by {one_line(event.look.by)}"
        elif latest is not None and entry.at < latest:
            what = "is dated before the previous entry"
        if what:
            yield Finding(workflow_id=ACCESS_TRAIL, entry=entry.number, what=what)
        latest = entry.at


def _on_rules_trail(entry: AuditEntry, what: str) -> Finding:
    return Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=what)


def _may_follow_end(state: RunState, event: Event, effects: _Effects) -> bool:
    """Return whether this event may follow the end: a decision, or the result of a step that was running."""
    match event:
        case Decided():
            return True
        case StepDone() | StepUndone() | Released() | StepFailed() | StepInDoubt():
            return bool(_claims(state, event, effects))
        case StepSettled() | StepReversed() | StepUnsettled():
            return True
        case (
            Requested()
            | Drafted()
            | Reopened()
            | Claimed()
            | Held()
            | Closed()
            | RulesInEffect()
            | KeyDecided()
            | StopDecided()
            | DelegationDecided()
            | AccessRecorded()
        ):
            return False
        case _:
            assert_never(event)


def _objection(state: RunState, entry: AuditEntry, effects: _Effects, before: Sequence[Event]) -> str | None:
    event = entry.event
    match event:
        case Requested():
            return "is a duplicate request" if state.requested else None
        case Drafted():
            return _wrong_draft(state, event)
        case Decided():
            return _wrong_actor(entry, event) or _wrong_verdict(state, event, before)
        case Reopened():
            return _wrong_reopening(state, event)
        case Claimed():
            return _wrong_claim(state, event, effects)
        case StepDone() | StepUndone() | Released() | StepFailed() | StepInDoubt():
            return _wrong_end(state, event, effects)
        case Held():
            return _wrong_hold(state, event)
        case Closed():
            return _wrong_close(state, entry, event)
        case StepSettled() | StepReversed() | StepUnsettled():
            return _wrong_settlement(state, entry, event, before)
        case RulesInEffect() | KeyDecided() | StopDecided() | DelegationDecided() | AccessRecorded():
            return f"belongs in the {_OWN_TRAIL[type(event)]} trail, not in a run's trail"
        case _:
            assert_never(event)


def _wrong_draft(state: RunState, event: Drafted) -> str | None:
    if not event.fingerprint_matches(state.workflow_id):
        return f"the fingerprint {short(event.fingerprint)} is not that of its plan"
    if event.revision != state.next_revision:
        return f"is revision {event.revision}, expected revision {state.next_revision}"
    if state.drafted is not None and state.drafted.audience != event.audience:
        return "was made for a different installation or namespace than the previous revision"
    if state.phase is not Phase.DRAFTING:
        return f"drafts a plan while the run is {state.state}"
    if event.requester and not same_person(event.requester, state.requester):
        return (
            f"has the requester {one_line(event.requester)}, but {one_line(state.requester)} sent the request"
        )
    wrong_times = wrong_start_times(event)
    if wrong_times:
        return wrong_times
    if exceeds_request(event, state.requested):
        return "allows a longer review than was requested"
    before = state.drafted.requirement.seen_by if state.drafted else ()
    if missing_viewers(event.requirement.seen_by, before):
        return "may be seen by more people than the previous plan"
    return _wrong_reads(state, event) or _wrong_author(state, event)


def _wrong_reads(state: RunState, event: Drafted) -> str | None:
    """Return an error if the reads are not a planner's; an edit keeps the reads of the previous plan."""
    if event.planner is not None:
        return None
    before = state.drafted.plan.reads if state.drafted and state.edit else ()
    return None if event.plan.reads == before else "lists reads that no planner made"


def _wrong_author(state: RunState, event: Drafted) -> str | None:
    """Compare an edited plan with the edit; the tools may have normalized its arguments."""
    author = state.edit.by if state.edit else ""
    if event.author != author:
        return (
            f"has the author {one_line(event.author) or 'planner'}, expected {one_line(author) or 'planner'}"
        )
    if state.edit is None or state.drafted is None:
        return "lists removed steps without an edit" if event.struck else None
    if event.struck != (removed_steps(state.drafted.plan, event.plan.proposed()) or ()):
        return "lists removed steps other than those that the edit left out"
    try:
        sent = as_proposed_plan(state.edit.plan)
    except PlanInvalid:
        return "drafts an edit that has no plan"
    if (sent.summary, sent.not_before) != (event.plan.summary, event.plan.not_before) or [
        (one.tool, one.reason) for one in sent.steps
    ] != [(one.tool, one.reason) for one in event.plan.steps]:
        return "is not the plan of the edit"
    return None


def _wrong_hold(state: RunState, event: Held) -> str | None:
    phase = Phase.UNDOING if event.undo else Phase.EXECUTING
    if state.phase is not phase or event.fingerprint != state.fingerprint or state.drafted is None:
        return f"holds a run that is {state.state}"
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    progress = state.steps[event.step - 1]
    stopped = progress.part(undo=event.undo)
    if stopped.state not in (StepState.FAILED, StepState.IN_DOUBT) or stopped.reason != event.why:
        return f"holds the run at step {event.step}, which did not stop for that reason"
    if event.number not in (0, state.next_hold):
        return f"is numbered hold {event.number}, expected hold {state.next_hold}"
    if exceeds_hold(event, state.drafted.requirement):
        return "holds the run for longer than its policy allows"
    return None


def _wrong_actor(entry: AuditEntry, event: Decided) -> str | None:
    """Compare the entry's actor and time with those of the decision."""
    decision, approver = event.arrival.decision, event.approver
    if approver is not None and (decision is None or not same_person(approver.name, decision.by)):
        return f"is attributed to {one_line(approver.name)}, but the decision names another person"
    if approver is not None and entry.actor != approver.name:
        return f"has the actor {one_line(entry.actor)}, but {one_line(approver.name)} decided"
    if entry.at != event.arrival.received_at:
        return "has a time that differs from when the decision was received"
    return None


def _wrong_verdict(state: RunState, event: Decided, before: Sequence[Event]) -> str | None:
    """Check an accepted decision again, if it changed the run, in the state at that time.

    An edit or a resolution that changed nothing may be accepted only if it repeats an earlier one that did.
    """
    decision = event.arrival.decision
    if event.verdict.accepted and (decision is None or len(decision.plan) < MIN_PREFIX):
        return "was accepted but refers to no plan"
    if not changes(state, event):
        is_one = decision is not None and decision.decision in (Choice.EDIT, Choice.RESOLVE)
        if not (is_one and event.verdict.accepted) or repeats(state.workflow_id, before, event):
            return None
    again = judge(state, event.arrival, Identified(approver=event.approver))
    return None if again.verdict.accepted else f"was accepted, though {again.verdict.reason}"


def _replayed(state: RunState, before: Sequence[Event], event: Event) -> str | None:
    """Return an error if an accepted approval may be an earlier one that was sent again."""
    if not isinstance(event, Decided) or len(apply(state, event).approvals) <= len(state.approvals):
        return None
    again = may_be_replayed(state, before, event.arrival, event.approver)
    return f"was accepted, though {again}" if again else None


def _closed_early(before: AuditEntry, entry: AuditEntry) -> str | None:
    if isinstance(entry.event, Closed) and entry.at < before.at:
        return "ends the run before the time of the previous entry"
    return None


def _wrong_reopening(state: RunState, event: Reopened) -> str | None:
    if event.edit and (state.edit is None or event.lost or event.fingerprint != state.fingerprint):
        return "records that an edit could not be drafted, but no edit was pending"
    if not event.edit and (state.phase is not Phase.EXECUTING or event.fingerprint != state.fingerprint):
        return "reopens the review of a plan that was not being executed"
    if not event.edit and not event.lost and event.requirement is None:
        return "reopens the review without an invalid approval"
    drafted = state.drafted
    if event.requirement is not None and drafted is not None:
        less = asks_for_less(event.requirement, drafted.requirement)
        if less:
            return f"requires less than the plan needed before: {less}"
        if asks_for_less(drafted.requirement, event.requirement) is None:
            return "reopens the review for a requirement that is no stricter"
    if drafted and event.requirement is not None:
        drafted = drafted.with_stricter_requirement(event.requirement, event.recent)
    wrong_times = wrong_start_times(event, drafted) if drafted else None
    if wrong_times:
        return wrong_times
    if drafted and exceeds_first_review(event, drafted, state.requested):
        return "reopens the review for longer than the first time"
    unknown = {one.name for one in event.lost} - {one.name for one in state.approvers}
    if unknown:
        return f"lists invalid approvals that did not exist: {', '.join(map(one_line, sorted(unknown)))}"
    return None


def _wrong_claim(state: RunState, event: Claimed, effects: _Effects) -> str | None:
    try:
        if event.undo:
            authorise_undo(state, event.fingerprint, event.step)
        else:
            authorise(state, event.fingerprint, event.step)
    except NotApproved as error:
        return f"a step began that was not allowed: {error}"
    if event.idempotency_key != key_of(state, event.step, undo=event.undo):
        return "its idempotency key is not that of its plan and step"
    if event.resolved != _resolved(state, event.step):
        return "the values of its references differ from the receipts that they refer to"
    expected = effects.claims[event.idempotency_key] + 1
    if event.attempt != expected:
        return f"is numbered attempt {event.attempt}, expected attempt {expected}"
    return None


def _begun_too_late(state: RunState, entry: AuditEntry, begin: Container[int]) -> str | None:
    if not isinstance(entry.event, Claimed) or entry.event.undo or entry.number not in begin:
        return None
    stale = stale_approvers(state, entry.at - SLOW_CLAIM)
    if not stale:
        return None
    return f"a step began although the approval by {', '.join(map(one_line, stale))} was too old"


def _begun_too_early(state: RunState, entry: AuditEntry, begin: Container[int]) -> str | None:
    if not isinstance(entry.event, Claimed) or entry.event.undo or entry.number not in begin:
        return None
    first = state.beginning.first(entry.at)
    if first == entry.at:  # without a tolerance: the claim was checked with the same clock
        return None
    why = why_too_late(state) if first is None else why_too_early(state, entry.at)
    return f"a step began although {why}"


def _resolved(state: RunState, step: int) -> dict[str, JsonValue] | None:
    """Return the values of a step's references; None if one has no value, so the step could not begin."""
    assert state.drafted is not None
    try:
        return resolve_references(state.drafted.plan.steps[step - 1].arguments, state.steps)
    except StepUnready:
        return None


_Result = StepDone | StepUndone | Released | StepFailed | StepInDoubt


def _claims(state: RunState, event: _Result, effects: _Effects) -> int:
    """Return how often the effect of this result was claimed."""
    if not 1 <= event.step <= len(state.steps):
        return 0
    return effects.claims[key_of(state, event.step, undo=_is_of_undo(event))]


def _is_of_undo(event: _Result) -> bool:
    match event:
        case StepUndone():
            return True
        case StepDone():
            return False
        case Released() | StepFailed() | StepInDoubt():
            return event.undo
        case _:
            assert_never(event)


def _wrong_end(state: RunState, event: _Result, effects: _Effects) -> str | None:
    """Compare the result of a step with its claims; only a failed step may be without a claim."""
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    claims = _claims(state, event, effects)
    now = state.steps[event.step - 1].state
    if _is_of_undo(event) and now is not StepState.DONE:
        return f"undoes step {event.step}, which is {now}"
    if not _is_of_undo(event) and now in (StepState.DONE, StepState.UNDONE):
        return f"step {event.step} was done {'a second time' if isinstance(event, StepDone) else 'already'}"
    match event:
        case StepDone(settles_until=at) if at is not None and event.receipt.final:
            return f"leaves the settlement of step {event.step} open, but its receipt is final"
        case StepDone():
            return None if claims else f"step {event.step} was done but never claimed under this plan"
        case StepUndone():
            return None if claims else f"step {event.step} was undone but never claimed under this plan"
        case StepInDoubt():
            return None if claims else f"step {event.step} is in doubt but was never claimed under this plan"
        case Released():
            if event.attempt == claims:
                return None
            return f"releases attempt {event.attempt} of step {event.step}, which has {claims} claims"
        case StepFailed():
            if key_of(state, event.step, undo=event.undo) in effects.in_doubt:
                return f"records step {event.step} as failed, though its effect is in doubt"
            return None
        case _:
            assert_never(event)


def _wrong_settlement(
    state: RunState, entry: AuditEntry, event: Settlement, before: Sequence[Event]
) -> str | None:
    """Compare a settlement with its step: each step has at most one, after the end of the run."""
    if not any(isinstance(one, Closed) for one in before):
        return f"records how step {event.step} ended before the end of the run"
    if not 1 <= event.step <= len(state.steps):
        return f"refers to step {event.step}, which does not exist"
    step = state.steps[event.step - 1]
    if step.settlement is not None:
        return f"records a second time how step {event.step} ended"
    if step.state is not StepState.DONE:
        return f"records how step {event.step} ended, which is {step.state}"
    if step.receipt is None or step.receipt.final or step.settles_until is None:
        return f"records how step {event.step} ended, but its receipt leaves nothing to look up"
    if isinstance(event, StepUnsettled) and entry.at < step.settles_until:
        return f"ends the look-up of step {event.step} too early"
    return None


def _wrong_close(state: RunState, entry: AuditEntry, event: Closed) -> str | None:
    reason = may_end(state, event.outcome, entry.at)
    return f"has the outcome {event.outcome}, but {reason}" if reason else None
