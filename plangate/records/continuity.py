"""Whether another SQLite file goes on from where the one was that this process has worked with.

A copy that is put in the place of a lost file may be used only if nothing is missing from it: a backup from
before the last effect would let that happen twice. So it has to hold every entry that was known, as it was.
"""

import sqlite3
from dataclasses import dataclass

Head = tuple[int, str]
Claim = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True)
class Known:
    """What the records said when they were last seen: each trail's length and last hash, and each effect."""

    installation: tuple[str, ...]
    heads: dict[str, Head]
    effects: dict[str, Claim]


def known_of(connection: sqlite3.Connection) -> Known:
    """Read what the records say.

    Raises:
        sqlite3.Error: they cannot be read.
    """
    heads = connection.execute("SELECT workflow_id, entry_count, head_hash FROM runs")
    effects = connection.execute("SELECT idempotency_key, workflow_id, state, holder, attempts FROM effects")
    return Known(
        installation=tuple(row[0] for row in connection.execute("SELECT id FROM installation ORDER BY id")),
        heads={run: (count, last) for run, count, last in heads},
        effects={key: tuple(claim) for key, *claim in effects},
    )


def goes_on(known: Known, connection: sqlite3.Connection) -> bool:
    """Return whether a file holds all that was known; it may hold more, which others wrote.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    there = known_of(connection)
    if there.installation != known.installation:
        return False
    moved_on = set()
    for run, (count, last) in known.heads.items():
        if there.heads.get(run) == (count, last):
            continue
        moved_on.add(run)
        if there.heads.get(run, (0, ""))[0] <= count or not _has(connection, run, count, last):
            return False
    return all(
        there.effects.get(key) == claim or (claim[0] in moved_on and key in there.effects)
        for key, claim in known.effects.items()
    )


def _has(connection: sqlite3.Connection, run: str, number: int, entry_hash: str) -> bool:
    if number == 0:
        return True
    found = connection.execute(
        "SELECT hash FROM audit_entries WHERE workflow_id = ? AND number = ?", (run, number)
    ).fetchone()
    return bool(found == (entry_hash,))
