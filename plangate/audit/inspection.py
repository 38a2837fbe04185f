"""Verify that the records are unchanged since Plangate wrote them, and report every difference.

For each run, and for the rules, stop, delegation and access trails:

1. Each entry is well-formed, and is listed under the kind of its event.
2. The trail is intact: no entry is missing, moved or changed; each is allowed after the earlier ones;
   signatures and lists of people confirm each decision (`evidence.examined`).
3. Every policy, list of people and attachment that it refers to is stored, unchanged.
4. Every plan was drafted for this installation.
5. Every claim waited for stops, and the stop trail is intact (`plangate.audit.stops`). The rules that plans
   refer to were in effect at the time (`rule_history`), and the recorded requirement is no weaker than
   these rules require. In the rules, stop and delegation trails, no entry has a time before a checkpoint that
   does not seal it.
6. The run's row agrees with the trail (`cross_checks`).
7. Every sealed entry still exists, unchanged.
8. The times agree with the checkpoints (`checkpoint_times`), and the ledger of effects and the used
   signatures agree with the trail. These checks need an intact trail: they run only if 1 to 5 find nothing.

For the records as a whole:

9. No table refers to a run that is not recorded, and claims read the stop trail to its end.
10. Every checkpoint has a trusted signature, follows the previous one, and seals the runs stored with it
    (`checkpoint_chain`).
11. A checkpoint that was kept elsewhere is still recorded.

Anyone may have changed the stored values, so no value is assumed to be well-formed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Select, String, Table, bindparam, exists, func, select, type_coerce

from plangate.audit.attached import attachment_digests, missing_attachments
from plangate.audit.checkpoint_chain import examine_chain, examine_checkpoints_of, saved_checkpoint_findings
from plangate.audit.checkpoint_times import CheckpointTimes, back_dated_rules
from plangate.audit.cross_checks import moment, wrong_effects, wrong_row, wrong_seals, wrong_tokens
from plangate.audit.delegations import broken_delegations_trail, lists_that_differ
from plangate.audit.evidence import examined
from plangate.audit.key_requests import broken_key_requests
from plangate.audit.proof import revoked_since
from plangate.audit.rule_history import RuleHistory
from plangate.audit.rule_references import missing_rules, referenced_rules
from plangate.audit.stops import StopHistory, broken_stops_trail
from plangate.domain.assurance import Assurance
from plangate.domain.audit import (
    ACCESS_TRAIL,
    DELEGATIONS_TRAIL,
    FIRST_HASH,
    OWN_TRAILS,
    RULES_TRAIL,
    STOPS_TRAIL,
    AuditEntry,
    Decided,
    Drafted,
    RuleText,
    WrittenEntry,
)
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.checkpoint import Checkpoint
from plangate.domain.delegations import DelegationDecided
from plangate.domain.errors import RecordsMissing
from plangate.domain.escaping import one_line
from plangate.domain.findings import Finding, readable
from plangate.domain.key_requests import KeyDecided
from plangate.domain.people import People
from plangate.domain.stops import StopDecided
from plangate.domain.trusted_web import ANY_WEB, TrustedWeb
from plangate.policy.delegated_roles import with_delegations
from plangate.policy.kept_lists import lists_in
from plangate.policy.requirements import weak_requirements
from plangate.records.attachments import contents_of
from plangate.records.checkpoints import seals_of_run
from plangate.records.installation import read_installation
from plangate.records.key_statements import statements_on
from plangate.records.rule_texts import texts_of
from plangate.records.tables import Moment, audit_entries, effects, runs, seals, stops, tokens
from plangate.signing.enrolment import with_enrolments

_IDS: Final = select(runs.c.workflow_id).order_by(runs.c.opened_at)
_EFFECTS: Final = select(effects).where(effects.c.workflow_id == bindparam("run"))
_TOKENS: Final = select(tokens).where(tokens.c.workflow_id == bindparam("run"))
_OWNERS: Final = select(audit_entries.c.workflow_id).where(
    audit_entries.c.hash == bindparam("hash"), audit_entries.c.workflow_id != bindparam("run")
)
_MAX_OWNER_QUERIES: Final = 20
_TABLES_OF_RUNS: Final = {"entries": audit_entries, "effects": effects, "signed decisions": tokens}


class Trust(Frozen):
    """The keys, people and checkpoints that the auditor trusts.

    Attributes:
        sealers: public keys that may sign checkpoints, as base64url; empty to trust those in the records.
        people: the people whose keys may sign, and who may enroll others; None to trust those in the
            trail.
        web: the sites where passkeys may be used, and the servers that may attest logins; by default, those
            in the lists.
        now: approvals revoked by this time are reported as notes; None for no notes.
        saved: the newest checkpoint that was saved elsewhere; it must still be recorded.
        where: where it was saved, in the form ``in FILE``.
    """

    sealers: frozenset[str] = frozenset()
    people: People | None = None
    web: TrustedWeb = ANY_WEB
    now: AwareDatetime | None = None
    saved: Checkpoint | None = None
    where: str = "elsewhere"


class Inspection(Frozen):
    """The result of an inspection.

    Attributes:
        installation: the id of these records.
        is_known: whether the requested run is recorded at all.
        unsealed: the number of entries that no checkpoint covers yet.
        sealers: the public keys that signed the checkpoints, as base64url.
        origins: where passkeys were used.
        web_keys: the public keys of the web servers that attest logins.
        notes: approvals that were valid but would not be valid today; not errors.
    """

    installation: str
    is_known: bool = True
    runs: int
    entries: int
    unsealed: int
    checkpoints: int
    sealers: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    web_keys: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


class _Run(Frozen):
    """The result for one run."""

    is_known: bool = True
    entries: int = 0
    sealed: int = 0
    origins: frozenset[str] = frozenset()
    web_keys: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def unsealed(self) -> int:
        return max(0, self.entries - self.sealed)


def inspect_run(connection: Connection, workflow_id: str, trust: Trust) -> Inspection:
    """Verify one run, the checkpoints that seal it, and the checkpoint that was kept elsewhere."""
    with _replacing_invalid_utf8(connection):
        context = _Context(connection)
        trust = _with_enrolled_keys(connection, trust, context.installation)
        run = _examine_run(workflow_id, trust, context)
        chain = examine_checkpoints_of(connection, workflow_id, trust.sealers)
        kept = saved_checkpoint_findings(connection, trust.saved, trust.where)
    return Inspection(
        is_known=run.is_known,
        installation=context.installation,
        runs=1,
        entries=run.entries,
        unsealed=run.unsealed,
        checkpoints=chain.count,
        sealers=chain.sealers,
        origins=tuple(sorted(run.origins)),
        web_keys=tuple(sorted(run.web_keys)),
        findings=(*run.findings, *chain.findings, *kept),
        notes=run.notes,
    )


def inspect_all(connection: Connection, trust: Trust, progress: Callable[[int, int], None]) -> Inspection:
    """Verify all records; ``progress`` receives the number of runs done and their total."""
    findings: list[Finding] = []
    notes: list[Finding] = []
    origins: set[str] = set()
    web_keys: set[str] = set()
    entries = unsealed = 0
    with _replacing_invalid_utf8(connection):
        context = _Context(connection)
        trust = _with_enrolled_keys(connection, trust, context.installation)
        ids = connection.scalars(_IDS).all()
        for done, workflow_id in enumerate(ids):
            progress(done, len(ids))
            if not isinstance(workflow_id, str):
                findings.append(
                    Finding(workflow_id="", what=f"a run has the id {workflow_id!r}, which is not text")
                )
                continue
            run = _examine_run(workflow_id, trust, context)
            entries, unsealed = entries + run.entries, unsealed + run.unsealed
            origins |= run.origins
            web_keys |= run.web_keys
            findings += run.findings
            notes += run.notes
        # (9) No table refers to a run that is not recorded.
        findings += _without_run(connection)
        findings += _unseen_stops(connection)
        # (10) The chain of checkpoints, and (11) the checkpoint that was kept elsewhere.
        chain = examine_chain(connection, trust.sealers)
        findings += [*chain.findings, *saved_checkpoint_findings(connection, trust.saved, trust.where)]
    return Inspection(
        installation=context.installation,
        runs=len([one for one in ids if one not in OWN_TRAILS]),
        entries=entries,
        unsealed=unsealed,
        checkpoints=chain.count,
        sealers=chain.sealers,
        origins=tuple(sorted(origins)),
        web_keys=tuple(sorted(web_keys)),
        findings=tuple(findings),
        notes=tuple(notes),
    )


class _Context:
    """The parts of the records that are needed to check any run, read once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.installation = _installation(connection)
        self.owners = _Owners(connection)
        self.rules = RuleHistory(connection)
        self.times = CheckpointTimes(connection)
        self.stops = StopHistory(_own_trail(connection, STOPS_TRAIL))
        self.accepted_delegations = [
            entry
            for entry in _own_trail(connection, DELEGATIONS_TRAIL)
            if isinstance(entry.event, DelegationDecided) and entry.event.verdict.accepted
        ]


# ---- one run ------------------------------------------------------------------------------------


def _examine_run(workflow_id: str, trust: Trust, context: "_Context") -> _Run:
    try:
        return _examined(workflow_id, trust, context)
    except (ValueError, TypeError) as error:  # such as text in a column of numbers, or an invalid time
        what = f"contains values that Plangate never writes ({one_line(str(error).splitlines()[0])})"
        return _Run(findings=(Finding(workflow_id=workflow_id, what=what),))


def _examined(workflow_id: str, trust: Trust, context: "_Context") -> _Run:
    connection, rules = context.connection, context.rules
    of_run = {"run": workflow_id}
    row = connection.execute(
        _as_stored(connection, runs).where(runs.c.workflow_id == workflow_id)
    ).one_or_none()
    # (1) Each entry is well-formed.
    read = list(_written(connection, workflow_id))
    entries = [one for one in read if isinstance(one, WrittenEntry)]
    if row is None and not entries:
        return _Run(is_known=False)
    trail = [one for one in readable(entries) if isinstance(one, AuditEntry)]
    texts = texts_of(connection, referenced_rules(trail))
    # (2) The trail is intact.
    findings = [one for one in read if isinstance(one, Finding)] or list(
        examined(workflow_id, entries, trust.people, context.owners.of, lists_in(texts), web=trust.web)
    )
    # (3) The rules and the attachments are stored, unchanged.
    findings += list(missing_rules(workflow_id, trail, texts))
    digests = attachment_digests(trail)
    if digests:
        findings += missing_attachments(workflow_id, trail, dict(contents_of(connection, digests)))
    # (4) The plans were drafted for this installation.
    findings += list(_other_installation(workflow_id, trail, context.installation))
    sealed = seals_of_run(connection, workflow_id)
    # (5) The rules were in effect, and the recorded requirement is no weaker than they require.
    if workflow_id in OWN_TRAILS:
        findings += list(back_dated_rules(connection, trail, sealed))
        findings += _wrong_own_trail(workflow_id, trail, texts, context, trust, is_intact=not findings)
    if workflow_id not in OWN_TRAILS:
        findings += list(context.stops.broken_claims(workflow_id, trail))
        findings += list(rules.never_in_effect(workflow_id, trail))
        findings += list(rules.without_list(workflow_id, trail))
        findings += list(rules.replaced(workflow_id, trail))
        findings += list(rules.other_policy(workflow_id, trail))
        findings += list(weak_requirements(workflow_id, trail, texts))
    # (6) The run's row, and (7) its seals.
    wrong = [
        *(wrong_row(row, entries, trail, sealed) if row is not None else ["has entries, but no row"]),
        *wrong_seals(entries, sealed),
    ]
    # (8) Times, effects and used signatures.
    if not findings:
        if workflow_id not in OWN_TRAILS:
            findings += list(context.times.wrong_times(workflow_id, trail, sealed))
        wrong += wrong_effects(workflow_id, connection.execute(_EFFECTS, of_run).all(), trail)
        wrong += wrong_tokens(connection.execute(_TOKENS, of_run).all(), trail)
    findings += [Finding(workflow_id=workflow_id, what=what) for what in wrong]
    notes: tuple[Finding, ...] = ()
    if trust.people and trust.now and not findings:
        today = with_delegations(
            trust.people, context.accepted_delegations, trust.now, installation=context.installation
        )
        notes = tuple(revoked_since(workflow_id, trail, today, trust.now))
    sealed_up_to = max((seal.number for seal, _ in sealed), default=0)
    proven = [
        one.event.approver
        for one in trail
        if isinstance(one.event, Decided | KeyDecided | StopDecided | DelegationDecided)
        and one.event.approver
    ]
    return _Run(
        entries=len(entries),
        sealed=sealed_up_to,
        origins=frozenset(one.origin for one in proven if one.origin),
        web_keys=frozenset(
            one.public_key for one in proven if one.assurance is Assurance.LOGIN and one.public_key
        ),
        findings=tuple(findings),
        notes=notes,
    )


def _wrong_own_trail(
    name: str,
    trail: list[AuditEntry],
    texts: Sequence[RuleText],
    context: "_Context",
    trust: Trust,
    *,
    is_intact: bool,
) -> list[Finding]:
    """Return the findings on one of Plangate's own trails; its requests are checked only if it is intact."""
    rules, people_by_hash, installation = context.rules, lists_in(texts), context.installation
    if name == ACCESS_TRAIL:
        return []
    is_of_rules = name == RULES_TRAIL
    findings = list(rules.never_in_effect(name, trail) if is_of_rules else rules.of_requests(name, trail))
    if findings or not is_intact:
        return findings
    if name == STOPS_TRAIL:
        return list(broken_stops_trail(trail, people_by_hash, texts, installation, trust.web))
    if name == DELEGATIONS_TRAIL:
        return list(broken_delegations_trail(trail, people_by_hash, texts, installation, trust.web))
    kept = {text.hash: text for text in texts}
    return [
        *broken_key_requests(trail, people_by_hash, installation),
        *lists_that_differ(trail, context.accepted_delegations, kept),
    ]


def _written(connection: Connection, workflow_id: str) -> Iterator[WrittenEntry | Finding]:
    """Yield every entry of a run as it is stored, or a finding if it is malformed."""
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
            yield Finding(workflow_id=workflow_id, entry=number, what="is malformed")
            continue
        yield entry
        kind = next((one.event.kind for one in readable([entry]) if isinstance(one, AuditEntry)), row.kind)
        if kind != row.kind:
            yield Finding(
                workflow_id=workflow_id, entry=entry.number, what=f"is listed as {one_line(str(row.kind))!r}"
            )


def _installation(connection: Connection) -> str:
    """Return the id of these records, or ``unknown`` if it was removed or changed."""
    try:
        return read_installation(connection)
    except RecordsMissing:
        return "unknown"


def _other_installation(workflow_id: str, trail: list[AuditEntry], installation: str) -> Iterator[Finding]:
    """Yield every plan that was drafted for another installation."""
    for entry in trail:
        if isinstance(entry.event, Drafted) and entry.event.audience.installation != installation:
            what = f"its plan was made for the installation {one_line(entry.event.audience.installation)}"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)


def _with_enrolled_keys(connection: Connection, trust: Trust, installation: str) -> Trust:
    """Return ``trust`` with the recorded keys that enrollers in the trusted list confirmed."""
    if trust.people is None:
        return trust
    people = trust.people.model_copy(update={"web": trust.web})
    changes = statements_on(_own_trail(connection, RULES_TRAIL))
    return trust.model_copy(update={"people": with_enrolments(people, changes, installation)})


def _own_trail(connection: Connection, name: str) -> list[AuditEntry]:
    read = [one for one in _written(connection, name) if isinstance(one, WrittenEntry)]
    return [one for one in readable(read) if isinstance(one, AuditEntry)]


def _unseen_stops(connection: Connection) -> Iterator[Finding]:
    """Yield a finding if claims would miss the last entry that changed the active stops."""
    accepted = [
        one
        for one in _own_trail(connection, STOPS_TRAIL)
        if isinstance(one.event, StopDecided) and one.event.verdict.accepted
    ]
    last = (accepted[-1].number, accepted[-1].hash) if accepted else (0, FIRST_HASH)
    if [(row.number, row.hash) for row in connection.execute(select(stops))] != [last]:
        what = "does not end with the entry in the table `stops`, so steps may have begun despite a stop"
        yield Finding(workflow_id=STOPS_TRAIL, what=what)


def _as_stored(connection: Connection, table: Table) -> Select[Any]:
    """Select all columns as they are stored: SQLite keeps times as text, which may be malformed."""
    if connection.dialect.name != "sqlite":
        return select(table)
    return select(
        *(
            type_coerce(column, String).label(column.name) if isinstance(column.type, Moment) else column
            for column in table.c
        )
    )


class _Owners:
    """Finds the runs from which an entry may have been moved: those that contain its predecessor.

    Each query reads all entries, so their number is limited.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._left = _MAX_OWNER_QUERIES

    def of(self, entry: WrittenEntry) -> list[str]:
        """Return the runs that contain the entry's predecessor; none after the limit is reached."""
        if entry.previous_hash == FIRST_HASH or not self._left:
            return []
        self._left -= 1
        predecessor = {"hash": entry.previous_hash, "run": entry.workflow_id}
        return list(self._connection.scalars(_OWNERS, predecessor))


# ---- all runs ----------------------------------------------------------------------------------


def _without_run(connection: Connection) -> Iterator[Finding]:
    """Yield the rows of runs that are not recorded."""
    for name, table in _TABLES_OF_RUNS.items():
        of_no_run = ~exists().where(runs.c.workflow_id == table.c.workflow_id)
        counted = (
            select(table.c.workflow_id, func.count().label("count"))
            .where(of_no_run)
            .group_by(table.c.workflow_id)
        )
        for row in connection.execute(counted):
            yield Finding(
                workflow_id=str(row.workflow_id),
                what=f"is no longer recorded, but {row.count} of its {name} are",
            )
    of_no_run = ~exists().where(runs.c.workflow_id == seals.c.workflow_id)
    for row in connection.execute(select(seals).where(of_no_run).order_by(seals.c.number)):
        yield Finding(
            workflow_id=str(row.workflow_id),
            what=f"is no longer recorded; checkpoint {row.checkpoint} sealed its entry {row.number}",
        )


@contextmanager
def _replacing_invalid_utf8(connection: Connection) -> Iterator[None]:
    """Replace bytes that are not UTF-8: SQLite stores them, but the driver cannot read them."""
    if connection.dialect.name != "sqlite":
        yield
        return
    raw: Any = connection.connection.driver_connection
    before, raw.text_factory = raw.text_factory, lambda stored: stored.decode(errors="replace")
    try:
        yield
    finally:
        raw.text_factory = before
