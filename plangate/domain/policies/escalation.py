"""Escalation: another role may also give an approval after a review has lasted for a given time.

It is part of the frozen requirement. What matters for each approval is when it was received, counted from the
beginning or the reopening of the review. An escalation does not change how many approvals are needed, or the
proof that each one needs. The requester and the authors of a plan still cannot approve it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import Field

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.people import Approver, PersonRoles
from plangate.domain.times.durations import LONGEST_TIMEOUT


class Escalation(Frozen):
    """After ``after_seconds`` of a review, people with the role ``to`` may give approvals for ``role``."""

    role: str
    after_seconds: int = Field(ge=1, le=int(LONGEST_TIMEOUT.total_seconds()))
    to: str

    def begins(self, began: datetime) -> datetime:
        """Return when it takes effect in a review that began at ``began``."""
        try:
            return began + timedelta(seconds=self.after_seconds)
        except OverflowError:  # later than the last possible year
            return datetime.max.replace(tzinfo=UTC)


class LaterApprovers(Frozen):
    """An escalation of one review: from ``at`` on, people with the role ``to`` may also approve."""

    role: str
    to: str
    at: AwareDatetime

    def __str__(self) -> str:
        """Return a human-readable description for the middle of a sentence."""
        return f"from {self.at:%a %Y-%m-%d %H:%M} UTC also by {self.to}"


def later_approvers_of(
    escalations: Iterable[Escalation], began: datetime | None
) -> tuple[LaterApprovers, ...]:
    """Return the escalations of a review that began at ``began``, in their order."""
    if began is None:
        return ()
    return tuple(LaterApprovers(role=one.role, to=one.to, at=one.begins(began)) for one in escalations)


def with_later_roles(approver: Approver, later_approvers: Sequence[LaterApprovers], at: datetime) -> Approver:
    """Return a person with the additional roles in which they may approve at that time."""
    begun = [one for one in later_approvers if at >= one.at]
    if not begun:
        return approver
    standings = tuple(_with_more(one, begun) for one in approver.standings)
    return approver.model_copy(update={"standings": standings})


def _with_more(standing: PersonRoles, later_approvers: Iterable[LaterApprovers]) -> PersonRoles:
    more = [one.role for one in later_approvers if one.to in standing.roles]
    return standing.model_copy(update={"roles": tuple(dict.fromkeys((*standing.roles, *more)))})


def escalations_for_all(
    parts: Iterable[tuple[Iterable[str], Sequence[Escalation]]],
) -> tuple[Escalation, ...]:
    """Return the escalations that all rules with the same role allow, each after the longest of its times.

    Each of the ``parts`` contains the roles that a rule needs, and its escalations. If one rule accepts
    approvals only from a certain role, no other rule can add another role.
    """
    allowed: dict[str, dict[str, int]] = {}
    for roles, escalations in parts:
        for role in roles:
            own = _times(escalations, role)
            before = allowed.get(role)
            both = own if before is None else {to: max(own[to], before[to]) for to in before if to in own}
            allowed[role] = both
    return tuple(
        Escalation(role=role, after_seconds=after, to=to)
        for role, times in allowed.items()
        for to, after in times.items()
    )


def too_early(
    escalations: Sequence[Escalation], demanded: Sequence[Escalation], roles: Iterable[str]
) -> Escalation | None:
    """Return an escalation for one of these roles that ``demanded`` does not allow, or allows only later."""
    times: Mapping[str, Mapping[str, int]] = {role: _times(demanded, role) for role in roles}
    for one in escalations:
        if one.role in times and one.after_seconds < times[one.role].get(one.to, one.after_seconds + 1):
            return one
    return None


def _times(escalations: Iterable[Escalation], role: str) -> dict[str, int]:
    """Return the roles that may also give approvals for this role, each with the earliest time in seconds."""
    found: dict[str, int] = {}
    for one in escalations:
        if one.role == role:
            found[one.to] = min(one.after_seconds, found.get(one.to, one.after_seconds))
    return found
