"""Stops: requests that make every step, or every step of one tool, wait before it begins.

A stop is active until enough people have released it. `judge` decides whether a request is accepted,
`apply` returns the stops after it, and `ActiveStops.of` returns the stop that makes a step wait. Claims,
pages and the audit use the same functions. While a stop is active, decisions on runs are still accepted.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from plangate.domain.base import AwareDatetime, Frozen, OutsideRun
from plangate.domain.decisions.decision import (
    MAX_SIGNATURE,
    Verdict,
    is_empty_comment,
    is_placeholder,
)
from plangate.domain.decisions.received import MAX_REASON, Received, SentRequest, only_object
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, Identified, People, same_person
from plangate.domain.plans.plan import Audience
from plangate.domain.plurals import counted, joined
from plangate.domain.policies.approvers import countable_roles, covered
from plangate.domain.policies.missing_approvals import still_missing
from plangate.domain.policies.requirement import Missing, Need, Requirement

RELEASERS: Final = 2
"""How many people must release a stop, if there is a list of people and the policy has no rule."""
_LONGEST_TOOL: Final = 100
_LONGEST_REASON_SHOWN: Final = 200
_HOW: Final = 'send one JSON object such as {"action": "stop", "by": "dana", "reason": "wrong amounts"}'
_UNCHECKED: Final = "there is no list of people, so the name is not verified"


class StopAction(StrEnum):
    """The kinds of requests about stops; ``list`` only queries the active stops."""

    STOP = "stop"
    GO = "go"
    LIST = "list"


class StopRequest(SentRequest):
    """One person's request to stop or to release.

    Attributes:
        tool: the tool whose steps wait, or may begin; None for the steps of all tools.
        stop: the number of the stop that the request releases, as shown to its sender.
        reason: the reason; required for a stop.
    """

    action: StopAction
    tool: Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST_TOOL)] | None = None
    stop: int | None = Field(default=None, ge=1, strict=True)
    reason: str = Field(default="", max_length=MAX_REASON)
    signature: str | None = Field(default=None, max_length=MAX_SIGNATURE)


StopRequestArrival = Received[StopRequest]
"""A message that was sent as a request to stop or to release."""


class Release(Frozen):
    """The releases that a stop needs: the number of people with each role, and their proof of identity."""

    needs: tuple[Need, ...]
    assurance: Assurance = Assurance.TYPED

    def is_met_by(self, approvers: Sequence[Approver]) -> bool:
        """Return whether these people release the stop."""
        return self.covered(approvers) == sum(need.count for need in self.needs)

    def covered(self, approvers: Sequence[Approver]) -> int:
        """Return how many of the required releases these people give, as `policies.approvers` counts them."""
        return covered(self._requirement, approvers, ())

    def missing(self, approvers: Sequence[Approver]) -> tuple[Missing, ...]:
        """Return which releases are still missing."""
        return still_missing(self._requirement, approvers, ())

    @property
    def _requirement(self) -> Requirement:
        return Requirement(needs=self.needs, assurance=self.assurance)

    def __str__(self) -> str:
        """Return a human-readable description."""
        return " and ".join(f"{counted(need.count, 'release')} by {need.role}" for need in self.needs)


class StopRules(Frozen):
    """The policy file's rules about stops and releases.

    Attributes:
        roles: the roles that may stop; one is enough.
        assurance: the proof of identity that a stop needs.
        go: the approvals that release a stop; None for two people, or for one without a list of people.
        go_assurance: the proof of identity that a release needs.
    """

    roles: tuple[str, ...] = (ANYONE,)
    assurance: Assurance = Assurance.TYPED
    go: tuple[Need, ...] | None = None
    go_assurance: Assurance = Assurance.TYPED

    def release(self, people: People | None) -> Release:
        """Return what is needed to release a stop, given the list of people.

        The default never requires more people than are active.
        """
        needs = self.go
        if needs is None:
            active = sum(person.active for person in people.persons) if people is not None else 1
            needs = (Need(role=ANYONE, count=max(1, min(RELEASERS, active))),)
        return Release(needs=needs, assurance=self.go_assurance)


class StopDecided(OutsideRun):
    """A processed request, accepted or refused, and the rules that were used.

    Recorded only in the stop trail.

    Attributes:
        approver: the identified sender, if any.
        judged_at: when it was processed, by the server's clock.
        rules: the policy's rules about stops.
        release: what is needed to release a stop, according to these rules and the list of people at that
            time.
        policy: SHA-256 of the policy; empty without one.
        people: SHA-256 of the list of people; empty without one.
    """

    kind: Literal["stop_decided"] = "stop_decided"
    arrival: StopRequestArrival
    verdict: Verdict
    approver: Approver | None = None
    judged_at: AwareDatetime
    rules: StopRules = StopRules()
    release: Release
    policy: str = ""
    people: str = ""


class Stop(Frozen):
    """One active stop.

    Attributes:
        number: its number among the accepted stops of the installation.
        by: the sender of the request, or of the newest request if there were several.
        since: when that request was accepted.
        released_by: the people who have released it so far.
        release: what is needed to release it, according to the rules of the newest request.
    """

    number: int
    tool: str | None
    by: Approver
    reason: str
    since: AwareDatetime
    release: Release
    released_by: tuple[Approver, ...] = ()

    @property
    def what(self) -> str:
        """What is stopped, as the subject of a sentence."""
        return "every step" if self.tool is None else f"every step of {one_line(self.tool)}"

    def __str__(self) -> str:
        """Return a description in one sentence, without a full stop."""
        reason = cut(one_line(self.reason), _LONGEST_REASON_SHOWN)
        since = f"{self.since:%Y-%m-%d %H:%M} UTC"
        return f"{one_line(self.by.name)} stopped {self.what} at {since} (stop {self.number}): {reason}"


class StopStatus(Frozen):
    """An active stop, as it is shown to people.

    Attributes:
        number: the number that a release refers to.
        tool: the tool whose steps wait; None for those of all tools.
        is_verified: whether a login or a signature proves who requested it.
        since: when it was accepted.
        released_by: the people who have released it so far.
        still_needed: who must still release it, as text.
    """

    number: int
    tool: str | None
    by: str
    is_verified: bool
    reason: str
    since: AwareDatetime
    released_by: tuple[str, ...] = ()
    still_needed: str

    def concerns(self, tools: Collection[str]) -> bool:
        """Return whether steps of one of these tools wait."""
        return self.tool is None or self.tool in tools


class StopAnswer(Frozen):
    """The result of a request: whether it was accepted, and the stops that are active now.

    ``accepted`` is None for a query, or while the request has not been processed yet; ``reason`` then
    explains why.
    ``audience`` is the installation and namespace that a request is signed for.
    """

    accepted: bool | None = None
    reason: str = ""
    stops: tuple[StopStatus, ...] = ()
    audience: Audience | None = None


class ActiveStops(Frozen):
    """The active stops: at most one for everything, and one for each tool.

    ``accepted`` counts all stops that were ever accepted.
    """

    accepted: int = 0
    active: tuple[Stop, ...] = ()

    def of(self, tool: str) -> Stop | None:
        """Return the stop that makes a step of this tool wait, or None."""
        return self.on(None) or self.on(tool)

    def on(self, scope: str | None) -> Stop | None:
        """Return the stop for exactly this tool; for None, the stop for all tools."""
        return next((stop for stop in self.active if stop.tool == scope), None)

    def without(self, scope: str | None) -> tuple[Stop, ...]:
        """Return the other stops."""
        return tuple(stop for stop in self.active if stop.tool != scope)


def read_stop_request(
    *, key: str, inputs: Sequence[object], received_at: AwareDatetime
) -> StopRequestArrival:
    """Parse a message that was sent as a request to stop or to release. It never raises an exception."""
    return StopRequestArrival.read(_read, key=key, inputs=inputs, received_at=received_at)


def is_stop_query(inputs: Sequence[object]) -> bool:
    """Return whether a message only queries the stops: it changes nothing, and is not recorded."""
    return len(inputs) == 1 and inputs[0] == {"action": StopAction.LIST.value}


@dataclass(frozen=True, slots=True)
class StopContext:
    """The rules and facts that `judge` uses.

    Attributes:
        rules: the rules about stopping and releasing.
        release: what is needed to release a stop, according to the rules and the list of people.
        tools: the tools that can be stopped.
        at: when it is processed, by the server's clock.
        policy: SHA-256 of the policy; empty without one.
        people: SHA-256 of the list of people; empty without one.
    """

    rules: StopRules
    release: Release
    tools: Collection[str]
    at: AwareDatetime
    policy: str = ""
    people: str = ""


def judge(
    stops: ActiveStops, arrival: StopRequestArrival, sender: Identified, by: StopContext
) -> StopDecided:
    """Return the request as accepted or refused.

    Args:
        stops: the active stops.
        arrival: the request.
        sender: the sender of the request, identified by the list of people and the signature.
        by: the rules, the tools and the time.
    """
    objection = _objection(stops, arrival, sender, by)
    decision = StopDecided(
        arrival=arrival,
        verdict=Verdict(accepted=objection is None, reason=objection or ""),
        approver=sender.approver,
        judged_at=by.at,
        rules=by.rules,
        release=by.release,
        policy=by.policy,
        people=by.people,
    )
    if objection is not None:
        return decision
    reason = _acceptance(stops, decision) + ("" if by.people else f"; {_UNCHECKED}")
    return decision.model_copy(update={"verdict": Verdict(accepted=True, reason=reason)})


def apply(stops: ActiveStops, decision: StopDecided) -> ActiveStops:
    """Return the active stops after a decision.

    A repeated stop replaces the earlier one, and voids its releases so far.
    """
    order, approver = decision.arrival.order, decision.approver
    if not decision.verdict.accepted or order is None or approver is None:
        return stops
    others, before = stops.without(order.tool), stops.on(order.tool)
    if order.action is StopAction.STOP:
        number = stops.accepted + 1
        stop = Stop(
            number=number,
            tool=order.tool,
            by=approver,
            reason=order.reason,
            since=decision.judged_at,
            release=decision.release,
        )
        return ActiveStops(accepted=number, active=(*others, stop))
    if before is None:
        return stops
    released = (*before.released_by, approver)
    if decision.release.is_met_by(released):
        return stops.model_copy(update={"active": others})
    waiting = before.model_copy(update={"released_by": released, "release": decision.release})
    return stops.model_copy(update={"active": (*others, waiting)})


def shown(stops: ActiveStops) -> tuple[StopStatus, ...]:
    """Return the active stops, as they are shown to people."""
    return tuple(
        StopStatus(
            number=stop.number,
            tool=stop.tool,
            by=stop.by.name,
            is_verified=stop.by.assurance > Assurance.TYPED,
            reason=stop.reason,
            since=stop.since,
            released_by=tuple(one.name for one in stop.released_by),
            still_needed=still_needed(stop),
        )
        for stop in stops.active
    )


def still_needed(stop: Stop) -> str:
    """Return a description of the people who must still release a stop."""
    more = "more " if stop.released_by else ""
    return " and ".join(
        f"{counted(one.count, f'{more}person', f'{more}people')}"
        + (", the next one" if one.choice else "")
        + (f" with the role {joined(one.named, 'or')}" if one.named else "")
        for one in stop.release.missing(stop.released_by)
    )


def _objection(
    stops: ActiveStops, arrival: StopRequestArrival, sender: Identified, by: StopContext
) -> str | None:
    order = arrival.order
    if order is None:
        return arrival.fault
    if order.action is StopAction.STOP and order.tool is not None and order.tool not in by.tools:
        known = ", ".join(sorted(by.tools)) or "none"
        return (
            f"there is no tool called {one_line(order.tool)}; the tools are: {known}. "
            "Leave the tool out to stop everything"
        )
    if sender.approver is None or sender.objection:
        return sender.objection or f"{order.by} is not known"
    if order.action is StopAction.STOP:
        return _may_not_stop(stops, order, sender.approver, by.rules)
    return _may_not_release(stops, order, sender.approver, by.release)


def _may_not_stop(stops: ActiveStops, order: StopRequest, approver: Approver, rules: StopRules) -> str | None:
    if approver.assurance < rules.assurance:
        return _unproven("a stop", rules.assurance)
    if not countable_roles(approver, rules.roles, ()):
        allowed = ", ".join(rules.roles)
        return f"{approver.name} may not stop steps; the policy's [stop] allows the roles {allowed}"
    before = stops.on(order.tool)
    if before is not None and same_person(before.by.name, approver.name) and not before.released_by:
        return f"it is already stopped: {before}"
    return None


def _may_not_release(
    stops: ActiveStops, order: StopRequest, approver: Approver, release: Release
) -> str | None:
    stop = stops.on(order.tool)
    if stop is None:
        return "nothing is stopped" + (
            f"; active stops: {'; '.join(map(str, stops.active))}" if stops.active else ""
        )
    if order.stop != stop.number:
        return f"it releases stop {order.stop}, but another one is active: {stop}. Check and release it"
    if approver.assurance < release.assurance:
        return _unproven("a release", release.assurance)
    if any(same_person(one.name, approver.name) for one in stop.released_by):
        return f"{approver.name} has already released this stop; another person must release it"
    if release.covered((*stop.released_by, approver)) > release.covered(stop.released_by):
        return None
    if not release.covered((approver,)):
        return f"{approver.name} may not release a stop; the policy's [go] requires {release}"
    return f"{approver.name}'s release adds nothing to those so far; still needed: {still_needed(stop)}"


def _unproven(what: str, least: Assurance) -> str:
    must = "needs a login or a signature" if least is Assurance.LOGIN else "must be signed"
    return f"{what} {must} here; make a key with `starter.py keys new`"


def _acceptance(stops: ActiveStops, decision: StopDecided) -> str:
    order, approver = decision.arrival.order, decision.approver
    assert order is not None
    assert approver is not None
    what = "every step" if order.tool is None else f"every step of {one_line(order.tool)}"
    accepted = decision.model_copy(update={"verdict": Verdict(accepted=True, reason="")})
    after = apply(stops, accepted)
    if order.action is StopAction.STOP:
        return f"{what} waits from now on (stop {after.accepted}); decisions are still accepted"
    left = after.on(order.tool)
    if left is not None:
        return f"{approver.name}'s release is recorded; {still_needed(left)} must release it too"
    if after.active:
        return f"released; still stopped: {'; '.join(map(str, after.active))}"
    return f"released; {what} may begin again"


def _read(inputs: Sequence[object]) -> StopRequest:
    order = only_object(StopRequest, inputs, _HOW)
    if is_placeholder(order.by):
        raise ValueError(f'"by" is only a placeholder, {order.by}; replace it with your name')
    if order.action is StopAction.LIST:
        raise ValueError('"list" needs "action" and no other field')
    if order.action is StopAction.STOP and not order.reason.strip():
        raise ValueError('a stop needs a "reason", which is shown on every waiting run')
    if order.action is StopAction.STOP and is_empty_comment(order.reason):
        raise ValueError(
            f'"reason" is only a placeholder, {order.reason.strip()}; write why the steps must wait'
        )
    if order.action is StopAction.STOP and order.stop is not None:
        raise ValueError('only "go" has a "stop"; remove it')
    if order.action is StopAction.GO and order.stop is None:
        raise ValueError('"go" needs "stop", the number of the stop that it releases; the status shows it')
    return order
