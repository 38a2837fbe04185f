"""By which list of people a trail was judged, and where it names none though there was one."""

from collections.abc import Iterator, Sequence

from plangate.domain.audit import (
    AuditEntry,
    Claimed,
    Decided,
    Drafted,
    Event,
    Reopened,
    RulesInForce,
)
from plangate.domain.claims import beginnings
from plangate.domain.people import ANYONE, Approver, Standing


def list_named(event: Event) -> str:
    """Return the SHA-256 of the list of people that an event names; empty where it names none."""
    match event:
        case Decided(people=name) | Reopened(people=name) | Claimed(people=name):
            return name
        case RulesInForce(what="people", hash=name):
            return name
        case _:
            return ""


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
