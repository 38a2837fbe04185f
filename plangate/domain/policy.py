"""Which approvals a plan needs. For now one rule for all plans: anybody but the requester, once."""

import unicodedata
from collections.abc import Iterable
from typing import Final

from pydantic import Field

from plangate.domain.model import Frozen

ANYONE: Final = "anyone but the requester"


class Need(Frozen):
    """So many approvals from people of one role."""

    role: str
    count: int = Field(ge=1)


class Requirement(Frozen):
    """What the policy demands of one plan; no needs means that it may run by itself."""

    needs: tuple[Need, ...] = ()

    def __str__(self) -> str:
        if not self.needs:
            return "no approval"
        return " and ".join(
            f"{need.count} approval{'' if need.count == 1 else 's'} by {need.role}" for need in self.needs
        )


ONE_APPROVAL: Final = Requirement(needs=(Need(role=ANYONE, count=1),))


def same_person(one: str, other: str) -> bool:
    """Return whether two typed names mean the same person: case, width and outer blanks do not count."""
    return _identity(one) == _identity(other)


def satisfied(requirement: Requirement, approvers: Iterable[str]) -> bool:
    """Return whether these approvers, each counted once, meet the requirement."""
    people = {_identity(name) for name in approvers}
    return all(len(people) >= need.count for need in requirement.needs)


def _identity(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
