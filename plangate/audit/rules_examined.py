"""What the trail of rules says of the other trails, and what the checkpoints say of the times of all."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import Connection, String, bindparam, select, type_coerce

from plangate.audit.cross_checks import moment
from plangate.audit.dates import dated_ahead, dated_back
from plangate.audit.judged_by import judged_by_no_list, list_named, rules_named
from plangate.domain.audit import RULES_TRAIL, AuditEntry, Drafted, RulesInForce, read_event
from plangate.domain.checkpoint import MOST_RUNS, Seal
from plangate.domain.findings import Finding
from plangate.domain.plan import short
from plangate.records.checkpoints import checkpoint_of
from plangate.records.tables import audit_entries
from plangate.signing.checkpoints import claims_of, sealed_at

# While workers are replaced, old ones go on without the list; and runs have the Temporal server's clock.
OTHER_WORKERS: Final = timedelta(hours=1)
# SQLite's clock has whole seconds, and a writer may have looked at it before it waited for another one.
SLOW_WRITE: Final = timedelta(minutes=1)
_EVER: Final = datetime.max.replace(tzinfo=UTC)
_EVER_SINCE: Final = datetime.min.replace(tzinfo=UTC)


class RulesTold:
    """Which policies and lists of people were in force, by the trail of rules; it is read once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _told(self) -> list[tuple[datetime, RulesInForce]]:
        """Return what can be read; of the rest, the examination of that trail tells."""
        at = audit_entries.c.at
        if self._connection.dialect.name == "sqlite":
            at = type_coerce(at, String).label("at")  # type: ignore[assignment]
        statement = (
            select(at, audit_entries.c.event)
            .where(audit_entries.c.workflow_id == bindparam("run"))
            .order_by(audit_entries.c.number)
        )
        told = []
        for row in self._connection.execute(statement, {"run": RULES_TRAIL}):
            try:
                since, event = moment(row.at), read_event(row.event)
            except (ValueError, TypeError):
                continue
            if since is not None and isinstance(event, RulesInForce):
                told.append((since, event))
        return told

    @cached_property
    def _spans(self) -> list[tuple[datetime, datetime]]:
        """Return from when until when there was a list of people, whichever it was."""
        spans: list[tuple[datetime, datetime]] = []
        began: datetime | None = None
        for at, event in self._told:
            if event.what != "people":
                continue
            if event.hash and began is None:
                began = at
            elif not event.hash and began is not None:
                spans.append((began, at))
                began = None
        return spans if began is None else [*spans, (began, _EVER)]

    @cached_property
    def _ends(self) -> dict[str, datetime]:
        """Return when each list of people was replaced, the last time; those in force still are left out."""
        ends: dict[str, datetime] = {}
        last = ""
        for at, event in self._told:
            if event.what != "people":
                continue
            ends[last] = at
            ends.pop(event.hash, None)
            last = event.hash
        ends.pop("", None)
        return ends

    def replaced(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each first entry that was judged by a list of people which had long been replaced.

        A list that came later is none of the kind: a decision may wait long until it can be judged.
        """
        seen: set[str] = set()
        for entry in trail:
            name = list_named(entry.event)
            if name in seen or name not in self._ends or entry.at <= self._ends[name] + OTHER_WORKERS:
                continue
            seen.add(name)
            what = f"was judged by a list of people that had long been replaced then ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)

    @cached_property
    def _policies(self) -> list[tuple[str, datetime, datetime]]:
        """Return which policy there was from when until when; none, by the empty name, at the beginning."""
        told = [(at, event.hash) for at, event in self._told if event.what == "policy"]
        names, begins = ["", *(name for _, name in told)], [_EVER_SINCE, *(at for at, _ in told)]
        return list(zip(names, begins, [*begins[1:], _EVER], strict=True))

    def not_its_policy(self, name: str, at: datetime, slack: timedelta = OTHER_WORKERS) -> str | None:
        """Say so where this policy was not in force then, nor replaced less than ``slack`` before.

        The empty name stands for no policy. Clocks differ, hence one that came soon afterwards is that one.
        """
        was_in_force = any(
            policy == name
            and (begin == _EVER_SINCE or begin <= at + OTHER_WORKERS)
            and (end == _EVER or at < end + slack)
            for policy, begin, end in self._policies
        )
        called = f"the policy {short(name)}" if name else "no policy"
        return None if was_in_force else f"names {called}, though another one was in force then"

    def other_policy(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each plan that names a policy, or none, although another one had long been in force."""
        known = {name for name, *_ in self._policies}
        for entry in trail:
            if not isinstance(entry.event, Drafted):
                continue
            name = entry.event.requirement.policy_hash
            what = self.not_its_policy(name, entry.event.drafted_at) if name in known else None
            if what:
                yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)

    def never_in_force(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each first entry that was judged by a text that no worker ever judged by, as what it was."""
        known = {(event.what, event.hash) for _, event in self._told}
        lists = {list_named(entry.event) for entry in trail}
        for name, number in rules_named(trail).items():
            what, called = ("people", "list of people") if name in lists else ("policy", "policy")
            if (what, name) not in known:
                said = f"was judged by a {called} that no worker ever had in force ({short(name)})"
                yield Finding(workflow_id=workflow_id, entry=number, what=said)

    def without_list(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each decision and step that knows of no list of people though one had long been in force."""
        for entry, is_told in judged_by_no_list(workflow_id, trail):
            if is_told:  # by the run itself, of which its own examination tells
                continue
            if any(since + OTHER_WORKERS <= entry.at < until for since, until in self._spans):
                what = "names no list of people, though one was in force then"
                yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)


class SealsMade:
    """When the checkpoints were made, by their own words, and what that says of the trails they seal."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._made: dict[int, tuple[datetime, bool] | None] = {}

    def of_other_times(
        self, workflow_id: str, trail: Sequence[AuditEntry], sealed: Sequence[tuple[Seal, int]]
    ) -> Iterator[Finding]:
        """Yield what of a whole trail is dated well after its checkpoint, or long before earlier ones."""
        before = 0
        for seal, number in sealed:
            entries, is_new = trail[before : seal.number], not before
            before = max(before, seal.number)
            made, earlier = self._at(number), self._before(number)
            ahead = dated_ahead(entries, made[0]) if made else None
            if ahead is not None:
                what = f"is dated later than checkpoint {number}, which seals it"
                yield Finding(workflow_id=workflow_id, entry=ahead.number, what=what)
            back = dated_back(entries, earlier, is_new=is_new) if earlier else None
            if back is not None:
                what = (
                    f"is dated long before checkpoint {number}, the first to seal it; others were made since"
                )
                yield Finding(workflow_id=workflow_id, entry=back.number, what=what)

    def _before(self, number: int) -> datetime | None:
        """Return when the last checkpoint ahead of this one was made that had room for all that moved.

        Nothing can be said where it cannot be read, or the database's clock was set back between the two.
        """
        own = self._at(number)
        for earlier in range(number - 1, 0, -1):
            made = self._at(earlier)
            if made is None or own is None or made[0] > own[0]:
                return None
            if not made[1]:
                return made[0]
        return None

    def _at(self, number: int) -> tuple[datetime, bool] | None:
        """Return when a checkpoint was made, and whether it was full; None where that cannot be read."""
        if number not in self._made:
            try:
                checkpoint = checkpoint_of(self._connection, number)
                at = sealed_at(checkpoint) if checkpoint else None
                is_full = checkpoint is not None and claims_of(checkpoint).runs >= MOST_RUNS
            except ValueError:
                at, is_full = None, False
            self._made[number] = None if at is None else (at, is_full)
        return self._made[number]


def back_dated_rules(
    connection: Connection, trail: Sequence[AuditEntry], sealed: Sequence[tuple[Seal, int]]
) -> Iterator[Finding]:
    """Yield each entry of the trail of rules that is dated before its forerunners were sealed."""
    for seal, number in sealed:
        checkpoint = checkpoint_of(connection, number)
        at = sealed_at(checkpoint) if checkpoint else None
        for entry in trail if at else ():
            if at and entry.number > seal.number and entry.at < at - SLOW_WRITE:
                what = f"is dated before checkpoint {number}, which sealed the trail without it"
                yield Finding(workflow_id=RULES_TRAIL, entry=entry.number, what=what)
