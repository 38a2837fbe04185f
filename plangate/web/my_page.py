"""Show a person's own page: their keys, whether each key is valid, and their delegations."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from plangate.domain.decisions.delegations import DelegableRole, DelegationRules
from plangate.domain.people.absence import absence_of
from plangate.domain.people.people import Absence, Delegation, Key, People, is_valid_at, same_person
from plangate.policy.delegated_roles import delegations_in
from plangate.signing.public_keys import is_passkey, shown
from plangate.web.proposals import ProposedKey


class KeyState(StrEnum):
    """Whether a key is valid.

    Attributes:
        PROPOSED: it is not valid yet: it is not in the list of people, and no enroller has confirmed it.
        REMOVED: it was in the list of people, and is no longer valid.
        COUNTS: it is valid.
        LATER: it will be valid from a later time.
        ENDED: it has expired, or was revoked.
    """

    PROPOSED = "proposed"
    REMOVED = "removed"
    COUNTS = "counts"
    LATER = "later"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """One of a person's keys.

    Attributes:
        key_id: its thumbprint.
        name: the name that its owner chose; empty if it was not registered here.
        public: the line for the list of people.
        used_at: when it last signed here.
        until: when it expires or expired, if the list gives a time.
    """

    key_id: str
    name: str
    public: str
    is_passkey: bool
    is_from_here: bool
    state: KeyState
    created_at: datetime | None
    used_at: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class OwnDelegation:
    """A delegation: ``name`` decides for the person, or the person decides for ``name``.

    ``is_by_request``: whether the person made it by a request, and may end it; otherwise it is in the list.
    """

    name: str
    roles: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    is_now: bool
    is_later: bool
    is_by_request: bool = False


@dataclass(frozen=True, slots=True)
class MyPage:
    """A person's own page.

    Attributes:
        has_list: whether there is a list of people; without one, no key is valid.
        is_enroller: whether they confirm the keys of others.
        delegable: the roles that the policy lets them delegate.
        given: the delegations to people who decide for them.
        received: the delegations from people for whom they decide.
        away: their current absence; None if they are not away.
        others: the people who could receive their messages.
    """

    has_list: bool
    is_enroller: bool
    roles: tuple[str, ...]
    delegable: tuple[DelegableRole, ...]
    keys: tuple[OwnKey, ...]
    given: tuple[OwnDelegation, ...]
    received: tuple[OwnDelegation, ...]
    away: Absence | None
    others: tuple[str, ...]


def my_page(
    name: str,
    people: People | None,
    proposed: tuple[ProposedKey, ...],
    rules: DelegationRules,
    now: datetime,
    *,
    once_listed: Collection[str] = (),
) -> MyPage:
    """Return the page of the person with that name.

    Args:
        name: the name in the session.
        people: the list of people, with the keys that were enrolled.
        proposed: the passkeys that they registered on this web server.
        rules: the roles that the policy lets people delegate.
        now: the current time.
        once_listed: the public key lines of those passkeys that are or were in a list of people.
    """
    person = people.find(name) if people is not None else None
    listed = {key.id: key for key in (person.keys if person else ())}
    here = {one.key_id: one for one in proposed}
    keys = [
        _own_key(one, listed.get(one), here.get(one), now, once_listed)
        for one in dict.fromkeys([*here, *listed])
    ]
    roles = person.roles if person else ()
    requested = (
        {(one.to, one.since) for one in delegations_in(people) if same_person(one.by, name)} if people else ()
    )
    others = [one for one in (people.persons if people else ()) if not same_person(one.name, name)]
    return MyPage(
        has_list=people is not None,
        is_enroller=person is not None and person.enroller,
        roles=roles,
        delegable=tuple(one for one in rules.roles if one.role in roles),
        keys=tuple(keys),
        given=tuple(
            replace(_own_delegation(one.to, one, now), is_by_request=(one.to, one.valid_from) in requested)
            for one in (person.delegates if person else ())
        ),
        received=tuple(
            _own_delegation(other.name, one, now)
            for other in others
            for one in other.delegates
            if other.active and same_person(one.to, name)
        ),
        away=absence_of(person, now) if person is not None else None,
        others=tuple(one.name for one in others if one.active),
    )


def _own_key(
    key_id: str, listed: Key | None, here: ProposedKey | None, now: datetime, once_listed: Collection[str]
) -> OwnKey:
    public = shown(listed.x) if listed is not None else here.public if here is not None else ""
    return OwnKey(
        key_id=key_id,
        name=here.name if here is not None else "",
        public=public,
        is_passkey=is_passkey(public),
        is_from_here=here is not None,
        state=_state(listed, now, is_removed=public in once_listed),
        created_at=here.created_at if here is not None else listed.valid_from if listed is not None else None,
        used_at=here.used_at if here is not None else None,
        until=listed.valid_until if listed is not None else None,
    )


def _state(listed: Key | None, now: datetime, *, is_removed: bool) -> KeyState:
    if listed is None:
        return KeyState.REMOVED if is_removed else KeyState.PROPOSED
    if is_valid_at(listed, now):
        return KeyState.COUNTS
    has_begun = listed.valid_from is None or listed.valid_from <= now
    return KeyState.ENDED if has_begun else KeyState.LATER


def _own_delegation(name: str, one: Delegation, now: datetime) -> OwnDelegation:
    is_later = one.valid_from is not None and one.valid_from > now
    return OwnDelegation(name, one.roles, one.valid_from, one.valid_until, is_valid_at(one, now), is_later)
