"""Check that runs used the policy and the list of people that were in effect at the time.

The rules trail records when each text was put in effect.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from sqlalchemy import Connection, String, bindparam, select, type_coerce

from plangate.audit.cross_checks import moment
from plangate.audit.rule_references import list_hash_of, referenced_rules, without_people_list
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.plans.plan import short
from plangate.domain.runs.audit import RULES_TRAIL, AuditEntry, Drafted, RulesInEffect, read_event
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.stops import StopDecided
from plangate.records.tables import audit_entries

# During an update, old workers may still use the old text. Also, runs use the Temporal server's clock.
ROLLOUT_LEEWAY: Final = timedelta(hours=1)
_MAX_TIME: Final = datetime.max.replace(tzinfo=UTC)
_MIN_TIME: Final = datetime.min.replace(tzinfo=UTC)


class RuleHistory:
    """The history of the policies and lists of people in effect, from the rules trail; read on first use."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _changes(self) -> list[tuple[datetime, RulesInEffect]]:
        """Return the readable entries; another check of this trail reports those that cannot be parsed."""
        at = audit_entries.c.at
        if self._connection.dialect.name == "sqlite":
            at = type_coerce(at, String).label("at")  # type: ignore[assignment]
        statement = (
            select(at, audit_entries.c.event)
            .where(audit_entries.c.workflow_id == bindparam("run"))
            .order_by(audit_entries.c.number)
        )
        changes = []
        for row in self._connection.execute(statement, {"run": RULES_TRAIL}):
            try:
                since, event = moment(row.at), read_event(row.event)
            except (ValueError, TypeError):
                continue
            if since is not None and isinstance(event, RulesInEffect):
                changes.append((since, event))
        return changes

    @cached_property
    def _spans(self) -> list[tuple[datetime, datetime]]:
        """Return the time spans during which any list of people was in effect."""
        spans: list[tuple[datetime, datetime]] = []
        began: datetime | None = None
        for at, event in self._changes:
            if event.what != "people":
                continue
            if event.hash and began is None:
                began = at
            elif not event.hash and began is not None:
                spans.append((began, at))
                began = None
        return spans if began is None else [*spans, (began, _MAX_TIME)]

    @cached_property
    def _ends(self) -> dict[str, datetime]:
        """Return when each list of people was last replaced; lists still in effect are left out."""
        ends: dict[str, datetime] = {}
        last = ""
        for at, event in self._changes:
            if event.what != "people":
                continue
            ends[last] = at
            ends.pop(event.hash, None)
            last = event.hash
        ends.pop("", None)
        return ends

    def replaced(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield the first entry for each list of people that was used long after it had been replaced.

        A later list is allowed, because a decision may wait for a long time before it is processed.
        """
        seen: set[str] = set()
        for entry in trail:
            name = list_hash_of(entry.event)
            if name in seen or name not in self._ends or entry.at <= self._ends[name] + ROLLOUT_LEEWAY:
                continue
            seen.add(name)
            what = f"used a list of people that had been replaced long before ({short(name)})"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)

    @cached_property
    def _policies(self) -> list[tuple[str, datetime, datetime]]:
        """Return each policy with its span of time; before the first policy, the name is empty."""
        changes = [(at, event.hash) for at, event in self._changes if event.what == "policy"]
        names = ["", *(name for _, name in changes)]
        begins = [_MIN_TIME, *(at for at, _ in changes)]
        return list(zip(names, begins, [*begins[1:], _MAX_TIME], strict=True))

    def not_its_policy(self, name: str, at: datetime, slack: timedelta = ROLLOUT_LEEWAY) -> str | None:
        """Return an error if the policy ``name`` was not in effect at ``at``, or None.

        A policy is also accepted if it was replaced less than ``slack`` before, or came into force within
        `ROLLOUT_LEEWAY` after.

        Args:
            name: the policy's SHA-256; empty for no policy.
            at: when the policy was applied to the plan.
            slack: how long a replaced policy is accepted.
        """
        was_in_force = any(
            policy == name
            and (begin == _MIN_TIME or begin <= at + ROLLOUT_LEEWAY)
            and (end == _MAX_TIME or at < end + slack)
            for policy, begin, end in self._policies
        )
        called = f"the policy {short(name)}" if name else "no policy"
        return None if was_in_force else f"refers to {called}, though another one was in effect then"

    def other_policy(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each plan whose policy was not in effect; a plan without one is checked in the same way."""
        known = {name for name, *_ in self._policies}
        for entry in trail:
            if not isinstance(entry.event, Drafted):
                continue
            name = entry.event.requirement.policy_hash
            what = self.not_its_policy(name, entry.event.drafted_at) if name in known else None
            if what:
                yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)

    def never_in_effect(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield the first entry for each policy or list of people that no worker ever put in effect."""
        known = {(event.what, event.hash) for _, event in self._changes}
        lists = {list_hash_of(entry.event) for entry in trail}
        for name, number in referenced_rules(trail).items():
            what, called = ("people", "list of people") if name in lists else ("policy", "policy")
            if (what, name) not in known:
                what_is_wrong = f"used a {called} that was never in effect on any worker ({short(name)})"
                yield Finding(workflow_id=workflow_id, entry=number, what=what_is_wrong)

    def of_requests(self, name: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each request in one of Plangate's own trails that used rules that were not in effect."""
        yield from self.never_in_effect(name, trail)
        yield from self.replaced(name, trail)
        known = {name for name, *_ in self._policies}
        for entry in trail:
            event = entry.event
            if not isinstance(event, StopDecided | DelegationDecided) or not event.verdict.accepted:
                continue
            what = self.not_its_policy(event.policy, entry.at) if event.policy in known else None
            if not event.people and self._was_listed(entry.at):
                what = "refers to no list of people, though one was in effect then"
            if what:
                yield Finding(workflow_id=name, entry=entry.number, what=what)

    def _was_listed(self, at: datetime) -> bool:
        return any(since + ROLLOUT_LEEWAY <= at < until for since, until in self._spans)

    def without_list(self, workflow_id: str, trail: Sequence[AuditEntry]) -> Iterator[Finding]:
        """Yield each decision and step without a list of people although a list had long been in effect."""
        for entry, is_reported in without_people_list(trail):
            if is_reported:  # the check of the run itself reports it
                continue
            if self._was_listed(entry.at):
                what = "refers to no list of people, though one was in effect then"
                yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)
