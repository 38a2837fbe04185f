"""People: their names, roles, keys and delegations.

The directory is read for every decision, so a person who was removed from it can no longer approve. The
approver's entry at that time is recorded with the decision (`Approver`), so later changes to the directory do
not change the meaning of the record.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Final, Protocol

from pydantic import Field

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.times.calendars import Calendar

ANYONE: Final = "anyone"
"""The role of every known person; as a need of a rule, it excludes the requester."""
ROLE: Final = "role:"
"""The prefix of a role where the name of a person is also allowed."""
_LONGEST_NAME: Final = 1_000
_JOINERS: Final = {0x200C: None, 0x200D: None}


def _is_none(value: object) -> bool:
    return value is None


class Key(Frozen):
    """A public key: ``id`` is its thumbprint, ``x`` the key itself.

    An Ed25519 key is its 32 bytes as base64url, with the thumbprint of RFC 7638. A passkey is ``passkey:``
    and its COSE key as base64url, with the thumbprint of RFC 9679.
    """

    id: str
    x: str
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None


class Delegation(Frozen):
    """A delegation: permission to act for another person, in some of their roles, for a limited time."""

    to: str
    roles: tuple[str, ...]
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None


class Absence(Frozen):
    """A period in which a person is away: other people get their messages (`plangate.domain.people.absence`).

    Attributes:
        to: the recipient of the messages. If empty, the recipients are the people to whom the person has
            delegated roles.
        reason: the reason, shown to people.
    """

    since: AwareDatetime
    until: AwareDatetime
    to: str = ""
    reason: str = ""


class Person(Frozen):
    """One person in the directory; an ``enroller`` confirms and revokes other people's keys.

    ``notify`` contains the addresses for notices; if empty, ``mail`` is used. ``calendar`` is the name of
    their calendar, and ``zone`` is their time zone; see `People.working_time_of`.
    """

    name: str
    roles: tuple[str, ...] = ()
    mail: str = ""
    keys: tuple[Key, ...] = ()
    active: bool = True
    delegates: tuple[Delegation, ...] = ()
    enroller: bool = False
    notify: tuple[str, ...] = ()
    absences: tuple[Absence, ...] = Field(default=(), exclude_if=lambda value: not value)
    calendar: str = Field(default="", exclude_if=lambda value: not value)
    zone: str = Field(default="", exclude_if=lambda value: not value)


class Role(Frozen):
    """The description of a role in the list of people.

    ``notify`` contains the addresses of the role, such as a channel; ``calendar`` is the name of its people's
    calendar.
    """

    name: str
    notify: tuple[str, ...] = ()
    calendar: str = ""


class Enrolment(Frozen):
    """A signed change to a person's keys. It is not in the list of people, but can be verified with it.

    Attributes:
        person: the owner of the key, as named in the list.
        key_id: the thumbprint of the key.
        public: the key, if this confirms it; None if this revokes it.
        by: the signer: an enroller or, for a revocation, possibly the person.
        at: when it was signed, by the signer's clock.
        installation: the installation that it was signed for.
        token: the signed token.
    """

    person: str
    key_id: str
    public: str | None
    by: str
    at: AwareDatetime
    installation: str
    token: str


class PersonRoles(Frozen):
    """A name under which a person acts, and their roles under that name."""

    person: str
    roles: tuple[str, ...]


class Approver(Frozen):
    """The person who decided, with their data in the directory at that time.

    Attributes:
        name: as written in the directory, or as typed without a directory.
        standings: the names under which this person may act, with their roles: their own first, then each
            delegator's.
        assurance: the proof of identity.
        key_id: thumbprint of the signing key; for a login, of the web server's key that attested it.
        public_key: that key, in the form of `Key.x`.
        signed_at: when it was signed or attested, by the signer's clock.
        token_id: the unique id of the signed or attested decision.
        origin: the web origin at which a passkey was used, as reported by the browser; None for other proofs.
        batch: how many approvals the passkey signed at once; None if only this one.
    """

    name: str
    standings: tuple[PersonRoles, ...]
    assurance: Assurance = Assurance.TYPED
    key_id: str | None = None
    public_key: str | None = None
    signed_at: AwareDatetime | None = None
    token_id: str | None = None
    origin: str | None = Field(default=None, exclude_if=_is_none)
    batch: int | None = Field(default=None, exclude_if=_is_none)

    @property
    def is_signed(self) -> bool:
        """Whether a signature by the approver's own key proved their identity."""
        return self.assurance is Assurance.SIGNED

    @property
    def is_proven(self) -> bool:
        """Whether a signature or a login proved the approver's identity, not only a typed name."""
        return self.assurance > Assurance.TYPED

    def roles(self) -> frozenset[str]:
        """Return all roles in which this person can act, both their own and delegated ones."""
        return frozenset(role for standing in self.standings for role in standing.roles)


class InvalidApproval(Frozen):
    """An approval that is no longer valid: its approver, and the reason as a clause."""

    name: str
    reason: str


class Identified(Frozen):
    """The sender of a message: an approver, or the reason why there is none."""

    approver: Approver | None = None
    objection: str = ""


class Directory(Protocol):
    """The source of the list of people; read for every decision."""

    def people(self) -> "People | None":
        """Return the list of people, or None if there is none; a typed name is then enough.

        Raises:
            DirectoryUnavailable: the list cannot currently be read.
        """
        ...


class NoDirectory:
    """The directory without a list of people."""

    def people(self) -> None:
        """Return None."""


class People(Frozen):
    """The list of people.

    Attributes:
        persons: all people, in the order of the list, with their enrolled keys.
        text: the list as it was read; empty if it was not read from text.
        hash: SHA-256 of ``text``; empty if there is none.
        web: the web servers that may attest logins, and where passkeys are used.
        enrolments: the valid changes to keys in addition to the list, in their order.
        unproven: the errors of the changes to keys that are not valid.
        described_roles: the roles that the list describes.
        calendars: the calendars that people and roles use, without public holidays.
    """

    persons: tuple[Person, ...] = ()
    text: str = Field(default="", exclude=True, repr=False)
    hash: str = Field(default="", exclude=True)
    web: TrustedWeb = Field(default=TrustedWeb(), exclude=True)
    enrolments: tuple[Enrolment, ...] = Field(default=(), exclude=True)
    unproven: tuple[str, ...] = Field(default=(), exclude=True)
    described_roles: tuple[Role, ...] = Field(default=(), exclude=True)
    calendars: tuple[Calendar, ...] = Field(default=(), exclude=True)

    def roles(self) -> frozenset[str]:
        """Return every role that an active person has."""
        return frozenset(role for person in self.persons if person.active for role in person.roles)

    def find(self, name: str) -> Person | None:
        """Return the person with that name, in any spelling."""
        if self._by_identity[0] is not self.persons:  # `model_copy` also copies the cached index
            del self.__dict__["_by_identity"]
        return self._by_identity[1].get(identity(name))

    @cached_property
    def _by_identity(self) -> tuple[tuple[Person, ...], dict[str, Person]]:
        """Return the people, and an index of them by `identity`, with the first person of each identity."""
        return self.persons, {identity(one.name): one for one in reversed(self.persons)}

    def working_time_of(self, name: str) -> Calendar | None:
        """Return a person's calendar, or that of their first role with a calendar, in their own zone.

        The calendar has no public holidays. None if the person may be reminded at any time.
        """
        person = self.find(name)
        if person is None:
            return None
        of_roles = {role.name: role.calendar for role in self.described_roles}
        names = [person.calendar, *(of_roles.get(role, "") for role in person.roles)]
        wanted = next((one for one in names if one), "")
        found = next((one for one in self.calendars if one.name == wanted), None)
        if found is None or not person.zone:
            return found
        return found.model_copy(update={"zone": person.zone})

    def zone_of(self, name: str) -> str:
        """Return a person's time zone: their own, else that of their working time, else UTC."""
        person, calendar = self.find(name), self.working_time_of(name)
        own = person.zone if person is not None else ""
        return own or (calendar.zone if calendar is not None else "UTC")

    def identify(self, name: str, at: AwareDatetime) -> Identified:
        """Return the person with this ``name``, and the names under which they may act at that time."""
        person = self.find(name)
        if person is None:
            return Identified(objection=f"{name} is not in the list of people")
        if not person.active:
            return Identified(objection=f"{person.name} is no longer active")
        own = PersonRoles(person=person.name, roles=(*person.roles, ANYONE))
        return Identified(
            approver=Approver(name=person.name, standings=(own, *self._from_others(person, at)))
        )

    def has_timed_rights(self, name: str) -> bool:
        """Return whether a person has a key, or received a delegation, with a start or end time."""
        person = self.find(name)
        limited: Iterable[Key | Delegation] = (
            *(person.keys if person is not None else ()),
            *(one for other in self.persons for one in other.delegates if same_person(one.to, name)),
        )
        return any(one.valid_from is not None or one.valid_until is not None for one in limited)

    def _from_others(self, person: Person, at: AwareDatetime) -> tuple[PersonRoles, ...]:
        """Return the delegations to ``person``, limited to roles that the delegators have."""
        delegated = []
        for other in self.persons:
            roles = {
                role
                for delegation in other.delegates
                if same_person(delegation.to, person.name) and is_valid_at(delegation, at)
                for role in delegation.roles
                if role in other.roles
            }
            if other.active and roles and not same_person(other.name, person.name):
                delegated.append(PersonRoles(person=other.name, roles=tuple(sorted(roles))))
        return tuple(delegated)


def identify(people: People | None, name: str, at: AwareDatetime) -> Identified:
    """Return the person with this ``name``; without a list of people, a typed name is enough."""
    if people is not None:
        return people.identify(name, at)
    return Identified(approver=Approver(name=name, standings=(PersonRoles(person=name, roles=(ANYONE,)),)))


def unknown_requester(people: People | None, excluded: Sequence[str]) -> str | None:
    """Return an error message if a requester or author is not in the list: they might use other names.

    ``excluded`` are the requester and then the authors.
    """
    unknown = [name for name in excluded if people is not None and people.find(name) is None]
    if not unknown:
        return None
    name = unknown[0]
    what = "the requester" if same_person(name, excluded[0]) else "who edited this plan"
    return (
        f"{name}, {what}, is not in the list of people, so the same person might approve; "
        f"put {name} back (with active = false if they left), then approve again"
    )


def name_for_rules(people: People | None, name: str) -> str:
    """Return a name in the form that rules use: as in the list of people, or else its `identity`."""
    person = people.find(name) if people is not None else None
    return person.name if person is not None else identity(name)


def same_person(one: str, other: str) -> bool:
    """Return whether two typed names mean the same person, ignoring case, width and spaces."""
    return identity(one) == identity(other)


def recipient_of(person_or_role: str) -> str:
    """Return the common form of all spellings of a name; for a role (``role:NAME``), its exact name."""
    return person_or_role if person_or_role.startswith(ROLE) else identity(person_or_role)


def identity(name: str) -> str:
    """Return the common form of all spellings of a name.

    Beyond Unicode case folding, the letters i with and without a dot are equal, because Turkish pairs their
    capitals differently, and joiners are removed. Text that is too long for a name is returned
    unchanged, because normalizing takes quadratic time.
    """
    return name if len(name) > _LONGEST_NAME else _folded(name)


@lru_cache(maxsize=4_096)
def _folded(name: str) -> str:
    plain = name.translate(_JOINERS)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain).casefold()).casefold()
    return " ".join(folded.replace("i\u0307", "i").replace("\u0131", "i").split())


def is_valid_at(limited: Key | Delegation, at: AwareDatetime) -> bool:
    """Return whether a key or a delegation is valid at that time."""
    begun = limited.valid_from is None or limited.valid_from <= at
    return begun and (limited.valid_until is None or at < limited.valid_until)
