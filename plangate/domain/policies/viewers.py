"""Define who may see a run in addition to the people who may decide on it: the plan's ``[[see]]`` rules.

`plangate.domain.runs.who_may_see` uses this to decide whether a person may see a run.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from plangate.domain.base import Frozen


class Party(StrEnum):
    """The groups of people related to a run."""

    REQUESTER = "requester"
    AUTHORS = "authors"
    DECIDERS = "deciders"


class Viewers(Frozen):
    """The people who may see a run if one rule matches: these parties, and people with one of the roles.

    The people who may decide on the run can always see it; a rule may allow no one else.
    """

    name: str
    who: tuple[Party, ...] = ()
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a human-readable description."""
        named = [one.value for one in Party if one is Party.DECIDERS or one in self.who]
        return ", ".join([*named, *(f"the role {role}" for role in self.roles)])

    def is_within(self, other: "Viewers") -> bool:
        """Return whether everyone allowed by this rule is also allowed by the other."""
        parties = set(self.who) - {Party.DECIDERS}
        return parties.issubset(other.who) and set(self.roles).issubset(other.roles)


def together(*all_viewers: Iterable[Viewers]) -> tuple[Viewers, ...]:
    """Return the `Viewers` of several rules or plans without duplicates; a person must match all of them."""
    return tuple(dict.fromkeys(one for viewers in all_viewers for one in viewers))


def missing_viewers(viewers: Sequence[Viewers], demanded: Sequence[Viewers]) -> Viewers | None:
    """Return the first ``demanded`` limit that these rules do not include; None if they include all."""
    for wanted in demanded:
        if not any(one.is_within(wanted) for one in viewers):
            return wanted
    return None
