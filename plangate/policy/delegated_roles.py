"""Combine the list of people with the delegated roles and absences in the delegation trail.

Both are combined into one text: the content of the file, a line that marks its end, and the entries of the
trail that are in effect. One SHA-256 then identifies all the data that was used for a decision, and an
evidence bundle contains all the data for its check. Without such entries the text of the file is unchanged.

An entry is valid only to the extent that the list confirms it (`_proven`): in the list, the delegator must
have the delegated role. A signature must be made with one of the delegator's keys in the list, and is valid
only once.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from plangate.domain.base import Typed
from plangate.domain.decisions.delegations import (
    LONGEST,
    SIGNED_WITHIN,
    Away,
    DelegatedRoles,
    DelegationAction,
    DelegationDecided,
    DelegationRules,
    away_after,
    delegations_after,
)
from plangate.domain.errors import FileInvalid
from plangate.domain.escaping import one_line
from plangate.domain.faults import Fault
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Absence, Delegation, People, Person, is_valid_at, same_person
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.runs.audit import AuditEntry, WrittenEntry, read_event
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.signing.delegations import DELEGATION, delegation_difference
from plangate.signing.tokens import stated_claims, verified

_END_OF_FILE: Final = "\n# The file ends here. Added by a worker: roles that people lent since.\n"
KEPT_FOR: Final = timedelta(days=7)
"""How long an ended entry stays in the text: decisions received before its end may be processed later."""


class _EntryTable(Typed):
    entry: str


class _Section(Typed):
    delegation: tuple[_EntryTable, ...]


def with_delegations(
    people: People,
    entries: Sequence[AuditEntry],
    at: datetime,
    rules: DelegationRules | None = None,
    installation: str | None = None,
) -> People:
    """Return the list that a worker uses at that time.

    Args:
        people: the list in the file.
        entries: the accepted entries of the delegation trail, in order.
        at: the current time.
        rules: the roles that the worker's policy allows people to delegate; None to use the rules in the
            entries. Entries that they do not allow are ignored.
        installation: the id of these records; requests that were signed for another installation are ignored.
    """
    here = [one for one in entries if installation is None or not _is_signed_elsewhere(one, installation)]
    own = tuple(_once(here))
    counting = still_needed(own, at, rules)
    if not counting:
        return people
    combined = _applied(people, counting)
    if not people.text:
        return combined
    text = people.text + _END_OF_FILE + "".join(map(_table, counting))
    return combined.model_copy(update={"text": text, "hash": hashlib.sha256(text.encode()).hexdigest()})


def split_kept(text: str) -> tuple[str, str]:
    """Return the text of the file, and the text that a worker added to it (which may be empty)."""
    file, mark, added = text.partition(_END_OF_FILE)
    return file, added if mark else ""


def read_delegations(people: People, added: str, text: str) -> People:
    """Return the list with a worker's additions to its file.

    Args:
        people: the list in the file.
        added: the addition that `split_kept` returns.
        text: the whole text.

    Raises:
        FileInvalid: the addition cannot be parsed.
    """
    combined = _applied(people, entries_in(added))
    return combined.model_copy(update={"text": text, "hash": hashlib.sha256(text.encode()).hexdigest()})


def entries_in(added: str) -> tuple[AuditEntry, ...]:
    """Return the entries that a worker added to a list.

    Raises:
        FileInvalid: it cannot be parsed.
    """
    if not added:
        return ()
    try:
        tables = _Section.model_validate(tomllib.loads(added)).delegation
        read = [WrittenEntry.model_validate_json(one.entry) for one in tables]
        return tuple(AuditEntry(**{**dict(one), "event": read_event(one.written)}) for one in read)
    except ValueError:  # errors from TOML, JSON or a model
        fault = Fault((), "has delegated roles that cannot be parsed")
        raise FileInvalid("the list of people", [fault]) from None


def delegations_in(people: People) -> tuple[DelegatedRoles, ...]:
    """Return the delegations in the trail that the list proves, including those that have ended."""
    return delegations_after(_proven_in(entries_in(split_kept(people.text)[1]), people))


def still_needed(
    entries: Sequence[AuditEntry], at: datetime, rules: DelegationRules | None
) -> tuple[AuditEntry, ...]:
    """Return the allowed entries that did not end more than `KEPT_FOR` ago, and requests that ended them."""
    needed: list[AuditEntry] = []
    for entry in entries:
        event = entry.event
        if not isinstance(event, DelegationDecided) or event.arrival.order is None:
            continue
        action = event.arrival.order.action
        if action in (DelegationAction.LEND, DelegationAction.AWAY):
            ends = _ends(entry, entries)
            is_over = ends is None or ends + KEPT_FOR <= at
            if not is_over and (rules is None or _allows(rules, event)):
                needed.append(entry)
        elif any(_is_ended_by(one, entry) for one in needed):
            needed.append(entry)
    return tuple(needed)


def _is_signed_elsewhere(entry: AuditEntry, installation: str) -> bool:
    """Return whether a token is for another installation; its signature is checked later."""
    audience = _stated_in(entry).get("aud")
    return isinstance(audience, str) and audience.partition("/")[0] != installation


def _ends(entry: AuditEntry, entries: Sequence[AuditEntry]) -> datetime | None:
    """Return when a request's delegation or absence ends, according to this request and later requests."""
    together = _decisions([entry, *(one for one in entries if one.number > entry.number)])
    first = next(iter(delegations_after(together[:1])), None)
    own = (delegations_after if first is not None else away_after)(together)
    return own[0].until if own else None


def _is_ended_by(begin: AuditEntry, end: AuditEntry) -> bool:
    one, other = begin.event, end.event
    if not isinstance(one, DelegationDecided) or not isinstance(other, DelegationDecided):
        return False
    begun, ended = one.arrival.order, other.arrival.order
    if begun is None or ended is None or not same_person(begun.by, ended.by):
        return False
    if ended.action is DelegationAction.BACK:
        return begun.action is DelegationAction.AWAY
    return begun.action is DelegationAction.LEND and same_person(begun.to, ended.to)


def _applied(people: People, entries: Iterable[AuditEntry]) -> People:
    proven = _proven_in(entries, people)
    delegations, away = delegations_after(proven), away_after(proven)
    persons = tuple(_absent(_delegation_from(person, delegations), away) for person in people.persons)
    return people.model_copy(update={"persons": persons})


def _proven_in(entries: Iterable[AuditEntry], people: People) -> list[DelegationDecided]:
    return [one for one in _decisions(_once(entries)) if _proven(one, people)]


def _once(entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
    """Yield the entries that do not repeat the token of an earlier entry: a replay has no effect."""
    used: set[tuple[str, str]] = set()
    for entry in entries:
        stated = _stated_in(entry)
        token = (str(stated.get("by")), str(stated.get("jti")))
        if not stated or token not in used:
            yield entry
        used.add(token)


def _stated_in(entry: AuditEntry) -> Mapping[str, JsonValue]:
    """Return the claims in a request's token without verifying them; empty if there is no token."""
    event = entry.event
    order = event.arrival.order if isinstance(event, DelegationDecided) else None
    return stated_claims(order.signature) if order is not None and order.signature is not None else {}


def _decisions(entries: Iterable[AuditEntry]) -> list[DelegationDecided]:
    """Return the decisions in the entries that have not changed since they were written."""
    return [
        entry.event for entry in entries if isinstance(entry.event, DelegationDecided) and entry.is_as_written
    ]


def _proven(decision: DelegationDecided, people: People) -> bool:
    """Return whether the current list confirms an accepted request; auditors check past lists."""
    order, approver = decision.arrival.order, decision.approver
    if order is None or approver is None or not same_person(order.by, approver.name):
        return False
    if order.action in (DelegationAction.LEND, DelegationAction.AWAY):
        if not _allows(decision.rules, decision):
            return False
        if order.until is None or order.until > decision.judged_at + LONGEST:
            return False
    if approver.assurance is Assurance.TYPED:
        return True
    person = people.find(approver.name)
    return person is not None and _is_stated_by(decision, person, people.web)


def _allows(rules: DelegationRules, decision: DelegationDecided) -> bool:
    """Return whether these rules allow the sender to delegate all roles in the request with its proof."""
    order, approver = decision.arrival.order, decision.approver
    if order is None or approver is None:
        return False
    named = [rules.of(role) for role in order.roles]
    return all(one is not None and approver.assurance >= one.assurance for one in named)


def _is_stated_by(decision: DelegationDecided, person: Person, web: TrustedWeb) -> bool:
    """Return whether the recorded request is proven by a key of this person or by a trusted web server."""
    order, approver = decision.arrival.order, decision.approver
    assert order is not None
    assert approver is not None
    key = next((key for key in person.keys if key.x == approver.public_key), None)
    public = approver.public_key if approver.assurance is Assurance.LOGIN else key.x if key else None
    if public is None or order.signature is None:
        return False
    try:
        proof = verified(order.signature, public, DELEGATION, web)
    except ValueError:
        return False
    signed_at, received_at = proof.claims.signed_at, decision.arrival.received_at
    is_valid = key is None or (is_valid_at(key, signed_at) and is_valid_at(key, received_at))
    is_timely = received_at - SIGNED_WITHIN <= signed_at <= received_at + CLOCK_LEEWAY
    is_as_recorded = proof.kind.assurance is approver.assurance
    return (
        is_valid and is_timely and is_as_recorded and delegation_difference(proof.claims, order, None) is None
    )


def _delegation_from(person: Person, delegations: Iterable[DelegatedRoles]) -> Person:
    """Return a person with the roles that they delegated, without roles that they do not have in the list."""
    more = []
    for one in delegations:
        roles = tuple(role for role in one.roles if role in person.roles)
        if same_person(one.by, person.name) and roles and one.since < one.until:
            more.append(Delegation(to=one.to, roles=roles, valid_from=one.since, valid_until=one.until))
    return person.model_copy(update={"delegates": (*person.delegates, *more)}) if more else person


def _absent(person: Person, away: Iterable[Away]) -> Person:
    """Return a person with their absences."""
    own = [
        Absence(since=one.since, until=one.until, to=one.to, reason=one.reason)
        for one in away
        if same_person(one.by, person.name) and one.since < one.until
    ]
    return person.model_copy(update={"absences": (*person.absences, *own)}) if own else person


def _table(entry: AuditEntry) -> str:
    event = entry.event
    assert isinstance(event, DelegationDecided)
    written = WrittenEntry(**entry.model_dump(exclude={"event"})).model_dump_json()
    quoted = json.dumps(written, ensure_ascii=False).replace("\x7f", "\\u007f")
    comment = one_line(event.verdict.reason).encode("ascii", "backslashreplace").decode()
    return f"\n# {comment}\n[[delegation]]\nentry = {quoted}\n"
