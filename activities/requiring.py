"""Whether a plan on the record asks for what it needs: derived again, for whoever wrote it may not be ours.

By the worker's own policy, where the plan was made by that one. Else by the text of the policy that the plan
names, which the records keep, as long as it was that policy's time; a plan runs by what was in force when it
was made.
"""

from datetime import timedelta
from typing import Final

from plangate.audit.checkpoint_times import SLOW_WRITE
from plangate.audit.rules_in_force import OTHER_WORKERS, RuleHistory
from plangate.domain.audit import Drafted, Requested, RunRef
from plangate.domain.errors import NotApproved
from plangate.domain.people import same_person
from plangate.domain.plan import short
from plangate.domain.policy import Policy, Requirement
from plangate.policy.requirements import derived, policy_named, wrong_requirement
from plangate.records.rule_texts import texts_of
from plangate.records.trail import OpenTrail

_REMEMBERED: Final = 10_000  # plans


class Requiring:
    """The policy of this worker, and what it has seen of the plans on the record."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._sound: set[tuple[Requested, str, Requirement, str, timedelta]] = set()

    def borne_out(self, trail: OpenTrail, run: RunRef, drafted: Drafted) -> Drafted:
        """Return a plan on the record, if its policy asks for no more than it does.

        Raises:
            NotApproved: it asks for less; or which policy it was made by, cannot be.
        """
        requested = trail.state().requested
        assert requested is not None
        review = drafted.deadline - drafted.drafted_at
        key = (requested, drafted.fingerprint, drafted.requirement, drafted.requester, review)
        if key in self._sound:
            return drafted
        wrong = self._wrong(trail, run, requested, drafted)
        if wrong is not None:
            raise NotApproved(
                f"Plan {short(drafted.fingerprint)} is on the record otherwise than a worker makes one: it "
                f"{wrong}. Nothing of it may run; look who can write in the records, and start the request "
                "again with another --id."
            )
        if len(self._sound) >= _REMEMBERED:
            self._sound.clear()
        self._sound.add(key)
        return drafted

    def _wrong(self, trail: OpenTrail, run: RunRef, requested: Requested, drafted: Drafted) -> str | None:
        if not drafted.is_as_named(trail.workflow_id):
            return "has a fingerprint that is not that of its plan"
        if drafted.requester and not same_person(drafted.requester, requested.requester):
            return "names another requester than the request"
        name = drafted.requirement.policy_hash
        own = derived(self.policy, drafted, requested)
        if own.policy_hash == name:
            return wrong_requirement(drafted, own)
        policy = policy_named(name, texts_of(trail.connection, (name,)))
        if policy is None:
            return f"names a policy that the records do not keep, or that cannot be read ({short(name)})"
        # A plan is made behind its request, of which Temporal tells when it came.
        made = max(drafted.drafted_at, run.requested.requested_at)
        slack = OTHER_WORKERS if name else SLOW_WRITE
        other = RuleHistory(trail.connection).not_its_policy(name, made, slack)
        return other or wrong_requirement(drafted, derived(policy, drafted, requested))
