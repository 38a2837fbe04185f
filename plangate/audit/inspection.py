"""Verify that the records are unchanged since Plangate wrote them, and report every difference.

`plangate.audit.run_inspection` verifies each run, and the rules, stop, delegation and access trails (checks 1
to 8). The records as a whole are verified here:

9. No table refers to a run that is not recorded, and claims read the stop trail to its end.
10. Every checkpoint has a trusted signature, follows the previous one, and seals the runs stored with it
    (`checkpoint_chain`).
11. A checkpoint that was kept elsewhere is still recorded.

Anyone may have changed the stored values, so no value is assumed to be well-formed.
"""

from collections.abc import Callable, Iterator
from typing import Final

from sqlalchemy import Connection, exists, func, select

from plangate.audit.checkpoint_chain import examine_chain, examine_checkpoints_of, saved_checkpoint_findings
from plangate.audit.run_inspection import Context, examine_run
from plangate.audit.stored_entries import own_trail, replacing_invalid_utf8
from plangate.audit.trust_anchors import Trust
from plangate.domain.base import Frozen
from plangate.domain.runs.audit import FIRST_HASH, OWN_TRAILS, RULES_TRAIL, STOPS_TRAIL
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.stops import StopDecided
from plangate.records.key_statements import statements_on
from plangate.records.tables import audit_entries, effects, runs, seals, stops, tokens
from plangate.signing.enrolment import with_enrolments

_IDS: Final = select(runs.c.workflow_id).order_by(runs.c.opened_at)
_TABLES_OF_RUNS: Final = {"entries": audit_entries, "effects": effects, "signed decisions": tokens}


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


def inspect_run(connection: Connection, workflow_id: str, trust: Trust) -> Inspection:
    """Verify one run, the checkpoints that seal it, and the checkpoint that was kept elsewhere."""
    with replacing_invalid_utf8(connection):
        context = Context(connection)
        trust = _with_enrolled_keys(connection, trust, context.installation)
        run = examine_run(workflow_id, trust, context)
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
    done = entries = unsealed = 0
    with replacing_invalid_utf8(connection):
        context = Context(connection)
        trust = _with_enrolled_keys(connection, trust, context.installation)
        ids = connection.scalars(_IDS).all()
        of = sum(one not in OWN_TRAILS for one in ids)
        for workflow_id in ids:
            if workflow_id not in OWN_TRAILS:
                progress(done, of)
                done += 1
            if not isinstance(workflow_id, str):
                findings.append(
                    Finding(workflow_id="", what=f"a run has the id {workflow_id!r}, which is not text")
                )
                continue
            run = examine_run(workflow_id, trust, context)
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
        runs=of,
        entries=entries,
        unsealed=unsealed,
        checkpoints=chain.count,
        sealers=chain.sealers,
        origins=tuple(sorted(origins)),
        web_keys=tuple(sorted(web_keys)),
        findings=tuple(findings),
        notes=tuple(notes),
    )


def _with_enrolled_keys(connection: Connection, trust: Trust, installation: str) -> Trust:
    """Return ``trust`` with the recorded keys that enrollers in the trusted list confirmed."""
    if trust.people is None:
        return trust
    people = trust.people.model_copy(update={"web": trust.web})
    changes = statements_on(own_trail(connection, RULES_TRAIL))
    return trust.model_copy(update={"people": with_enrolments(people, changes, installation)})


def _unseen_stops(connection: Connection) -> Iterator[Finding]:
    """Yield a finding if claims would miss the last entry that changed the active stops."""
    accepted = [
        one
        for one in own_trail(connection, STOPS_TRAIL)
        if isinstance(one.event, StopDecided) and one.event.verdict.accepted
    ]
    last = (accepted[-1].number, accepted[-1].hash) if accepted else (0, FIRST_HASH)
    if [(row.number, row.hash) for row in connection.execute(select(stops))] != [last]:
        what = "does not end with the entry in the table `stops`, so steps may have begun despite a stop"
        yield Finding(workflow_id=STOPS_TRAIL, what=what)


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
