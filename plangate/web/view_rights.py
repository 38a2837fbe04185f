"""Decide what one person may see. Every read of runs takes a `ViewRights`, so the check cannot be forgotten.

`plangate.domain.runs.who_may_see` has the rule: by default everyone on the list sees every run.
"""

from dataclasses import dataclass

from plangate.domain.people.people import Approver, same_person
from plangate.domain.policies.approvers import countable_roles
from plangate.domain.runs.status import Status
from plangate.domain.runs.who_may_see import may_decide, may_see


@dataclass(frozen=True, slots=True)
class ViewRights:
    """One person's rights to see runs.

    Attributes:
        viewer: their entry in the current list of people; None if they are not on it and see nothing.
        is_narrowed: whether the current policy has rules about who may see a run.
        auditing: the roles in each of these rules.
    """

    viewer: Approver | None
    is_narrowed: bool
    auditing: tuple[frozenset[str], ...] = ()

    @property
    def is_auditor(self) -> bool:
        """Whether every rule of the current policy lets them see runs through a role, so they may audit."""
        viewer = self.viewer
        if viewer is None or not self.auditing:
            return False
        return all(countable_roles(viewer, roles, ()) for roles in self.auditing)

    def audits(self, status: Status) -> bool:
        """Return whether an auditor's counts include a run: they may see it, or no rule applies yet."""
        return self.is_auditor and (status.requirement is None or self.shows(status))

    def shows(self, status: Status) -> bool:
        """Return whether this person may see a run."""
        return may_see(status, self.viewer, is_narrowed=self.is_narrowed)

    def is_as_auditor(self, status: Status) -> bool:
        """Return whether they may see a run only through a role, not as its requester, author or decider.

        True only if a rule restricts who may see the run. Such an access is recorded.
        """
        requirement, viewer = status.requirement, self.viewer
        if viewer is None or requirement is None or not requirement.seen_by:
            return False
        excluded = (status.requester, *status.authors)
        if any(same_person(viewer.name, one) for one in excluded):
            return False
        return not may_decide(requirement, viewer, excluded, is_held=status.held is not None)
