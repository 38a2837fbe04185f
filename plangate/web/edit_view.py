"""Show how an edit changes the plan in review, for the page that asks to confirm it."""

from dataclasses import dataclass
from datetime import datetime

from plangate.domain.decisions.decision import Decision
from plangate.domain.people.people import People
from plangate.domain.plans.plan import Plan, ProposedPlan, removed_steps
from plangate.domain.plans.plan_changes import PlanChanges, StepChange, ValueChange, changes_between
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.runs.satisfiable import Deciders, Unmet
from plangate.domain.runs.status import PreviousPlan, Status
from plangate.presentation.changes import (
    changed_lines,
    stays_approver,
    step_change_words,
    values_of,
    who_approves,
)
from plangate.presentation.clock import now
from plangate.presentation.words import value_words


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """One changed value: ``lines`` are marked '-' and '+' if it is a string of several lines."""

    name: str
    before: str
    after: str
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ChangedStep:
    """One changed step, and its changed values."""

    label: str
    words: str
    values: tuple[ChangedValue, ...]


@dataclass(frozen=True, slots=True)
class ChangesView:
    """The difference between two plans; ``begins`` is when they may start, if the times differ."""

    summary: ChangedValue | None
    steps: tuple[ChangedStep, ...]
    begins: tuple[datetime | None, datetime | None] | None = None


@dataclass(frozen=True, slots=True)
class EditView:
    """An edit.

    Attributes:
        changes: its changes.
        removed: the previews of the steps that it removes, if it changes nothing else.
        removed_numbers: the numbers of those steps.
        what_runs: the summary of the steps that would run.
        who_approves: who may approve the new plan.
        unmet: the approvals that it needs and that no one on the list can give now.
    """

    changes: ChangesView
    removed: tuple[str, ...]
    what_runs: str
    who_approves: str
    unmet: tuple[Unmet, ...] = ()
    removed_numbers: tuple[int, ...] = ()


def edit_view(status: Status, decision: Decision, people: People | None = None) -> EditView:
    """Return how an edit changes the plan in ``status``, and whether listed people can approve it."""
    assert status.plan is not None
    assert status.fingerprint is not None
    new = ProposedPlan.model_validate(decision.new_plan)
    after = new.as_plan()
    before = PreviousPlan(
        revision=status.revision, fingerprint=status.fingerprint, plan=status.plan.proposed().as_plan()
    )
    changes = changes_between(before.plan, after)
    removed = removed_steps(status.plan, new) or ()
    return EditView(
        changes=_view(changes, before, after),
        removed=tuple(status.steps[one - 1].preview or status.steps[one - 1].tool for one in removed),
        what_runs=what_runs(after),
        who_approves=who_approves(status, new, decision.by),
        unmet=_unmet(status, new, decision.by, people),
        removed_numbers=tuple(removed),
    )


def _unmet(status: Status, new: ProposedPlan, by: str, people: People | None) -> tuple[Unmet, ...]:
    """Return the approvals that no one could give, if the new plan needs the same approvals as this one."""
    if people is None or status.requirement is None:
        return ()
    excluded = [status.requester, *status.authors]
    if not stays_approver(status, new, by):
        excluded.append(by)
    deciders = Deciders(people, now())
    return deciders.unmet_approvals(
        status.requirement, (), excluded, status.deadline, later_approvers=status.reliefs
    )


def changes_view(before: PreviousPlan, after: Plan) -> ChangesView:
    """Return the difference between a plan and its replacement."""
    return _view(changes_between(before.plan, after), before, after)


def _view(changes: PlanChanges, before: PreviousPlan, after: Plan) -> ChangesView:
    return ChangesView(
        summary=_value(changes.summary) if changes.summary else None,
        steps=tuple(_step(one, before, after) for one in changes.steps),
        begins=(before.plan.not_before, after.not_before) if changes.not_before else None,
    )


def _step(change: StepChange, before: PreviousPlan, after: Plan) -> ChangedStep:
    label, words = step_change_words(change, before, after)
    return ChangedStep(label, words, tuple(_value(one) for one in values_of(change)))


def _value(change: ValueChange) -> ChangedValue:
    lines = changed_lines(change) or ()
    return ChangedValue(
        name=".".join(change.path),
        before=value_words(change.before) if change.was_there else "(absent)",
        after=value_words(change.after) if change.is_there else "(absent)",
        lines=tuple(lines),
    )
