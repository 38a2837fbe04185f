"""Verify one trail: each entry must be allowed after the earlier entries.

`rule_violations` checks these rules without I/O. The hashes have already been checked by
`plangate.domain.runs.findings.broken_links`. The entries may come from the records or from a bundle.

- The first entry is the request, and there is only one.
- Drafts and reopened reviews follow `plangate.audit.review_starts`, decisions `plangate.audit.decisions`,
  and claims, results, holds and settlements of steps `plangate.audit.steps`.
- A run ends as `plangate.domain.runs.lifecycle.why_may_not_end` allows, and no earlier than the previous
  entry.
- After the end of the run, there are only decisions, results of claimed steps and settlements.
- The time of an entry is that of its event, and not before that of the entries that it depends on
  (`plangate.audit.dates`).

The rules trail and the access trail have rules of their own (`plangate.audit.rules_trail`,
`plangate.audit.access_trail`).

    >>> list(rule_violations("plan-1", []))
    []
"""

from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from plangate.audit.access_trail import broken_access_trail
from plangate.audit.claims import beginnings
from plangate.audit.dates import DateOrder, differs_from_event_time
from plangate.audit.decisions import replayed, wrong_actor, wrong_verdict
from plangate.audit.review_starts import wrong_draft, wrong_reopening
from plangate.audit.rules_trail import broken_rules_trail
from plangate.audit.steps import (
    Effects,
    begun_too_early,
    begun_too_late,
    claims_of,
    wrong_claim,
    wrong_end,
    wrong_hold,
    wrong_settlement,
)
from plangate.domain.base import OutsideRun
from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.runs.audit import (
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
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
)
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.fold import apply
from plangate.domain.runs.lifecycle import why_may_not_end
from plangate.domain.runs.run import RunState
from plangate.domain.runs.stops import StopDecided

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
        yield from broken_rules_trail(entries)
        return
    if workflow_id in (STOPS_TRAIL, DELEGATIONS_TRAIL):
        return  # `plangate.audit.stops` and `plangate.audit.delegations` check these trails
    if workflow_id == ACCESS_TRAIL:
        yield from broken_access_trail(entries)
        return
    state = RunState(workflow_id=workflow_id)
    effects = Effects()
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
                or begun_too_late(state, entry, begin)
                or begun_too_early(state, entry, begin)
                or replayed(state, events[:position], event)
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


def _may_follow_end(state: RunState, event: Event, effects: Effects) -> bool:
    """Return whether this event may follow the end: a decision, or the result of a step that was running."""
    match event:
        case Decided():
            return True
        case StepDone() | StepUndone() | Released() | StepFailed() | StepInDoubt():
            return bool(claims_of(state, event, effects))
        case StepSettled() | StepReversed() | StepUnsettled():
            return True
        case Requested() | Drafted() | Reopened() | Claimed() | Held() | Closed() | OutsideRun():
            return False
        case _:
            assert_never(event)


def _objection(state: RunState, entry: AuditEntry, effects: Effects, before: Sequence[Event]) -> str | None:
    event = entry.event
    match event:
        case Requested():
            return "is a duplicate request" if state.requested else None
        case Drafted():
            return wrong_draft(state, event)
        case Decided():
            return wrong_actor(entry, event) or wrong_verdict(state, event, before)
        case Reopened():
            return wrong_reopening(state, event)
        case Claimed():
            return wrong_claim(state, event, effects)
        case StepDone() | StepUndone() | Released() | StepFailed() | StepInDoubt():
            return wrong_end(state, event, effects)
        case Held():
            return wrong_hold(state, event)
        case Closed():
            return _wrong_close(state, entry, event)
        case StepSettled() | StepReversed() | StepUnsettled():
            return wrong_settlement(state, entry, event, before)
        case OutsideRun():
            return f"belongs in the {_OWN_TRAIL[type(event)]} trail, not in a run's trail"
        case _:
            assert_never(event)


def _closed_early(before: AuditEntry, entry: AuditEntry) -> str | None:
    if isinstance(entry.event, Closed) and entry.at < before.at:
        return "ends the run before the time of the previous entry"
    return None


def _wrong_close(state: RunState, entry: AuditEntry, event: Closed) -> str | None:
    reason = why_may_not_end(state, event.outcome, entry.at)
    return f"has the outcome {event.outcome}, but {reason}" if reason else None
