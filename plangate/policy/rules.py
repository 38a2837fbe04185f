"""Read the rules that a worker uses: the policy and the list of people in its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from plangate.domain.decisions.delegations import DelegationRules
from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import Directory, NoDirectory
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.policy import OneApproval, Policy
from plangate.domain.runs.stops import StopRules
from plangate.policy.people_file import PeopleFile, read_people
from plangate.policy.policy_file import FilePolicy, policy_in, read_policy
from plangate.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy and a directory; the defaults let anyone approve."""

    policy: Policy
    directory: Directory

    @property
    def policy_text(self) -> str:
        """The text of the policy file; empty if there is none."""
        return self.policy.text if isinstance(self.policy, FilePolicy) else ""

    @property
    def policy_hash(self) -> str:
        """The SHA-256 of the policy file; empty if there is none."""
        return policy_hash_of(self.policy)


def policy_hash_of(policy: Policy | None) -> str:
    """Return the SHA-256 of a policy's file; empty if there is none."""
    return policy.policy_hash if isinstance(policy, FilePolicy) else ""


def stop_rules_of(policy: Policy | None) -> StopRules:
    """Return this policy's rules about stops, or the defaults if there is no file."""
    return policy.stop_rules if isinstance(policy, FilePolicy) else StopRules()


def delegation_rules_of(policy: Policy | None) -> DelegationRules:
    """Return the roles that this policy allows people to delegate; none if there is no file."""
    return policy.delegation_rules if isinstance(policy, FilePolicy) else DelegationRules()


@lru_cache(maxsize=4)
def delegation_rules_in(text: str) -> DelegationRules:
    """Return the roles that a policy's text lets people delegate; none if this release cannot parse it."""
    try:
        return policy_in(text).delegation_rules if text else DelegationRules()
    except FileInvalid:
        return DelegationRules()


def read_rules(settings: Settings, tools: Mapping[str, ToolDeclaration]) -> Rules:
    """Read the policy and the list of people.

    Args:
        settings: the settings with the paths of the two files; neither is required.
        tools: the policy is checked against their declarations.

    Raises:
        FileInvalid: one of the files cannot be used.
    """
    directory: Directory = NoDirectory()
    roles = None
    if settings.people_file:
        directory = PeopleFile(settings.people_file)
        roles = read_people(settings.people_file).roles()
    if settings.policy_file is None:
        return Rules(OneApproval(), directory)
    return Rules(read_policy(settings.policy_file, tools, roles), directory)
