"""Propose the remaining steps of a failed run as a new plan, which refers to the done steps.

A run can be continued only once: the new run's id is derived from the old one, and no id can be used twice.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final, assert_never

from pydantic import JsonValue

from plangate.domain.base import Frozen
from plangate.domain.errors import Refused
from plangate.domain.escaping import cut
from plangate.domain.plans.plan import MAX_REASON, MAX_SUMMARY, ProposedPlan, ProposedStep, short
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Reference
from plangate.domain.plurals import counted, joined
from plangate.domain.runs.audit import OUTCOMES, Outcome
from plangate.domain.runs.request import MAX_REQUEST
from plangate.domain.runs.run import StepState
from plangate.domain.runs.status import Status, StepStatus

_LONGEST_RECEIPT: Final = 300
_LONGEST_REASON: Final = 500
_LONGEST_STEM: Final = 150
_CONTINUED: Final = re.compile(r"(.*-rest)(?:-([2-9]|[1-9]\d{1,5}))?", re.DOTALL)


class Remainder(Frozen):
    """The rest of a run: the plan of its remaining steps, and their request as text."""

    plan: ProposedPlan
    request: str


def continuation_id(workflow_id: str) -> str:
    """Return the id of the run that continues this one: ``ID-rest``, and after that ``ID-rest-2``."""
    continued = _CONTINUED.fullmatch(workflow_id)
    if continued is not None:
        return f"{continued[1]}-{int(continued[2] or 1) + 1}"
    if len(workflow_id) > _LONGEST_STEM:
        digest = hashlib.sha256(workflow_id.encode()).hexdigest()[:16]
        return f"{workflow_id[:_LONGEST_STEM]}-{digest}-rest"
    return f"{workflow_id}-rest"


def remainder_of(status: Status) -> Remainder:
    """Return the rest of a run that ended without being executed.

    The remaining steps are those that are not done and were not skipped. They include steps that were undone.
    A reference to a done step is replaced by the value in its receipt.

    Raises:
        Refused: the run is not closed, was executed, or has no remaining steps; the message explains why.
    """
    if status.state not in OUTCOMES:
        raise Refused(
            f"{status.workflow_id} is {status.state.replace('_', ' ')}, so it cannot be continued; "
            "decide on it, resolve it, or withdraw it first."
        )
    if status.state == Outcome.EXECUTED:
        raise Refused(f"{status.workflow_id} was executed; nothing is left to do.")
    if status.plan is None:
        raise Refused(f"{status.workflow_id} ended without a plan; start its request again instead.")
    left = [step for step in status.steps if not step.state.is_done_or_skipped]
    if not left:
        raise Refused(f"Every step of {status.workflow_id} is done or skipped; nothing is left to do.")
    numbers = {step.number: number for number, step in enumerate(left, start=1)}
    steps = tuple(_continued(step, status, numbers) for step in left)
    summary = f"The rest of {status.workflow_id} ({_numbers(left)} of {len(status.steps)}): "
    plan = ProposedPlan(
        summary=cut(summary + status.plan.summary, MAX_SUMMARY),
        not_before=status.plan.not_before,
        steps=steps,
    )
    return Remainder(plan=plan, request=cut(_request(status, left), MAX_REQUEST))


def _continued(step: StepStatus, status: Status, numbers: Mapping[int, int]) -> ProposedStep:
    arguments, cited = dict(step.arguments), []
    for name, reference in references_in(step.arguments).items():
        if reference.from_step in numbers:
            renumbered = reference.model_copy(update={"from_step": numbers[reference.from_step]})
            arguments[name] = renumbered.model_dump(mode="json")
        else:
            arguments[name] = _value(reference, step, status)
            cited.append(f"{name} is {reference}")
    notes = [step.why] if step.why else []
    if step.state is StepState.IN_DOUBT or step.is_begun:
        notes.insert(
            0, f"It is in doubt whether {status.workflow_id} has done this: check before you approve."
        )
    if cited:
        notes.append(f"From {status.workflow_id}: {', '.join(cited)}.")
    return ProposedStep(tool=step.tool, arguments=arguments, reason=cut(" ".join(notes), MAX_REASON))


def _value(reference: Reference, step: StepStatus, status: Status) -> JsonValue:
    """Return the value of a reference to a step with a receipt.

    Raises:
        Refused: no receipt has that value.
    """
    before = [one for one in status.steps if one.number == reference.from_step]
    receipt = before[0].receipt if before else None
    if receipt is None or reference.field not in receipt.details:
        raise Refused(
            f"Step {step.number} of {status.workflow_id} needs {reference}, and no receipt contains it; "
            "start the remaining steps as a new plan."
        )
    return receipt.details[reference.field]


def _request(status: Status, left: list[StepStatus]) -> str:
    """Describe which steps of the old run were done, according to its receipts, and which were not."""
    why = f": {cut(status.reason, _LONGEST_REASON).rstrip('.')}" if status.reason else ""
    first = f"Continue {status.workflow_id}, plan {short(status.fingerprint or '')}, which ended as "
    lines = [f"{first}{status.state}{why}. {counted(len(left), 'step')} of {len(status.steps)} left."]
    for step in status.steps:
        what = f"step {step.number} ({step.tool})"
        match step.state:
            case StepState.DONE:
                receipt = step.receipt.summary if step.receipt else step.failure
                lines.append(f"Done in that run: {what}: {cut(receipt, _LONGEST_RECEIPT)}{_undo_of(step)}")
            case StepState.SKIPPED:
                lines.append(f"Skipped in that run: {what}: {cut(step.failure, _LONGEST_RECEIPT)}")
            case StepState.UNDONE:
                lines.append(f"Undone in that run: {what}, so it is proposed again")
            case StepState.IN_DOUBT:
                lines.append(f"In doubt in that run: {what}: {cut(step.failure, _LONGEST_RECEIPT)}")
            case StepState.PENDING | StepState.FAILED:
                if step.is_begun:
                    lines.append(f"In doubt in that run: {what}: it was begun, and no result is recorded")
            case _:
                assert_never(step.state)
    return "\n".join(lines)


def _undo_of(step: StepStatus) -> str:
    """Return a warning if it is in doubt whether a done step was undone; otherwise an empty string."""
    if step.undo is not None and step.undo.state is StepState.IN_DOUBT:
        return " (but it is in doubt whether it was undone: check before you approve)"
    return ""


def _numbers(steps: list[StepStatus]) -> str:
    names = [str(step.number) for step in steps]
    return f"step{'s' if len(names) > 1 else ''} {joined(names)}"
