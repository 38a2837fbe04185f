"""Describe who can be notified now: the people and their rights, the operators, and the inbox's address."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

import structlog

from plangate.domain.errors import NoWorkingTime
from plangate.domain.people.absence import Absences, absence_of, away_until
from plangate.domain.people.people import ROLE, Approver, People, Person, identity
from plangate.domain.runs.open_decisions import approvers_now
from plangate.domain.runs.run import RunState
from plangate.domain.runs.satisfiable import Deciders
from plangate.domain.runs.who_may_see import may_see
from plangate.domain.times.calendars import Calendar, offsets_of
from plangate.policy.public_holidays import with_holidays

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Audience:
    """The people who may be notified at one time.

    Attributes:
        people: the list of people; None if there is none.
        now: the current time.
        known: the active people, with all their current roles.
        operators: the known people who are notified of problems.
        roles: the roles that have their own addresses.
        is_narrowed: whether the current policy restricts who may see a run.
        inbox: the inbox's address, without a trailing slash.
        addresses_of: the addresses of a person, or of a role as ``role:NAME``.
        key: a value that changes whenever a right, an absence or a redirection of messages changes.
        deciders: finds the decisions that no one can make.
        absences: finds who gets each person's messages; None if there is no list.
        away: the people for whom others get messages.
        roles_of: the roles of each known person, their own and delegated ones.
        by_name: the known people, by normalized name.
        calendars: the working times that have been looked up so far.
    """

    people: People | None
    now: datetime
    known: tuple[Approver, ...]
    operators: tuple[str, ...]
    roles: frozenset[str]
    is_narrowed: bool
    inbox: str
    addresses_of: Callable[[str], Sequence[str]]
    key: str
    deciders: Deciders | None
    absences: Absences | None
    away: frozenset[str]
    roles_of: Mapping[str, frozenset[str]]
    by_name: Mapping[str, Approver]
    calendars: dict[str, Calendar | None] = field(default_factory=dict)

    def approver(self, name: str) -> Approver | None:
        """Return the person with that name, in any spelling; None if they are not on the list now."""
        return self.by_name.get(identity(name))

    def listed_name(self, name: str) -> str:
        """Return the name as written in the list now; unchanged if it is a role's, or not on the list."""
        person = None if self.people is None or name.startswith(ROLE) else self.people.find(name)
        return person.name if person is not None else name

    def may_see(self, run: RunState, name: str) -> bool:
        """Return whether this person may see the run.

        Everyone with a role can read messages to its addresses, so each of them must be allowed to see the
        run. There must be at least one such person.
        """
        if name.startswith(ROLE):
            readers = self.with_a_role([name.removeprefix(ROLE)])
            return bool(readers) and all(self._sees(run, one) for one in readers)
        return self._sees(run, self.approver(name))

    def _sees(self, run: RunState, viewer: Approver | None) -> bool:
        return may_see(run, viewer, is_narrowed=self.is_narrowed)

    def with_a_role(self, roles: Iterable[str]) -> tuple[Approver, ...]:
        """Return the people who have one of these roles, either their own or delegated to them."""
        wanted = frozenset(roles)
        return tuple(one for one in self.known if wanted & self.roles_of[one.name])

    def recipients_instead_of(self, run: RunState | None, name: str) -> tuple[str, ...]:
        """Return who gets this person's messages: the person, or others while they are away.

        Others get it only if they have an address and may see the run.
        """
        if self.absences is None or name not in self.away:
            return (name,)

        def may_receive(other: str) -> bool:
            return bool(self.addresses_of(other)) and (run is None or self.may_see(run, other))

        return self.absences.recipients_for(name, may_receive)

    def is_away(self, name: str) -> bool:
        """Return whether this person is away, even if no one else gets their messages."""
        return self.absences is not None and self.absences.is_away(name)

    def working_time_of(self, name: str) -> Calendar | None:
        """Return when this person works; None if that is unknown, or they may be reminded at any time."""
        if self.people is None or not self.people.calendars:
            return None
        if name not in self.calendars:
            try:
                found = self.people.working_time_of(name)
                if found is not None:
                    offsets_of(found.zone, self.now.year)  # the zone may not be installed on this host
                    found = with_holidays(found, self.now)
                self.calendars[name] = found
            except NoWorkingTime as error:
                _log.warning("Reminders come at any time.", action="notices", person=name, error=str(error))
                self.calendars[name] = None
        return self.calendars[name]

    def zone_of(self, name: str) -> str:
        """Return this person's time zone; UTC if it is not known."""
        return self.people.zone_of(name) if self.people is not None else "UTC"

    def unmet(self, run: RunState) -> tuple[str, ...]:
        """Return a description of the decisions that the run waits for and no one can make."""
        return tuple(map(str, self.deciders.unmet(run))) if self.deciders is not None else ()

    def link(self, workflow_id: str) -> str:
        """Return the address of a run's page."""
        return f"{self.inbox}/runs/{quote(workflow_id, safe='')}"


def _away(person: Person, now: datetime) -> list[str | None]:
    """Return a person's current absence as a value that identifies it, with its end."""
    absence, back = absence_of(person, now), away_until(person, now)
    return [absence.model_dump_json() if absence else None, back.isoformat() if back else None]


def audience_of(
    people: People | None,
    now: datetime,
    *,
    operators: str,
    is_narrowed: bool,
    inbox: str,
    addresses_of: Callable[[str], Sequence[str]],
) -> Audience:
    """Return who can be notified according to this list of people.

    Args:
        people: the current list; None if there is none, in which case no one can be notified.
        now: the current time, which determines the valid delegations.
        operators: the role whose members are notified of problems.
        is_narrowed: whether the current policy restricts who may see a run.
        inbox: the address of the inbox.
        addresses_of: the addresses of a person or a role in that list.
    """
    known = approvers_now(people, now)
    described = people.described_roles if people is not None else ()
    roles = frozenset(one.name for one in described if one.notify)
    names = [*(one.name for one in known), *(ROLE + one for one in sorted(roles))]
    absences = Absences(people, now) if people is not None else None
    recipients = (
        {one.name: absences.recipients_for(one.name) for one in known} if absences is not None else {}
    )
    key_parts = [
        [one.model_dump(mode="json") for one in known],
        [[name, list(addresses_of(name))] for name in names],
        [[name, list(others)] for name, others in recipients.items()],
        [[one.name, *_away(one, now)] for one in (people.persons if people is not None else ())],
        [operators, is_narrowed, inbox],
    ]
    return Audience(
        people=people,
        now=now,
        absences=absences,
        away=frozenset(name for name, others in recipients.items() if others != (name,)),
        roles_of={one.name: one.roles() for one in known},
        by_name={identity(one.name): one for one in known},
        deciders=Deciders(people, now) if people is not None else None,
        known=known,
        operators=tuple(one.name for one in known if operators in one.standings[0].roles),
        roles=roles,
        is_narrowed=is_narrowed,
        inbox=inbox,
        addresses_of=addresses_of,
        key=hashlib.sha256(json.dumps(key_parts).encode()).hexdigest(),
    )
