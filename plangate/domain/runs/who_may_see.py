"""Decide whether a person may see a run: its page, its trail, and its existence.

By default, everyone in the list of people may see every run. If ``[[see]]`` rules of the policy matched, the
plan's requirement includes them (`plangate.domain.policies.viewers`), so readers need neither the policy nor
its conditions.

    >>> may_see(RunState(workflow_id="plan-1"), None)
    False
"""

from collections.abc import Sequence

from plangate.domain.people.people import Approver, same_person
from plangate.domain.policies.approvers import can_resolve, countable_roles
from plangate.domain.policies.requirement import Requirement
from plangate.domain.policies.viewers import Party, Viewers
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import Status


def may_see(run: RunState | Status, viewer: Approver | None, *, is_narrowed: bool = True) -> bool:
    """Return whether this person may see the run.

    People who may decide on the run always may. Everyone else must be included in every rule that matched a
    revision of its plan.

    Args:
        run: the state or the status of the run.
        viewer: the person as in the current list of people (`People.identify`); None for a person who is not
            in it or not active, who sees nothing.
        is_narrowed: whether the current policy has ``[[see]]`` rules. They cannot be applied to a run
            without a plan, so only its requester may see the run until it has one.
    """
    if viewer is None:
        return False
    requirement = _requirement(run)
    if requirement is None:
        return not is_narrowed or same_person(viewer.name, run.requester)
    if not requirement.seen_by:
        return True
    excluded = (run.requester, *run.authors)
    if may_decide(requirement, viewer, excluded, is_held=run.held is not None):
        return True
    return all(_includes(one, run.requester, run.authors, viewer) for one in requirement.seen_by)


def may_decide(
    requirement: Requirement, viewer: Approver, excluded: Sequence[str], *, is_held: bool = False
) -> bool:
    """Return whether this person has a role that can approve the plan, or resolve its run.

    If a run needs no approvals and has no rule about who resolves it, people can decide on it only while it
    is held.

    Args:
        requirement: the requirement of the plan.
        viewer: the person as in the current list of people.
        excluded: the requester and the authors, who neither approve nor resolve.
        is_held: whether the run waits for a resolution.
    """
    if countable_roles(viewer, requirement.asked_roles, excluded):
        return True
    is_asked = is_held or bool(requirement.needs) or requirement.resolvers is not None
    return is_asked and can_resolve(requirement, viewer, excluded)


def _includes(viewers: Viewers, requester: str, authors: Sequence[str], viewer: Approver) -> bool:
    if Party.REQUESTER in viewers.who and same_person(viewer.name, requester):
        return True
    if Party.AUTHORS in viewers.who and any(same_person(viewer.name, one) for one in authors):
        return True
    return bool(countable_roles(viewer, viewers.roles, ()))


def _requirement(run: RunState | Status) -> Requirement | None:
    if isinstance(run, Status):
        return run.requirement
    return run.drafted.requirement if run.drafted else None
