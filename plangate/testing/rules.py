"""Read a test's policy and list of people from strings."""

from collections.abc import Mapping

from plangate.domain.people.people import Directory, NoDirectory, People
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.policy import OneApproval, Policy
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import checked_policy


class ChangeablePeople:
    """A directory that a test can change; implements `plangate.domain.people.people.Directory`."""

    def __init__(self, text: str) -> None:
        self._people = people_in(text)

    def people(self) -> People:
        """Return the list."""
        return self._people

    def change(self, text: str) -> None:
        """Replace the list.

        Raises:
            FileInvalid: it has errors.
        """
        self._people = people_in(text)


def directory_of(text: str) -> Directory:
    """Return the directory of this list of people; if it is empty, any name is valid.

    Raises:
        FileInvalid: it has errors.
    """
    return ChangeablePeople(text) if text else NoDirectory()


def policy_of(text: str, tools: Mapping[str, ToolDeclaration], directory: Directory) -> Policy:
    """Return the policy in this text; if it is empty, every plan needs one approval.

    Raises:
        FileInvalid: it has errors.
    """
    if not text:
        return OneApproval()
    people = directory.people()
    return checked_policy(text, tools, None if people is None else people.roles())
