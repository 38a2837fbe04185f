"""The list of people that people write, as TOML: names, roles, public keys, delegations."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from plangate.domain.base import AwareDatetime, Typed
from plangate.domain.decision import PersonName
from plangate.domain.errors import DirectoryUnavailable, FileInvalid
from plangate.domain.faults import sentences
from plangate.domain.people import ANYONE, Delegation, Key, People, Person, identity
from plangate.policy.settled_file import SETTLE_SECONDS, SettledFile, read_settled
from plangate.policy.toml_file import parse_toml, places, tables, unknown_names
from plangate.signing.jws import checked_public, key_id

_TEXT_OF_NAME: Final = 60


def _moment(value: object) -> object:
    """Take a bare date for its first moment in UTC, and a time without a zone for UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value


def _role(value: str) -> str:
    if value == ANYONE:
        raise ValueError(f"'{ANYONE}' is everybody's already; take it out")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
RoleName = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^\w[\w .:/-]*$"), BeforeValidator(_role)
]


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


class _PersonEntry(Typed):
    model_config = ConfigDict(strict=True)

    name: PersonName
    roles: list[RoleName] = Field(default=[])
    mail: str = ""
    active: bool = True
    keys: list[_KeyEntry] = Field(default=[])
    delegates: list[_DelegationEntry] = Field(default=[])


class PeopleFile:
    """A directory in a file, read anew for every decision; implements `plangate.domain.people.Directory`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = SettledFile(path)
        self._known: tuple[bytes, People] | None = None

    def people(self) -> People:
        """Return everybody. The file is looked at each time, and parsed again where it has changed.

        Raises:
            DirectoryUnavailable: the file cannot be read, is broken, or is being changed just now.
        """
        try:
            raw = self._file.read()
            if raw is None:
                raise DirectoryUnavailable(
                    "Nothing is drafted, decided or done until the list of people has lain unchanged for "
                    f"{SETTLE_SECONDS:g} seconds: {self._path} was saved just now."
                )
            known = self._known
            if known is None or known[0] != raw:
                known = self._known = (raw, _parsed(self._path, raw))
        except FileInvalid as error:
            raise DirectoryUnavailable(
                f"Nothing is drafted, decided or done until the list of people can be read: {error}"
            ) from error
        return known[1]


def read_people(path: Path) -> People:
    """Read a list of people.

    Raises:
        FileInvalid: with every fault, each with its person and place.
    """
    return _parsed(path, read_settled(path))


def people_in(text: str, name: str = "the list of people") -> People:
    """Read a list of people that was kept as a text, such as the one in a bundle.

    Raises:
        FileInvalid: as `read_people`.
    """
    return _parsed(Path(name), text.encode())


def _parsed(path: Path, raw: bytes) -> People:
    document = parse_toml(path, raw)
    policy = "this is a policy, and belongs in PLANGATE_POLICY"
    faults = unknown_names(document, ("person",), {"rule": policy, "default": policy})
    where = places(raw, "person")
    persons: dict[int, Person] = {}
    labels: dict[int, str] = {}
    for index, entry in enumerate(tables(document, "person", faults)):
        name = str(entry.get("name", index + 1))[:_TEXT_OF_NAME]
        labels[index] = f"person {name!r} ({where.get(index, 'in a list')})"
        person = _person(entry, labels[index], faults)
        if person is not None:
            persons[index] = person
    faults += _faults_among(persons, labels)
    if not persons and not faults:
        faults.append("nobody is in it; write at least one person, under [[person]]")
    if faults:
        raise FileInvalid(str(path), faults)
    return People(persons=tuple(persons.values()), text=raw.decode(), hash=hashlib.sha256(raw).hexdigest())


def _person(entry: dict[str, Any], place: str, faults: list[str]) -> Person | None:
    try:
        typed = _PersonEntry.model_validate(entry)
    except ValidationError as error:
        faults += sentences(error, place)
        return None
    keys = []
    for index, key in enumerate(typed.keys):
        try:
            public = checked_public(key.public)
        except ValueError as error:
            faults.append(f"{place}.keys[{index}].public: {error}")
            continue
        keys.append(Key(id=key_id(public), x=public, valid_from=key.valid_from, valid_until=key.valid_until))
    limited = [("keys", key) for key in typed.keys] + [("delegates", one) for one in typed.delegates]
    for what, one in limited:
        if one.valid_from and one.valid_until and one.valid_until <= one.valid_from:
            faults.append(f"{place}.{what}: ends before it begins; mend 'from' or 'until'")
    return Person(
        name=typed.name,
        roles=tuple(typed.roles),
        mail=typed.mail,
        active=typed.active,
        keys=tuple(keys),
        delegates=tuple(
            Delegation(
                to=one.to, roles=tuple(one.roles), valid_from=one.valid_from, valid_until=one.valid_until
            )
            for one in typed.delegates
        ),
    )


def _faults_among(persons: Mapping[int, Person], labels: Mapping[int, str]) -> list[str]:
    faults: list[str] = []
    names: dict[str, str] = {}
    keys: dict[str, str] = {}
    for index, person in persons.items():
        place = labels[index]
        if identity(person.name) in names:
            faults.append(f"{place}.name: is the same as that of {names[identity(person.name)]}")
        names.setdefault(identity(person.name), place)
        faults += [
            f"{place}.keys: one of them is {keys[key.id]}'s; each person needs their own"
            for key in person.keys
            if keys.setdefault(key.id, place) != place
        ]
    for index, person in persons.items():
        for number, delegation in enumerate(person.delegates):
            place = f"{labels[index]}.delegates[{number}]"
            if identity(delegation.to) not in names:
                faults.append(f"{place}.to: nobody called {delegation.to!r} is in this list")
            elif identity(delegation.to) == identity(person.name):
                faults.append(f"{place}.to: is the person herself")
            lacking = [role for role in delegation.roles if role not in person.roles]
            if lacking or not delegation.roles:
                what = f"{', '.join(lacking)}, which {person.name} has not" if lacking else "no role"
                faults.append(f"{place}.roles: lends {what}")
    return faults
