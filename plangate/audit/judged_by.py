"""Which policies and lists of people a trail was judged by, and where it should name a list and does not."""

from collections.abc import Iterable, Iterator, Sequence

from plangate.audit.claims import beginnings
from plangate.domain.audit import (
    AuditEntry,
    Claimed,
    Decided,
    Drafted,
    Event,
    Reopened,
    RulesInForce,
    RuleText,
)
from plangate.domain.findings import Finding
from plangate.domain.people import ANYONE, Approver, Standing
from plangate.domain.plan import short


def list_named(event: Event) -> str:
    """Return the SHA-256 of the list of people that an event names; empty where it names none."""
    match event:
        case Decided(people=name) | Reopened(people=name) | Claimed(people=name):
            return name
        case RulesInForce(what="people", hash=name):
            return name
        case _:
            return ""


def rules_named(entries: Iterable[AuditEntry]) -> dict[str, int]:
    """Return the hashes of the texts that a trail was judged by, each with the number of the first entry."""
    named: dict[str, int] = {}
    for entry in entries:
        match entry.event:
            case Drafted(requirement=requirement):
                named.setdefault(requirement.policy_hash, entry.number)
            case RulesInForce(hash=hash_of_text):
                named.setdefault(hash_of_text, entry.number)
            case event:
                named.setdefault(list_named(event), entry.number)
    named.pop("", None)
    return named


def missing_rules(
    workflow_id: str, entries: Sequence[AuditEntry], texts: Iterable[RuleText]
) -> Iterator[Finding]:
    """Yield each entry that was judged by a text which is not there, or is another one than it was."""
    kept = {text.hash: text for text in texts}
    for name, number in rules_named(entries).items():
        if name not in kept:
            what = f"was judged by a policy or list of people that is missing ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)
        elif not kept[name].is_as_named():
            what = f"was judged by a policy or list of people that was changed since ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=number, what=what)


def is_typed(approver: Approver) -> bool:
    """Whether a typed name was all there was, as where nobody keeps a list of people."""
    own = Standing(person=approver.name, roles=(ANYONE,))
    return not approver.verified and approver.standings == (own,)


def judged_by_no_list(workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[tuple[AuditEntry, bool]]:
    """Yield each accepted decision and each begin of a step that names no list of people.

    With each stands whether there was a list, by what the run itself says: up to there an entry names one, or
    knows of somebody what only a list tells. A step that had begun before is left out: nobody looks again.
    """
    begin = beginnings(workflow_id, trail)
    is_listed = False
    for entry in trail:
        event = entry.event
        is_listed = is_listed or _tells_of_a_list(event)
        match event:
            case Decided(approver=Approver() as approver, people=""):
                if event.verdict.accepted or not is_typed(approver):
                    yield entry, is_listed
            case Claimed(people="") if entry.number in begin:
                yield entry, is_listed
            case _:
                pass


def _tells_of_a_list(event: Event) -> bool:
    if isinstance(event, Decided) and event.approver is not None and not is_typed(event.approver):
        return True
    return bool(list_named(event)) or (isinstance(event, Drafted) and bool(event.requester))
