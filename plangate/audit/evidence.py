"""What proves a run's story to somebody who trusts neither us nor our servers.

`examined` examines one trail: the chain of hashes, what follows from what, and the signatures. A `Bundle` is
all of one run in one file: what happened in plain sections, the trail that they are drawn from, and the
checkpoints that seal it. docs/audit-format.md describes it for those who want to check it by other means.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import JsonValue

from plangate.audit.dates import dated_ahead
from plangate.audit.judged_by import missing_rules, rules_named
from plangate.audit.proof import Lists, revoked_since, unproven
from plangate.audit.rules import broken_story
from plangate.domain.assurance import Assurance
from plangate.domain.audit import AuditEntry, Closed, Decided, RuleText, WrittenEntry
from plangate.domain.base import AwareDatetime, Frozen, Typed
from plangate.domain.checkpoint import Seal, SealedBy
from plangate.domain.escaping import one_line
from plangate.domain.findings import Finding, broken_links, readable
from plangate.domain.fold import fold
from plangate.domain.people import People
from plangate.domain.plan import Plan
from plangate.domain.policy import Requirement
from plangate.domain.run import RunState
from plangate.domain.status import StepStatus, decision_status, status_of
from plangate.policy.kept_lists import PeopleThen, lists_in
from plangate.policy.requirements import soft_requirements
from plangate.signing.checkpoints import broken_checkpoint, sealed_at, unknown_sealer

FORMAT: Final = "plangate-evidence-2"


class SignedDecision(Frozen):
    """One decision, with what proves it; ``entry`` is where it stands on the trail."""

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


class PublicKey(Frozen):
    """A key that signed a decision of this run, as the list of people had it then."""

    person: str
    id: str
    public_key: str


class Story(Frozen):
    """What happened, in plain words and values; all of it is drawn from the trail."""

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
    requirement: Requirement | None
    approved_by: tuple[str, ...]
    unverified: tuple[str, ...]
    decisions: tuple[SignedDecision, ...]
    steps: tuple[StepStatus, ...]
    public_keys: tuple[PublicKey, ...]


class Bundle(Typed):
    """One run, whole, in one file. ``texts`` are the policies and lists of people that it was judged by."""

    format: Literal["plangate-evidence-2"] = FORMAT
    workflow_id: str
    story: dict[str, JsonValue]
    entries: tuple[WrittenEntry, ...]
    texts: tuple[RuleText, ...]
    checkpoints: tuple[SealedBy, ...]


def examined(
    workflow_id: str,
    entries: Sequence[WrittenEntry],
    people: People | None,
    owners: Callable[[WrittenEntry], Iterable[str]] | None = None,
    then: PeopleThen | None = None,
) -> Iterator[Finding]:
    """Yield all that is wrong with one trail by itself.

    Args:
        workflow_id: the run.
        entries: all of its trail, in order.
        people: whose keys are believed; None to believe those that the trail names.
        owners: see `broken_links`.
        then: the lists of people that the trail names, as far as they are there.
    """
    broken = list(
        broken_links(workflow_id, entries, owners) if owners else broken_links(workflow_id, entries)
    )
    read = list(readable(entries))
    broken += [one for one in read if isinstance(one, Finding)]
    if broken:
        yield from broken  # what is said by entries that nobody wrote needs no refutation
        return
    trail = [one for one in read if isinstance(one, AuditEntry)]
    yield from broken_story(workflow_id, trail)
    yield from unproven(workflow_id, trail, Lists(today=people, then=then))


def bundle_of(
    workflow_id: str,
    entries: Sequence[AuditEntry],
    checkpoints: Iterable[SealedBy],
    texts: Iterable[RuleText],
) -> Bundle:
    """Return the evidence of one run."""
    return Bundle(
        workflow_id=workflow_id,
        story=story_of(workflow_id, entries).model_dump(mode="json"),
        entries=tuple(WrittenEntry(**entry.model_dump(exclude={"event"})) for entry in entries),
        texts=tuple(texts),
        checkpoints=tuple(checkpoints),
    )


def read_bundle(content: bytes | str) -> Bundle:
    """Read a bundle, as it is written and in no other way: nothing may stand in it that is not examined.

    Raises:
        ValueError: it is none, or says a thing twice, or more than a bundle says.
    """
    raw: Any = json.loads(content, object_pairs_hook=_each_name_once)
    bundle = Bundle.model_validate(raw)
    if _as_text(bundle.model_dump(mode="json")) != _as_text(raw):
        raise ValueError("it is written otherwise than a bundle is")
    return bundle


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def bundle_findings(bundle: Bundle, *, trusted: frozenset[str], people: People | None) -> Iterator[Finding]:
    """Yield all that is wrong with a bundle, by itself and without anybody's servers.

    Args:
        bundle: as it was read.
        trusted: public keys that may seal, as base64url; empty to believe those that the bundle names.
        people: whose keys are believed; None to believe those that the bundle names.
    """
    run = bundle.workflow_id
    if not bundle.entries:
        yield Finding(workflow_id=run, what="there is no trail in it")
    findings = list(examined(run, bundle.entries, people, then=lists_in(bundle.texts)))
    yield from findings
    if not findings:
        trail = [one for one in readable(bundle.entries) if isinstance(one, AuditEntry)]
        yield from _untrue_sections(bundle, trail)
        yield from missing_rules(run, trail, bundle.texts)
        yield from soft_requirements(run, trail, bundle.texts)
        for text in bundle.texts:
            if text.hash not in rules_named(trail):
                yield Finding(workflow_id=run, what=f"nothing was judged by the text {one_line(text.hash)}")
    for sealed in bundle.checkpoints:
        yield from _broken_seal(bundle, sealed, trusted)
    unsealed = len(bundle.entries) - sealed_up_to(bundle)
    if unsealed > 0:
        which = f"entry {len(bundle.entries)} is" if unsealed == 1 else f"the last {unsealed} entries are"
        yield Finding(
            workflow_id=run,
            what=f"{which} sealed by no checkpoint: anybody could have written this",
            is_unsealed=True,
        )


def bundle_notes(bundle: Bundle, people: People, now: datetime) -> tuple[Finding, ...]:
    """Return which approvals of a sound bundle would not count today, by that list of people."""
    trail = [one for one in readable(bundle.entries) if isinstance(one, AuditEntry)]
    return tuple(revoked_since(bundle.workflow_id, trail, people, now))


def sealed_up_to(bundle: Bundle) -> int:
    """Return the number of the last entry that a checkpoint of the bundle covers; 0 where none does."""
    return max((sealed.entry for sealed in bundle.checkpoints), default=0)


def story_of(workflow_id: str, entries: Sequence[AuditEntry]) -> Story:
    """Return what happened in a run, as its trail tells it."""
    state = fold(workflow_id, (entry.event for entry in entries))
    status = status_of(state, source="trail")
    closed = next((entry.at for entry in entries if isinstance(entry.event, Closed)), None)
    decided = [(entry, entry.event) for entry in entries if isinstance(entry.event, Decided)]
    proven = [event.approver for _, event in decided if event.approver and event.approver.is_signed]
    keys = {(one.name, one.key_id or "", one.public_key or "") for one in proven}
    return Story(
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
                "approved_by",
                "unverified",
            }
        ),
        closed_at=closed,
        plan=status.plan,
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
        **shown.model_dump(exclude={"excerpt"}),
        key_id=event.approver.key_id if event.approver else None,
        signature=decision.signature if decision else None,
    )


def _untrue_sections(bundle: Bundle, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield each section of the story that is not exactly what the trail says."""
    true: Any = story_of(bundle.workflow_id, trail).model_dump(mode="json")
    for name in sorted({*bundle.story, *true}):
        if name not in bundle.story:
            what = f"the section {name!r} is missing"
        elif name not in true:
            what = f"the section {one_line(name)!r} is unknown"
        elif _as_text(bundle.story[name]) != _as_text(true[name]):
            what = f"the section {name!r} says other things than the trail"
        else:
            continue
        yield Finding(workflow_id=bundle.workflow_id, what=what)


def _as_text(value: JsonValue) -> str:
    """Return JSON in which equal means equal: in Python 1, 1.0 and True are the same."""
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
    """Return the public keys that seal a bundle, as base64url, each once."""
    return tuple(dict.fromkeys(sealed.checkpoint.public_key for sealed in bundle.checkpoints))
