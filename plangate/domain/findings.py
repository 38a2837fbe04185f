"""Findings: what is wrong with a record, each with its place, and whether a trail is whole.

`broken_links` follows the chain of hashes, `readable` parses the events. The writer of the records calls both
before it appends; whether one event may follow from another is for the auditor (`plangate.audit.rules`).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from plangate.domain.audit import FIRST_HASH, AuditEntry, WrittenEntry, read_event
from plangate.domain.model import Frozen
from plangate.domain.visible import one_line

_SEARCHED: Final = 500  # entries among which the true place of one is looked for


def _nobody(entry: WrittenEntry) -> Iterable[str]:
    del entry
    return ()


class Finding(Frozen):
    """Something that is not as Plangate wrote it, or cannot be told from that (``is_unsealed``).

    ``entry`` is its number in its run, if it has one.
    """

    workflow_id: str
    entry: int | None = None
    what: str
    is_unsealed: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        place = one_line(self.workflow_id) if self.workflow_id else "the records"
        return f"{place}, entry {self.entry}: {self.what}" if self.entry else f"{place}: {self.what}"


def broken_links(
    workflow_id: str,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]] = _nobody,
) -> Iterator[Finding]:
    """Yield every place at which these are not the whole trail of one run, from its first entry on, in order.

    ``owners`` says to which other runs an entry that does not belong here might belong, where that is known.
    """
    number = 1
    link: str | None = FIRST_HASH  # none where it is unknown: nobody is blamed for the fault ahead of them
    for entry in entries:
        if entry.number > number:
            yield _missing(workflow_id, number, entry.number - 1)
            link = None
        wrong = _wrong_by_itself(workflow_id, entry, number, entries, owners)
        if wrong is None and link is not None and entry.previous_hash != link:
            wrong = "does not follow from the entry before it, by its hash"
        if wrong:
            yield _finding(workflow_id, entry, wrong)
        link = None if wrong else entry.hash
        number = max(number, entry.number + 1)
    for key, count in Counter(entry.key for entry in entries).items():
        if count > 1:
            yield Finding(workflow_id=workflow_id, what=f"{count} entries have the key {one_line(key)}")


def readable(entries: Iterable[WrittenEntry]) -> Iterator[AuditEntry | Finding]:
    """Yield each entry with its event, or the finding that it cannot be read."""
    for entry in entries:
        try:
            event = read_event(entry.written)
        except ValueError:
            yield _finding(entry.workflow_id, entry, "holds no event that this release of Plangate can read")
            continue
        yield AuditEntry(**{**dict(entry), "event": event})
        if not _is_within(json.loads(entry.written), json.loads(event.model_dump_json())):
            yield _finding(entry.workflow_id, entry, "says more than this release of Plangate knows")


def _is_within(written: object, known: object) -> bool:
    """Whether all fields that were written are known; a field that was added later may be missing."""
    match written, known:
        case dict(), dict():
            return all(name in known and _is_within(value, known[name]) for name, value in written.items())
        case list(), list():
            return len(written) == len(known) and all(map(_is_within, written, known))
        case _:
            return True


def _missing(workflow_id: str, first: int, last: int) -> Finding:
    what = "is missing" if first == last else f"is missing, and every one up to entry {last}"
    return Finding(workflow_id=workflow_id, entry=first, what=what)


def _wrong_by_itself(
    workflow_id: str,
    entry: WrittenEntry,
    number: int,
    entries: Sequence[WrittenEntry],
    owners: Callable[[WrittenEntry], Iterable[str]],
) -> str | None:
    if entry.number < number:
        return f"stands where entry {number} belongs"
    if entry.workflow_id != workflow_id:
        return f"belongs to the run {one_line(entry.workflow_id)}"
    if not _is_as_written(entry):
        return _how_it_was_changed(entry, entries, owners(entry))
    return None


def _is_as_written(entry: WrittenEntry) -> bool:
    try:
        return entry.hash == entry.expected_hash()
    except ValueError:
        return False


def _how_it_was_changed(entry: WrittenEntry, entries: Sequence[WrittenEntry], owners: Iterable[str]) -> str:
    """Say where the entry's content belongs, if it was only moved; else that it was changed."""
    for owner in owners:
        if _is_as_written(entry.model_copy(update={"workflow_id": owner})):
            return f"belongs to the run {one_line(owner)}"
    for other in entries if len(entries) <= _SEARCHED else ():
        moved = entry.model_copy(update={"number": other.number, "previous_hash": other.previous_hash})
        if other is not entry and _is_as_written(moved):
            return f"is in the place of another: it was written as entry {other.number}"
    return "was changed: its hash does not fit what it says"


def _finding(workflow_id: str, entry: WrittenEntry, what: str) -> Finding:
    return Finding(workflow_id=workflow_id, entry=entry.number, what=what)
