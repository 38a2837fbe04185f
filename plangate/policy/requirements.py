"""Derive the requirement of a recorded plan again, instead of trusting the recorded one.

The requirement follows from the plan, the request, the requester and the policy. Records and bundles keep the
policy's text, so workers and auditors compute the same requirement.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, reduce

from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import identity
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, short
from plangate.domain.policies.policy import OneApproval, Policy, strictest
from plangate.domain.policies.requirement import Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.policies.rolling_totals import Limit, RecentSum, sums_wanted
from plangate.domain.runs.audit import AuditEntry, Claimed, Drafted, Reopened, Requested, RuleText
from plangate.domain.runs.deadlines import exceeded_limit
from plangate.domain.runs.findings import Finding
from plangate.policy.policy_file import FilePolicy, policy_in


def derived(policy: Policy, drafted: Drafted, requested: Requested) -> Requirement:
    """Return the policy's requirement for a recorded plan."""
    return demanded_of(
        policy,
        drafted.plan,
        requested,
        requester=drafted.requester,
        author=drafted.author,
        recent=drafted.recent,
        duplicates=drafted.duplicates,
    )


def demanded_of(
    policy: Policy,
    plan: Plan,
    requested: Requested,
    *,
    requester: str,
    author: str,
    recent: Sequence[RecentSum] = (),
    duplicates: Sequence[Duplicate] = (),
) -> Requirement:
    """Return the policy's requirement for a plan.

    An edited plan needs everything that it would need with its original requester, and also everything that
    it would need if its author had requested it. So neither person gains a permission that the policy gives
    only to the other.

    Args:
        policy: the worker's policy, or the recorded one.
        plan: the plan.
        requested: the request.
        requester: the name as in the list of people; empty if there is no list.
        author: the person who edited the plan; empty for an unedited plan.
        recent: the rolling totals that `sums_for` returns.
        duplicates: the equal steps of other runs.
    """
    return reduce(
        strictest,
        (
            policy.requirement_for(
                plan, request=requested.request, requester=one, recent=recent, duplicates=duplicates
            )
            for one in evaluated_for(requested, requester=requester, author=author)
        ),
    )


def evaluated_for(requested: Requested, *, requester: str, author: str) -> tuple[str, ...]:
    """Return the people for whom a plan is evaluated: the requester, and the author of an edit."""
    first = requester or identity(requested.requester)
    return (first, author if requester else identity(author)) if author else (first,)


def sums_for(policy: Policy, drafted: Drafted, requested: Requested) -> tuple[RecentSum, ...]:
    """Return the rolling totals that are needed to evaluate a recorded plan; see `sums_wanted`."""
    people = evaluated_for(requested, requester=drafted.requester, author=drafted.author)
    return sums_wanted(limits_of(policy), drafted.plan, people)


def limits_of(policy: Policy) -> tuple[Limit, ...]:
    """Return the rolling totals in the policy's conditions."""
    return policy.limits if isinstance(policy, FilePolicy) else ()


def wrong_requirement(drafted: Drafted, demanded: Requirement) -> str | None:
    """Return an error if the requirement of a recorded plan is weaker than the ``demanded`` one."""
    wanted = missing_demand(drafted.requirement, demanded)
    longest = exceeded_limit(drafted, demanded)
    if wanted is None and longest is not None:
        wanted = f"a review of at most {longest}"
    if wanted is None and not set(demanded.working).issuperset(drafted.requirement.working):
        wanted = "only the limits in working time that its rules set"
    if wanted is None:
        return None
    name = demanded.policy_hash
    by = f"the policy that it refers to ({short(name)}) does" if name else "is needed without a policy"
    return f"asks for less than {by}: {wanted}"


def find_policy(name: str, texts: Iterable[RuleText]) -> Policy | None:
    """Return the policy whose text has this SHA-256; None if there is none, or it cannot be parsed."""
    if not name:
        return OneApproval()
    kept = next((text for text in texts if text.hash == name and text.hash_matches()), None)
    return _read(kept.text) if kept else None


@lru_cache(maxsize=16)
def _read(text: str) -> Policy | None:
    try:
        return policy_in(text)
    except FileInvalid:
        return None


def weak_requirements(
    workflow_id: str, trail: Sequence[AuditEntry], texts: Sequence[RuleText]
) -> Iterator[Finding]:
    """Yield each plan with a requirement weaker than its policy's, using the recorded rolling totals.

    The amounts of other plans at that moment are not in this run's trail, so the recorded sums are used.
    """
    requested: Requested | None = None
    drafted: Drafted | None = None
    is_reserved = False
    for entry in trail:
        event, what = entry.event, None
        if isinstance(event, Requested):
            requested = event
        elif requested is None:
            continue
        elif isinstance(event, Drafted):
            drafted, is_reserved = event if event.fingerprint_matches(workflow_id) else None, False
            what = _wrong(drafted, requested, texts) if drafted else None
        elif isinstance(event, Reopened) and drafted is not None:
            is_reserved = False
            if event.requirement is not None:
                drafted = drafted.with_stricter_requirement(event.requirement, event.recent)
                what = _wrong(drafted, requested, texts)
        elif isinstance(event, Claimed) and drafted is not None and not event.undo:
            what = _wrong_by_sums(event, drafted, requested, texts, is_reserved=is_reserved)
            is_reserved = True
        if what:
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)


def _wrong_by_sums(
    claimed: Claimed, drafted: Drafted, requested: Requested, texts: Sequence[RuleText], *, is_reserved: bool
) -> str | None:
    """Return the error in the rolling totals that were used when a step began."""
    if not claimed.recent:
        is_missing = bool(drafted.recent) and not is_reserved
        return "a step began without a check of the rolling totals" if is_missing else None
    wrong = _wrong(drafted.with_stricter_requirement(drafted.requirement, claimed.recent), requested, texts)
    return f"according to the rolling totals when a step began, its plan {wrong}" if wrong else None


def _wrong(drafted: Drafted, requested: Requested, texts: Sequence[RuleText]) -> str | None:
    name = drafted.requirement.policy_hash
    policy = find_policy(name, texts)
    if policy is None:
        if all(text.hash != name or not text.hash_matches() for text in texts):
            return None  # another finding reports that it is missing
        return f"refers to a policy that cannot be read ({short(name)}), so what it requires is unknown"
    nothing = {"others": "0"}
    wanted = {one.model_copy(update=nothing) for one in sums_for(policy, drafted, requested)}
    if {one.model_copy(update=nothing) for one in drafted.recent} != wanted:
        return "has different rolling totals than its plan and its policy require"
    return wrong_requirement(drafted, derived(policy, drafted, requested))
