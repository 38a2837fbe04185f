"""Show the audit trail of one run, one line per entry."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, assert_never

from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.decisions.delegations import DelegationAction, DelegationDecided
from plangate.domain.decisions.key_requests import KeyAction, KeyDecided
from plangate.domain.escaping import cut
from plangate.domain.people.people import Approver
from plangate.domain.plans.plan import short
from plangate.domain.plurals import counted, step_or_undo
from plangate.domain.policies.escalation import later_approvers_of
from plangate.domain.runs.audit import (
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
from plangate.domain.runs.status import PreviousPlan
from plangate.domain.runs.stops import StopDecided
from plangate.presentation.changes import add_changes
from plangate.presentation.clock import moment
from plangate.presentation.durations import duration_in_words
from plangate.presentation.page import Page
from plangate.presentation.rolling_totals import NEEDS_MORE, sum_lines
from plangate.presentation.words import how_proven, spelled, value_words

_LONGEST: Final = 200


def trail_page(entries: Sequence[AuditEntry]) -> Page:
    """Return all entries of a run, and the hash of the last one."""
    page = Page()
    if not entries:
        return page
    page.heading(f"Audit trail of {entries[0].workflow_id}: {counted(len(entries), 'entry', 'entries')}")
    before: PreviousPlan | None = None
    for entry in entries:
        actor = cut(entry.actor, _LONGEST)
        when = f"{entry.number:>3}  {moment(entry.at, with_seconds=True)}"
        page.entry(when, f"{actor}  {_words(entry.event)}", indent=2)
        if isinstance(entry.event, Drafted):
            _add_plan(page, entry.event, before)
            one = entry.event
            before = PreviousPlan(revision=one.revision, fingerprint=one.fingerprint, plan=one.plan)
    page.copied("last hash", entries[-1].hash)
    return page


def entry_words(entry: AuditEntry) -> str:
    """Return the content of an entry in one line."""
    return _words(entry.event)


def _add_plan(page: Page, drafted: Drafted, before: PreviousPlan | None) -> None:
    """Add the preview of each step, what the planner read, and what this revision changed."""
    for number, step in enumerate(drafted.plan.steps, start=1):
        preview = step.preview.removeprefix(f"{step.tool}: ")
        said = f"{step.tool}: {cut(preview, _LONGEST)}" if preview else step.tool
        page.field(f"step {number}", said, indent=7)
    for number, read in enumerate(drafted.plan.reads, start=1):
        given = ", ".join(f"{name} = {value_words(value)}" for name, value in read.arguments.items())
        said = f"{read.tool} ({cut(given, _LONGEST)}) returned: {cut(read.result, _LONGEST)}"
        page.field(f"read {number}", said, indent=7)
    add_changes(page, before, drafted.plan, "audit export", indent=7)


def _words(event: Event) -> str:  # noqa: PLR0912  one case for each kind of event
    match event:
        case Requested():
            within = duration_in_words(timedelta(seconds=event.timeout_seconds))
            what = cut(event.request, _LONGEST) or "a supplied plan"
            return f"asked for: {what}; each review may take {within}"
        case Drafted():
            author = f"edited by {cut(event.author, _LONGEST)}, " if event.author else ""
            return (
                f"plan {short(event.fingerprint)}, revision {event.revision}, {author}"
                f"{counted(len(event.plan.steps), 'step')}: {cut(event.plan.summary, _LONGEST)}; "
                f"needs {'; '.join([str(event.requirement), *_later(event), *sum_lines(event.recent)])}"
            )
        case Decided():
            return _decision(event)
        case Reopened(edit=edit) if edit:
            return f"the plan is in review again, because {edit}"
        case Reopened() if event.edit:
            return f"the plan is in review again: {event.edit}"
        case Reopened():
            needs = [f"{NEEDS_MORE}: {event.requirement}"] if event.requirement else []
            needs += sum_lines(event.recent)
            reasons = "; ".join([*needs, *(lost.reason for lost in event.lost)])
            return f"the plan is in review again, since step {event.step} could not begin: {reasons}"
        case Claimed():
            begins = "begins" if event.attempt == 1 else f"begins again, attempt {event.attempt}"
            values = ", ".join(f"{name} = {value_words(value)}" for name, value in event.resolved.items())
            with_values = f", with {cut(values, _LONGEST)} by reference" if values else ""
            return f"{step_or_undo(event.step, undo=event.undo)} {begins}{with_values}"
        case Released():
            what = step_or_undo(event.step, undo=event.undo)
            return f"attempt {event.attempt} of {what} did nothing: {event.reason}"
        case StepDone():
            accepted = "" if event.receipt.final else " (accepted, not final)"
            return f"step {event.step} done{accepted}: {cut(event.receipt.summary, _LONGEST)}"
        case StepFailed():
            return f"{step_or_undo(event.step, undo=event.undo)} failed: {event.reason}"
        case StepInDoubt():
            return f"{step_or_undo(event.step, undo=event.undo)} is in doubt: {event.reason}"
        case StepUndone():
            return f"step {event.step} undone: {cut(event.receipt.summary, _LONGEST)}"
        case Held():
            what = step_or_undo(event.step, undo=event.undo)
            return f"held at {what} until {moment(event.deadline, with_seconds=True)}: {event.why}"
        case Closed():
            return f"closed: {event.outcome}" + (f", {event.reason}" if event.reason else "")
        case StepSettled():
            return f"step {event.step} settled: {cut(event.summary, _LONGEST)}"
        case StepReversed():
            return f"step {event.step} was reversed: {cut(event.summary, _LONGEST)}"
        case StepUnsettled():
            return f"step {event.step}: it is not known how it ended: {cut(event.summary, _LONGEST)}"
        case RulesInEffect():
            which = "policy" if event.what == "policy" else "list of people"
            return f"uses the {which} {short(event.hash)}" if event.hash else f"has no {which}"
        case DelegationDecided():
            return _delegation(event)
        case KeyDecided():
            return _key_request(event)
        case StopDecided():
            return _stop_request(event)
        case AccessRecorded(look=look):
            why = f": {cut(look.why, _LONGEST)}" if look.why else ""
            return f"{look.what} {look.subject}{why}"
        case _:
            assert_never(event)


def _stop_request(event: StopDecided) -> str:
    order, verdict = event.arrival.order, event.verdict
    said = "an unreadable request to stop or to release"
    if order is not None:
        which = f" {order.stop}" if order.stop else ""
        what = "everything" if order.tool is None else order.tool
        said = f"{order.action}{which}: {what}" + (
            f" ({cut(order.reason, _LONGEST)})" if order.reason else ""
        )
    result = "accepted" if verdict.accepted else "refused"
    return f"{said}{_proof(event.approver)}, {result}: {verdict.reason}"


def _delegation(event: DelegationDecided) -> str:
    order, verdict = event.arrival.order, event.verdict
    said = "an unreadable request about a delegation or an absence"
    if order is not None:
        until = f" until {moment(order.until)}" if order.until else ""
        roles = f" {', '.join(order.roles)}" if order.roles else ""
        to = f" to {order.to}" if order.to else ""
        action = "delegate" if order.action is DelegationAction.LEND else order.action
        said = f"{action}{roles}{to}{until}"
        said += f" ({cut(order.reason, _LONGEST)})" if order.reason else ""
    result = "accepted" if verdict.accepted else "refused"
    return f"{said}{_proof(event.approver)}, {result}: {verdict.reason}"


def _key_request(event: KeyDecided) -> str:
    order, verdict = event.arrival.order, event.verdict
    said = "an unreadable request about a key"
    if order is not None:
        is_new = order.action is KeyAction.CONFIRM
        said = f"{'confirms' if is_new else 'revokes'} a key of {order.person}, {cut(order.key, _LONGEST)}"
    result = "accepted" if verdict.accepted else "refused"
    return f"{said}{_proof(event.approver)}, {result}: {verdict.reason}"


def _proof(approver: Approver | None) -> str:
    if approver is None:
        return ""
    return f", {how_proven(approver.assurance, approver.key_id, approver.origin, approver.batch)}"


def _later(drafted: Drafted) -> list[str]:
    """Return the roles that may approve later, and the deadline if it is in working time."""
    later_approvers = later_approvers_of(drafted.requirement.escalations, drafted.drafted_at)
    later = [f"for {one.role}, from {moment(one.at)} also by {one.to}" for one in later_approvers]
    limits = " or ".join(map(str, drafted.requirement.working))
    return later + ([f"until {moment(drafted.deadline)} ({limits})"] if limits else [])


def _decision(event: Decided) -> str:
    arrival, verdict = event.arrival, event.verdict
    said = spelled(arrival.decision.decision if arrival.decision else arrival.name)
    plan = f" {short(arrival.decision.plan)}" if arrival.decision else ""
    if arrival.decision and arrival.decision.resolution:
        plan = f" step {arrival.decision.step}: {spelled(arrival.decision.resolution)},{plan}"
    comment = (
        f" ({cut(arrival.decision.comment, _LONGEST)})"
        if arrival.decision and arrival.decision.comment
        else ""
    )
    result = "accepted" if verdict.accepted else "refused"
    return f"{said}{plan} by {arrival.via}{_proof(event.approver)}{comment}, {result}: {verdict.reason}"
