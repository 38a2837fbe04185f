"""Escalations of a rule that other rules take away: what one leaves to a role alone, no other gives away."""

from collections.abc import Iterable, Iterator, Sequence

from plangate.domain.base import Frozen
from plangate.domain.escalation import Escalation
from plangate.domain.policy import Rule


class LostEscalation(Frozen):
    """One escalation of a rule that has no effect, and the rules that leave its role to itself."""

    rule: str
    role: str
    to: str
    after_seconds: int
    because: tuple[str, ...]


def lost_escalations(rules: Sequence[Rule], kept: Iterable[Escalation] = ()) -> Iterator[LostEscalation]:
    """Yield the escalations that others of these rules take away, if all of them match.

    Args:
        rules: that match, or that may.
        kept: the escalations that take effect all the same.
    """
    has = {(one.role, one.to) for one in kept}
    for rule in rules:
        for one in rule.escalations:
            because = tuple(
                other.name
                for other in rules
                if any(need.role == one.role for need in other.needs)
                and all((more.role, more.to) != (one.role, one.to) for more in other.escalations)
            )
            if because and (one.role, one.to) not in has:
                yield LostEscalation(
                    rule=rule.name, role=one.role, to=one.to, after_seconds=one.after_seconds, because=because
                )
