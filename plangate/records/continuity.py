"""Check whether a SQLite file may replace a lost one.

A copy may be used only if it is complete. With a backup from before the last effect, that effect could happen
again. The copy must therefore contain every known entry, unchanged.
"""

import sqlite3
from dataclasses import dataclass

Head = tuple[int, str]
Claim = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class KnownContent:
    """The last known content of the records: each trail's length and last hash, and each effect."""

    installation: tuple[str, ...]
    heads: dict[str, Head]
    effects: dict[str, Claim]


def known_of(connection: sqlite3.Connection) -> KnownContent:
    """Read the records.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    heads = connection.execute("SELECT workflow_id, entry_count, head_hash FROM runs")
    effects = connection.execute("SELECT idempotency_key, workflow_id, state, holder, attempts FROM effects")
    return KnownContent(
        installation=tuple(row[0] for row in connection.execute("SELECT id FROM installation ORDER BY id")),
        heads={run: (count, last) for run, count, last in heads},
        effects={key: tuple(claim) for key, *claim in effects},
    )


def contains_known(known: KnownContent, connection: sqlite3.Connection) -> bool:
    """Return whether a file contains all known content; it may also contain further content.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    found = known_of(connection)
    if found.installation != known.installation:
        return False
    extended = set()
    for run, (count, last) in known.heads.items():
        if found.heads.get(run) == (count, last):
            continue
        extended.add(run)
        if found.heads.get(run, (0, ""))[0] <= count or not _has(connection, run, count, last):
            return False
    return all(
        found.effects.get(key) == claim or (claim[0] in extended and key in found.effects)
        for key, claim in known.effects.items()
    )


def _has(connection: sqlite3.Connection, run: str, number: int, entry_hash: str) -> bool:
    if number == 0:
        return True
    found = connection.execute(
        "SELECT hash FROM audit_entries WHERE workflow_id = ? AND number = ?", (run, number)
    ).fetchone()
    return bool(found == (entry_hash,))
