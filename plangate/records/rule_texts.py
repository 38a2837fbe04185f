"""Store every policy and list of people that a worker has used, with the time of its first use.

A text is stored under its SHA-256, to which plans (`Requirement.policy_hash`) and decisions
(`Decided.people`) refer. When a worker starts to use another text, an entry is appended to the rules trail
(`RULES_TRAIL`), which is linked and sealed like the trail of a run.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

import structlog
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects import postgresql

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.decisions.delegations import DelegationRules
from plangate.domain.errors import DirectoryUnavailable, TrailDamaged
from plangate.domain.people.people import Directory, People
from plangate.domain.people.trusted_web import NO_WEB, TrustedWeb
from plangate.domain.runs.audit import RULES_TRAIL, RulesInEffect, RuleText
from plangate.elapsed import elapsed
from plangate.policy.delegated_roles import with_delegations
from plangate.policy.effective_people import people_in_effect
from plangate.records.checkpoints import checkpoint_of, seals_of_run
from plangate.records.database import Database
from plangate.records.delegation_trail import DelegationsCache
from plangate.records.installation import read_installation
from plangate.records.key_statements import head_of_rules, key_statements
from plangate.records.records import Records
from plangate.records.tables import NOW, rule_texts
from plangate.records.trail import Note, OpenTrail, open_own_trail, read_trail
from plangate.signing.checkpoints import sealed_at
from plangate.signing.enrolment import KeyStatement

NO_DELEGATION: Final = DelegationRules()
What = Literal["policy", "people"]
_log = structlog.get_logger(__name__)
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)
_CHECK_AGAIN: Final = 1.0  # seconds within which a change to keys or delegations takes effect
_RECORD_AGAIN: Final = 300.0  # seconds; another worker may have recorded another list in the meantime
# SQLite has one writer at a time; several PostgreSQL writers may store the same text at the same time.
_INSERT: Final = {
    "sqlite": insert(rule_texts),
    "postgresql": postgresql.insert(rule_texts).on_conflict_do_nothing(),
}


class RuleInEffect(Frozen):
    """The text in effect, when it took effect, and the worker that reported it; None if no file was set."""

    since: AwareDatetime
    worker: str
    text: RuleText | None


class RecordedPeople:
    """A directory that adds enrolled keys and delegated roles to the list of people.

    It records its list before it uses the list for a decision. If another worker has recorded another list
    since, it records its own list again. The rules trail therefore never shows a list as replaced while a
    worker still uses it.

    Args:
        directory: the list of people from the file.
        records: the records, which contain the signed key changes and the delegations.
        worker: the worker's identity.
        delegable: the roles that the worker's policy lets people delegate.
        web: the trusted web servers.
    """

    def __init__(
        self,
        directory: Directory,
        records: Records,
        worker: str,
        delegable: DelegationRules = NO_DELEGATION,
        web: TrustedWeb = NO_WEB,
    ) -> None:
        self._directory = directory
        self._records = records
        self._worker = worker
        self._web = web
        self._recorded: tuple[str, float] | None = None
        self._delegable = delegable
        self._changes: tuple[KeyStatement, ...] = ()
        self._installation: str | None = None
        self._seen: tuple[str, float] | None = None
        self._known: tuple[People, tuple[KeyStatement, ...], People] | None = None
        self._delegations = DelegationsCache()
        self._delegated: tuple[People, People, float] | None = None

    async def people(self, *, fresh: bool = False) -> People | None:
        """Return the list of people. Call this outside a transaction, because it may begin one.

        Args:
            fresh: whether to read the delegations now; otherwise those read up to a second ago are used.

        Raises:
            DirectoryUnavailable: the list or the delegations currently cannot be read.
            RecordsUnavailable: the database did not respond.
            TrailDamaged: the key changes cannot be read.
        """
        people, _ = await self.people_and_changes(fresh=fresh)
        return people

    async def people_and_changes(
        self, *, fresh: bool = False
    ) -> tuple[People | None, tuple[KeyStatement, ...]]:
        """Return the list of people, and the key changes that it contains in addition to its file.

        Args:
            fresh: whether to read the records now; otherwise values read up to a second ago are used.

        Raises:
            DirectoryUnavailable, RecordsUnavailable, TrailDamaged: see `people`.
        """
        listed = self._directory.people()
        if listed is None:
            return None, ()
        changes = await self._key_changes(fresh=fresh)
        people = await self._people_with_delegations(self._in_force(listed, changes), fresh=fresh)
        if people.hash and not self._is_recorded(people.hash):
            text, name = people.text, people.hash
            await self._records.write(
                lambda connection: record_rules_in(connection, "people", text, name, self._worker)
            )
            self._recorded = people.hash, elapsed()
        return people, changes

    async def _key_changes(self, *, fresh: bool) -> tuple[KeyStatement, ...]:
        seen = self._seen
        if fresh or seen is None or elapsed() - seen[1] >= _CHECK_AGAIN:
            await self._records.read(self._read_key_changes)
        return self._changes

    def _read_key_changes(self, connection: Connection) -> None:
        """Read the key changes, if the rules trail has new entries."""
        head = head_of_rules(connection)
        self._installation = read_installation(connection)
        if self._seen is None or self._seen[0] != head:
            self._changes = key_statements(connection)
        self._seen = head, elapsed()

    def _in_force(self, listed: People, changes: tuple[KeyStatement, ...]) -> People:
        known = self._known
        if known is None or known[0] is not listed or known[1] != changes:
            people = people_in_effect(listed, self._web, changes, self._installation)
            for wrong in people.unproven:
                _log.error(f"A key change in the records is not valid: {wrong}.", action="enrolment")
            known = self._known = (listed, changes, people)
        return known[2]

    async def _people_with_delegations(self, people: People, *, fresh: bool) -> People:
        known = self._delegated
        if fresh or known is None or known[0] is not people or elapsed() - known[2] >= _CHECK_AGAIN:
            try:
                found = await self._records.read(partial(self._with_delegations, people))
            except TrailDamaged as error:
                raise DirectoryUnavailable(f"No plan, decision or step can proceed now: {error}") from error
            known = self._delegated = (people, found, elapsed())
        return known[1]

    def _with_delegations(self, people: People, connection: Connection) -> People:
        return listed_with_delegations(connection, people, self._delegable, self._delegations)

    async def people_or_error(self) -> People | DirectoryUnavailable | None:
        """Return the list of people, or the error if it cannot be read, for callers that may not need it.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        try:
            return await self.people()
        except DirectoryUnavailable as error:
            return error

    def _is_recorded(self, name: str) -> bool:
        if self._recorded is None:
            return False
        recorded, at = self._recorded
        return recorded == name and elapsed() - at < _RECORD_AGAIN


def listed_with_delegations(
    connection: Connection, listed: People, rules: DelegationRules, seen: DelegationsCache | None = None
) -> People:
    """Return the list of people with the delegated roles that are in effect now.

    Args:
        connection: a connection to the records.
        listed: the list in the file.
        rules: the roles that the worker's policy lets people delegate.
        seen: the delegations as of the last read.

    Raises:
        TrailDamaged: the delegation trail was changed.
    """
    accepted = (seen or DelegationsCache()).read(connection)
    if not accepted:
        return listed
    at = connection.execute(NOW).scalar_one()
    return with_delegations(listed, accepted, at, rules, read_installation(connection))


def record_rules(database: Database, what: What, text: str, text_hash: str, worker: str) -> None:
    """Store a text that ``worker`` uses from now on, and record it on the trail if it is a change.

    Args:
        database: the records.
        what: whether it is a policy or a list of people.
        text: the file's text; empty if no file is set.
        text_hash: SHA-256 of the text; empty if no file is set.
        worker: the worker's identity.

    Raises:
        RecordsUnavailable: the database did not respond.
    """
    with database.write() as connection:
        record_rules_in(connection, what, text, text_hash, worker)


def record_rules_in(connection: Connection, what: What, text: str, text_hash: str, worker: str) -> None:
    """Do the same as `record_rules` in an open write transaction."""
    if text_hash and not texts_of(connection, (text_hash,)):
        connection.execute(_INSERT[connection.dialect.name], {"hash": text_hash, "text": text})
    now = connection.execute(NOW).scalar_one()
    trail = open_own_trail(connection, RULES_TRAIL, worker, now)
    before = [one.event for one in trail.entries() if isinstance(one.event, RulesInEffect)]
    last = next((event for event in reversed(before) if event.what == what), None)
    if last is None or last.hash != text_hash:
        event = RulesInEffect(what=what, hash=text_hash)
        key = f"{what}:{sum(one.what == what for one in before) + 1}"
        at = max([now, *times_before(connection, trail)])
        trail.append(Note(key=key, at=at, actor=worker, event=event))


def times_before(connection: Connection, trail: OpenTrail) -> Iterator[datetime]:
    """Yield lower bounds for the time of the next entry; the clock may have been set back."""
    if trail.entries():
        yield trail.entries()[-1].at
    sealed = seals_of_run(connection, trail.workflow_id)
    checkpoint = checkpoint_of(connection, sealed[-1][1]) if sealed else None
    at = sealed_at(checkpoint) if checkpoint else None
    if at is not None:
        yield at


def texts_of(connection: Connection, hashes: Iterable[str]) -> tuple[RuleText, ...]:
    """Return the stored texts with these hashes, ordered by hash."""
    rows = connection.execute(
        select(rule_texts).where(rule_texts.c.hash.in_(set(hashes))).order_by(rule_texts.c.hash)
    )
    return tuple(RuleText(**row._asdict()) for row in rows)


def were_listed(connection: Connection, publics: Iterable[str]) -> frozenset[str]:
    """Return which of these public keys are or were in a stored list of people."""
    return frozenset(
        one
        for one in publics
        if connection.execute(
            select(rule_texts.c.hash).where(rule_texts.c.text.contains(one, autoescape=True)).limit(1)
        ).first()
    )


def rules_in_effect(connection: Connection, what: What) -> RuleInEffect | None:
    """Return the text that a worker reported last, or None before the first report.

    Its recorded time may be later than now, because the clock may have been set back since.
    """
    return rules_in_effect_at(connection, what, _END_OF_TIME)


def rules_in_effect_at(connection: Connection, what: What, at: datetime) -> RuleInEffect | None:
    """Return the text that was in effect at that time, or None before the first report."""
    said = [
        entry
        for entry in read_trail(connection, RULES_TRAIL)
        if isinstance(entry.event, RulesInEffect) and entry.event.what == what and entry.at <= at
    ]
    if not said:
        return None
    entry = said[-1]
    assert isinstance(entry.event, RulesInEffect)
    text = next(iter(texts_of(connection, (entry.event.hash,))), None)
    return RuleInEffect(since=entry.at, worker=entry.actor, text=text)
