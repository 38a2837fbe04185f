"""Define who may see a run besides those who may decide on it: the rules ``[[see]]``, frozen with its plan.

`plangate.domain.seeing` uses this to decide whether a person may see a run.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from plangate.domain.base import Frozen


class Party(StrEnum):
    """The relations of people to a run."""

    REQUESTER = "requester"
    AUTHORS = "authors"
    DECIDERS = "deciders"


class Seers(Frozen):
    """The people who may see a run if one rule matches: these parties, and people with one of the roles.

    Every rule admits the people who may decide on the run; a rule may also admit only these.
    """

    name: str
    who: tuple[Party, ...] = ()
    roles: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return a human-readable description."""
        named = [one.value for one in Party if one is Party.DECIDERS or one in self.who]
        return ", ".join([*named, *(f"the role {role}" for role in self.roles)])

    def is_within(self, other: "Seers") -> bool:
        """Return whether everyone whom this rule admits is also admitted by the other."""
        parties = set(self.who) - {Party.DECIDERS}
        return parties.issubset(other.who) and set(self.roles).issubset(other.roles)


def together(*all_seers: Iterable[Seers]) -> tuple[Seers, ...]:
    """Return the seers of several rules or plans, each once; a person must meet all of them."""
    return tuple(dict.fromkeys(one for seers in all_seers for one in seers))


def missing_seers(seers: Sequence[Seers], demanded: Sequence[Seers]) -> Seers | None:
    """Return the first demanded seers whose limits these do not keep; None if they keep all."""
    for wanted in demanded:
        if not any(one.is_within(wanted) for one in seers):
            return wanted
    return None
