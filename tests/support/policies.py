"""Policies with the same requirement for every plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement
from plangate.domain.policies.rolling_totals import RecentSum


@dataclass(frozen=True)
class Wants:
    """A policy with the same requirement for every plan."""

    requirement: Requirement

    def requirement_for(
        self,
        plan: Plan,
        *,
        request: str,
        requester: str,
        recent: Sequence[RecentSum] = (),
        duplicates: Sequence[Duplicate] = (),
    ) -> Requirement:
        del plan, request, requester, recent, duplicates
        return self.requirement


def wants(*needs: tuple[str, int], **more: Any) -> Wants:
    """Require approvals by role and count."""
    return Wants(Requirement(needs=tuple(Need(role=role, count=count) for role, count in needs), **more))


def one_approval(*, valid_for: timedelta) -> Wants:
    """Require one approval, which expires."""
    return Wants(ONE_APPROVAL.model_copy(update={"approval_valid_for": int(valid_for.total_seconds())}))
