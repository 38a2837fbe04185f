"""Verify the rules trail: every entry is the next change of the rules, or a request about a key.

The changes are those of the policy and of the list of people. `plangate.audit.key_requests` verifies the
requests about keys.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import RULES_TRAIL, AuditEntry, RulesInEffect
from plangate.domain.runs.findings import Finding


def broken_rules_trail(entries: Sequence[AuditEntry]) -> Iterator[Finding]:
    """Yield every entry that cannot be the next change in the rules trail."""
    last: dict[str, str] = {}
    counts: Counter[str] = Counter()
    latest = None
    for entry in entries:
        event = entry.event
        if not isinstance(event, RulesInEffect | KeyDecided):
            yield _on_rules_trail(entry, "belongs in a run's trail, not in the rules trail")
            continue
        if latest is not None and entry.at < latest:
            yield _on_rules_trail(entry, "is dated before the previous entry")
        latest = entry.at
        if isinstance(event, KeyDecided):
            continue  # `plangate.audit.key_requests` checks it
        counts[event.what] += 1
        if entry.key != f"{event.what}:{counts[event.what]}":
            yield _on_rules_trail(entry, f"has the key {one_line(entry.key)}, not the next one")
        if last.get(event.what) == event.hash:
            yield _on_rules_trail(entry, "changes nothing: the same text was in effect before")
        last[event.what] = event.hash


def _on_rules_trail(entry: AuditEntry, what: str) -> Finding:
    return Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=what)
