"""Verify one trail and one evidence bundle, without trusting Plangate or its servers.

A trail (`examined`):

1. Every entry links to the previous one by its hash (`broken_links`) and can be read.
2. Every entry is allowed after the earlier ones (`rule_violations`).
3. Signatures and the lists of people confirm every decision, and every step's approvals (`unproven`).

A bundle, which is one run in one file (`bundle_findings`):

4. Its trail passes checks 1 to 3.
5. Its plain sections match the trail exactly.
6. It contains, unchanged, every policy and list of people that the trail refers to, and the policies that
   allowed the delegations in these lists. It contains no other text.
7. The recorded requirement is no weaker than the policy requires.
8. It contains, unchanged, the bytes of every attachment of a plan, and no other bytes.
9. Every checkpoint has a trusted signature, seals the entries in the bundle, and is not older than they are.
10. A checkpoint seals the last entry.

docs/howto-verify.md lists what this covers, and what a bundle cannot show. docs/audit-format.md describes the
format for other implementations.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field, JsonValue

from plangate.audit.attachments import AttachedBytes, in_bundle, wrong_attachments
from plangate.audit.dates import dated_ahead
from plangate.audit.delegations import policies_of_lists, wrong_delegations
from plangate.audit.proof import Lists, revoked_since, unproven
from plangate.audit.rule_references import missing_rules, referenced_rules
from plangate.audit.rules import rule_violations
from plangate.domain.base import AwareDatetime, Frozen, Typed
from plangate.domain.decisions.decision import Resolution
from plangate.domain.escaping import one_line
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import People
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.plans.plan import Plan, refuse_duplicate_names
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import AuditEntry, Closed, Decided, Drafted, RuleText, WrittenEntry
from plangate.domain.runs.checkpoint import Seal, SealedBy
from plangate.domain.runs.findings import Finding, broken_links, readable
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import PreviousPlan, StepStatus, decision_status, status_of
from plangate.policy.kept_lists import PeopleByHash, lists_in, statements_in
from plangate.policy.requirements import weak_requirements
from plangate.signing.checkpoints import broken_checkpoint, sealed_at, unknown_sealer
from plangate.signing.enrolment import with_enrolments

FORMAT: Final = "plangate-evidence-2"
Read = TypeVar("Read", bound=BaseModel)


class SignedDecision(Frozen):
    """One decision with its proof; ``entry`` is its number in the trail."""

    entry: int
    by: str | None
    decision: str
    plan: str | None
    comment: str
    at: AwareDatetime
    via: str
    accepted: bool
    reason: str
    assurance: Assurance
    on_behalf_of: tuple[str, ...] = ()
    key_id: str | None = None
    signature: str | None = None
    step: int | None = None
    resolution: Resolution | None = None
    origin: str | None = Field(default=None, exclude_if=lambda value: value is None)
    batch: int | None = Field(default=None, exclude_if=lambda value: value is None)


class PublicKey(Frozen):
    """A key that signed a decision of this run, as in the list of people at that time."""

    person: str
    id: str
    public_key: str


class RunOverview(Frozen):
    """The history of the run as plain values, which are all derived from the trail."""

    request: str
    requester: str
    state: str
    reason: str
    closed_at: AwareDatetime | None
    revision: int
    installation: str | None
    namespace: str | None
    fingerprint: str | None
    plan: Plan | None
    author: str
    previous: PreviousPlan | None
    requirement: Requirement | None
    approved_by: tuple[str, ...]
    unverified: tuple[str, ...]
    decisions: tuple[SignedDecision, ...]
    steps: tuple[StepStatus, ...]
    public_keys: tuple[PublicKey, ...]


class Bundle(Typed):
    """One complete run in one file.

    ``texts`` contains the policies and lists of people that were used for the run. ``attachments`` is absent
    if there are no attachments.
    """

    format: Literal["plangate-evidence-2"] = FORMAT
    workflow_id: str
    story: dict[str, JsonValue]
    entries: tuple[WrittenEntry, ...]
    texts: tuple[RuleText, ...]
    checkpoints: tuple[SealedBy, ...]
    attachments: tuple[AttachedBytes, ...] = Field(default=(), exclude_if=lambda value: not value)


def examined(
    workflow_id: str,
    entries: Sequence[WrittenEntry],
    people: People | None,
    owners: Callable[[WrittenEntry], Iterable[str]] | None = None,
    people_by_hash: PeopleByHash | None = None,
    *,
    web: TrustedWeb = ANY_WEB,
) -> Iterator[Finding]:
    """Yield the findings about one trail (1 to 3).

    Args:
        workflow_id: the run.
        entries: its whole trail, in order.
        people: the people whose keys are trusted; None to trust the keys in the trail.
        owners: see `broken_links`.
        people_by_hash: the available lists of people that the trail refers to.
        web: the web servers that are trusted.
    """
    broken = list(
        broken_links(workflow_id, entries, owners) if owners else broken_links(workflow_id, entries)
    )
    read = list(readable(entries))
    broken += [one for one in read if isinstance(one, Finding)]
    if broken:
        yield from broken  # the content of forged entries need not be checked
        return
    trail = [one for one in read if isinstance(one, AuditEntry)]
    yield from rule_violations(workflow_id, trail)
    yield from unproven(workflow_id, trail, Lists(today=people, earlier=people_by_hash, web=web))


def bundle_of(
    workflow_id: str,
    entries: Sequence[AuditEntry],
    checkpoints: Iterable[SealedBy],
    texts: Iterable[RuleText],
    attachments: Iterable[tuple[str, bytes]] = (),
) -> Bundle:
    """Return the evidence of one run; ``attachments`` maps digests to the stored bytes."""
    return Bundle(
        workflow_id=workflow_id,
        story=overview_of(workflow_id, entries).model_dump(mode="json"),
        entries=tuple(WrittenEntry(**entry.model_dump(exclude={"event"})) for entry in entries),
        texts=tuple(texts),
        checkpoints=tuple(checkpoints),
        attachments=in_bundle(attachments),
    )


def read_bundle(content: bytes | str) -> Bundle:
    """Parse a bundle; see `read_exactly`.

    Raises:
        ValueError: it is not a bundle, or it contains a repeated or unknown name.
    """
    return read_exactly(Bundle, content)


def read_exactly(model: type[Read], content: bytes | str) -> Read:
    """Parse JSON in exactly the form that Plangate writes, so that it contains nothing unverified.

    Raises:
        ValueError: it does not match ``model``, or it contains a repeated or unknown name.
    """
    raw: Any = json.loads(content, object_pairs_hook=refuse_duplicate_names)
    read = model.model_validate(raw)
    if as_text(read.model_dump(mode="json")) != as_text(raw):
        raise ValueError("it is not in the form that Plangate writes")
    return read


def bundle_findings(
    bundle: Bundle, *, trusted: frozenset[str], people: People | None, web: TrustedWeb = ANY_WEB
) -> Iterator[Finding]:
    """Yield the findings about a bundle (4 to 10), offline.

    Args:
        bundle: as `read_bundle` returns it.
        trusted: public keys that may sign checkpoints, as base64url; empty to trust those in the bundle.
        people: the people whose keys are trusted, and who may enroll others; None to trust those in
            the bundle.
        web: the sites where passkeys may be used, and the servers that may attest logins; by default, those
            in the bundle.
    """
    run = bundle.workflow_id
    yield from run_findings(bundle, people, web)
    # (9) The checkpoints.
    for sealed in bundle.checkpoints:
        yield from _broken_seal(bundle, sealed, trusted)
    # (10) The last entry.
    unsealed = len(bundle.entries) - sealed_up_to(bundle)
    if unsealed > 0:
        yield unsealed_finding(run, len(bundle.entries), unsealed)


def unsealed_finding(workflow_id: str, entries: int, unsealed: int) -> Finding:
    """Return the finding that the last entries of a run are not sealed."""
    which = f"entry {entries} is" if unsealed == 1 else f"the last {unsealed} entries are"
    what = f"{which} not sealed by a checkpoint: anyone could have written this"
    return Finding(workflow_id=workflow_id, what=what, is_unsealed=True)


def run_findings(bundle: Bundle, people: People | None, web: TrustedWeb = ANY_WEB) -> Iterator[Finding]:
    """Yield the findings about the run of a bundle, without its checkpoints (4 to 8)."""
    run = bundle.workflow_id
    if not bundle.entries:
        yield Finding(workflow_id=run, what="the bundle contains no trail")
    # (4) The trail.
    known = with_keys_of(bundle, people, web) if people is not None else None
    findings = list(examined(run, bundle.entries, known, people_by_hash=lists_in(bundle.texts), web=web))
    yield from findings
    if not findings:
        trail = [one for one in readable(bundle.entries) if isinstance(one, AuditEntry)]
        # (5) The sections.
        yield from _wrong_sections(bundle, trail)
        # (6) The rules.
        yield from missing_rules(run, trail, bundle.texts)
        yield from wrong_delegations(run, bundle.texts, _installations_of(trail), web)
        for text in bundle.texts:
            if text.hash not in {*referenced_rules(trail), *policies_of_lists(bundle.texts)}:
                yield Finding(workflow_id=run, what=f"no entry uses the text {one_line(text.hash)}")
        # (7) The requirement.
        yield from weak_requirements(run, trail, bundle.texts)
        # (8) The attachments.
        yield from wrong_attachments(run, trail, bundle.attachments)


def _installations_of(trail: Sequence[AuditEntry]) -> frozenset[str]:
    """Return the installations in which the plans of a run were drafted; if the run is intact, only one."""
    return frozenset(entry.event.audience.installation for entry in trail if isinstance(entry.event, Drafted))


def with_keys_of(bundle: Bundle, people: People, web: TrustedWeb = ANY_WEB) -> People:
    """Return a trusted list of people with the keys of a bundle that this list's enrollers have confirmed."""
    trusting = people.model_copy(update={"web": web})
    trail = [one for one in readable(bundle.entries) if isinstance(one, AuditEntry)]
    return with_enrolments(trusting, statements_in(bundle.texts), _installation_of(trail))


def _installation_of(trail: Sequence[AuditEntry]) -> str | None:
    """Return the installation that the first plan of a run was drafted for; None if there is no plan."""
    drafted = (one.event for one in trail if isinstance(one.event, Drafted))
    return next((one.audience.installation for one in drafted), None)


def bundle_notes(bundle: Bundle, people: People, now: datetime) -> tuple[Finding, ...]:
    """Return the approvals of an intact bundle that would not be valid at ``now`` according to ``people``."""
    trail = [one for one in readable(bundle.entries) if isinstance(one, AuditEntry)]
    return tuple(revoked_since(bundle.workflow_id, trail, people, now))


def sealed_up_to(bundle: Bundle) -> int:
    """Return the number of the last entry that a checkpoint of the bundle covers; 0 if there is none."""
    return max((sealed.entry for sealed in bundle.checkpoints), default=0)


def overview_of(workflow_id: str, entries: Sequence[AuditEntry]) -> RunOverview:
    """Return the history of a run according to its trail."""
    state = fold(workflow_id, (entry.event for entry in entries))
    status = status_of(state, source="trail")
    closed = next((entry.at for entry in entries if isinstance(entry.event, Closed)), None)
    decided = [(entry, entry.event) for entry in entries if isinstance(entry.event, Decided)]
    proven = [event.approver for _, event in decided if event.approver and event.approver.is_signed]
    keys = {(one.name, one.key_id or "", one.public_key or "") for one in proven}
    return RunOverview(
        **status.model_dump(
            include={
                "request",
                "requester",
                "state",
                "reason",
                "revision",
                "installation",
                "namespace",
                "fingerprint",
                "author",
                "approved_by",
                "unverified",
            }
        ),
        closed_at=closed,
        plan=status.plan,
        previous=status.previous,
        requirement=status.requirement,
        decisions=tuple(_signed_decision(state, entry.number, event) for entry, event in decided),
        steps=status.steps,
        public_keys=tuple(PublicKey(person=name, id=key, public_key=x) for name, key, x in sorted(keys)),
    )


def _signed_decision(state: RunState, number: int, event: Decided) -> SignedDecision:
    shown = decision_status(event, state.drafted.requirement if state.drafted else None)
    decision = event.arrival.decision
    return SignedDecision(
        entry=number,
        **shown.model_dump(exclude={"excerpt", "key_id"}),
        key_id=event.approver.key_id if event.approver else None,
        signature=decision.signature if decision else None,
    )


def _wrong_sections(bundle: Bundle, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield each section of the `RunOverview` that differs from the trail."""
    true: Any = overview_of(bundle.workflow_id, trail).model_dump(mode="json")
    for name in sorted({*bundle.story, *true}):
        if name not in bundle.story:
            what = f"the section {name!r} is missing"
        elif name not in true:
            what = f"the section {one_line(name)!r} is unknown"
        elif as_text(bundle.story[name]) != as_text(true[name]):
            what = f"the section {name!r} differs from the trail"
        else:
            continue
        yield Finding(workflow_id=bundle.workflow_id, what=what)


def as_text(value: JsonValue) -> str:
    """Return JSON text for comparisons, because 1, 1.0 and True are equal in Python."""
    return json.dumps(value, sort_keys=True)


def _broken_seal(bundle: Bundle, sealed: SealedBy, trusted: frozenset[str]) -> Iterator[Finding]:
    name = f"checkpoint {sealed.checkpoint.number}"
    wrong = broken_checkpoint(sealed.checkpoint, sealed.leaves)
    if wrong:
        yield Finding(workflow_id=bundle.workflow_id, what=f"{name} {wrong}")
    if trusted and sealed.checkpoint.public_key not in trusted:
        yield Finding(workflow_id=bundle.workflow_id, what=unknown_sealer(sealed.checkpoint.public_key))
    entry = next((entry for entry in bundle.entries if entry.number == sealed.entry), None)
    if entry is None:
        yield Finding(
            workflow_id=bundle.workflow_id, entry=sealed.entry, what=f"is missing; {name} sealed it"
        )
        return
    seal = Seal(workflow_id=bundle.workflow_id, number=entry.number, hash=entry.hash)
    if seal.leaf() not in sealed.leaves:
        what = f"is not the one that {name} sealed"
        yield Finding(workflow_id=bundle.workflow_id, entry=entry.number, what=what)
    at = sealed_at(sealed.checkpoint)
    of_seal = [one for one in bundle.entries if one.number <= sealed.entry]
    ahead = dated_ahead(of_seal, at) if at else None
    if ahead is not None:
        what = f"is dated later than {name}, which seals it"
        yield Finding(workflow_id=bundle.workflow_id, entry=ahead.number, what=what)


def seal_keys_of(bundle: Bundle) -> tuple[str, ...]:
    """Return the distinct public keys that sign the checkpoints of a bundle, as base64url."""
    return tuple(dict.fromkeys(sealed.checkpoint.public_key for sealed in bundle.checkpoints))
