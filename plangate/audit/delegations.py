"""Verify delegations: the trail that records them, and the lists of people that contain them.

In the delegation trail (`broken_delegations_trail`):

- Every entry is a processed request, with the key and the sender of the received message.
- `plangate.domain.decisions.delegations.judge` accepts each accepted request again, given the earlier
  requests, the rules of the stored policy and the stored list of people.
- A signed request has a valid signature, which was used once; the list confirms its sender.

In every list of people that was in effect (`lists_that_differ`), the entries that a worker added are
in that trail. No request that was accepted long before and was still in effect is missing.

For every list in a bundle (`wrong_delegations`), the policy that allowed its delegations is present and
contains the rules that the entry states. The proof of each request is valid for the installation of the run.
The proofs in the list itself are checked when it is read (`plangate.policy.delegated_roles`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from plangate.audit.dates import CLOCK_DIFFERENCE
from plangate.audit.received import wrong_arrival
from plangate.audit.recorded_proof import UsedTokens, recorded_claims
from plangate.domain.decisions.delegations import DelegationContext, DelegationDecided, DelegationRules, judge
from plangate.domain.errors import FileInvalid
from plangate.domain.escaping import one_line
from plangate.domain.people.people import Approver, Identified, People
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb, trusted_by_both
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import DELEGATIONS_TRAIL, RULES_TRAIL, AuditEntry, RulesInEffect, RuleText
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.revocation import changed_roles
from plangate.policy.delegated_roles import entries_in, split_kept, still_needed
from plangate.policy.kept_lists import PeopleByHash
from plangate.policy.requirements import find_policy
from plangate.policy.rules import delegation_rules_of
from plangate.signing.delegations import DELEGATION, delegation_difference


def broken_delegations_trail(
    entries: Sequence[AuditEntry],
    people_by_hash: PeopleByHash,
    texts: Sequence[RuleText],
    installation: str,
    web: TrustedWeb = ANY_WEB,
) -> Iterator[Finding]:
    """Yield every entry that is not allowed after the earlier ones, or that is not confirmed.

    Args:
        entries: the delegation trail, whose hashes have been checked.
        people_by_hash: the lists of people that it refers to.
        texts: the policies that it refers to.
        installation: the id of these records.
        web: the web servers that the auditor trusts, in addition to those in the lists.
    """
    before: list[DelegationDecided] = []
    used = UsedTokens()
    latest = None
    for entry in entries:
        event = entry.event
        if not isinstance(event, DelegationDecided):
            yield _finding(entry, "belongs in a run's trail, not in the delegation trail")
            continue
        if latest is not None and entry.at < latest:
            yield _finding(entry, "is dated before the previous entry")
        latest = entry.at
        people = people_by_hash(event.people) if event.people else None
        what = (
            wrong_arrival(entry, event)
            or _unproven(event, people, used, installation, web)
            or _wrong_rules(event, texts)
            or _wrong_verdict(before, event, people)
        )
        if what:
            yield _finding(entry, what)
        before.append(event)


def lists_that_differ(
    rules: Sequence[AuditEntry], accepted: Sequence[AuditEntry], texts: Mapping[str, RuleText]
) -> Iterator[Finding]:
    """Yield each list that was in effect and whose entries differ from the delegation trail.

    Args:
        rules: the rules trail.
        accepted: the accepted entries of the delegation trail.
        texts: the stored texts by their SHA-256.
    """
    known = {(entry.number, entry.hash) for entry in accepted}
    policy = ""
    for entry in rules:
        event = entry.event
        if isinstance(event, RulesInEffect) and event.what == "policy":
            policy = event.hash
        if not isinstance(event, RulesInEffect) or event.what != "people" or event.hash not in texts:
            continue
        try:
            added = entries_in(split_kept(texts[event.hash].text)[1])
        except FileInvalid:
            continue  # another finding reports a list that cannot be read
        has = {(one.number, one.hash) for one in added}
        allowed = delegation_rules_of(find_policy(policy, texts.values()))
        due = [one for one in accepted if one.at + CLOCK_DIFFERENCE < entry.at]
        lacks = {
            (one.number, one.hash) for one in still_needed(due, entry.at + CLOCK_DIFFERENCE, allowed)
        } - has
        if has - known:
            what = "puts into effect a list of people with a delegation that was never recorded"
            yield Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=what)
        if lacks:
            what = f"puts into effect a list of people without entry {min(lacks)[0]} of the delegation trail"
            yield Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=what)


def policies_of_lists(texts: Sequence[RuleText]) -> frozenset[str]:
    """Return the SHA-256 of the policies that allowed the delegations in these lists of people."""
    return frozenset(event.policy for _, event in _delegations_in(texts) if event.policy)


def wrong_delegations(
    workflow_id: str, texts: Sequence[RuleText], installations: Collection[str], web: TrustedWeb = ANY_WEB
) -> Iterator[Finding]:
    """Yield each request in a list if its rules differ from its policy, or its proof differs from the record.

    Args:
        workflow_id: the run.
        texts: the stored lists of people and policies.
        installations: the installations in which the plans of the run were drafted.
        web: the web servers that the auditor trusts.
    """
    for text, event in _delegations_in(texts):
        what = _wrong_rules(event, texts)
        if event.policy and find_policy(event.policy, texts) is None:
            what = f"under a policy that is missing ({short(event.policy)})"
        if what:
            said = f"a role in the list of people {short(text.hash)} was delegated {what}"
            yield Finding(workflow_id=workflow_id, what=said)
        approver = event.approver
        if approver is None or not approver.is_proven:
            continue
        unproven = _not_proven(event, approver, installations, web)
        if unproven:
            said = _as_recorded(approver, unproven)
            yield Finding(workflow_id=workflow_id, what=f"in the list of people {short(text.hash)} {said}")


def _delegations_in(texts: Sequence[RuleText]) -> Iterator[tuple[RuleText, DelegationDecided]]:
    for text in texts:
        added = split_kept(text.text)[1]
        try:
            entries = entries_in(added) if added else ()
        except FileInvalid:
            continue  # the list cannot be read, which another finding reports
        yield from ((text, one.event) for one in entries if isinstance(one.event, DelegationDecided))


def _finding(entry: AuditEntry, what: str) -> Finding:
    return Finding(workflow_id=DELEGATIONS_TRAIL, entry=entry.number, what=what)


def _unproven(
    event: DelegationDecided, people: People | None, used: UsedTokens, installation: str, web: TrustedWeb
) -> str | None:
    approver = event.approver
    if approver is None or not approver.is_proven:
        return None
    trusted = web if people is None else trusted_by_both(people.web, web)
    repeated = used.use(approver)
    wrong = _not_proven(event, approver, (installation,), trusted) or repeated
    return _as_recorded(approver, wrong) if wrong is not None else None


def _as_recorded(approver: Approver, wrong: str) -> str:
    return f"{one_line(approver.name)}'s request is recorded as {approver.assurance}, but {wrong}"


def _not_proven(
    event: DelegationDecided, approver: Approver, installations: Collection[str], web: TrustedWeb
) -> str | None:
    order = event.arrival.order
    if order is None:
        return "it has no signature"
    try:
        claims = recorded_claims(order.signature, approver, event.arrival.received_at, DELEGATION, web)
    except ValueError as error:
        return f"it {error}" if str(error).startswith(("has", "was")) else str(error)
    if claims.aud.partition("/")[0] not in installations:
        return "it was signed for another installation"
    return delegation_difference(claims, order, None)


def _wrong_rules(event: DelegationDecided, texts: Sequence[RuleText]) -> str | None:
    if not event.policy:
        return (
            None if event.rules == DelegationRules() else "under rules of a policy that it does not refer to"
        )
    policy = find_policy(event.policy, texts)
    if policy is None or delegation_rules_of(policy) == event.rules:
        return None  # another finding reports a policy that is missing
    return f"under rules that differ from those of the policy that it refers to ({short(event.policy)})"


def _wrong_verdict(
    before: Sequence[DelegationDecided], event: DelegationDecided, people: People | None
) -> str | None:
    if not event.verdict.accepted:
        return None
    if event.arrival.order is None or event.approver is None or not event.people:
        return "was accepted, though it cannot be read, or has no sender or list of people"
    if people is None:
        return None  # another finding reports that it is missing
    lost = changed_roles(event.approver, people, event.arrival.received_at)
    if lost:
        return f"was accepted, though {one_line(lost)}"
    by = DelegationContext(rules=event.rules, at=event.judged_at, policy=event.policy)
    again = judge(before, event.arrival, Identified(approver=event.approver), people, by)
    return None if again.verdict.accepted else f"was accepted, though {one_line(again.verdict.reason)}"
