"""Reserve the amounts that a plan adds to rolling totals, or report that it needs more approvals.

This happens in the transaction that claims a step, under a lock that all claims for these tools take. A
plan with reservations is not checked again, because later plans have included its reservations in their sums.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from pydantic import JsonValue

from activities.requirement_check import Requiring
from plangate.domain.base import Frozen
from plangate.domain.people.people import InvalidApproval, People
from plangate.domain.policies.approvers import too_weak
from plangate.domain.policies.policy import Policy, strictest
from plangate.domain.policies.requirement import Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.policies.rolling_totals import REQUESTER, Limit, RecentSum, amount_of, scope_of
from plangate.domain.runs.audit import Drafted, Reopened, Requested
from plangate.domain.runs.revocation import invalid_approvals
from plangate.domain.runs.run import RunState, StepState
from plangate.policy.requirements import derived, evaluated_for, limits_of, sums_for
from plangate.policy.review_times import reopened_times
from plangate.records.named_locks import Locked, lock_names
from plangate.records.reservations import Reservation, reserved_steps, with_others
from plangate.records.trail import OpenTrail


class Reserved(Frozen):
    """The amounts of the plan are reserved. ``recent`` are the sums, if they were checked."""

    recent: tuple[RecentSum, ...] = ()


class StricterRequirement(Frozen):
    """The plan needs more approvals, so nothing is reserved."""

    requirement: Requirement
    recent: tuple[RecentSum, ...]


def reserve_unless_stricter(
    trail: OpenTrail,
    state: RunState,
    requiring: Requiring,
    *,
    step: int,
    arguments: Mapping[str, JsonValue],
    now: datetime,
) -> Reserved | StricterRequirement:
    """Reserve the amounts that the plan adds to rolling totals, unless it now needs more approvals.

    Args:
        trail: the run's trail, locked.
        state: the state that follows from the trail, in which this step may begin.
        requiring: the policies of this worker and of recorded plans.
        step: the step that is about to begin.
        arguments: the arguments of the step, with the values of its references.
        now: the time of the claim.
    """
    drafted, requested = state.drafted, state.requested
    assert drafted is not None
    assert requested is not None
    policy = requiring.policy_of(trail, drafted)
    limits = tuple(dict.fromkeys((*requiring.limits, *(limits_of(policy) if policy else ()))))
    tools = {one.tool for one in drafted.plan.steps} & {limit.tool for limit in limits}
    if not tools:
        return Reserved()
    lock_names(trail.connection, Locked.TOTALS_OF_TOOL, tools)
    pending = {number for number in _pending_steps(state) if drafted.plan.steps[number - 1].tool in tools}
    of_plan = {"run": trail.workflow_id, "plan": drafted.fingerprint}
    missing = pending - reserved_steps(trail.connection, **of_plan, now=now)
    recent: tuple[RecentSum, ...] = ()
    if missing and policy is not None:
        wanted = sums_for(policy, drafted, requested)
        recent = with_others(trail.connection, wanted, **of_plan, now=now)
        stricter = _stricter_requirement(policy, drafted, requested, recent)
        if stricter is not None:
            return stricter
    known = {number: drafted.plan.steps[number - 1].arguments for number in missing}
    if (
        step in pending and arguments != drafted.plan.steps[step - 1].arguments
    ):  # the values of its references are known now
        known[step] = dict(arguments)
    people = evaluated_for(requested, requester=drafted.requester, author=drafted.author)
    trail.reserve(tuple(_rows(limits, drafted, known, people)), drafted.fingerprint, now)
    return Reserved(recent=recent)


def _stricter_requirement(
    policy: Policy, drafted: Drafted, requested: Requested, recent: tuple[RecentSum, ...]
) -> StricterRequirement | None:
    """Return the plan's requirement given these sums, if it is stricter than the approved one."""
    demanded = derived(policy, drafted.with_stricter_requirement(drafted.requirement, recent), requested)
    if missing_demand(drafted.requirement, demanded) is None:
        return None
    return StricterRequirement(requirement=strictest(drafted.requirement, demanded), recent=recent)


def reopened_for(
    state: RunState, stricter: StricterRequirement, step: int, people: People | None, now: datetime
) -> Reopened:
    """Return the event that records a plan's stricter requirement, with the approvals that it voids."""
    assert state.drafted is not None
    drafted = state.drafted.with_stricter_requirement(stricter.requirement, stricter.recent)
    times = reopened_times(state.requested, drafted, now)
    reasons = {one.name: too_weak(stricter.requirement, one) for one in state.approvers}
    weak = tuple(InvalidApproval(name=name, reason=reason) for name, reason in reasons.items() if reason)
    lost = invalid_approvals(state.model_copy(update={"drafted": drafted}), people, now)
    return Reopened(
        fingerprint=drafted.fingerprint,
        step=step,
        lost=(*weak, *(one for one in lost if one.name not in {other.name for other in weak})),
        people=people.hash if people else "",
        reopened_at=now,
        deadline=times.deadline,
        facts=times.facts,
        starts=times.starts,
        requirement=stricter.requirement,
        recent=stricter.recent,
    )


def _pending_steps(state: RunState) -> Iterator[int]:
    """Yield the steps that may still act."""
    for number, progress in enumerate(state.steps, start=1):
        if progress.state is StepState.PENDING:
            yield number


def _rows(
    limits: Iterable[Limit],
    drafted: Drafted,
    known: Mapping[int, Mapping[str, JsonValue]],
    people: Iterable[str],
) -> Iterator[Reservation]:
    """Yield the amounts that these steps add, once for each sum, regardless of the sum's window."""
    seen: set[tuple[int, str, str]] = set()
    for number, arguments in known.items():
        for limit in limits:
            if limit.tool != drafted.plan.steps[number - 1].tool:
                continue
            for person in people if limit.by == REQUESTER else ("",):
                scope = scope_of(limit, arguments, person)
                if scope is None or (number, limit.argument, scope.id) in seen:
                    continue
                seen.add((number, limit.argument, scope.id))
                amount = amount_of(arguments.get(limit.argument))
                yield Reservation(**dict(scope), step=number, amount=amount)
