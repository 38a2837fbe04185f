"""Findings: errors in the records, each with its location.

`broken_links` checks the chain of hashes, and `readable` parses the events. Both are called before an entry
is appended. Only an audit checks whether one event may follow another (`plangate.audit.rules`).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import FIRST_HASH, AuditEntry, WrittenEntry, read_event

_SEARCHED: Final = 500  # the longest trail that is searched for the original position of a moved entry


def _no_owners(entry: WrittenEntry) -> Iterable[str]:
    del entry
    return ()


class Finding(Frozen):
    """An entry that differs from what Plangate wrote, or that is not sealed (``is_unsealed``).

    ``entry`` is the number of the entry in its run, if there is one.
    """

    workflow_id: str
    entry: int | None = None
    what: str
    is_unsealed: bool = False

    def __str__(self) -> str:
        """Return the finding in one line."""
        place = one_line(self.workflow_id) if self.workflow_id else "the records"
        return f"{place}, entry {self.entry}: {self.what}" if self.entry else f"{place}: {self.what}"


def broken_links(
    workflow_id: str,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]] = _no_owners,
) -> Iterator[Finding]:
    """Yield every gap, change and wrong order in these entries of one run.

    ``owners`` returns other runs to which an entry might belong.
    """
    number = 1
    link: str | None = FIRST_HASH  # None after an error, so that the error is not reported twice
    for entry in entries:
        if entry.number > number:
            yield _missing(workflow_id, number, entry.number - 1)
            link = None
        wrong = _wrong_entry(workflow_id, entry, number, entries, owners)
        if wrong is None and link is not None and entry.previous_hash != link:
            wrong = "does not link to the hash of the previous entry"
        if wrong:
            yield _finding(workflow_id, entry, wrong)
        link = None if wrong else entry.hash
        number = max(number, entry.number + 1)
    for key, count in Counter(entry.key for entry in entries).items():
        if count > 1:
            yield Finding(workflow_id=workflow_id, what=f"{count} entries have the key {one_line(key)}")


def readable(entries: Iterable[WrittenEntry]) -> Iterator[AuditEntry | Finding]:
    """Yield each entry with its event, or with a finding if it cannot be parsed."""
    for entry in entries:
        try:
            event = read_event(entry.written)
        except ValueError:
            yield _finding(entry.workflow_id, entry, "contains an event that this release cannot read")
            continue
        yield AuditEntry(**{**dict(entry), "event": event})
        if not _is_within(json.loads(entry.written), json.loads(event.model_dump_json())):
            yield _finding(entry.workflow_id, entry, "has fields that this release of Plangate cannot read")


def _is_within(written: object, known: object) -> bool:
    """Return whether all written fields are known; fields that were added later may be missing."""
    match written, known:
        case dict(), dict():
            return all(name in known and _is_within(value, known[name]) for name, value in written.items())
        case list(), list():
            return len(written) == len(known) and all(map(_is_within, written, known))
        case _:
            return True


def _missing(workflow_id: str, first: int, last: int) -> Finding:
    what = "is missing" if first == last else f"is missing, as is every entry up to {last}"
    return Finding(workflow_id=workflow_id, entry=first, what=what)


def _wrong_entry(
    workflow_id: str,
    entry: WrittenEntry,
    number: int,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]],
) -> str | None:
    if entry.number < number:
        return f"is in the place of entry {number}"
    if entry.workflow_id != workflow_id:
        return f"belongs to the run {one_line(entry.workflow_id)}"
    if not entry.is_as_written:
        return _how_it_was_changed(entry, entries, owners(entry))
    return None


def _how_it_was_changed(entry: WrittenEntry, entries: Sequence[WrittenEntry], owners: Iterable[str]) -> str:
    """Return a clause stating whether the entry was changed, or where it was moved from."""
    for owner in owners:
        if entry.model_copy(update={"workflow_id": owner}).is_as_written:
            return f"belongs to the run {one_line(owner)}"
    for other in entries if len(entries) <= _SEARCHED else ():
        moved = entry.model_copy(update={"number": other.number, "previous_hash": other.previous_hash})
        if other is not entry and moved.is_as_written:
            return f"was moved: it was written as entry {other.number}"
    return "was changed: its hash does not match its content"


def _finding(workflow_id: str, entry: WrittenEntry, what: str) -> Finding:
    return Finding(workflow_id=workflow_id, entry=entry.number, what=what)
