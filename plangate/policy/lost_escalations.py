"""Find escalations that have no effect, because another rule allows approvals only by the original role."""

from collections.abc import Iterable, Iterator, Sequence

from plangate.domain.base import Frozen
from plangate.domain.policies.escalation import Escalation
from plangate.domain.policies.policy import Rule


class LostEscalation(Frozen):
    """An escalation without effect, and the rules that do not allow escalation for its role."""

    rule: str
    role: str
    to: str
    after_seconds: int
    because: tuple[str, ...]


def lost_escalations(rules: Sequence[Rule], kept: Iterable[Escalation] = ()) -> Iterator[LostEscalation]:
    """Yield the escalations that have no effect because of other rules, if all of them match.

    Args:
        rules: the rules that match, or may match.
        kept: the escalations that take effect.
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
