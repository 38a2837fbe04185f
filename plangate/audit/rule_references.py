"""Find the policies and lists of people that were used for a trail, and the entries without a list."""

from collections.abc import Iterable, Iterator, Sequence
from typing import assert_never

from plangate.audit.claims import beginnings
from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Released,
    Reopened,
    Requested,
    RulesInEffect,
    RuleText,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
)
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.stops import StopDecided


def list_hash_of(event: Event) -> str:
    """Return the SHA-256 of the list of people that an event refers to; empty if there is none."""
    match event:
        case (
            Decided(people=name)
            | Reopened(people=name)
            | Claimed(people=name)
            | KeyDecided(people=name)
            | StopDecided(people=name)
        ):
            return name
        case DelegationDecided(people=name):
            return name
        case RulesInEffect():
            return event.hash if event.what == "people" else ""
        case (
            Requested()
            | Drafted()
            | Released()
            | StepDone()
            | StepFailed()
            | StepInDoubt()
            | StepUndone()
            | Held()
            | Closed()
            | StepSettled()
            | StepReversed()
            | StepUnsettled()
            | AccessRecorded()
        ):
            return ""
        case _:
            assert_never(event)


def referenced_rules(entries: Iterable[AuditEntry]) -> dict[str, int]:
    """Return the hashes of the texts that a trail refers to, each with the number of the first such entry."""
    named: dict[str, int] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, Drafted):
            name = event.requirement.policy_hash
        elif isinstance(event, RulesInEffect):
            name = event.hash
        else:
            name = list_hash_of(event)
        if isinstance(event, StopDecided | DelegationDecided):
            named.setdefault(event.policy, entry.number)
        named.setdefault(name, entry.number)
    named.pop("", None)
    return named


def missing_rules(
    workflow_id: str, entries: Sequence[AuditEntry], texts: Iterable[RuleText]
) -> Iterator[Finding]:
    """Yield each entry that refers to a missing or changed policy or list of people."""
    kept = {text.hash: text for text in texts}
    for name, number in referenced_rules(entries).items():
        if name not in kept:
            what = f"used a policy or list of people that is missing ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)
        elif not kept[name].hash_matches():
            what = f"used a policy or list of people that was changed later ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)


def is_typed(approver: Approver) -> bool:
    """Return whether only a typed name identified the person; always true without a list of people."""
    own = PersonRoles(person=approver.name, roles=(ANYONE,))
    return not approver.is_proven and approver.standings == (own,)


def without_people_list(trail: Sequence[AuditEntry]) -> Iterator[tuple[AuditEntry, bool]]:
    """Yield each accepted decision and each start of a step that refers to no list of people.

    The flag is true if the trail of the run shows that there was a list: an earlier entry refers to one, or
    contains data that can only come from one. A claim that only asks for the result of an earlier one is
    omitted, because it does not check approvals.
    """
    begin = beginnings(trail)
    is_listed = False
    for entry in trail:
        event = entry.event
        is_listed = is_listed or _implies_a_list(event)
        if isinstance(event, Decided):
            approver = event.approver
            judged = approver is not None and (event.verdict.accepted or not is_typed(approver))
        else:
            judged = isinstance(event, Claimed) and entry.number in begin
        if judged and not list_hash_of(event):
            yield entry, is_listed


def _implies_a_list(event: Event) -> bool:
    if isinstance(event, Decided) and event.approver is not None and not is_typed(event.approver):
        return True
    return bool(list_hash_of(event)) or (isinstance(event, Drafted) and bool(event.requester))
