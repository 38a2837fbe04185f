"""The list of people with what people ordered since by the trail of delegations: lent roles and absences.

The two are one text: the list as the file has it, a line that says where it ends, and the entries of the
trail that count. So one SHA-256 names all that a decision was judged by, and an evidence bundle has all that
its check needs. Without such entries the text is that of the file, unchanged.

An entry counts only as far as the list proves it (`_proven`): a lent role is one that the lender has there,
and the signature, if there is one, is by a key that the list has for them, and counts once.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from plangate.domain.assurance import Assurance
from plangate.domain.audit import AuditEntry, WrittenEntry, read_event
from plangate.domain.base import Typed
from plangate.domain.delegations import (
    LONGEST,
    SIGNED_WITHIN,
    Away,
    DelegationAction,
    DelegationDecided,
    DelegationRules,
    Lending,
    away_after,
    lent_after,
)
from plangate.domain.errors import FileInvalid
from plangate.domain.escaping import one_line
from plangate.domain.faults import Fault
from plangate.domain.people import Absence, Delegation, People, Person, in_force, same_person
from plangate.domain.review import CLOCK_LEEWAY
from plangate.domain.trusted_web import TrustedWeb
from plangate.signing.delegations import DELEGATION, other_delegation
from plangate.signing.tokens import stated_claims, verified

_END_OF_FILE: Final = "\n# The file ends here. Added by a worker: roles that people lent since.\n"
KEPT_FOR: Final = timedelta(days=7)
"""How long what is over stays in the text, for decisions that arrived before its end and are judged later."""


class _EntryTable(Typed):
    entry: str


class _Section(Typed):
    delegation: tuple[_EntryTable, ...]


def with_lent(
    people: People,
    entries: Sequence[AuditEntry],
    at: datetime,
    rules: DelegationRules | None = None,
    installation: str | None = None,
) -> People:
    """Return the list by which a worker judges at that time.

    Args:
        people: as the file has it.
        entries: the accepted ones of the trail of delegations, in their order.
        at: now.
        rules: what the worker's policy lets people lend; None to go by the rules that the entries name. What
            it does not allow does not count, whatever stands on the trail.
        installation: the id of these records; what was signed for another does not count.
    """
    here = [one for one in entries if installation is None or not _is_signed_elsewhere(one, installation)]
    own = tuple(_once(here))
    counting = still_needed(own, at, rules)
    if not counting:
        return people
    lent = _applied(people, counting)
    if not people.text:
        return lent
    text = people.text + _END_OF_FILE + "".join(map(_table, counting))
    return lent.model_copy(update={"text": text, "hash": hashlib.sha256(text.encode()).hexdigest()})


def split_kept(text: str) -> tuple[str, str]:
    """Return the text of the file, and what a worker added to it; empty if nothing."""
    file, mark, added = text.partition(_END_OF_FILE)
    return file, added if mark else ""


def read_lent(people: People, added: str, text: str) -> People:
    """Return the list with what a worker added to its file.

    Args:
        people: as the file has it.
        added: as `split_kept` returns.
        text: the whole text.

    Raises:
        FileInvalid: what was added cannot be read.
    """
    lent = _applied(people, entries_in(added))
    return lent.model_copy(update={"text": text, "hash": hashlib.sha256(text.encode()).hexdigest()})


def entries_in(added: str) -> tuple[AuditEntry, ...]:
    """Return the entries in what a worker added to a list.

    Raises:
        FileInvalid: it cannot be read.
    """
    if not added:
        return ()
    try:
        tables = _Section.model_validate(tomllib.loads(added)).delegation
        read = [WrittenEntry.model_validate_json(one.entry) for one in tables]
        return tuple(AuditEntry(**{**dict(one), "event": read_event(one.written)}) for one in read)
    except ValueError:  # of TOML, of JSON, or of a model
        fault = Fault((), "has roles that were lent and cannot be read")
        raise FileInvalid("the list of people", [fault]) from None


def lent_in(people: People) -> tuple[Lending, ...]:
    """Return what was lent by the trail, as far as the list proves it; also what is over by now."""
    return lent_after(_proven_in(entries_in(split_kept(people.text)[1]), people))


def still_needed(
    entries: Sequence[AuditEntry], at: datetime, rules: DelegationRules | None
) -> tuple[AuditEntry, ...]:
    """Return the entries that by these rules say something that is not over for long, or end it."""
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
    """Return whether a token says that it is for another installation; whether it is valid is asked later."""
    audience = _stated_in(entry).get("aud")
    return isinstance(audience, str) and audience.partition("/")[0] != installation


def _ends(entry: AuditEntry, entries: Sequence[AuditEntry]) -> datetime | None:
    """Return when what an order lends is over, or its absence, by it and the orders after it."""
    together = _decisions([entry, *(one for one in entries if one.number > entry.number)])
    first = next(iter(lent_after(together[:1])), None)
    own = (lent_after if first is not None else away_after)(together)
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
    lent, away = lent_after(proven), away_after(proven)
    persons = tuple(_absent(_lending(person, lent), away) for person in people.persons)
    return people.model_copy(update={"persons": persons})


def _proven_in(entries: Iterable[AuditEntry], people: People) -> list[DelegationDecided]:
    return [one for one in _decisions(_once(entries)) if _proven(one, people)]


def _once(entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
    """Yield the entries but those whose token an entry before has: what was taken back is not lent anew."""
    used: set[tuple[str, str]] = set()
    for entry in entries:
        stated = _stated_in(entry)
        token = (str(stated.get("by")), str(stated.get("jti")))
        if not stated or token not in used:
            yield entry
        used.add(token)


def _stated_in(entry: AuditEntry) -> Mapping[str, JsonValue]:
    """Return what the token of an order says, without verifying it; nothing if it has none."""
    event = entry.event
    order = event.arrival.order if isinstance(event, DelegationDecided) else None
    return stated_claims(order.signature) if order is not None and order.signature is not None else {}


def _decisions(entries: Iterable[AuditEntry]) -> list[DelegationDecided]:
    """Return the decisions of entries that are as they were written."""
    return [
        entry.event
        for entry in entries
        if isinstance(entry.event, DelegationDecided) and _is_as_written(entry)
    ]


def _is_as_written(entry: AuditEntry) -> bool:
    try:
        return entry.hash == entry.expected_hash()
    except ValueError:
        return False


def _proven(decision: DelegationDecided, people: People) -> bool:
    """Return whether the list supports an accepted order: what it says of the past is for the auditor."""
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
    """Return whether these rules let the sender lend all that they lent, with the proof that they gave."""
    order, approver = decision.arrival.order, decision.approver
    if order is None or approver is None:
        return False
    named = [rules.of(role) for role in order.roles]
    return all(one is not None and approver.assurance >= one.assurance for one in named)


def _is_stated_by(decision: DelegationDecided, person: Person, web: TrustedWeb) -> bool:
    """Return whether the order is proven as recorded: by a key of this person, or by a trusted web server."""
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
    is_valid = key is None or (in_force(key, signed_at) and in_force(key, received_at))
    is_timely = received_at - SIGNED_WITHIN <= signed_at <= received_at + CLOCK_LEEWAY
    is_as_recorded = proof.kind.assurance is approver.assurance
    return is_valid and is_timely and is_as_recorded and other_delegation(proof.claims, order, None) is None


def _lending(person: Person, lent: Iterable[Lending]) -> Person:
    """Return a person with what they lent; a role that they do not have in the list is left out."""
    more = []
    for one in lent:
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
    said = one_line(event.verdict.reason).encode("ascii", "backslashreplace").decode()
    return f"\n# {said}\n[[delegation]]\nentry = {quoted}\n"
