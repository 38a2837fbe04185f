"""Check a recorded plan's requirement by deriving it again from the plan's policy.

Another program may have written the plan. If the plan refers to the worker's own policy, the requirement is
derived from that policy. Otherwise it is derived from the recorded text of the plan's policy, if that policy
was in effect when the plan was made.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from plangate.audit.checkpoint_times import SLOW_WRITE
from plangate.audit.rule_history import ROLLOUT_LEEWAY, RuleHistory
from plangate.domain.errors import NotApproved
from plangate.domain.people.people import same_person
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import short
from plangate.domain.policies.policy import Policy
from plangate.domain.policies.requirement import Requirement
from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.runs.audit import Drafted, Requested
from plangate.domain.runs.starting import wrong_start_times
from plangate.domain.times.calendars import CalendarFacts
from plangate.domain.times.start_times import StartTimes
from plangate.policy.requirements import derived, find_policy, limits_of, wrong_requirement
from plangate.policy.rules import policy_hash_of
from plangate.records.rule_texts import texts_of
from plangate.records.trail import OpenTrail

_MAX_CACHED: Final = 10_000  # plans

_Dates = tuple[datetime, datetime, tuple[CalendarFacts, ...]]
_Times = tuple[StartTimes | None, datetime, datetime, Requirement | None]
_CheckedPlan = tuple[
    Requested,
    str,
    Requirement,
    str,
    _Dates,
    tuple[RecentSum, ...],
    tuple[Duplicate, ...],
    tuple[_Times, ...],
]


class Requiring:
    """The policy of this worker, and the recorded plans that were checked."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.limits = limits_of(policy)
        self._valid: set[_CheckedPlan] = set()

    def policy_of(self, trail: OpenTrail, drafted: Drafted) -> Policy | None:
        """Return the policy of a recorded plan, if rolling totals may affect the plan."""
        if policy_hash_of(self.policy) == drafted.requirement.policy_hash:
            return self.policy if self.limits else None
        if not drafted.recent:
            return None
        name = drafted.requirement.policy_hash
        return find_policy(name, texts_of(trail.connection, (name,)))

    def require_valid_plan(self, trail: OpenTrail, requested_at: datetime, drafted: Drafted) -> Drafted:
        """Return a recorded plan if it requires at least what its policy demands.

        Args:
            trail: the trail of the run.
            requested_at: when the request arrived, by Temporal's clock; the record may differ.
            drafted: the plan.

        Raises:
            NotApproved: it requires less, or refers to a policy that cannot have applied.
        """
        requested = trail.state().requested
        assert requested is not None
        key: _CheckedPlan = (
            *(requested, drafted.fingerprint, drafted.requirement, drafted.requester),
            (drafted.drafted_at, drafted.deadline, drafted.facts),
            drafted.recent,
            drafted.duplicates,
            tuple(_times(trail, drafted)),
        )
        if key in self._valid:
            return drafted
        wrong = self._wrong(trail, requested_at, requested, drafted)
        if wrong is not None:
            raise NotApproved(
                f"Plan {short(drafted.fingerprint)} was not recorded by a worker: it {wrong}. "
                "None of its steps may run; check who can write to the records, and start the request again "
                "with another id."
            )
        if len(self._valid) >= _MAX_CACHED:
            self._valid.clear()
        self._valid.add(key)
        return drafted

    def _wrong(
        self, trail: OpenTrail, requested_at: datetime, requested: Requested, drafted: Drafted
    ) -> str | None:
        if not drafted.fingerprint_matches(trail.workflow_id):
            return "has a fingerprint that does not match its plan"
        if drafted.requester and not same_person(drafted.requester, requested.requester):
            return "has a different requester than the request"
        reopened = trail.state().reopened
        other_times = wrong_start_times(_as_recorded(trail, drafted))
        if reopened is not None and not other_times:
            other_times = wrong_start_times(reopened, trail.state().drafted)
        if other_times:
            return other_times
        name = drafted.requirement.policy_hash
        own = derived(self.policy, drafted, requested)
        if own.policy_hash == name:
            return wrong_requirement(drafted, own)
        policy = find_policy(name, texts_of(trail.connection, (name,)))
        if policy is None:
            return (
                f"refers to a policy that the records do not contain, or that cannot be read ({short(name)})"
            )
        made = max(drafted.drafted_at, requested_at)  # no plan is older than its request
        tolerance = ROLLOUT_LEEWAY if name else SLOW_WRITE
        other = RuleHistory(trail.connection).not_its_policy(name, made, tolerance)
        return other or wrong_requirement(drafted, derived(policy, drafted, requested))


def _as_recorded(trail: OpenTrail, drafted: Drafted) -> Drafted:
    """Return a plan as it was recorded, with the requirement from which its first start times were computed.

    A claim that needed more approvals may have made the requirement stricter since then.
    """
    plans = (entry.event for entry in trail.entries() if isinstance(entry.event, Drafted))
    return next((one for one in plans if one.fingerprint == drafted.fingerprint), drafted)


def _times(trail: OpenTrail, drafted: Drafted) -> Iterator[_Times]:
    """Yield the start times of its steps, with the review event for which they were computed."""
    first = _as_recorded(trail, drafted)
    yield first.starts, first.drafted_at, first.deadline, first.requirement
    reopened = trail.state().reopened
    if reopened is not None:
        yield reopened.starts, reopened.reopened_at, reopened.deadline, reopened.requirement
