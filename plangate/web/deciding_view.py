"""Prepare what the decision pages show besides the plan: values without a preview, and consequences."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import PlangateError
from plangate.domain.people.people import Identified
from plangate.domain.plans.plan import ProposedPlan, removed_steps
from plangate.domain.policies import missing_approvals
from plangate.domain.policies.approvers import without_represented
from plangate.domain.policies.escalation import with_later_roles
from plangate.domain.policies.requirement import Missing
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.web.run_view import RunView, StepView
from plangate.web.values import Form, Value

_DECIMAL: Final = re.compile(r"-?\d+\.\d+")
_MIN_LENGTH: Final = 3
"""The minimum length of a value that can be recognized in a preview."""


@dataclass(frozen=True, slots=True)
class NotPreviewed:
    """A step, and its short values that the preview does not show; long values were opened.

    ``observed`` is its tool's observation, which is not sent.
    """

    step: StepView
    values: tuple[Value, ...]
    observed: tuple[Value, ...]
    why: Value | None

    @property
    def has_any(self) -> bool:
        """Whether the preview leaves anything out."""
        return bool(self.values or self.observed) or self.why is not None


def not_previewed(view: RunView) -> tuple[NotPreviewed, ...]:
    """Return, for each step, the values that neither its preview nor a collapsed section shows."""
    return tuple(
        NotPreviewed(
            step,
            tuple(_not_shown(step, step.arguments)),
            tuple(_not_shown(step, step.observed)),
            step.why if step.why is not None and not step.why.fold else None,
        )
        for step in view.steps
    )


def missing_after(status: Status, visitor: Identified) -> tuple[Missing, ...]:
    """Return which approvals are still missing once this person has approved."""
    if visitor.approver is None:
        return status.lacks
    eligible = with_later_roles(
        without_represented(visitor.approver, status.represented), status.reliefs, now()
    )
    return missing_approvals.missing_after(status.lacks, eligible, (status.requester, *status.authors))


def runs_if_approved(status: Status, at: datetime) -> datetime | None:
    """Return when the plan would run if its last approval came at that time; None if immediately or never."""
    cooling = status.requirement.cooling_seconds or 0 if status.requirement else 0
    earliest = at + timedelta(seconds=cooling)
    first = status.beginning.first(earliest) if status.beginning is not None else earliest
    return first if first is not None and first > at else None


def name_of(status: Status, decision: Decision) -> str:
    """Return the name of the decision: ``strike`` for an edit that only removes steps."""
    if decision.decision is not Choice.EDIT or decision.new_plan is None:
        return decision.decision.value
    before = status.plan if status.fingerprint == decision.plan else None
    if status.previous is not None and status.previous.fingerprint == decision.plan:
        before = status.previous.plan
    try:
        new = ProposedPlan.model_validate(decision.new_plan)
    except (ValueError, PlangateError):
        return Choice.EDIT.value
    return "strike" if before is not None and removed_steps(before, new) else Choice.EDIT.value


def _not_shown(step: StepView, values: Iterable[Value]) -> Iterator[Value]:
    for value in values:
        is_in_preview = all(_is_in(step.preview, one) for one in value.items)
        if not value.fold and value.form is not Form.NONE and not is_in_preview:
            yield value


def _is_in(preview: str, text: str) -> bool:
    """Return whether a preview contains a text as whole words, or as a number with extra trailing zeros."""
    zeros = "0" if _DECIMAL.fullmatch(text) else ""
    if len(text) < _MIN_LENGTH:
        return False
    before, *rest = preview.split(text)
    for after in rest:
        left, right = before[-1:], after.lstrip(zeros)[:1] if zeros else after[:1]
        if not (_is_of_word(left) or left in (".", ",") or _is_of_word(right)):
            return True
        before = after
    return False


def _is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"
