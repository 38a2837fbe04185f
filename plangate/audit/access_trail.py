"""Verify the access trail: every entry is an access, by its actor, in the order of time.

`audit show plangate:looks` prints the trail, `plangate.records.accesses` writes it.
"""

from collections.abc import Iterator, Sequence

from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import ACCESS_TRAIL, AuditEntry
from plangate.domain.runs.findings import Finding


def broken_access_trail(entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that does not belong in the access trail, or that has the wrong actor or time."""
    latest = None
    for entry in entries:
        event, what = entry.event, None
        if not isinstance(event, AccessRecorded):
            what = "belongs in a run's trail, not in the access trail"
        elif entry.actor != event.look.by:
            what = f"has the actor {one_line(entry.actor)}, but the access is by {one_line(event.look.by)}"
        elif latest is not None and entry.at < latest:
            what = "is dated before the previous entry"
        if what:
            yield Finding(workflow_id=ACCESS_TRAIL, entry=entry.number, what=what)
        latest = entry.at
