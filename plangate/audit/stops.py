"""Verify stops: the trail that records them, and the claims that had to wait.

In the stop trail (`broken_stops_trail`):

- Every entry is a processed request, with the key and the sender of the received message.
- `plangate.domain.runs.stops.judge` accepts each accepted request again, in the state after the earlier
  entries. A refused request changes nothing.
- A signed request has a valid signature, which was used once. The stored list of people confirms its sender.
  The number of people required for a release follows from the list and the rules. The stored policy contains
  those rules.

For every claim (`StopHistory.broken_claims`): the last entry of that trail that it read exists, no stop of
its tool was active at that time, and it read every stop that was recorded long before it. Claims and entries
are written in a single order (`plangate.records.stops`), so only the last check needs a tolerance for clocks.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from plangate.audit.received import wrong_arrival
from plangate.audit.recorded_proof import UsedTokens, recorded_claims
from plangate.domain.escaping import one_line
from plangate.domain.people.people import Approver, Identified, People
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb, trusted_by_both
from plangate.domain.plans.plan import Plan, short
from plangate.domain.runs.audit import STOPS_TRAIL, AuditEntry, Claimed, Drafted, RuleText
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.domain.runs.revocation import changed_roles
from plangate.domain.runs.stops import ActiveStops, StopContext, StopDecided, StopRules, apply, judge
from plangate.policy.kept_lists import PeopleByHash
from plangate.policy.requirements import find_policy
from plangate.policy.rules import stop_rules_of
from plangate.signing.stops import ORDER, stop_request_difference


def broken_stops_trail(
    entries: Sequence[AuditEntry],
    people_by_hash: PeopleByHash | None,
    texts: Sequence[RuleText],
    installation: str,
    web: TrustedWeb = ANY_WEB,
) -> Iterator[Finding]:
    """Yield every entry that is not allowed after the earlier ones, or that is not confirmed.

    Args:
        entries: the stop trail, whose hashes have been checked.
        people_by_hash: the lists of people that it refers to.
        texts: the policies that it refers to.
        installation: the id of these records.
        web: the web servers that the auditor trusts, in addition to those in the lists.
    """
    stops, latest = ActiveStops(), None
    used = UsedTokens()
    for entry in entries:
        event = entry.event
        if not isinstance(event, StopDecided):
            yield _on_stops_trail(entry, "belongs in a run's trail, not in the stop trail")
            continue
        if latest is not None and entry.at < latest:
            yield _on_stops_trail(entry, "is dated before the previous entry")
        latest = entry.at
        what = (
            wrong_arrival(entry, event)
            or _wrong_verdict(stops, event)
            or _unproven(event, people_by_hash, used, installation, web)
            or _other_rules(event, texts)
        )
        if what:
            yield _on_stops_trail(entry, what)
        stops = apply(stops, event)


class StopHistory:
    """The history of stops, from the stop trail."""

    def __init__(self, entries: Sequence[AuditEntry]) -> None:
        self._accepted: list[tuple[int, StopDecided]] = [
            (entry.number, entry.event)
            for entry in entries
            if isinstance(entry.event, StopDecided) and entry.event.verdict.accepted
        ]
        self._numbers = [0, *(number for number, _ in self._accepted)]
        self._states = [ActiveStops()]
        for _, event in self._accepted:
            self._states.append(apply(self._states[-1], event))

    def broken_claims(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each claim of a run that should have waited for a stop."""
        plan: Plan | None = None
        for entry in trail:
            event = entry.event
            if isinstance(event, Drafted):
                plan = event.plan
            if isinstance(event, Claimed) and plan is not None and 1 <= event.step <= len(plan.steps):
                what = self.objection(entry, event, plan.steps[event.step - 1].tool)
                if what:
                    yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)

    def objection(self, entry: AuditEntry, event: Claimed, tool: str) -> str | None:
        """Return an error if a claim of a step of this tool should have waited for a stop."""
        position = bisect_right(self._numbers, event.stops) - 1
        if position < 0 or self._numbers[position] != event.stops:
            return f"read entry {event.stops} of the stop trail, which stopped and released nothing"
        stop = self._states[position].of(tool)
        if stop is not None:
            return f"a step began although it was stopped: {stop}"
        for number, after in zip(self._numbers[position + 1 :], self._states[position + 1 :], strict=True):
            unseen = after.of(tool)
            if unseen is not None and unseen.since < entry.at - CLOCK_LEEWAY:
                return f"a step began without reading entry {number} of the stop trail: {unseen}"
        return None


def _on_stops_trail(entry: AuditEntry, what: str) -> Finding:
    return Finding(workflow_id=STOPS_TRAIL, entry=entry.number, what=what)


def _wrong_verdict(stops: ActiveStops, event: StopDecided) -> str | None:
    """Check an accepted request again; its tool may be unknown here."""
    if not event.verdict.accepted:
        return None
    order = event.arrival.order
    if order is None or event.approver is None:
        return "was accepted, though it cannot be read or has no sender"
    by = StopContext(
        rules=event.rules,
        release=event.release,
        tools=(order.tool,) if order.tool else (),
        at=event.judged_at,
        policy=event.policy,
        people=event.people,
    )
    again = judge(stops, event.arrival, Identified(approver=event.approver), by)
    return None if again.verdict.accepted else f"was accepted, though {one_line(again.verdict.reason)}"


def _unproven(
    event: StopDecided,
    people_by_hash: PeopleByHash | None,
    used: UsedTokens,
    installation: str,
    web: TrustedWeb,
) -> str | None:
    approver = event.approver
    if approver is None:
        return None
    people = people_by_hash(event.people) if people_by_hash and event.people else None
    if approver.is_proven:
        trusted = web if people is None else trusted_by_both(people.web, web)
        repeated = used.use(approver)
        wrong = _not_proven(event, approver, installation, trusted) or repeated
        if wrong:
            return f"{one_line(approver.name)}'s request is recorded as {approver.assurance}, but {wrong}"
    if not event.verdict.accepted:
        return None
    if event.people and people is None:
        return None  # another finding reports that it is missing
    return _not_by_list(event, approver, people)


def _not_by_list(event: StopDecided, approver: Approver, people: People | None) -> str | None:
    if event.release != event.rules.release(people):
        return "requires different releases than its rules and its list of people"
    if people is None:
        return None
    wrong = changed_roles(approver, people, event.arrival.received_at)
    if wrong is None:
        return None
    return (
        f"{one_line(approver.name)}'s request is not supported by the list from that time: {one_line(wrong)}"
    )


def _not_proven(event: StopDecided, approver: Approver, installation: str, web: TrustedWeb) -> str | None:
    order = event.arrival.order
    if order is None:
        return "it has no signature"
    try:
        claims = recorded_claims(order.signature, approver, event.arrival.received_at, ORDER, web)
    except ValueError as error:
        return f"it {error}" if str(error).startswith(("has", "was")) else str(error)
    if claims.aud.partition("/")[0] != installation:
        return "it was signed for another installation"
    return stop_request_difference(claims, order, None)


def _other_rules(event: StopDecided, texts: Sequence[RuleText]) -> str | None:
    if not event.policy:
        return None if event.rules == StopRules() else "refers to no policy, but has the rules of a policy"
    policy = find_policy(event.policy, texts)
    if policy is None or stop_rules_of(policy) == event.rules:
        return None  # another finding reports a policy that is missing
    return f"used rules that differ from those of the policy that it refers to ({short(event.policy)})"
