"""The examination of the records: whether they are what Plangate wrote, and where they are not.

It looks at every run's trail by itself (`plangate.evidence`), at the run's row, its effects and its signed
decisions beside it, and at the checkpoints that seal the trails. What it reads may have been changed by
anybody, hence nothing of it is taken for well-formed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Select, String, Table, bindparam, exists, func, select, type_coerce

from plangate.checkpoints import broken_checkpoint, claims_of, name_of
from plangate.domain.audit import FIRST_HASH, AuditEntry, WrittenEntry
from plangate.domain.checkpoint import Checkpoint
from plangate.domain.findings import Finding, readable
from plangate.domain.model import Frozen
from plangate.domain.people import People
from plangate.domain.visible import one_line
from plangate.evidence import SealedBy, examined
from plangate.records.agreement import moment, wrong_effects, wrong_row, wrong_seals, wrong_tokens
from plangate.records.checkpoints import (
    all_checkpoints,
    checkpoint_of,
    seals_of_checkpoint,
    seals_of_run,
)
from plangate.records.tables import Moment, audit_entries, effects, runs, seals, tokens

_IDS: Final = select(runs.c.workflow_id).order_by(runs.c.opened_at)
_EFFECTS: Final = select(effects).where(effects.c.workflow_id == bindparam("run"))
_TOKENS: Final = select(tokens).where(tokens.c.workflow_id == bindparam("run"))
_OWNERS: Final = select(audit_entries.c.workflow_id).where(
    audit_entries.c.hash == bindparam("hash"), audit_entries.c.workflow_id != bindparam("run")
)
_TABLES_OF_RUNS: Final = {"entries": audit_entries, "effects": effects, "signed decisions": tokens}


class Trust(Frozen):
    """Whom the examiner believes.

    Attributes:
        sealers: public keys that may seal, as base64url; empty to believe those that the records name.
        people: whose keys may sign; None to believe those that the trail names.
        remembered: the newest checkpoint that was kept elsewhere, which must be in the records still.
    """

    sealers: frozenset[str] = frozenset()
    people: People | None = None
    remembered: Checkpoint | None = None


class Inspection(Frozen):
    """What was examined, and what was found; ``unsealed`` entries are covered by no checkpoint yet."""

    runs: int
    entries: int
    unsealed: int
    checkpoints: int
    sealers: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def inspect_run(connection: Connection, workflow_id: str, trust: Trust) -> Inspection:
    """Examine one run, and the checkpoints that seal it."""
    with _whatever_is_stored(connection):
        entries, sealed, findings = _examine_run(connection, workflow_id, trust.people)
        numbers = sorted({number for _, number in seals_of_run(connection, workflow_id)})
        sealers = []
        for number in numbers:
            checkpoint = checkpoint_of(connection, number)
            if checkpoint is not None:
                sealers.append(checkpoint.public_key)
                findings += _examine_checkpoint(connection, checkpoint, trust)
    return Inspection(
        runs=1,
        entries=entries,
        unsealed=max(0, entries - sealed),
        checkpoints=len(sealers),
        sealers=_names(sealers),
        findings=tuple(findings),
    )


def inspect_all(connection: Connection, trust: Trust, progress: Callable[[int, int], None]) -> Inspection:
    """Examine everything; ``progress`` is told how many runs are done, and of how many."""
    findings: list[Finding] = []
    entries = unsealed = 0
    with _whatever_is_stored(connection):
        ids = connection.scalars(_IDS).all()
        for done, workflow_id in enumerate(ids):
            progress(done, len(ids))
            count, sealed, found = _examine_run(connection, workflow_id, trust.people)
            entries, unsealed = entries + count, unsealed + max(0, count - sealed)
            findings += found
        findings += _ownerless(connection)
        checkpoints = list(all_checkpoints(connection))
        findings += _examine_checkpoints(connection, checkpoints, trust)
    return Inspection(
        runs=len(ids),
        entries=entries,
        unsealed=unsealed,
        checkpoints=len(checkpoints),
        sealers=_names([one.public_key for one in checkpoints]),
        findings=tuple(findings),
    )


def sealed_by(connection: Connection, workflow_id: str) -> tuple[SealedBy, ...]:
    """Return every checkpoint that seals a run, whole."""
    found = []
    for seal, number in seals_of_run(connection, workflow_id):
        checkpoint = checkpoint_of(connection, number)
        if checkpoint is not None:
            leaves = tuple(sorted(one.leaf() for one in seals_of_checkpoint(connection, number)))
            found.append(SealedBy(number=seal.number, checkpoint=checkpoint, leaves=leaves))
    return tuple(found)


# ---- one run ------------------------------------------------------------------------------------


def _examine_run(
    connection: Connection, workflow_id: str, people: People | None
) -> tuple[int, int, list[Finding]]:
    """Return how many entries a run has, up to which it is sealed, and what is wrong with it."""
    try:
        return _examined(connection, workflow_id, people)
    except (ValueError, TypeError) as error:  # a text where a number belongs, a time that is none
        what = f"holds what Plangate never writes ({one_line(str(error).splitlines()[0])})"
        return 0, 0, [Finding(workflow_id=workflow_id, what=what)]


def _examined(
    connection: Connection, workflow_id: str, people: People | None
) -> tuple[int, int, list[Finding]]:
    row = connection.execute(
        _as_stored(connection, runs).where(runs.c.workflow_id == workflow_id)
    ).one_or_none()
    read = list(_written(connection, workflow_id))
    entries = [one for one in read if isinstance(one, WrittenEntry)]
    findings = [one for one in read if isinstance(one, Finding)]
    trail: list[AuditEntry] = []
    if not findings:
        findings += examined(workflow_id, entries, people, lambda entry: _owners(connection, entry))
        trail = [one for one in readable(entries) if isinstance(one, AuditEntry)]
    sealed = seals_of_run(connection, workflow_id)
    wrong = [
        *(wrong_row(row, entries, sealed) if row is not None else ["is not on the record at all"]),
        *wrong_seals(entries, sealed),
    ]
    if not findings:
        wrong += wrong_effects(workflow_id, connection.execute(_EFFECTS, {"run": workflow_id}).all(), trail)
        wrong += wrong_tokens(connection.execute(_TOKENS, {"run": workflow_id}).all(), trail)
    findings += [Finding(workflow_id=workflow_id, what=what) for what in wrong]
    return len(entries), max((seal.number for seal, _ in sealed), default=0), findings


def _written(connection: Connection, workflow_id: str) -> Iterator[WrittenEntry | Finding]:
    """Yield every entry of a run as it is stored, or that what is stored is none."""
    rows = connection.execute(
        _as_stored(connection, audit_entries)
        .where(audit_entries.c.workflow_id == workflow_id)
        .order_by(audit_entries.c.number)
    )
    for row in rows:
        try:
            entry = WrittenEntry.model_validate(
                {**row._asdict(), "written": row.event, "at": moment(row.at)}, strict=True
            )
        except (ValidationError, ValueError, TypeError):
            number = row.number if isinstance(row.number, int) else None
            yield Finding(workflow_id=workflow_id, entry=number, what="holds what no entry can hold")
            continue
        yield entry
        kind = next((one.event.kind for one in readable([entry]) if isinstance(one, AuditEntry)), row.kind)
        if kind != row.kind:
            yield Finding(
                workflow_id=workflow_id, entry=entry.number, what=f"is listed as {one_line(str(row.kind))!r}"
            )


def _as_stored(connection: Connection, table: Table) -> Select[Any]:
    """Select all of a table, times as they are stored: SQLite keeps text, which may be no time."""
    if connection.dialect.name != "sqlite":
        return select(table)
    return select(
        *(
            type_coerce(column, String).label(column.name) if isinstance(column.type, Moment) else column
            for column in table.c
        )
    )


def _owners(connection: Connection, entry: WrittenEntry) -> list[str]:
    """Return which runs an entry may have been taken from: its place there is behind the one it names."""
    if entry.previous_hash == FIRST_HASH:
        return []
    return list(connection.scalars(_OWNERS, {"hash": entry.previous_hash, "run": entry.workflow_id}))


# ---- all of them --------------------------------------------------------------------------------


def _ownerless(connection: Connection) -> Iterator[Finding]:
    """Yield what is stored of runs that are not on the record."""
    for name, table in _TABLES_OF_RUNS.items():
        of_nobody = ~exists().where(runs.c.workflow_id == table.c.workflow_id)
        counted = (
            select(table.c.workflow_id, func.count().label("count"))
            .where(of_nobody)
            .group_by(table.c.workflow_id)
        )
        for row in connection.execute(counted):
            yield Finding(
                workflow_id=row.workflow_id,
                what=f"is not on the record any more, though it has {row.count} {name} there",
            )
    of_nobody = ~exists().where(runs.c.workflow_id == seals.c.workflow_id)
    for row in connection.execute(select(seals).where(of_nobody).order_by(seals.c.number)):
        yield Finding(
            workflow_id=row.workflow_id,
            what=f"is not on the record any more; checkpoint {row.checkpoint} sealed its entry {row.number}",
        )


def _examine_checkpoints(
    connection: Connection, checkpoints: Sequence[Checkpoint], trust: Trust
) -> Iterator[Finding]:
    previous, number = FIRST_HASH, 0
    for checkpoint in checkpoints:
        for missing in range(number + 1, checkpoint.number):
            yield _of_records(f"checkpoint {missing} is missing")
        yield from _examine_checkpoint(connection, checkpoint, trust)
        if checkpoint.number == number + 1 and _previous_of(checkpoint) not in (previous, None):
            yield _of_records(
                f"checkpoint {checkpoint.number} does not follow the one before it, by its hash"
            )
        previous, number = checkpoint.hash, checkpoint.number
    kept = trust.remembered
    if kept is None:
        return
    if kept.number > number:
        yield _of_records(
            f"the checkpoints end with {number}; one with the number {kept.number} was kept elsewhere"
        )
    elif kept.hash not in [one.hash for one in checkpoints if one.number == kept.number]:
        yield _of_records(f"checkpoint {kept.number} is another one than was kept elsewhere")


def _examine_checkpoint(connection: Connection, checkpoint: Checkpoint, trust: Trust) -> Iterator[Finding]:
    leaves = [seal.leaf() for seal in seals_of_checkpoint(connection, checkpoint.number)]
    wrong = broken_checkpoint(checkpoint, leaves, trust.sealers)
    if wrong:
        yield _of_records(f"checkpoint {checkpoint.number} {wrong}")


def _previous_of(checkpoint: Checkpoint) -> str | None:
    try:
        return claims_of(checkpoint).previous
    except ValueError:
        return None  # said already


def _of_records(what: str) -> Finding:
    return Finding(workflow_id="", what=what)


def _names(keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(name_of, keys)))


@contextmanager
def _whatever_is_stored(connection: Connection) -> Iterator[None]:
    """Read text that is no UTF-8 as far as it goes: SQLite stores it, and its driver would not read on."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    before, raw.text_factory = raw.text_factory, lambda stored: stored.decode(errors="replace")
    try:
        yield
    finally:
        raw.text_factory = before
