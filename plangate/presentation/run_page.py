"""Show a run: what happened, the request, everything that will run, and the decisions.

A plan that can be approved is never cut, regardless of its length; past events may be cut.
"""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from plangate.domain.escaping import cut
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import same_person
from plangate.domain.plans.plan import short
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.policies.requirement import missing_in_words
from plangate.domain.runs.audit import OUTCOMES, ModelUse, Outcome
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import GONE, DecisionStatus, Status, StepStatus, UnreadDecision
from plangate.presentation.changes import add_all_changes, author_of
from plangate.presentation.clock import in_readers_zone, moment
from plangate.presentation.deciding_page import why_not_you
from plangate.presentation.disagreement_words import disagreement_lines
from plangate.presentation.duplicate_words import duplicate_lines
from plangate.presentation.durations import duration_in_words, from_now
from plangate.presentation.held_page import (
    UNDOING,
    add_hold,
    add_what_happened,
    excluded_words,
    is_partly_done,
)
from plangate.presentation.page import Page
from plangate.presentation.problems import problems
from plangate.presentation.program_name import program
from plangate.presentation.reads_page import add_reads, reads_words
from plangate.presentation.rolling_totals import NEEDS_MORE, sum_lines
from plangate.presentation.settlement_words import add_settlements, reversed_steps
from plangate.presentation.start_words import begins_words, can_withdraw_approvals, when_it_runs
from plangate.presentation.state_details import deviations_of
from plangate.presentation.step_page import LONGEST_AFTERWARDS, STEP_STYLES, add_step, step_words
from plangate.presentation.stops_page import add_stop
from plangate.presentation.words import (
    APPROVED_AND_WAITING,
    NO_LONGER_VALID,
    SUPPLIED,
    UNKNOWN_SENDER,
    WAITING,
    author_words,
    batch_words,
    proof_words,
    spelled,
    status_command,
    verdict_word,
)

_STYLES: Final = {
    Phase.DRAFTING.value: "cyan",
    Phase.IN_REVIEW.value: "bold yellow",
    Phase.EXECUTING.value: "cyan",
    Phase.HELD.value: "bold red",
    Phase.UNDOING.value: "bold yellow",
    Outcome.EXECUTED.value: "bold green",
    Outcome.FAILED.value: "bold red",
    Outcome.REJECTED.value: "bold red",
}


def warnings_of(status: Status) -> Iterator[tuple[str, str]]:
    """Yield what an approver checks first, each with its label."""
    yield from (("CHECK", line) for line in disagreement_lines(status))
    yield from (("DUPLICATE", line) for line in duplicate_lines(status, moment))


def is_over(status: Status) -> bool:
    """Return whether the run has an outcome or no longer exists, so that nothing more will happen."""
    return status.state in OUTCOMES or status.state == GONE


def run_page(status: Status, now: datetime) -> Page:
    """Return the whole page of a run."""
    page = Page()
    page.heading(_title(status, now), _style(status))
    add_settlements(page, status.state, status.steps)
    if status.reason:
        page.field("because", status.reason)
    _add_continuation(page, status)
    for label, line in warnings_of(status):
        page.field(label, line, "bold red")
    for stop in status.stops:
        add_stop(page, stop)
    _add_beginning(page, status, now)
    add_hold(page, status, now)
    if status.state == Phase.UNDOING:
        page.field("now", UNDOING, "bold yellow")
    if is_partly_done(status):
        add_what_happened(page, status)
    page.field("requester", status.requester)
    add_request(page, status)
    for problem in problems(status):
        page.words("waits", problem)
    if any(step.next_try for step in status.steps):
        page.note(f"To end the run instead: {program()} withdraw {shlex.quote(status.workflow_id)}", indent=4)
    if status.plan is not None:
        page.extend(plan_page(status, now))
    _add_decisions(page, status)
    _add_unread(page, status)
    for sentence in status.workers_differ:
        page.note(sentence, "yellow")
    page.gap()
    page.note(source_words(status))
    return page


def _add_beginning(page: Page, status: Status, now: datetime) -> None:
    """Add when an approved plan stops waiting, and how to withdraw approvals."""
    begins = begins_words(status, now)
    if not begins:
        return
    page.field("begins", begins, "bold yellow")
    if not status.approved_by:
        page.note("It needs no approval. To stop it, withdraw it:", "", indent=4)
        page.command(f"{program()} withdraw {shlex.quote(status.workflow_id)}", indent=6)
    if not can_withdraw_approvals(status, now):
        return
    page.note("Until then, approvers can withdraw their approval:", "", indent=4)
    page.command(f"{program()} withdraw-approval {shlex.quote(status.workflow_id)} --by YOUR-NAME", indent=6)


def add_request(page: Page, status: Status) -> None:
    """Add the request."""
    page.words("request", status.request or f"({SUPPLIED})", exact=_exact(status))


def plan_page(status: Status, now: datetime) -> Page:
    """Return the newest plan: everything that will run, the approvals that it needs, and the deadline."""
    page = Page()
    page.field("plan", f"{status.short_fingerprint}, revision {status.revision}", "bold")
    if author_of(status):
        page.field("author", author_of(status), "bold yellow")
    if status.plan:
        is_past = is_over(status) and status.state != Outcome.EXECUTED
        page.field("was to run" if is_past else "what runs", what_runs(status.plan), "bold")
        page.words("summary", status.plan.summary, exact=_exact(status))
        page.note(author_words(by_planner=status.planner is not None, editor=status.author), indent=4)
        if status.plan.reads:
            page.field("read", reads_words(status.plan))
    page.field("needs", f"{status.requirement}" + _for_how_long(status) + _approved_by(status))
    if status.state == Phase.IN_REVIEW:
        page.field("excluded", excluded_words(status))
    if status.still_needed and status.approved_by:
        page.field("still needed", _needed(status), "bold yellow")
    add_later_approvers(page, status, now)
    for line in sum_lines(status.sums):
        page.field("in total", line)
    for label, words in when_it_runs(status, now):
        page.field(label, words, "bold" if label == "runs" else "")
    _add_approvals(page, status)
    if status.changes_asked and status.revision > 1:
        page.words("changes", status.changes_asked)
    if status.deadline and status.state == Phase.IN_REVIEW:
        page.field("deadline", f"{moment(status.deadline)}, {from_now(status.deadline, now)}{_by(status)}")
    add_all_changes(page, status, _exact(status))
    for step in status.steps:
        add_step(page, step, len(status.steps), _exact(status))
    add_reads(page, status.plan, _exact(status))
    _add_identity(page, status)
    return page


def _add_identity(page: Page, status: Status) -> None:
    """Add the exact identity of the plan, for signatures and auditors, below the readable part."""
    page.gap()
    if status.requirement and status.requirement.policy_hash:
        rules = ", ".join(status.requirement.rules) or "none"
        page.field("policy", f"rules: {rules}; hash {short(status.requirement.policy_hash)}")
    if status.planner:
        page.field("planner", _planner(status.planner))
    page.copied("fingerprint", status.fingerprint or "", "")
    page.field("installation", f"{status.installation}, namespace {status.namespace}")


def _add_approvals(page: Page, status: Status) -> None:
    """Add which approvals were revoked, when the others expire, and why the review was reopened."""
    revoked = {one.name for one in status.revoked}
    for one in status.revoked:
        said = f"{one.reason}, so {one.name}'s approval is no longer valid; it must be given again"
        page.field("approval", said, "bold yellow")
    for decision in status.decisions:
        if decision.counts_until and not is_over(status) and decision.by not in revoked:
            page.field("approval", f"{decision.by}'s approval is valid until {moment(decision.counts_until)}")
    is_reopened = bool(status.edit_failed) or status.needs_more
    if status.lost or (is_reopened and status.state == Phase.IN_REVIEW):
        page.field("reopened", _reopened(status), "bold yellow")


def outcome_page(status: Status) -> Page:
    """Return how a run ended: its outcome, its receipts, and who approved."""
    page = Page()
    page.heading(_title(status, None), _style(status))
    add_settlements(page, status.state, status.steps)
    if status.reason:
        page.field("because", status.reason)
    if status.short_fingerprint:
        page.field("plan", f"{status.short_fingerprint}, revision {status.revision}")
    if status.approved_by:
        page.field("approved by", _approvers(status))
    for step in status.steps:
        page.field(f"step {step.number}", f"{step.tool}: {_ended(step)}", STEP_STYLES[step.state])
    for problem in problems(status):
        page.words("waits", problem)
    _add_continuation(page, status)
    page.note(source_words(status))
    return page


def _add_continuation(page: Page, status: Status) -> None:
    """Add the command that proposes the rest of a run that ended halfway."""
    has_rest = any(step.state in (StepState.PENDING, StepState.FAILED) for step in status.steps)
    if status.state in (Outcome.FAILED, Outcome.WITHDRAWN) and has_rest:
        page.note("To propose the remaining steps as a new plan:", "")
        page.command(f"{program()} start --from {shlex.quote(status.workflow_id)}")


def _title(status: Status, now: datetime | None) -> str:
    """Return the id, the state, and the skipped or reversed steps, which the state does not show."""
    deviations = deviations_of(status)
    parts = [_which(deviations.skipped, "skipped")] if deviations.skipped else []
    parts += [_which(deviations.reversed, "reversed")] if deviations.reversed else []
    is_executed = status.state == Outcome.EXECUTED
    but = f", {'but' if is_executed else 'and'} {' and '.join(parts)}" if parts else ""
    waits = now is not None and status.waits_until(now) is not None
    waiting = APPROVED_AND_WAITING if status.approved_by else WAITING
    state = waiting if waits else spelled(status.state)
    return f"{status.workflow_id}  {state}{but}"


def _which(steps: Sequence[int], what: str) -> str:
    return f"step {' and '.join(map(str, steps))} {'were' if len(steps) > 1 else 'was'} {what}"


def _style(status: Status) -> str:
    return "bold red" if reversed_steps(status.steps) else _STYLES.get(status.state, "bold")


def source_words(status: Status) -> str:
    """Return the source of the status."""
    return f"Source: the {'running ' if status.source == 'workflow' else ''}{status.source}."


def _exact(status: Status) -> str:
    """Return the command that prints a run unchanged."""
    return status_command(status.workflow_id, as_json=True)


def needed_words(status: Status) -> str:
    """Return the missing approvals; the whole requirement if they are not known."""
    if not status.still_needed or status.requirement is None:
        return str(status.requirement)
    return missing_in_words(status.lacks, status.reliefs) + status.requirement.proof_words


def add_later_approvers(page: Page, status: Status, now: datetime) -> None:
    """Add the other roles that may approve later, and their times."""
    for role, at in dict.fromkeys((one.to, one.at) for one in status.reliefs):
        instead = " and ".join(one.role for one in status.reliefs if (one.to, one.at) == (role, at))
        when = "since" if at <= now else "from"
        page.field("or", f"{when} {moment(at)}, {from_now(at, now)}, {role} (instead of {instead})")


def waits_for(status: Status, viewer: str) -> str:
    """Return the missing approvals, and what they mean for the reader, ``viewer``."""
    needs = needed_words(status)
    if why_not_you(status, viewer):
        return f"waits for {needs}; you {why_not_you(status, viewer)}"
    if any(same_person(viewer, name) for name in status.approved_by):
        return f"waits for {needs}; you have already approved it"
    return f"waits for {needs}"


def unread_words(status: Status) -> str:
    """Return how many decisions wait for a worker; empty if none."""
    count = len(status.unread) + status.unread_not_listed
    if not count:
        return ""
    return "1 decision waits for a worker" if count == 1 else f"{count} decisions wait for a worker"


def decision_words(decision: DecisionStatus) -> str:
    """Return one decision with its result in one line."""
    verdict = verdict_word(accepted=decision.accepted)
    who = decision.by or UNKNOWN_SENDER
    plan = f" {short(decision.plan)}" if decision.plan else ""
    delegators = f" for {' or '.join(decision.on_behalf_of)}" if decision.on_behalf_of else ""
    passkey = f" by passkey at {decision.origin}{batch_words(decision.batch)}" if decision.origin else ""
    proof = "" if decision.assurance is Assurance.TYPED else f" ({decision.assurance}{passkey})"
    how = f" step {decision.step}: {spelled(decision.resolution)}" if decision.resolution else plan
    said = f"{who}{delegators}{proof}: {spelled(decision.decision)}{how}"
    if decision.void:
        return f"{said}, {NO_LONGER_VALID} ({decision.void})"
    return f"{said}, {verdict}: {in_readers_zone(decision.reason)}"


def _ended(step: StepStatus) -> str:
    return "not run" if step.state is StepState.PENDING else step_words(step)


def _approved_by(status: Status) -> str:
    return f"; approved by {_approvers(status)}" if status.approved_by else ""


def _approvers(status: Status) -> str:
    return ", ".join(
        name + proof_words(verified=name not in status.unverified) for name in status.approved_by
    )


def _needed(status: Status) -> str:
    """Return the missing approvals; another part of the page says who may give them later."""
    return needed_words(status.model_copy(update={"reliefs": ()}))


def _by(status: Status) -> str:
    limits = status.requirement.working if status.requirement else ()
    return f"; {' or '.join(map(str, limits))}" if limits else ""


def _for_how_long(status: Status) -> str:
    if status.requirement is None:
        return ""
    valid_for, cooling = status.requirement.approval_valid_for, status.requirement.cooling_seconds
    counts = (
        f"; each approval is valid for {duration_in_words(timedelta(seconds=valid_for))}" if valid_for else ""
    )
    begins = (
        f"; it begins {duration_in_words(timedelta(seconds=cooling))} after the last approval"
        if cooling
        else ""
    )
    return counts + begins


def _planner(use: ModelUse) -> str:
    cost = f", cost {use.cost}" if use.cost else ""
    return f"{use.model}, {use.prompt_tokens + use.completion_tokens:,} tokens{cost}"


def _add_decisions(page: Page, status: Status) -> None:
    if not status.decisions:
        return
    page.gap()
    page.note("Decisions", "bold")
    if status.refusals_not_listed:
        page.note(f"{status.refusals_not_listed} earlier refusals are only in the audit trail.", indent=4)
    reopened_at = status.reopened_at
    for decision in status.decisions:
        if reopened_at and decision.at > reopened_at:
            _add_reopening(page, status)
            reopened_at = None
        counts = decision.accepted and not decision.void
        sign, style = ("✓", "green") if counts else ("✗", "yellow")
        when = f"{sign} {moment(decision.at, with_seconds=True)}"
        page.entry(when, decision_words(decision), style, indent=4)
        if decision.comment:
            page.words("comment", decision.comment, indent=6)
        if decision.excerpt:
            page.field("received", cut(decision.excerpt, LONGEST_AFTERWARDS), indent=6)
    if reopened_at:
        _add_reopening(page, status)


def _add_reopening(page: Page, status: Status) -> None:
    assert status.reopened_at is not None
    when = f"! {moment(status.reopened_at, with_seconds=True)}"
    why = "an edit could not be drafted" if status.edit_failed else "approvals were no longer valid"
    why = NEEDS_MORE if status.needs_more else why
    page.entry(when, f"the review was reopened, because {why}", "yellow", 4)


def _reopened(status: Status) -> str:
    when = moment(status.reopened_at) if status.reopened_at else ""
    reasons = [*([NEEDS_MORE] if status.needs_more else []), *(one.reason for one in status.lost)]
    return f"{when}, because {status.edit_failed or '; '.join(reasons)}"


def _add_unread(page: Page, status: Status) -> None:
    if not status.unread:
        return
    page.gap()
    page.note(unread_words(status), "bold yellow")
    for unread in status.unread:
        when = f"? {moment(unread.sent_at, with_seconds=True)}"
        page.entry(when, _unread_decision(unread), "yellow", indent=4)
    if status.unread_not_listed:
        page.note(f"and {status.unread_not_listed:,} more", indent=4)


def _unread_decision(unread: UnreadDecision) -> str:
    plan = f" plan {short(unread.plan)}" if unread.plan else ""
    who = f", in the name of {unread.by}" if unread.by else ""
    return f"{spelled(unread.decision)}{plan}{who}"
