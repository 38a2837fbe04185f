"""The requirement of a plan: the approvals that it needs, and the people who may resolve its holds.

A policy derives a `Requirement` from each revision of a plan (`plangate.domain.policies.policy`); it is
recorded with the plan. `plangate.domain.policies.approvers` decides whether approvals meet it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import Field

from plangate.domain.base import Frozen
from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.plurals import counted, joined
from plangate.domain.policies.escalation import Escalation, LaterApprovers
from plangate.domain.policies.viewers import Viewers
from plangate.domain.times.calendars import Calendar
from plangate.domain.times.working_time import WorkingTime

MAX_COUNT: Final = 20

HOLD_SECONDS: Final = 72 * 3600

LONGEST_COOLING: Final = 24 * 3600


class Need(Frozen):
    """A number of approvals by people of one role; ``anyone`` is every person but the requester."""

    role: str
    count: int = Field(ge=1, le=MAX_COUNT)

    def __str__(self) -> str:
        """Return a human-readable description."""
        return needs_in_words([self])


class Missing(Frozen):
    """A number of approvals that are still missing, and who may give them.

    An approval by a person with several roles counts for one of them, and which one stays open. The next
    approval may then be by one role or by another.

    Attributes:
        count: how many approvals are missing.
        of: the approvals of which any ``count`` are enough; if empty, who may give them is not known.
        is_open: whether ``of`` only lists who may give the next one. Who may give the others depends on it.
    """

    count: int = Field(ge=1)
    of: tuple[Need, ...] = ()
    is_open: bool = Field(default=False, exclude_if=lambda value: not value)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the people who may give the next one."""
        return tuple(need.role for need in self.of)

    @property
    def named(self) -> tuple[str, ...]:
        """The same roles; empty if any person may give it."""
        return () if ANYONE in self.roles else self.roles

    @property
    def choice(self) -> str:
        """A description, if the count and the roles are not enough to describe it; else empty."""
        return self.in_words() if self.is_open or self._is_limited else ""

    @property
    def _is_limited(self) -> bool:
        """Whether a role of ``of`` may give only some of them."""
        return not self.is_open and any(need.count < self.count for need in self.of)

    def in_words(self, later_approvers: Sequence[LaterApprovers] = ()) -> str:
        """Return a description, with the roles that may also approve later, and from when."""
        if self._is_limited:
            choices = ", ".join(needs_in_words([need], later_approvers) for need in self.of)
            all_of_them = counted(sum(need.count for need in self.of), "approval")
            return f"{self.count} of these {all_of_them} ({choices})"
        who = joined(self.named, "or") if self.named else "anyone but the requester"
        by = f"{', the next one' if self.is_open else ''} by {who}" if self.of else ""
        also = dict.fromkeys(f" ({one})" for one in later_approvers if one.role in self.roles)
        return f"{counted(self.count, 'approval')}{by}{''.join(also)}"


def alone(need: Need) -> Missing:
    """Return a need as missing approvals."""
    return Missing(count=need.count, of=(need,))


def needs_in_words(needs: Iterable[Need], later_approvers: Sequence[LaterApprovers] = ()) -> str:
    """Return a description of needs, each with the roles that may also approve later, and from when."""
    return missing_in_words(map(alone, needs), later_approvers)


def missing_in_words(missing: Iterable[Missing], later_approvers: Sequence[LaterApprovers] = ()) -> str:
    """Return a description of missing approvals; all of them are necessary."""
    return " and ".join(one.in_words(later_approvers) for one in missing)


class Resolvers(Frozen):
    """The people who may resolve a held run, and the resolutions that they may choose.

    Attributes:
        any_of: groups of roles; a person needs one role of each group.
        assurance: the minimum proof of identity; the assurance of the requirement also applies.
        resolutions: the permitted resolutions in addition to ``abort``; empty for all.
        rules: the rules that require this.
    """

    any_of: tuple[tuple[str, ...], ...]
    assurance: Assurance = Assurance.TYPED
    resolutions: tuple[Resolution, ...] = ()
    rules: tuple[str, ...] = ()

    def allows(self, resolution: Resolution) -> bool:
        """Return whether this resolution is allowed; ``abort`` always is, because it has no effect."""
        return resolution is Resolution.ABORT or not self.resolutions or resolution in self.resolutions

    def __str__(self) -> str:
        """Return a human-readable description."""
        groups = [
            " or ".join("anyone but the requester" if role == ANYONE else role for role in roles)
            for roles in self.any_of
        ]
        if len(groups) > 1:
            groups = [f"({one})" if " or " in one else one for one in groups]
        return " and ".join(groups) + ("" if self.assurance is Assurance.TYPED else f", {self.assurance}")


class Requirement(Frozen):
    """What the policy requires for one plan; without needs, the plan runs without approval.

    Attributes:
        needs: for each role, the largest count that any matching rule requires, in the order of the rules.
        assurance: the proof of identity that a decision must have.
        approval_valid_for: seconds after which an approval is too old for a step to start.
        timeout_seconds: time limit of a review, if a rule sets one; the request may set a shorter one.
        working: its time limits in working time; the earliest end applies.
        rules: the rules that require this, or that exempted the plan.
        policy_hash: SHA-256 of the policy file; empty if there is none.
        resolvers: the people who may resolve a held run, if a rule limits them; default: see `resolving`.
        hold_seconds: time limit of a hold; None for `HOLD_SECONDS`.
        strike_keeps_approver: whether a person who only removed steps may still approve.
        cooling_seconds: how many seconds after the last approval the first step must wait; None for no wait.
        batch: whether it may be approved together with similar plans, with one passkey confirmation on a
            page.
        notify_details: whether notices may include the previews of its steps.
        seen_by: the people who may see the run in addition to those who may decide on it; empty for everyone
            in the list of people.
        windows: the calendars of windows: steps may begin only in the working time of all of them.
        freezes: the calendars of freezes: no step begins during the working time of any of them.
        escalations: the roles that may also approve after a review has lasted for a given time.
        remind: how many seconds before the deadline the people who can still approve are reminded.
    """

    needs: tuple[Need, ...] = ()
    assurance: Assurance = Assurance.TYPED
    approval_valid_for: int | None = None
    timeout_seconds: int | None = None
    rules: tuple[str, ...] = ()
    policy_hash: str = ""
    resolvers: Resolvers | None = Field(default=None, exclude_if=lambda value: value is None)
    hold_seconds: int | None = Field(default=None, exclude_if=lambda value: value is None)
    strike_keeps_approver: bool = Field(default=False, exclude_if=lambda value: not value)
    cooling_seconds: int | None = Field(default=None, exclude_if=lambda value: value is None)
    batch: bool = Field(default=False, exclude_if=lambda value: not value)
    notify_details: bool = Field(default=False, exclude_if=lambda value: not value)
    seen_by: tuple[Viewers, ...] = Field(default=(), exclude_if=lambda value: not value)
    windows: tuple[Calendar, ...] = Field(default=(), exclude_if=lambda value: not value)
    freezes: tuple[Calendar, ...] = Field(default=(), exclude_if=lambda value: not value)
    working: tuple[WorkingTime, ...] = Field(default=(), exclude_if=lambda value: not value)
    escalations: tuple[Escalation, ...] = Field(default=(), exclude_if=lambda value: not value)
    remind: tuple[int, ...] = Field(default=(), exclude_if=lambda value: not value)

    def __str__(self) -> str:
        """Return a human-readable description."""
        if not self.needs:
            return "no approval" + (f" (rule: {', '.join(self.rules)})" if self.rules else "")
        return needs_in_words(self.needs) + self.proof_words

    @property
    def resolving(self) -> Resolvers:
        """The people who may resolve a held run; by default, those who could approve the plan.

        A resolution needs at least the proof of identity that an approval needs.
        """
        found = self.resolvers or Resolvers(any_of=(approving_roles(self.needs),))
        return found.model_copy(update={"assurance": max(found.assurance, self.assurance)})

    @property
    def asked_roles(self) -> tuple[str, ...]:
        """The roles that may approve, now or later; empty if no approval is needed."""
        return tuple(dict.fromkeys([*roles_of(self.needs), *(one.to for one in self.escalations)]))

    @property
    def longest_hold(self) -> int:
        """How long the run may be held, in seconds."""
        return self.hold_seconds or HOLD_SECONDS

    @property
    def proof_words(self) -> str:
        """The required assurance as a suffix of the needs on a page; empty if a typed name is enough."""
        return "" if self.assurance is Assurance.TYPED else f", {self.assurance}"


ONE_APPROVAL: Final = Requirement(needs=(Need(role=ANYONE, count=1),))


def approving_roles(needs: Iterable[Need]) -> tuple[str, ...]:
    """Return the roles that can approve a plan with these needs; `ANYONE` if it needs no approval."""
    return tuple(need.role for need in needs) or (ANYONE,)


def roles_of(needs: Iterable[Need]) -> list[str]:
    """Return the role of each need."""
    return [need.role for need in needs]
