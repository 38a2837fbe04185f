"""Measure how fast people decided and whether they saw the whole plan, to find approvals of unread plans.

The time starts when the plan is first shown to the person, and ends when they decide. If it is unknown when
the plan was shown, an upper bound is used: they cannot have read the plan before it was drafted, or before
their previous decision. A fast decision is not necessarily careless: a short plan is read quickly.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Final

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.decision import Choice
from plangate.domain.people.people import identity
from plangate.domain.runs.audit import AuditEntry, Decided, Drafted

QUICK_SECONDS: Final = 5.0
_ANSWERS: Final = (Choice.APPROVE, Choice.REJECT, Choice.REQUEST_CHANGES)


class PlanShown(Frozen):
    """A plan that was shown to a person.

    ``folds`` is the number of collapsed sections on its page; ``opened`` is how many of them the person
    opened.
    """

    who: str
    workflow_id: str
    fingerprint: str
    at: AwareDatetime
    folds: int = 0
    opened: int = 0


class PlanDecided(Frozen):
    """A person's decision on a plan; ``drafted_at`` is when that revision was drafted."""

    by: str
    workflow_id: str
    fingerprint: str
    at: AwareDatetime
    drafted_at: AwareDatetime


class DecidingTimes(Frozen):
    """How fast one person decided, and whether they saw the whole plan.

    Attributes:
        name: the person's name, as in their newest decision.
        decisions: how many plans they decided on.
        shown: for how many of these plans it is known when they were shown.
        median_seconds: the median of all times; upper bounds are used for the plans that are not in
            ``shown``.
        quick: the share that took less than `QUICK_SECONDS`, from 0 to 1.
        folded: how many of the ``shown`` plans had collapsed sections.
        never_unfolded: the share of the ``folded`` plans that the person never saw in full, from 0 to 1; None
            if no plan had collapsed sections.
    """

    name: str
    decisions: int
    shown: int
    folded: int
    median_seconds: float
    quick: float
    never_unfolded: float | None


def deciding_times(
    decided: Iterable[PlanDecided], shown: Iterable[PlanShown] = ()
) -> tuple[DecidingTimes, ...]:
    """Return how each person decided, sorted by the number of decisions, largest first."""
    views: dict[tuple[str, str, str], list[PlanShown]] = defaultdict(list)
    for view in shown:
        views[identity(view.who), view.workflow_id, view.fingerprint].append(view)
    persons: dict[str, list[PlanDecided]] = defaultdict(list)
    for one in sorted(decided, key=lambda one: one.at):
        persons[identity(one.by)].append(one)
    found = [_of_person(person, answers, views) for person, answers in persons.items()]
    return tuple(sorted(found, key=lambda one: (-one.decisions, one.name)))


def plans_decided(entries: Iterable[AuditEntry]) -> Iterator[PlanDecided]:
    """Yield the accepted approvals, rejections and requests for changes in one run's trail."""
    drafted: Drafted | None = None
    for entry in entries:
        event = entry.event
        if isinstance(event, Drafted):
            drafted = event
        if not isinstance(event, Decided) or not event.verdict.accepted or drafted is None:
            continue
        decision = event.arrival.decision
        if decision is not None and event.approver is not None and decision.decision in _ANSWERS:
            yield PlanDecided(
                by=event.approver.name,
                workflow_id=entry.workflow_id,
                fingerprint=drafted.fingerprint,
                at=event.arrival.received_at,
                drafted_at=drafted.drafted_at,
            )


def _of_person(
    person: str, answers: Sequence[PlanDecided], views: dict[tuple[str, str, str], list[PlanShown]]
) -> DecidingTimes:
    seconds: list[float] = []
    known = folded = unfolded = 0
    before: PlanDecided | None = None
    for one in answers:
        seen = [
            view for view in views.get((person, one.workflow_id, one.fingerprint), ()) if view.at <= one.at
        ]
        known += bool(seen)
        if any(view.folds for view in seen):
            folded += 1
            unfolded += any(view.opened >= view.folds for view in seen)
        since = min(view.at for view in seen) if seen else _earliest(one, before)
        seconds.append(max(0.0, (one.at - since).total_seconds()))
        before = one
    return DecidingTimes(
        name=answers[-1].by,
        decisions=len(answers),
        shown=known,
        folded=folded,
        median_seconds=median(seconds),
        quick=sum(took < QUICK_SECONDS for took in seconds) / len(seconds),
        never_unfolded=(folded - unfolded) / folded if folded else None,
    )


def _earliest(one: PlanDecided, before: PlanDecided | None) -> AwareDatetime:
    """Return the earliest time at which the person could have started reading."""
    return one.drafted_at if before is None else max(one.drafted_at, before.at)
