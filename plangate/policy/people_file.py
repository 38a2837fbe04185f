"""Read the list of people, a TOML file: names, roles, addresses, public keys, delegations.

The text in the records has two additions from `plangate.policy.effective_people`: ``[web]`` (the
trusted web servers) and ``[[enrolment]]`` (signed changes to keys).
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from plangate.domain.base import AwareDatetime, Typed
from plangate.domain.decisions.decision import PersonName
from plangate.domain.errors import DirectoryUnavailable, FileInvalid
from plangate.domain.escaping import one_line
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.people.people import ANYONE, ROLE, Delegation, Key, People, Person, Role, identity
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.times.calendars import Calendar
from plangate.domain.validation import faults_in
from plangate.policy.calendars_file import TABLE as CALENDARS
from plangate.policy.calendars_file import Zone, faults_of_calendar, faults_of_zone, read_calendars
from plangate.policy.complete_file import UNCHANGED_SECONDS, CompleteFile, read_complete
from plangate.policy.delegated_roles import read_delegations, split_kept
from plangate.policy.notify_addresses import LONGEST_ADDRESS, MAX_ADDRESSES, NotifyAddress
from plangate.policy.toml_file import Name, parse_toml, places, tables, unknown_names
from plangate.signing.enrolment import KeyStatement, with_enrolments
from plangate.signing.jws import checked_public
from plangate.signing.public_keys import checked_key, thumbprint_of

_TEXT_OF_NAME: Final = 60
_ADDED: Final = ("web", "enrolment")


def _moment(value: object) -> object:
    """Read a bare date as midnight UTC, and a time without a zone as UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value


def _role(value: str) -> str:
    if value == ANYONE:
        raise ValueError(f"everyone already has the role '{ANYONE}'; remove it")
    return value


def _listed_name(value: str) -> str:
    if identity(value).startswith(ROLE):
        raise ValueError(f"starts with '{ROLE}', which marks the addresses of a role; use another name")
    return value


def _mail(value: str) -> str:
    if one_line(value) != value:
        raise ValueError("contains invisible characters")
    return value


Mail = Annotated[str, StringConstraints(max_length=LONGEST_ADDRESS), AfterValidator(_mail)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
RoleName = Annotated[Name, AfterValidator(_role)]


class _KeyEntry(Typed):
    model_config = ConfigDict(strict=True)

    public: str
    valid_from: Moment | None = Field(default=None, alias="from")
    valid_until: Moment | None = Field(default=None, alias="until")


class _DelegationEntry(Typed):
    model_config = ConfigDict(strict=True)

    to: str
    roles: list[RoleName]
    valid_from: Moment | None = Field(default=None, alias="from")
    valid_until: Moment | None = Field(default=None, alias="until")


class _WebEntry(Typed):
    model_config = ConfigDict(strict=True)

    origins: list[str] = Field(default=[])
    keys: list[str] = Field(default=[])


class _PersonEntry(Typed):
    model_config = ConfigDict(strict=True)

    name: Annotated[PersonName, AfterValidator(_listed_name)]
    enroller: bool = False
    roles: list[RoleName] = Field(default=[])
    mail: Mail = ""
    active: bool = True
    keys: list[_KeyEntry] = Field(default=[])
    delegates: list[_DelegationEntry] = Field(default=[])
    notify: list[NotifyAddress] = Field(default=[], max_length=MAX_ADDRESSES)
    calendar: Name | None = None
    zone: Zone | None = None


class _RoleEntry(Typed):
    model_config = ConfigDict(strict=True)

    name: RoleName
    notify: list[NotifyAddress] = Field(default=[], max_length=MAX_ADDRESSES)
    calendar: Name | None = None


class PeopleFile:
    """A `plangate.domain.people.people.Directory` in a file, which is read for each decision."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = CompleteFile(path)
        self._known: tuple[bytes, People] | None = None

    def people(self) -> People:
        """Return all people; parse the file again if it has changed.

        Raises:
            DirectoryUnavailable: the file cannot be read, has errors, or changed within `UNCHANGED_SECONDS`.
        """
        try:
            raw = self._file.read()
            if raw is None:
                raise DirectoryUnavailable(
                    f"The list of people {self._path} was saved just now; no plan, decision or step can "
                    f"proceed until it has not changed for {UNCHANGED_SECONDS:g} seconds."
                )
            known = self._known
            if known is None or known[0] != raw:
                known = self._known = (raw, _parsed(self._path, raw, is_kept=False))
        except FileInvalid as error:
            raise DirectoryUnavailable(
                f"No plan, decision or step can proceed until the list of people can be read: {error}"
            ) from error
        return known[1]


def read_people(path: Path, *, is_kept: bool = True) -> People:
    """Read a list of people.

    Args:
        path: the file.
        is_kept: whether it may be a list from the records, with a worker's additions.

    Raises:
        FileInvalid: the file has errors; the message lists all of them.
    """
    return _parsed(path, read_complete(path), is_kept=is_kept)


def people_in(text: str) -> People:
    """Read a list of people from its text, for example from an evidence bundle, with roles delegated later.

    Raises:
        FileInvalid: see `read_people`.
    """
    file, added = split_kept(text)
    people = _parsed(Path("the list of people"), file.encode(), is_kept=True)
    return read_delegations(people, added, text) if added else people


def _parsed(path: Path, raw: bytes, *, is_kept: bool) -> People:
    document = parse_toml(path, raw)
    policy = "this is a policy, and belongs in PLANGATE_POLICY"
    added = "the worker adds it to the list that the records keep; remove it"
    elsewhere = {"rule": policy, "default": policy, **dict.fromkeys((*_ADDED, "delegation"), added)}
    faults = unknown_names(document, ("person", "role", CALENDARS, *(_ADDED if is_kept else ())), elsewhere)
    where = places(raw, "person")
    persons: dict[int, Person] = {}
    labels: dict[int, str] = {}
    for index, entry in enumerate(tables(document, "person", faults)):
        name = str(entry.get("name", index + 1))[:_TEXT_OF_NAME]
        labels[index] = f"person {name!r} ({where.get(index, 'in a list')})"
        person = _person(entry, (labels[index],), faults)
        if person is not None:
            persons[index] = person
    roles = _roles(document, places(raw, "role"), faults)
    calendars = read_calendars(document, raw, faults, is_kept=is_kept)
    faults += _faults_among(persons, labels)
    faults += _faults_of_times(persons, labels, roles, calendars, is_kept=is_kept)
    if not persons and not faults:
        faults.append(Fault((), "has no people; add at least one, under [[person]]"))
    if faults:
        raise FileInvalid(str(path), faults)
    web, statements = _added(document, faults)
    if faults:
        raise FileInvalid(str(path), faults)
    written = People(
        persons=tuple(persons.values()),
        text=raw.decode(),
        hash=hashlib.sha256(raw).hexdigest(),
        web=web,
        described_roles=roles,
        calendars=tuple(calendars.values()),
    )
    return with_enrolments(written, statements)


def _added(document: dict[str, Any], faults: list[Fault]) -> tuple[TrustedWeb, list[KeyStatement]]:
    """Return a worker's additions to the file; ``Any`` represents TOML."""
    web = TrustedWeb()
    try:
        typed = _WebEntry.model_validate(document.get("web", {}))
        web = TrustedWeb(
            origins=frozenset(typed.origins), keys=frozenset(checked_public(key) for key in typed.keys)
        )
    except ValidationError as error:
        faults += faults_in(error, ("web",))
    except ValueError as error:
        faults.append(Fault(("web", "keys"), str(error)))
    statements = []
    for index, entry in enumerate(tables(document, "enrolment", faults)):
        try:
            statements.append(KeyStatement.model_validate(entry, strict=True))
        except ValidationError as error:
            faults += faults_in(error, ("enrolment", index))
    return web, statements


def _person(entry: dict[str, Any], at: FaultPath, faults: list[Fault]) -> Person | None:
    try:
        typed = _PersonEntry.model_validate(entry)
    except ValidationError as error:
        faults += faults_in(error, at)
        return None
    keys = []
    for index, key in enumerate(typed.keys):
        try:
            public = checked_key(key.public)
        except ValueError as error:
            faults.append(Fault((*at, "keys", index, "public"), str(error)))
            continue
        keys.append(
            Key(id=thumbprint_of(public), x=public, valid_from=key.valid_from, valid_until=key.valid_until)
        )
    limited: list[tuple[str, int, _KeyEntry | _DelegationEntry]] = [
        *(("keys", index, key) for index, key in enumerate(typed.keys)),
        *(("delegates", index, one) for index, one in enumerate(typed.delegates)),
    ]
    for what, index, one in limited:
        if one.valid_from and one.valid_until and one.valid_until <= one.valid_from:
            faults.append(Fault((*at, what, index), "ends before it begins; correct 'from' or 'until'"))
    return Person(
        name=typed.name,
        roles=tuple(typed.roles),
        mail=typed.mail,
        active=typed.active,
        enroller=typed.enroller,
        notify=tuple(typed.notify),
        calendar=typed.calendar or "",
        zone=typed.zone or "",
        keys=tuple(keys),
        delegates=tuple(
            Delegation(
                to=one.to, roles=tuple(one.roles), valid_from=one.valid_from, valid_until=one.valid_until
            )
            for one in typed.delegates
        ),
    )


def _roles(document: dict[str, Any], where: Mapping[int, str], faults: list[Fault]) -> tuple[Role, ...]:
    """Return the descriptions of roles in the file; ``Any`` represents TOML."""
    roles: dict[str, Role] = {}
    for index, entry in enumerate(tables(document, "role", faults)):
        at = f"role {str(entry.get('name', index + 1))[:_TEXT_OF_NAME]!r} ({where.get(index, 'in a list')})"
        try:
            typed = _RoleEntry.model_validate(entry)
        except ValidationError as error:
            faults += faults_in(error, (at,))
            continue
        if typed.name in roles:
            faults.append(Fault((at, "name"), "is described twice; write one [[role]] for it"))
        roles[typed.name] = Role(name=typed.name, notify=tuple(typed.notify), calendar=typed.calendar or "")
    return tuple(roles.values())


def _faults_of_times(
    persons: Mapping[int, Person],
    labels: Mapping[int, str],
    roles: Iterable[Role],
    calendars: Mapping[str, Calendar],
    *,
    is_kept: bool,
) -> list[Fault]:
    """Return the errors in the calendars and zones of people and roles."""
    faults: list[Fault] = []
    for index, person in persons.items():
        at = (labels[index],)
        faults += faults_of_calendar(person.calendar, (*at, "calendar"), calendars)
        faults += [] if is_kept or not person.zone else faults_of_zone(person.zone, at)
    for role in roles:
        faults += faults_of_calendar(role.calendar, (f"role {role.name!r}", "calendar"), calendars)
    return faults


def _faults_among(persons: Mapping[int, Person], labels: Mapping[int, str]) -> list[Fault]:
    faults: list[Fault] = []
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    for index, person in persons.items():
        place = labels[index]
        if identity(person.name) in names:
            faults.append(Fault((place, "name"), f"is also the name of {names[identity(person.name)]}"))
        names.setdefault(identity(person.name), place)
        faults += [
            Fault((place, "keys", index), f"is also a key of {keys[key.id]}; each person needs their own")
            for index, key in enumerate(person.keys)
            if keys.setdefault(key.id, place) != place
        ]
    for index, person in persons.items():
        for number, delegation in enumerate(person.delegates):
            at = (labels[index], "delegates", number)
            if identity(delegation.to) not in names:
                faults.append(Fault((*at, "to"), f"{delegation.to!r} is not in this list"))
            elif identity(delegation.to) == identity(person.name):
                faults.append(Fault((*at, "to"), "is the same person; choose another person"))
            lacking = [role for role in delegation.roles if role not in person.roles]
            if lacking or not delegation.roles:
                what = f"{', '.join(lacking)}, which {person.name} does not have" if lacking else "no role"
                faults.append(Fault((*at, "roles"), f"delegates {what}"))
    return faults
