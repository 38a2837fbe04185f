"""Compare two requirements: find out whether one asks for less than the other."""

from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.people import ANYONE
from plangate.domain.plurals import counted
from plangate.domain.policies.escalation import too_early
from plangate.domain.policies.requirement import Requirement, Resolvers, roles_of
from plangate.domain.policies.viewers import missing_viewers


def missing_demand(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing from a requirement compared with the demanded one; None if nothing is.

    A person with any role is also `ANYONE`, so additional approvals by a role may replace those by `ANYONE`.
    """
    has = {need.role: need.count for need in requirement.needs}
    for need in demanded.needs:
        if need.role != ANYONE and has.get(need.role, 0) < need.count:
            return str(need)
    needed = sum(need.count for need in demanded.needs)
    if sum(has.values()) < needed:
        return f"{counted(needed, 'approval')} in all"
    if requirement.assurance < demanded.assurance:
        return f'the assurance "{demanded.assurance}"'
    times = _missing_time_limit(requirement, demanded)
    if times is not None:
        return times
    if requirement.longest_hold > demanded.longest_hold:
        return f"a hold of at most {demanded.longest_hold} seconds"
    if requirement.strike_keeps_approver and not demanded.strike_keeps_approver:
        return "that people who removed steps do not approve"
    if requirement.batch and not demanded.batch:
        return "that it is approved alone, not together with other plans"
    if requirement.notify_details and not demanded.notify_details:
        return "that notices do not say what its steps do"
    times = _missing_start_limit(requirement, demanded)
    if times is not None:
        return times
    viewers = missing_viewers(requirement.seen_by, demanded.seen_by)
    if viewers is not None:
        return f"that only {viewers} may see it"
    return _missing_resolving_limit(requirement.resolving, demanded.resolving)


def _missing_start_limit(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing if steps may begin at times that the demanded requirement forbids."""
    for window in demanded.windows:
        if window not in requirement.windows:
            return f"that steps begin only in the window {window.name}"
    for freeze in demanded.freezes:
        if freeze not in requirement.freezes:
            return f"that no step begins in the freeze {freeze.name}"
    return None


def _missing_time_limit(requirement: Requirement, demanded: Requirement) -> str | None:
    """Return what is missing if approvals or the review may last longer, or more people approve later."""
    if _is_longer(requirement.approval_valid_for, demanded.approval_valid_for):
        return f"approvals that are no older than {demanded.approval_valid_for} seconds"
    if _is_longer(requirement.timeout_seconds, demanded.timeout_seconds):
        return f"a review of at most {demanded.timeout_seconds} seconds"
    for limit in demanded.working:
        if limit not in requirement.working:
            return f"a review of at most {limit}"
    early = too_early(requirement.escalations, demanded.escalations, roles_of(demanded.needs))
    if early is not None:
        return f"no approval by {early.to} for {early.role} after only {early.after_seconds} seconds"
    if not set(requirement.remind).issuperset(demanded.remind):
        return "each of its reminders"
    if (requirement.cooling_seconds or 0) < (demanded.cooling_seconds or 0):
        return f"{demanded.cooling_seconds} seconds between the last approval and the first step"
    return None


def _missing_resolving_limit(resolving: Resolvers, demanded: Resolvers) -> str | None:
    """Return what is missing if more people may resolve, or in more ways, than demanded."""
    for roles in demanded.any_of:
        if ANYONE not in roles and not any(set(roles).issuperset(group) for group in resolving.any_of):
            return f"resolutions by {' or '.join(roles)} only"
    if resolving.assurance < demanded.assurance:
        return f'resolutions with the assurance "{demanded.assurance}"'
    for one in Resolution:
        if resolving.allows(one) and not demanded.allows(one):
            return f"no resolution '{one}'"
    return None


def _is_longer(time: int | None, demanded: int | None) -> bool:
    return demanded is not None and (time is None or time > demanded)
