"""The examination of the records: whether they are what Plangate wrote, and where they are not.

It looks at every run's trail by itself (`plangate.audit.evidence`), at the run's row, its effects and its
signed decisions beside it, and at the checkpoints that seal the trails. What it reads may have been changed
by anybody, hence nothing of it is taken for well-formed.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Select, String, Table, bindparam, exists, func, select, type_coerce

from plangate.audit.checkpoint_chain import compared_with_kept, examine_chain, examine_checkpoints_of
from plangate.audit.cross_checks import moment, wrong_effects, wrong_row, wrong_seals, wrong_tokens
from plangate.audit.evidence import examined
from plangate.audit.judged_by import missing_rules, rules_named
from plangate.audit.proof import revoked_since
from plangate.audit.rules_examined import RulesTold, SealsMade, back_dated_rules
from plangate.domain.audit import FIRST_HASH, RULES_TRAIL, AuditEntry, Drafted, WrittenEntry
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.checkpoint import Checkpoint
from plangate.domain.errors import RecordsMissing
from plangate.domain.escaping import one_line
from plangate.domain.findings import Finding, readable
from plangate.domain.people import People
from plangate.policy.kept_lists import lists_in
from plangate.policy.requirements import soft_requirements
from plangate.records.checkpoints import seals_of_run
from plangate.records.installation import read_installation
from plangate.records.rule_texts import texts_of
from plangate.records.tables import Moment, audit_entries, effects, runs, seals, tokens

_IDS: Final = select(runs.c.workflow_id).order_by(runs.c.opened_at)
_EFFECTS: Final = select(effects).where(effects.c.workflow_id == bindparam("run"))
_TOKENS: Final = select(tokens).where(tokens.c.workflow_id == bindparam("run"))
_OWNERS: Final = select(audit_entries.c.workflow_id).where(
    audit_entries.c.hash == bindparam("hash"), audit_entries.c.workflow_id != bindparam("run")
)
_OWNERS_SOUGHT: Final = 20
_TABLES_OF_RUNS: Final = {"entries": audit_entries, "effects": effects, "signed decisions": tokens}


class Trust(Frozen):
    """Whom the examiner believes.

    Attributes:
        sealers: public keys that may seal, as base64url; empty to believe those that the records name.
        people: whose keys may sign; None to believe those that the trail names.
        now: by when it is noted what was revoked since; None to note nothing.
        remembered: the newest checkpoint that was kept elsewhere, which must be in the records still.
        where: where it was kept, as ``in FILE``.
    """

    sealers: frozenset[str] = frozenset()
    people: People | None = None
    now: AwareDatetime | None = None
    remembered: Checkpoint | None = None
    where: str = "elsewhere"


class Inspection(Frozen):
    """What was examined, and what was found.

    Attributes:
        installation: the id of these records.
        is_known: whether anything at all is stored of what was asked for.
        unsealed: how many entries no checkpoint covers yet.
        sealers: the public keys, as base64url, by which the checkpoints are signed.
        notes: approvals that counted and would not today, by the list of people; nothing is wrong with them.
    """

    installation: str
    is_known: bool = True
    runs: int
    entries: int
    unsealed: int
    checkpoints: int
    sealers: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


class _Run(Frozen):
    """What one run came to."""

    is_known: bool = True
    entries: int = 0
    sealed: int = 0
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def unsealed(self) -> int:
        return max(0, self.entries - self.sealed)


def inspect_run(connection: Connection, workflow_id: str, trust: Trust) -> Inspection:
    """Examine one run, the checkpoints that seal it, and that the one which was kept elsewhere is there."""
    with _whatever_is_stored(connection):
        beside = _Beside(connection)
        run = _examine_run(workflow_id, trust, beside)
        chain = examine_checkpoints_of(connection, workflow_id, trust.sealers)
        kept = compared_with_kept(connection, trust.remembered, trust.where)
    return Inspection(
        is_known=run.is_known,
        installation=beside.installation,
        runs=1,
        entries=run.entries,
        unsealed=run.unsealed,
        checkpoints=chain.count,
        sealers=chain.sealers,
        findings=(*run.findings, *chain.findings, *kept),
        notes=run.notes,
    )


def inspect_all(connection: Connection, trust: Trust, progress: Callable[[int, int], None]) -> Inspection:
    """Examine everything; ``progress`` is told how many runs are done, and of how many."""
    findings: list[Finding] = []
    notes: list[Finding] = []
    entries = unsealed = 0
    with _whatever_is_stored(connection):
        beside = _Beside(connection)
        ids = connection.scalars(_IDS).all()
        for done, workflow_id in enumerate(ids):
            progress(done, len(ids))
            if not isinstance(workflow_id, str):
                findings.append(
                    Finding(workflow_id="", what=f"a run is called {workflow_id!r}, which is no text")
                )
                continue
            run = _examine_run(workflow_id, trust, beside)
            entries, unsealed = entries + run.entries, unsealed + run.unsealed
            findings += run.findings
            notes += run.notes
        findings += _ownerless(connection)
        chain = examine_chain(connection, trust.sealers)
        findings += [*chain.findings, *compared_with_kept(connection, trust.remembered, trust.where)]
    return Inspection(
        installation=beside.installation,
        runs=len([one for one in ids if one != RULES_TRAIL]),
        entries=entries,
        unsealed=unsealed,
        checkpoints=chain.count,
        sealers=chain.sealers,
        findings=tuple(findings),
        notes=tuple(notes),
    )


class _Beside:
    """What the records say beside the run that is examined: it is read once for all of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.installation = _installation(connection)
        self.owners = _Owners(connection)
        self.rules = RulesTold(connection)
        self.made = SealsMade(connection)


# ---- one run ------------------------------------------------------------------------------------


def _examine_run(workflow_id: str, trust: Trust, beside: "_Beside") -> _Run:
    try:
        return _examined(workflow_id, trust, beside)
    except (ValueError, TypeError) as error:  # a text where a number belongs, a time that is none
        what = f"holds what Plangate never writes ({one_line(str(error).splitlines()[0])})"
        return _Run(findings=(Finding(workflow_id=workflow_id, what=what),))


def _examined(workflow_id: str, trust: Trust, beside: "_Beside") -> _Run:
    connection, rules = beside.connection, beside.rules
    of_run = {"run": workflow_id}
    row = connection.execute(
        _as_stored(connection, runs).where(runs.c.workflow_id == workflow_id)
    ).one_or_none()
    read = list(_written(connection, workflow_id))
    entries = [one for one in read if isinstance(one, WrittenEntry)]
    if row is None and not entries:
        return _Run(is_known=False)
    trail = [one for one in readable(entries) if isinstance(one, AuditEntry)]
    texts = texts_of(connection, rules_named(trail))
    findings = [one for one in read if isinstance(one, Finding)] or list(
        examined(workflow_id, entries, trust.people, beside.owners.of, lists_in(texts))
    )
    findings += list(missing_rules(workflow_id, trail, texts))
    findings += list(_made_elsewhere(workflow_id, trail, beside.installation))
    sealed = seals_of_run(connection, workflow_id)
    if workflow_id == RULES_TRAIL:
        findings += list(back_dated_rules(connection, trail, sealed))
    else:
        findings += list(rules.never_in_force(workflow_id, trail))
        findings += list(rules.without_list(workflow_id, trail))
        findings += list(rules.replaced(workflow_id, trail))
        findings += list(rules.other_policy(workflow_id, trail))
        findings += list(soft_requirements(workflow_id, trail, texts))
    wrong = [
        *(wrong_row(row, entries, trail, sealed) if row is not None else ["is not on the record at all"]),
        *wrong_seals(entries, sealed),
    ]
    if not findings:
        if workflow_id != RULES_TRAIL:
            findings += list(beside.made.of_other_times(workflow_id, trail, sealed))
        wrong += wrong_effects(workflow_id, connection.execute(_EFFECTS, of_run).all(), trail)
        wrong += wrong_tokens(connection.execute(_TOKENS, of_run).all(), trail)
    findings += [Finding(workflow_id=workflow_id, what=what) for what in wrong]
    notes: tuple[Finding, ...] = ()
    if trust.people and trust.now and not findings:
        notes = tuple(revoked_since(workflow_id, trail, trust.people, trust.now))
    sealed_up_to = max((seal.number for seal, _ in sealed), default=0)
    return _Run(entries=len(entries), sealed=sealed_up_to, findings=tuple(findings), notes=notes)


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


def _installation(connection: Connection) -> str:
    """Return the id of these records, or a word that is none where somebody has changed it."""
    try:
        return read_installation(connection)
    except RecordsMissing:
        return "unknown"


def _made_elsewhere(workflow_id: str, trail: list[AuditEntry], installation: str) -> Iterator[Finding]:
    """Yield every plan that was made for other records than these."""
    for entry in trail:
        if isinstance(entry.event, Drafted) and entry.event.audience.installation != installation:
            what = f"its plan was made for the installation {one_line(entry.event.audience.installation)}"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)


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


class _Owners:
    """Says which runs an entry may have been taken from: its place there is behind the one that it names.

    Each answer takes a look at every entry there is, hence there are only so many.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._left = _OWNERS_SOUGHT

    def of(self, entry: WrittenEntry) -> list[str]:
        """Return the runs, as far as there still are answers."""
        if entry.previous_hash == FIRST_HASH or not self._left:
            return []
        self._left -= 1
        behind = {"hash": entry.previous_hash, "run": entry.workflow_id}
        return list(self._connection.scalars(_OWNERS, behind))


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
                workflow_id=str(row.workflow_id),
                what=f"is not on the record any more, though it has {row.count} {name} there",
            )
    of_nobody = ~exists().where(runs.c.workflow_id == seals.c.workflow_id)
    for row in connection.execute(select(seals).where(of_nobody).order_by(seals.c.number)):
        yield Finding(
            workflow_id=str(row.workflow_id),
            what=f"is not on the record any more; checkpoint {row.checkpoint} sealed its entry {row.number}",
        )


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
