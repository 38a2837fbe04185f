"""Verify who decided, and whether they were allowed to, from signatures and lists of people.

Decisions and claims refer to the list of people that was used. Records and bundles contain it, so the auditor
uses the same list. Today's list must still contain the people and their keys; they must never be removed from
it. If that list is missing, today's list shows when a key was valid and a delegation was in
force, but not when a person was deactivated.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import assert_never

from plangate.audit.claims import SLOW_CLAIM
from plangate.audit.recorded_proof import UsedTokens, recorded_claims
from plangate.audit.rule_references import is_typed, list_hash_of, without_people_list
from plangate.domain.base import Frozen
from plangate.domain.decisions.decision import Choice
from plangate.domain.escaping import one_line
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, People, unknown_requester
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb, trusted_by_both
from plangate.domain.plans.plan import short
from plangate.domain.policies.approvers import too_weak
from plangate.domain.runs.audit import AuditEntry, Claimed, Decided, Drafted, Reopened
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.fold import apply
from plangate.domain.runs.revocation import (
    invalid_approvals,
    invalid_key,
    invalid_resolution,
    missing_role,
    no_proof,
    stale_approvers,
    unknown_key,
)
from plangate.domain.runs.run import Approval, RunState
from plangate.policy.kept_lists import PeopleByHash
from plangate.signing.decisions import DECISION, Subject, difference_from_signed


class Lists(Frozen):
    """The lists of people that are used to verify a trail.

    Attributes:
        today: the newest list, which the auditor trusts; None to trust what the trail contains about people.
        earlier: returns older lists, see `PeopleByHash`; None to trust no older list.
        web: the web servers that the auditor trusts, in addition to those in the lists.
    """

    today: People | None = None
    earlier: PeopleByHash | None = None
    web: TrustedWeb = ANY_WEB

    def get(self, name: str) -> People | None:
        """Return the list that an entry refers to, or None if it is not available."""
        return self.earlier(name) if self.earlier and name else None

    def web_of(self, name: str) -> TrustedWeb:
        """Return the web servers that are trusted both by the auditor and by the list of an entry."""
        people = self.get(name)
        return self.web if people is None else trusted_by_both(people.web, self.web)


def unproven(workflow_id: str, trail: Sequence[AuditEntry], lists: Lists) -> Iterator[Finding]:
    """Yield every decision and step that the signatures and lists of people do not confirm."""
    yield from _missing_lists(workflow_id, trail, lists)
    for entry, is_contradicted in without_people_list(trail):
        if is_contradicted:
            what = "refers to no list of people, although the run's earlier entries do"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)
    state = RunState(workflow_id=workflow_id)
    used = UsedTokens()
    for entry in trail:
        event, wrong = entry.event, None
        if isinstance(event, Decided) and event.approver:
            approver = event.approver
            wrong = _without_proof(event, approver, state, used, lists.web_of(event.people))
            if wrong:
                proof = f"has the assurance {approver.assurance}"
                wrong = f"the decision by {one_line(approver.name)} {proof}, but {wrong}"
            else:
                wrong = _not_allowed(event, approver, state, lists)
        elif isinstance(event, Claimed):
            wrong = _revoked_before(entry.at, state, lists.get(event.people), undo=event.undo)
        elif isinstance(event, Reopened):
            wrong = _was_valid(event, state, lists)
        if wrong:
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=wrong)
        state = apply(state, event)


def _missing_lists(workflow_id: str, trail: Sequence[AuditEntry], lists: Lists) -> Iterator[Finding]:
    """Yield the first entry that refers to each list of people that is missing or unreadable."""
    if lists.earlier is None:
        return
    first: dict[str, int] = {}
    for entry in trail:
        first.setdefault(list_hash_of(entry.event), entry.number)
    first.pop("", None)
    installations = {entry.event.audience.installation for entry in trail if isinstance(entry.event, Drafted)}
    for name, number in first.items():
        people = lists.get(name)
        if people is None:
            what = f"refers to a list of people that is missing or cannot be read ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)
            continue
        foreign = [one for one in people.enrolments if installations - {one.installation}]
        for wrong in (
            *people.unproven,
            *(f"a key of {one.person} was enrolled for another installation" for one in foreign),
        ):
            what = f"refers to a list of people in which {one_line(wrong)} ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)


def revoked_since(
    workflow_id: str, trail: Sequence[AuditEntry], people: People, now: datetime
) -> Iterator[Finding]:
    """Yield every approval that a step relied on, but that ``people`` shows as invalid at ``now``.

    These are notes, not errors.
    """
    relied_on = _relied_on(workflow_id, trail)
    state = RunState(workflow_id=workflow_id)
    for entry in trail:
        event, after = entry.event, apply(state, entry.event)
        new = after.approvals[-1:] if len(after.approvals) > len(state.approvals) else ()
        if relied_on.issuperset(new) and new and isinstance(event, Decided) and event.approver:
            reason = no_proof(event.approver, people, now) or _without_role(event, state, people, now)
            if reason:
                what = f"this approval was valid, but would not be valid today: {one_line(reason)}"
                yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)
        state = after


def _relied_on(workflow_id: str, trail: Sequence[AuditEntry]) -> frozenset[Approval]:
    """Return the approvals that were valid when a step began; others had no effect."""
    found: set[Approval] = set()
    state = RunState(workflow_id=workflow_id)
    for entry in trail:
        if isinstance(entry.event, Claimed):
            found.update(state.approvals)
        state = apply(state, entry.event)
    return frozenset(found)


def _without_proof(
    event: Decided, approver: Approver, state: RunState, used: UsedTokens, web: TrustedWeb
) -> str | None:
    """Return the error in the proof of a decision; ``used`` has the tokens that were used earlier."""
    match approver.assurance:
        case Assurance.TYPED:
            return None
        case Assurance.LOGIN | Assurance.SIGNED:
            repeated = used.use(approver)
            return _not_proven(event, approver, state, web) or repeated
        case _:
            assert_never(approver.assurance)


def _not_proven(event: Decided, approver: Approver, state: RunState, web: TrustedWeb) -> str | None:
    decision = event.arrival.decision
    if decision is None:
        return "has no signature"
    try:
        claims = recorded_claims(decision.signature, approver, event.arrival.received_at, DECISION, web)
    except ValueError as error:
        return str(error)
    if state.drafted is None:
        return "was signed before there was a plan"
    subject = Subject(
        workflow_id=state.workflow_id,
        fingerprint=state.drafted.fingerprint,
        audience=state.drafted.audience,
    )
    return difference_from_signed(claims, decision, subject)


def _not_allowed(event: Decided, approver: Approver, state: RunState, lists: Lists) -> str | None:
    """Return the reason why the lists do not confirm the recorded approver of a decision, or None."""
    at, counted = event.arrival.received_at, event.verdict.accepted
    recorded, today = lists.get(event.people), lists.today
    reason = None
    if not event.people and is_typed(approver):
        return None
    if today is not None:
        stranger = counted and today.find(approver.name) is None
        reason = f"{approver.name} is not in the list of people" if stranger else unknown_key(approver, today)
    if reason is None and recorded is not None:
        reason = no_proof(approver, recorded, at) if counted else unknown_key(approver, recorded)
        if counted and _choice(event) in (Choice.APPROVE, Choice.RESOLVE):
            reason = reason or unknown_requester(recorded, state.excluded)
        reason = reason or (_without_role(event, state, recorded, at) if counted else None)
    elif reason is None and today is not None:
        reason = invalid_key(approver, today, at)
        reason = reason or (_without_role(event, state, _all_active(today), at) if counted else None)
    if reason is None:
        return None
    which = "the list from that time" if recorded is not None else "the list of people"
    return f"the decision by {one_line(approver.name)} is not supported by {which}: {one_line(reason)}"


def _without_role(event: Decided, state: RunState, people: People, at: datetime) -> str | None:
    if state.drafted is None or event.approver is None:
        return None
    requirement = state.drafted.requirement
    if _choice(event) is Choice.RESOLVE:
        demanded = {role for roles in requirement.resolving.any_of for role in roles}
    else:
        demanded = set(requirement.asked_roles)
    return missing_role(event.approver, people, at, demanded, state.excluded)


def _choice(event: Decided) -> Choice | None:
    return event.arrival.decision.decision if event.arrival.decision else None


def _all_active(people: People) -> People:
    """Return the list with everyone active, because a list does not show when a person was deactivated."""
    return People(persons=tuple(one.model_copy(update={"active": True}) for one in people.persons))


def _revoked_before(at: datetime, state: RunState, people: People | None, *, undo: bool) -> str | None:
    """Return an error if the list from that time shows that an approval was invalid when a step began.

    For an undo, only the resolution that requested it is checked.
    """
    if people is None:
        return None
    lost = invalid_resolution(state, people, at)
    if lost and invalid_resolution(state, people, at - SLOW_CLAIM):
        return f"a step began although its resolution was no longer valid: {one_line(lost)}"
    if undo:
        return None
    reasons = _revoked(state, people, at)
    if not reasons or not _revoked(state, people, at - SLOW_CLAIM):
        return None
    return f"a step began although an approval was no longer valid: {'; '.join(reasons)}"


def _was_valid(event: Reopened, state: RunState, lists: Lists) -> str | None:
    """Return an error if approvals recorded as invalid were valid according to the list from that time."""
    people = lists.get(event.people)
    if event.people and people is None:
        return None
    state, weak = _with_stricter_requirement(state, event)
    lost = {one.name for one in event.lost} - {
        *(one.name for one in invalid_approvals(state, people, event.reopened_at)),
        *weak,
    }
    held = [one_line(one.name) for one in state.approvers if one.name in lost]
    return f"records a valid approval as invalid: {', '.join(held)}" if held else None


def _with_stricter_requirement(state: RunState, event: Reopened) -> tuple[RunState, tuple[str, ...]]:
    """Return the state with the requirement of a reopened review, and the people whose proof is too weak."""
    if state.drafted is None or event.requirement is None:
        return state, ()
    drafted = state.drafted.with_stricter_requirement(event.requirement, event.recent)
    weak = tuple(one.name for one in state.approvers if too_weak(event.requirement, one))
    return state.model_copy(update={"drafted": drafted}), weak


def _revoked(state: RunState, people: People, at: datetime) -> list[str]:
    """Return the reasons why approvals were invalid at ``at``; `rule_violations` reports expired ones."""
    stale = stale_approvers(state, at)
    lost = invalid_approvals(state, people, at)
    return [one_line(one.reason) for one in lost if one.name not in stale]
