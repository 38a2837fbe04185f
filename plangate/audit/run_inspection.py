"""Verify the records of one run, or one of Plangate's own trails, and report every difference.

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

Anyone may have changed the stored values, so no value is assumed to be well-formed.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select

from plangate.audit.attachments import attachment_digests, missing_attachments
from plangate.audit.checkpoint_times import CheckpointTimes, back_dated_rules
from plangate.audit.cross_checks import wrong_effects, wrong_row, wrong_seals, wrong_tokens
from plangate.audit.delegations import broken_delegations_trail, lists_that_differ
from plangate.audit.evidence import examined
from plangate.audit.key_requests import broken_key_requests
from plangate.audit.proof import revoked_since
from plangate.audit.review_starts import foreign_plans
from plangate.audit.rule_history import RuleHistory
from plangate.audit.rule_references import missing_rules, referenced_rules
from plangate.audit.stops import StopHistory, broken_stops_trail
from plangate.audit.stored_entries import as_stored, own_trail, written_entries
from plangate.audit.trust_anchors import Trust
from plangate.domain.base import Frozen
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.errors import RecordsMissing
from plangate.domain.escaping import one_line
from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.audit import (
    ACCESS_TRAIL,
    DELEGATIONS_TRAIL,
    FIRST_HASH,
    OWN_TRAILS,
    RULES_TRAIL,
    STOPS_TRAIL,
    AuditEntry,
    Decided,
    RuleText,
    WrittenEntry,
)
from plangate.domain.runs.findings import Finding, readable
from plangate.domain.runs.stops import StopDecided
from plangate.policy.delegated_roles import with_delegations
from plangate.policy.kept_lists import lists_in
from plangate.policy.requirements import weak_requirements
from plangate.records.attachments import contents_of
from plangate.records.checkpoints import seals_of_run
from plangate.records.installation import read_installation
from plangate.records.rule_texts import texts_of
from plangate.records.tables import audit_entries, effects, runs, tokens

_EFFECTS: Final = select(effects).where(effects.c.workflow_id == bindparam("run"))
_TOKENS: Final = select(tokens).where(tokens.c.workflow_id == bindparam("run"))
_OWNERS: Final = select(audit_entries.c.workflow_id).where(
    audit_entries.c.hash == bindparam("hash"), audit_entries.c.workflow_id != bindparam("run")
)
_MAX_OWNER_QUERIES: Final = 20


class RunInspection(Frozen):
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
        """Return the number of entries that no checkpoint covers yet."""
        return max(0, self.entries - self.sealed)


class Context:
    """The parts of the records that are needed to check any run, read once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.installation = _installation(connection)
        self.owners = _Owners(connection)
        self.rules = RuleHistory(connection)
        self.times = CheckpointTimes(connection)
        self.stops = StopHistory(own_trail(connection, STOPS_TRAIL))
        self.accepted_delegations = [
            entry
            for entry in own_trail(connection, DELEGATIONS_TRAIL)
            if isinstance(entry.event, DelegationDecided) and entry.event.verdict.accepted
        ]


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


def _installation(connection: Connection) -> str:
    """Return the id of these records, or ``unknown`` if it was removed or changed."""
    try:
        return read_installation(connection)
    except RecordsMissing:
        return "unknown"


def examine_run(workflow_id: str, trust: Trust, context: Context) -> RunInspection:
    """Verify one run; a value of the wrong type is also a finding."""
    try:
        return _examined(workflow_id, trust, context)
    except (ValueError, TypeError) as error:  # such as text in a column of numbers, or an invalid time
        what = f"contains values that Plangate never writes ({one_line(str(error).splitlines()[0])})"
        return RunInspection(findings=(Finding(workflow_id=workflow_id, what=what),))


def _examined(workflow_id: str, trust: Trust, context: Context) -> RunInspection:
    connection, rules = context.connection, context.rules
    of_run = {"run": workflow_id}
    row = connection.execute(
        as_stored(connection, runs).where(runs.c.workflow_id == workflow_id)
    ).one_or_none()
    # (1) Each entry is well-formed.
    read = list(written_entries(connection, workflow_id))
    entries = [one for one in read if isinstance(one, WrittenEntry)]
    if row is None and not entries:
        return RunInspection(is_known=False)
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
    findings += list(foreign_plans(workflow_id, trail, context.installation))
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
    return RunInspection(
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
    context: Context,
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
