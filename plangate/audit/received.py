"""Verify what every recorded request outside a run has in common: its key, its sender and its time."""

from plangate.audit.dates import CLOCK_DIFFERENCE
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import AuditEntry
from plangate.domain.runs.stops import StopDecided


def wrong_arrival(entry: AuditEntry, event: StopDecided | KeyDecided | DelegationDecided) -> str | None:
    """Return how the entry's key, actor or time differs from the received message, or None."""
    if entry.key != event.arrival.key:
        return f"has the key {one_line(entry.key)}, not the key of its request"
    sender = event.arrival.actor(event.approver)
    if entry.actor != sender:
        return f"has the actor {one_line(entry.actor)}, but {one_line(sender)} sent the request"
    if abs(entry.at - event.judged_at) > CLOCK_DIFFERENCE:
        return "has a different time than the result of its request"
    return None
