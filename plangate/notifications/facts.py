"""Gather the facts of a notice about a run, in Plangate's own text.

A notice contains no text from a model or a tool, and no argument, amount or recipient. It contains such
details only if every matching rule with a requirement allows them.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, assert_never

from plangate.domain.decisions.decision import Choice, Resolution
from plangate.domain.people.people import Approver, identity, same_person
from plangate.domain.plans.plan import Step
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.audit import Decided, Outcome
from plangate.domain.runs.run import Phase, RunState, StepState
from plangate.notifications.audience import Audience
from plangate.notifications.notice import Facts
from plangate.notifications.people_asked import is_of_hold, resolution_of
from plangate.notifications.steps_by_end import End, steps_by_end

_OTHERS_MISSING: Final = "the approvals of other people are still missing"


def facts_of(run: RunState, audience: Audience) -> Facts:
    """Return the facts that every notice contains."""
    drafted = run.drafted
    steps = drafted.plan.steps if drafted else ()
    shows_details = drafted is not None and drafted.requirement.notify_details
    return Facts(
        workflow_id=run.workflow_id,
        revision=drafted.revision if drafted else 0,
        tools=tuple(Counter(step.tool for step in steps).items()),
        requester=run.requester,
        deadline=None if run.closed else run.deadline,
        details=tuple(_previews(steps)) if shows_details else (),
        is_held=run.held is not None,
        is_reopened=run.reopened is not None,
        link=audience.link(run.workflow_id),
    )


def _previews(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, start=1):
        yield f"step {number}: {step.preview}" if len(steps) > 1 else step.preview


def delegated_to(run: RunState, person: Approver | None) -> str:
    """Return ``frieda delegated the role finance to you``; empty if they have it themselves."""
    if run.drafted is None or person is None:
        return ""
    requirement = run.drafted.requirement
    needed = {need.role for need in requirement.needs} | {one.to for one in run.later_approvers}
    if run.held is not None:
        needed = {role for group in requirement.resolving.any_of for role in group}
    for standing in person.standings:
        roles = sorted(needed.intersection(standing.roles))
        if roles:
            word = "role" if len(roles) == 1 else "roles"
            is_own = same_person(standing.person, person.name)
            return "" if is_own else f"{standing.person} delegated the {word} {' and '.join(roles)} to you"
    return ""


def held_because(run: RunState) -> str:
    """Return what happened to a held run."""
    if run.held is None or run.drafted is None:
        return ""
    number, steps = run.held.step, run.drafted.plan.steps
    what = f"{step_or_undo(number, undo=run.held.undo)}, {steps[number - 1].tool}"
    state = run.steps[number - 1].part(undo=run.held.undo).state
    if state is StepState.IN_DOUBT:
        return f"{what}, is in doubt: it was started, and it is not known whether it happened"
    return f"{what}, failed: it had no effect" if state is StepState.FAILED else f"{what}, cannot continue"


def ended_because(run: RunState) -> str:
    """Return how the run ended; empty while it is open, and if `verdict_on` reports the same."""
    if run.closed is None:
        return ""
    match run.closed.outcome:
        case Outcome.EXECUTED:
            return f"it was executed{_skipped(run)}"
        case Outcome.REJECTED:
            return ""  # the result shows it
        case Outcome.EXPIRED:
            return f"it expired: {_expired_because(run)}"
        case Outcome.WITHDRAWN:
            return ""  # the result shows it
        case Outcome.FAILED:
            return _failed_because(run)
        case _:
            assert_never(run.closed.outcome)


def _expired_because(run: RunState) -> str:
    if run.is_approved:  # or the plan needs no approval
        return "its rules left no time at which its steps could start"
    return "its deadline passed without the approvals that it needs"


def _skipped(run: RunState) -> str:
    """Return ``, with step 2 (send_email) skipped``; empty if no step was skipped."""
    planned = run.drafted.plan.steps if run.drafted else ()
    skipped = [
        f"step {number} ({step.tool})"
        for number, (step, progress) in enumerate(zip(planned, run.steps, strict=False), start=1)
        if progress.state is StepState.SKIPPED
    ]
    return f", with {' and '.join(skipped)} skipped" if skipped else ""


def _failed_because(run: RunState) -> str:
    """Return how a run failed: a person aborted or undid it, or no one resolved its hold."""
    last = _resolved_by(run, *Resolution)
    if last is not None and last is _resolved_by(run, Resolution.ABORT):
        return f"{_who(last)} aborted it"
    undone = _resolved_by(run, Resolution.UNDO)
    planned = run.drafted.plan.steps if run.drafted else ()
    for number, (step, progress) in enumerate(zip(planned, run.steps, strict=False), start=1):
        if progress.part(undo=undone is not None).state in (StepState.FAILED, StepState.IN_DOUBT):
            what = step_or_undo(number, undo=undone is not None)
            return f"{what}, {step.tool}, could not continue, and no one resolved it"
    return _undone_because(run, undone) if undone is not None else "it failed"


def _undone_because(run: RunState, undone: Decided) -> str:
    """Return ``step 2 failed; gustav undid step 1``."""
    decision = undone.arrival.decision
    number = decision.step if decision is not None else None
    state = run.steps[number - 1].state if number and number <= len(run.steps) else None
    begin = (
        f"step {number} {'failed' if state is StepState.FAILED else 'could not continue'}; " if number else ""
    )
    steps = [str(place) for place, one in enumerate(run.steps, start=1) if one.state is StepState.UNDONE]
    if not steps:
        return f"{begin}{_who(undone)} ended the run"
    what = f"step {steps[0]}" if len(steps) == 1 else f"steps {', '.join(steps[:-1])} and {steps[-1]}"
    return f"{begin}{_who(undone)} undid {what}"


def _resolved_by(run: RunState, *resolutions: Resolution) -> Decided | None:
    """Return the last accepted decision that resolved a hold in one of these ways."""
    for decided in reversed(run.decisions):
        decision = decided.arrival.decision
        if decided.verdict.accepted and decision is not None and decision.resolution in resolutions:
            return decided
    return None


def decided_by(run: RunState) -> str:
    """Return the people who rejected or resolved, or else those who approved; empty if no one decided."""
    if run.closed is not None and run.closed.outcome in (Outcome.EXPIRED, Outcome.WITHDRAWN):
        return ""
    for decided in reversed(run.decisions):
        decision = decided.arrival.decision
        if not decided.verdict.accepted or decision is None:
            continue
        if decision.decision in (Choice.REJECT, Choice.RESOLVE):
            return _who(decided)
        break
    return _names_of(run.approvers)


def verdict_on(run: RunState, key: str = "") -> dict[str, str]:
    """Return how the review or hold of this key ended, or who has approved in an open review.

    A comment is text that a person typed, so it is included only if every rule allows details.
    """
    outcome = run.closed.outcome if run.closed is not None else None
    if outcome is Outcome.EXPIRED and run.is_approved:
        return {"verdict": "expired before it could start", "by": ""}
    if outcome is Outcome.EXPIRED:
        has_some = bool(run.approvers) and not is_of_hold(key) and run.held is None
        return {"verdict": f"expired without {'enough approvals' if has_some else 'a decision'}", "by": ""}
    if outcome is Outcome.WITHDRAWN:
        return {"verdict": "withdrawn", "by": ""}
    if outcome is Outcome.REJECTED:
        last = _last_of(run, Choice.REJECT)
        shown = run.drafted is not None and run.drafted.requirement.notify_details
        comment = last.arrival.decision.comment if shown and last and last.arrival.decision else ""
        return {"verdict": "rejected", "by": decided_by(run), "comment": comment}
    if is_of_hold(key):
        last = resolution_of(run, key)
        return {"verdict": "resolved", "by": _who(last)} if last is not None else {}
    if not run.approvers:
        return {"by": decided_by(run)}
    if run.phase is Phase.IN_REVIEW:
        return {"happened": _OTHERS_MISSING, "verdict": "approved", "by": _names_of(run.approvers)}
    return {"verdict": "approved", "by": _names_of(run.approvers)}


def _names_of(approvers: Sequence[Approver]) -> str:
    return ", ".join(one.name for one in approvers)


def withdrawn_because(run: RunState) -> str:
    """Return who withdrew their approval of this plan last, and did not give it again; otherwise empty."""
    approved = {identity(one.name) for one in run.approvers}
    for decided in reversed(run.decisions):
        decision = decided.arrival.decision
        if not decided.verdict.accepted or decision is None or not decision.refers_to(run.fingerprint):
            continue
        if decision.decision is Choice.WITHDRAW_APPROVAL and identity(decision.by) not in approved:
            return f"{_who(decided)} withdrew their approval"
    return ""


def changed_because(run: RunState) -> str:
    """Return the reason why the plan must be reviewed again, and who caused it; empty for a first review."""
    if run.drafted is None:
        return ""
    if run.reopened is not None:
        return "; ".join(one.reason for one in run.reopened.lost) or "the plan is in review again"
    if run.drafted.revision <= 1:
        return ""
    if run.drafted.author:
        return f"{run.drafted.author} edited the plan"
    asked = _last_of(run, Choice.REQUEST_CHANGES)
    return f"{_who(asked)} requested changes, and the plan was drafted again" if asked else ""


def _last_of(run: RunState, choice: Choice) -> Decided | None:
    """Return the last accepted decision of this kind."""
    for decided in reversed(run.decisions):
        decision = decided.arrival.decision
        if decided.verdict.accepted and decision is not None and decision.decision is choice:
            return decided
    return None


def _who(decided: Decided | None) -> str:
    if decided is None or decided.arrival.decision is None:
        return ""
    return decided.approver.name if decided.approver else decided.arrival.decision.by


def with_steps(facts: Facts, run: RunState) -> Facts:
    """Return facts with what happened to each step, described by its preview if the facts have details."""
    ends = steps_by_end(run, with_previews=bool(facts.details))
    lists = {end.value: steps for end, steps in ends.items()}
    return facts.model_copy(update={**lists, "skipped_tools": steps_by_end(run)[End.SKIPPED]})
