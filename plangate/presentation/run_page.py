"""The page of a run: the request, everything that will run, the decisions, and how to decide.

A plan that can be approved is never cut, whatever its length; past events may be.
"""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

from plangate.domain.assurance import Assurance
from plangate.domain.audit import OUTCOMES, ModelUse, Outcome
from plangate.domain.decision import PLACEHOLDER, Choice
from plangate.domain.digest import digest
from plangate.domain.escaping import cut
from plangate.domain.people import same_person
from plangate.domain.plan import short
from plangate.domain.run import Phase, StepState
from plangate.domain.status import GONE, DecisionStatus, Status, StepStatus, UnreadDecision
from plangate.presentation.changes import add_changes, author_of
from plangate.presentation.clock import moment
from plangate.presentation.durations import from_now, spoken
from plangate.presentation.held_page import (
    AT_THE_DEADLINE,
    COMMENTS,
    UNDOING,
    add_hold,
    add_what_happened,
    is_partly_done,
    resolution_message,
    resolvers_words,
    stopped_at,
    takes_signed_resolutions,
)
from plangate.presentation.page import Page
from plangate.presentation.program import program
from plangate.presentation.resolutions import resolution_words
from plangate.presentation.step_page import LONGEST_AFTERWARDS, STEP_STYLES, add_step, step_words
from plangate.presentation.troubles import troubles
from plangate.presentation.words import (
    NO_LONGER_COUNTS,
    SUPPLIED,
    UNKNOWN_SENDER,
    author_words,
    proof_words,
    spelled,
    status_command,
    verdict_word,
)

ANYBODY: Final = PLACEHOLDER
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


@dataclass(frozen=True, slots=True)
class TemporalAccess:
    """Other ways to see and decide a run: Temporal's command line and Web UI.

    Attributes:
        cli_flags: the options with which ``temporal`` reaches the server.
        namespace: the Temporal namespace of the runs.
        ui_url: the Web UI's address, if known.
        is_open: whether the Temporal server answers.
        program: the ``temporal`` command, as it can be typed here.
    """

    cli_flags: tuple[str, ...] = ()
    namespace: str = "default"
    ui_url: str | None = None
    is_open: bool = True
    program: str = "temporal"

    def signal_command(self, workflow_id: str, choice: str, by: str, plan: str) -> str:
        """Return the ``temporal`` command that sends a decision, ready for a shell."""
        return shlex.join(self.signal_words(workflow_id, choice, by, plan))

    def resolve_command(self, workflow_id: str, message: str) -> str:
        """Return the ``temporal`` command that resolves a held run by this message, ready for a shell."""
        return shlex.join(self.words(workflow_id, Choice.RESOLVE, message))

    def signal_words(self, workflow_id: str, choice: str, by: str, plan: str) -> list[str]:
        """Return the same command as a list of arguments."""
        return self.words(workflow_id, choice, json.dumps({"by": by, "plan": plan}))

    def words(self, workflow_id: str, choice: str, message: str) -> list[str]:
        """Return the ``temporal`` command that sends this message, as a list of arguments."""
        return [
            *(self.program, "workflow", "signal", "-w", workflow_id, "--name", choice, "--input", message),
            *self.cli_flags,
        ]

    def unpause_command(self, workflow_id: str, activity_id: str) -> str:
        """Return the ``temporal`` command that unpauses a step or draft, ready for a shell."""
        words = [self.program, "activity", "unpause", "--workflow-id", workflow_id]
        return shlex.join([*words, "--activity-id", activity_id, *self.cli_flags])

    def page_of(self, workflow_id: str) -> str | None:
        """Return the address of a run in the Web UI."""
        if self.ui_url is None:
            return None
        namespace, run = quote(self.namespace, safe=""), quote(workflow_id, safe="")
        return f"{self.ui_url}/namespaces/{namespace}/workflows/{run}"


def is_over(status: Status) -> bool:
    """Return whether the run has an outcome, or is gone: nothing more will happen."""
    return status.state in OUTCOMES or status.state == GONE


def run_page(status: Status, now: datetime) -> Page:
    """Return the whole page of a run."""
    page = Page()
    page.heading(_title(status), _STYLES.get(status.state, "bold"))
    if status.reason:
        page.field("because", status.reason)
    add_hold(page, status, now)
    if status.state == Phase.UNDOING:
        page.field("now", UNDOING, "bold yellow")
    if is_partly_done(status):
        add_what_happened(page, status)
    page.field("requester", status.requester)
    add_request(page, status)
    for trouble in troubles(status):
        page.words("waits", trouble)
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


def add_request(page: Page, status: Status) -> None:
    """Add the request."""
    page.words("request", status.request or f"({SUPPLIED})", exact=_exact(status))


def plan_page(status: Status, now: datetime) -> Page:
    """Return the newest plan: everything that will run, what it needs, and until when."""
    page = Page()
    page.field("plan", f"{status.short_fingerprint}, revision {status.revision}", "bold")
    if author_of(status):
        page.field("author", author_of(status), "bold yellow")
    if status.plan:
        page.field("what runs", digest(status.plan), "bold")
        page.words("summary", status.plan.summary, exact=_exact(status))
        page.note(author_words(by_planner=status.planner is not None, editor=status.author), indent=4)
    page.field("needs", f"{status.requirement}" + _for_how_long(status) + _approved_by(status))
    if status.still_needed and status.approved_by:
        page.field("still needed", needed_words(status), "bold yellow")
    _add_approvals(page, status)
    if status.changes_asked and status.revision > 1:
        page.words("changes", status.changes_asked)
    if status.requirement and status.requirement.policy_hash:
        rules = ", ".join(status.requirement.rules) or "none"
        page.field("policy", f"rules: {rules}; hash {short(status.requirement.policy_hash)}")
    if status.deadline and status.state == Phase.IN_REVIEW:
        page.field("deadline", f"{moment(status.deadline)}, {from_now(status.deadline, now)}")
    if status.planner:
        page.field("planner", _planner(status.planner))
    page.copied("fingerprint", status.fingerprint or "", "")
    page.field("installation", f"{status.installation}, namespace {status.namespace}")
    if status.previous is not None:
        page.gap()
        add_changes(page, status.previous, status.plan, _exact(status))
    for step in status.steps:
        add_step(page, step, len(status.steps), _exact(status))
    return page


def _add_approvals(page: Page, status: Status) -> None:
    """Add which approvals are revoked, until when the others count, and why the review was reopened."""
    revoked = {one.name for one in status.revoked}
    for one in status.revoked:
        said = f"{one.reason}, so {one.name}'s approval no longer counts; it must be given again"
        page.field("approval", said, "bold yellow")
    for decision in status.decisions:
        if decision.counts_until and not is_over(status) and decision.by not in revoked:
            page.field("approval", f"{decision.by}'s approval counts until {moment(decision.counts_until)}")
    if status.lost:
        page.field("reopened", _reopened(status), "bold yellow")


def deciding_page(status: Status, access: TemporalAccess, viewer: str = "", *, signs: bool = False) -> Page:
    """Return how to decide on a plan or a held run: by this program, the Temporal CLI, the Web UI.

    ``viewer`` is the reader: for the requester, another person must approve. ``signs`` says
    that there are keys on this machine.
    """
    page = Page()
    page.gap()
    if not access.is_open:
        waits = status.state in (Phase.IN_REVIEW, Phase.HELD)
        then = "then decide" if waits else "and the run continues"
        page.heading(f"The Temporal server does not answer. Start it, {then}. On one machine:")
        page.command("make worker")
        return page
    is_one_kept = bool(status.unread) or (status.unrecorded is not None and status.unrecorded.decisions > 0)
    what = f"To resolve {stopped_at(status)}" if status.held is not None else "To decide"
    page.heading("To send another decision" if is_one_kept else what)
    if status.unread:
        page.note(
            "Unread decisions may settle this already: start a worker (make worker) and look again, or", ""
        )
    if why_not_you(status, viewer):
        page.note(f"You ({viewer}) {why_not_you(status, viewer)}.", "yellow")
    if status.held is not None:
        _add_resolutions(page, status, access, signs=signs)
    else:
        _add_commands(page, status, access, signs=signs)
    return page


def why_not_you(status: Status, viewer: str) -> str:
    """Return why the reader may not approve or resolve, as what follows 'you'; empty if they may."""
    then = f"so another person must {'resolve it' if status.held else 'approve'}"
    if same_person(viewer, status.requester):
        return f"are the requester, {then}"
    if any(same_person(viewer, one) for one in status.authors):
        return f"edited this plan, {then}"
    return ""


def _add_resolutions(page: Page, status: Status, access: TemporalAccess, *, signs: bool) -> None:
    assert status.held is not None
    page.note(f"Who may: {resolvers_words(status)}.", "")
    if status.deadline:
        page.note(f"Until {moment(status.deadline)}; then {AT_THE_DEADLINE}.", "")
    is_signed = takes_signed_resolutions(status)
    plan = status.fingerprint if is_signed or signs else status.short_fingerprint
    run = shlex.quote(status.workflow_id)
    page.note(f"Replace {ANYBODY}, and run one of these:", "")
    for resolution, words in resolution_words(status).items():
        page.gap()
        page.note(spelled(resolution), "bold")
        page.note(words, "", indent=4)
        comment = f" --comment {COMMENTS[resolution]}" if COMMENTS[resolution] else ""
        step = f" --step {status.held.step}{comment}"
        page.command(
            f"{program()} resolve {_behind_options(f'{run} {resolution}', plan or '', step)}", indent=6
        )
    page.gap()
    first = status.held.resolutions[0]
    if is_signed:
        page.note("Resolutions must be signed. This prints one for Temporal's command line or the Web UI:")
        step = f" --step {status.held.step} --resolution {first}"
        page.command(f"{program()} sign {_behind_options(f'{run} resolve', plan or '', step)}")
        return
    page.note(f"or with Temporal's command line, here to {spelled(first)}:")
    page.command(access.resolve_command(status.workflow_id, resolution_message(status, first)))
    _add_web_page(page, status, access)
    page.note("The message of the signal resolve is one of these:")
    for resolution in status.held.resolutions:
        page.line(resolution_message(status, resolution))


def _add_commands(page: Page, status: Status, access: TemporalAccess, *, signs: bool) -> None:
    is_signed = status.requirement is not None and status.requirement.assurance is Assurance.SIGNED
    # A signature names the whole fingerprint, because two plans can be made whose fingerprints begin alike.
    whole, beginning = status.fingerprint or "", status.short_fingerprint or ""
    plan = whole if is_signed or signs else beginning
    run = shlex.quote(status.workflow_id)
    page.note(f"Replace {ANYBODY} and run this (or reject, or request-changes with --comment):")
    page.command(f"{program()} approve {_behind_options(run, plan)}")
    if is_signed:
        page.note("Decisions must be signed. This prints one for Temporal's command line or the Web UI:")
        page.command(f"{program()} sign {_behind_options(f'{run} approve', plan)}")
        return
    page.note("or with Temporal's command line (or --name reject, request_changes):")
    page.command(access.signal_command(status.workflow_id, "approve", ANYBODY, beginning))
    _add_web_page(page, status, access)


def _add_web_page(page: Page, status: Status, access: TemporalAccess) -> None:
    address = access.page_of(status.workflow_id)
    if address:
        page.note("or in the Web UI, by Send a Signal:")
        page.line(address)


def _behind_options(words: str, plan: str, more: str = "") -> str:
    """Return the command's words with its options; an id that looks like an option goes after ``--``."""
    options = f"--by {ANYBODY} --plan {plan}{more}"
    return f"{options} -- {words}" if words.startswith(("-", "'-")) else f"{words} {options}"


def outcome_page(status: Status) -> Page:
    """Return how a run ended: outcome, receipts, who approved."""
    page = Page()
    page.heading(_title(status), _STYLES.get(status.state, "bold"))
    if status.reason:
        page.field("because", status.reason)
    if status.short_fingerprint:
        page.field("plan", f"{status.short_fingerprint}, revision {status.revision}")
    if status.approved_by:
        page.field("approved by", _approvers(status))
    for step in status.steps:
        page.field(f"step {step.number}", f"{step.tool}: {_ended(step)}", STEP_STYLES[step.state])
    for trouble in troubles(status):
        page.words("waits", trouble)
    page.note(source_words(status))
    return page


def _title(status: Status) -> str:
    """Return the id and the state; an executed run names the steps that were skipped."""
    skipped = [str(step.number) for step in status.steps if step.state is StepState.SKIPPED]
    but = f", but step {' and '.join(skipped)} {'were' if len(skipped) > 1 else 'was'} skipped"
    is_short = bool(skipped) and status.state == Outcome.EXECUTED
    return f"{status.workflow_id}  {spelled(status.state)}{but if is_short else ''}"


def source_words(status: Status) -> str:
    """Return where the answer comes from."""
    return f"Source: the {'running ' if status.source == 'workflow' else ''}{status.source}."


def _exact(status: Status) -> str:
    """Return the command that prints a run exactly, without display changes."""
    return status_command(status.workflow_id, as_json=True)


def needed_words(status: Status) -> str:
    """Return the approvals that the plan still lacks; the whole requirement if that is not known."""
    if not status.still_needed or status.requirement is None:
        return str(status.requirement)
    return " and ".join(map(str, status.still_needed)) + status.requirement.proof_words


def waits_for(status: Status, viewer: str) -> str:
    """Return the approvals that the plan lacks, and what that means for the reader, ``viewer``."""
    needs = needed_words(status)
    if why_not_you(status, viewer):
        return f"waits for {needs}; you {why_not_you(status, viewer)}"
    if any(same_person(viewer, name) for name in status.approved_by):
        return f"waits for {needs}; you have approved it already"
    return f"waits for {needs}"


def unread_words(status: Status) -> str:
    """Return how many decisions wait for a worker; empty if none do."""
    count = len(status.unread) + status.unread_not_listed
    if not count:
        return ""
    return "1 decision waits for a worker" if count == 1 else f"{count} decisions wait for a worker"


def decision_words(decision: DecisionStatus) -> str:
    """Return one decision with its verdict in one line."""
    verdict = verdict_word(accepted=decision.accepted)
    who = decision.by or UNKNOWN_SENDER
    plan = f" {short(decision.plan)}" if decision.plan else ""
    delegators = f" for {' or '.join(decision.on_behalf_of)}" if decision.on_behalf_of else ""
    proof = "" if decision.assurance is Assurance.TYPED else f" ({decision.assurance})"
    how = f" step {decision.step}: {spelled(decision.resolution)}" if decision.resolution else plan
    said = f"{who}{delegators}{proof}: {spelled(decision.decision)}{how}"
    if decision.void:
        return f"{said}, {NO_LONGER_COUNTS} ({decision.void})"
    return f"{said}, {verdict}: {decision.reason}"


def _ended(step: StepStatus) -> str:
    return "not run" if step.state is StepState.PENDING else step_words(step)


def _approved_by(status: Status) -> str:
    return f"; approved by {_approvers(status)}" if status.approved_by else ""


def _approvers(status: Status) -> str:
    return ", ".join(
        name + proof_words(verified=name not in status.unverified) for name in status.approved_by
    )


def _for_how_long(status: Status) -> str:
    valid_for = status.requirement.approval_valid_for if status.requirement else None
    if valid_for is None:
        return ""
    return f"; each approval counts for {spoken(timedelta(seconds=valid_for))}"


def _planner(use: ModelUse) -> str:
    return f"{use.model}, {use.prompt_tokens + use.completion_tokens:,} tokens"


def _add_decisions(page: Page, status: Status) -> None:
    if not status.decisions:
        return
    page.gap()
    page.note("Decisions", "bold")
    if status.refusals_not_listed:
        page.note(f"{status.refusals_not_listed} earlier ones are on the audit trail only.", indent=4)
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
    page.entry(when, "the review was reopened, because approvals were no longer valid", "yellow", 4)


def _reopened(status: Status) -> str:
    when = moment(status.reopened_at) if status.reopened_at else ""
    return f"{when}, because {'; '.join(lost.reason for lost in status.lost)}"


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
