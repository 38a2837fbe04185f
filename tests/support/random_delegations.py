"""Compare random delegations and absences, valid and forged, with a model that is easy to verify."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Verdict
from plangate.domain.decisions.delegations import (
    LONGEST,
    DelegableRole,
    DelegationAction,
    DelegationContext,
    DelegationDecided,
    DelegationRequest,
    DelegationRules,
    judge,
    read_delegation,
)
from plangate.domain.people.absence import Absences
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, People, PersonRoles
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import DELEGATIONS_TRAIL, FIRST_HASH, AuditEntry, entry_after
from plangate.policy.delegated_roles import with_delegations
from plangate.policy.effective_people import people_in_effect
from plangate.policy.people_file import people_in
from plangate.signing.delegations import delegation_claims, delegation_sender, signed_delegation
from plangate.signing.jws import public_of
from plangate.signing.public_keys import thumbprint_of
from tests.support.authenticator import passkey
from tests.support.build import NOON
from tests.support.fakes import AUDIENCE
from tests.support.proofs import WEB, line_of

NAMES = ("ann", "ben", "cid", "eve")
"""Eve is not in the list."""
ROLES = ("finance", "legal", "ops")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in NAMES}
DAY = timedelta(days=1)
INVALID_CEREMONIES: tuple[dict[str, Any], ...] = (
    {"origin": "https://evil.example.org"}, {"rp_id": "example.org"}, {"flags": 0x01}, {"flags": 0x04},
    {"kind": "webauthn.create"}, {"crossOrigin": True},
)  # fmt: skip
"""Invalid ceremonies with a passkey of the person."""


@dataclass
class Naive:
    """A simple model of delegations and absences that uses none of Plangate's code for them."""

    own: dict[str, set[str]]
    delegable: dict[str, bool]  # whether it must be signed
    delegations: list[tuple[str, str, tuple[str, ...], datetime, datetime]] = field(default_factory=list)
    absences: list[tuple[str, str, datetime, datetime]] = field(default_factory=list)

    def lend(self, order: DelegationRequest, at: datetime, proof: str) -> bool:
        by, to, roles, until = order.by, order.to, order.roles, order.until
        assert until is not None
        known = set(self.own) - {"eve"}
        fits = by in known and to in known and by != to and at < until <= at + LONGEST and proof != "wrong"
        fits = fits and all(role in self.own[by] and role in self.delegable for role in roles)
        if fits and all(proof == "signed" or not self.delegable[role] for role in roles):
            self.delegations.append((by, to, roles, at, until))
            return True
        return False

    def end(self, by: str, to: str, at: datetime) -> bool:
        active = [one for one in self.delegations if one[:2] == (by, to) and one[3] <= at < one[4]]
        self.delegations = [(*one[:4], at) if one in active else one for one in self.delegations]
        return bool(active)

    def start_absence(self, by: str, to: str, at: datetime, until: datetime, proof: str) -> bool:
        known = set(self.own) - {"eve"}
        fits = by in known and (not to or (to in known and to != by)) and at < until <= at + LONGEST
        if fits and proof != "wrong":
            self.end_absence(by, at)
            self.absences.append((by, to, at, until))
            return True
        return False

    def end_absence(self, by: str, at: datetime) -> bool:
        current = [one for one in self.absences if one[0] == by and one[2] <= at < one[3]]
        self.absences = [(*one[:3], at) if one in current else one for one in self.absences]
        return bool(current)

    def recipients_for(self, name: str, at: datetime) -> set[str]:
        """Return the recipients of a message for a person, replacing absent people by their substitutes."""
        found, seen, walk = set(), set(), [name]
        while walk:
            one = walk.pop()
            if one in seen:
                continue
            seen.add(one)
            now = [away for away in self.absences if away[0] == one and away[2] <= at < away[3]]
            if not now:
                found.add(one)
            elif now[-1][1]:
                walk.append(now[-1][1])
            else:
                walk += [
                    to
                    for by, to, roles, since, until in self.delegations
                    if by == one and since <= at < until and set(roles) & self.own[by]
                ]
        return found or {name}

    def acts_for(self, name: str, at: datetime) -> set[tuple[str, str]]:
        """Return the roles that were delegated to a person, each with its delegator."""
        return {
            (by, role)
            for by, to, roles, since, until in self.delegations
            if to == name and since <= at < until
            for role in roles
            if role in self.own[by]
        }


class RandomDelegations:
    """One random case: requests, forgeries and removed roles, and everyone's roles at any time."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        own = {name: set(rng.sample(ROLES, rng.randint(1, 3))) for name in NAMES}
        delegable = {role: rng.random() < 0.5 for role in rng.sample(ROLES, rng.randint(1, 3))}
        self.naive = Naive({**own, "eve": set()}, delegable)
        self.rules = DelegationRules(
            roles=tuple(
                DelegableRole(role=role, assurance=Assurance.SIGNED if is_signed else Assurance.TYPED)
                for role, is_signed in delegable.items()
            )
        )
        self.at = NOON
        self.entries: list[AuditEntry] = []
        self.forged: set[tuple[str, str]] = set()

    def listed(self) -> People:
        """Return the current list of people, as read from its file."""
        listed = people_in(
            "".join(
                f'[[person]]\nname = "{name}"\nroles = {sorted(self.naive.own[name])}\n'
                f"keys = [{line_of(KEYS[name])}, {line_of(passkey(name))}]\n"
                for name in NAMES[:3]
            )
        )
        return people_in_effect(listed, WEB, ())

    def people(self) -> People:
        accepted = [one for one in self.entries if _decided(one).verdict.accepted]
        return with_delegations(self.listed(), accepted, self.at, self.rules, AUDIENCE.installation)

    def differences(self, orders: int) -> Iterator[str]:
        """Run the case; yield each difference between Plangate and the model."""
        for number in range(orders):
            self.at += timedelta(hours=self.rng.choice((1, 7, 50, 500)))
            what = self.rng.choices(
                ("lend", "end", "away", "back", "forge", "replay", "lose"), weights=(5, 3, 3, 1, 3, 3, 1)
            )[0]
            if what == "lose":
                self.naive.own[self.rng.choice(NAMES[:3])].discard(self.rng.choice(ROLES))
            elif what == "forge":
                self._forge(number)
            elif what == "replay":
                self._replay(number)
            else:
                yield from self._order(number, what)
            yield from self._compared(number, what)

    def _order(self, number: int, action: str) -> Iterator[str]:
        rng = self.rng
        by, to = rng.choice(NAMES), rng.choice(NAMES)
        roles = tuple(rng.sample(ROLES, rng.randint(1, 2)))
        may = [
            (name, role)
            for name in NAMES[:3]
            for role in self.naive.delegable
            if role in self.naive.own[name]
        ]
        if may and rng.random() < 0.8:  # mostly allowed roles
            by, role = rng.choice(may)
            to, roles = rng.choice([name for name in NAMES[:3] if name != by]), (role,)
        days = rng.choices((-1, 1, 9, 40, 89, 91), weights=(1, 2, 4, 4, 1, 1))[0]
        until: datetime | None = self.at + days * DAY
        if action in ("away", "back"):
            by = rng.choice(NAMES[:3]) if rng.random() < 0.8 else by
            to, roles = (rng.choice(("", to)), ()) if action == "away" else ("", ())
            until = until if action == "away" else None
        if action == "end":
            roles, until = (), None
            if self.naive.delegations and rng.random() < 0.7:
                by, to = rng.choice(self.naive.delegations)[:2]
        said = {"action": action, "by": by, "to": to, "roles": roles, "until": until}
        order = DelegationRequest.model_validate(said)
        proof = rng.choices(("typed", "signed", "wrong"), weights=(2, 8, 2))[0]
        decided = self._judged(number, self._proven(order, proof))
        self._append(decided)
        if action == "lend":
            expected = self.naive.lend(order, self.at, proof)
        elif action == "away":
            assert until is not None
            expected = self.naive.start_absence(by, to, self.at, until, proof)
        elif action == "back":
            expected = by != "eve" and proof != "wrong" and self.naive.end_absence(by, self.at)
        else:
            expected = by != "eve" and proof != "wrong" and self.naive.end(by, to, self.at)
            if (by, to) in self.forged:
                return  # ending a delegation that was never valid is accepted, and changes nothing
        if decided.verdict.accepted is not expected:
            yield f"{order} ({proof}) is {decided.verdict}, expected {expected}"

    def _proven(self, order: DelegationRequest, proof: str) -> DelegationRequest:
        if proof == "typed":
            return order
        other = "eve" if order.by != "eve" else "ann"
        token_id = f"{self.rng.randrange(10**12):012}"
        if self.rng.random() < 0.5:
            key = KEYS[order.by if proof == "signed" else other]
            return signed_delegation(order, key, audience=AUDIENCE, at=self.at, token_id=token_id)
        claims = delegation_claims(order, audience=AUDIENCE, at=self.at, token_id=token_id)
        ceremony = self.rng.choice([*INVALID_CEREMONIES, None])
        if proof == "signed":
            token = passkey(order.by).token(claims)
        else:
            token = passkey(order.by if ceremony else other).token(claims, **(ceremony or {}))
        return order.model_copy(update={"signature": token})

    def _judged(self, number: int, order: DelegationRequest) -> DelegationDecided:
        people = self.people()
        message = order.model_dump(mode="json", exclude_none=True)
        arrival = read_delegation(key=f"k{number}", inputs=[message], received_at=self.at)
        assert arrival.order is not None
        sender = delegation_sender(arrival.order, audience=AUDIENCE, people=people, at=self.at)
        by = DelegationContext(rules=self.rules, at=self.at)
        return judge(list(map(_decided, self.entries)), arrival, sender, people, by)

    def _forge(self, number: int) -> None:
        """Put a forged request on the trail as accepted, with all hashes, but without other people's keys."""
        rng = self.rng
        by, to = rng.choice(NAMES[:3]), rng.choice(NAMES[:3])
        role = rng.choice([role for role in ROLES if self.naive.delegable.get(role, True)] or ["no role"])
        order = DelegationRequest.model_validate(
            {"action": "lend", "by": by, "to": to, "roles": (role,), "until": self.at + 30 * DAY}
        )
        earlier = [_decided(one) for one in self.entries if _decided(one).approver is not None]
        token = rng.choice([None, *(one.arrival.order.signature for one in earlier if one.arrival.order)])
        if rng.random() < 0.3:
            token = self._proven(order, "wrong").signature
        elif rng.random() < 0.3:  # signed by themselves, for another installation
            there = Audience(installation="ab" * 16, namespace="default")
            own = KEYS[by]
            token = signed_delegation(
                order, own, audience=there, at=self.at, token_id=f"{number:012}"
            ).signature
        whose = rng.choice((by, "eve"))
        key = rng.choice((public_of(KEYS[whose]), passkey(whose).public))
        proof = {
            "assurance": Assurance.SIGNED,
            "key_id": thumbprint_of(key),
            "public_key": key,
            "signed_at": self.at,
            "token_id": "0123456789",
        }
        sender = {"name": by, "standings": (PersonRoles(person=by, roles=(role,)),)}
        arrival = read_delegation(key=f"k{number}", inputs=[], received_at=self.at)
        order = order.model_copy(update={"signature": token})
        forged = DelegationDecided(
            arrival=arrival.model_copy(update={"order": order, "fault": ""}),
            verdict=Verdict(accepted=True, reason="forged"),
            approver=Approver.model_validate({**sender, **(proof if rng.random() < 0.7 else {})}),
            judged_at=self.at,
            rules=rng.choice((DelegationRules(roles=tuple(map(_typed, ROLES))), self.rules)),
        )
        self.forged.add((by, to))
        self._append(forged)

    def _replay(self, number: int) -> None:
        """Repeat a signed delegation unchanged, as an attacker with access to the database can."""
        lent = [
            one
            for one in map(_decided, self.entries)
            if one.arrival.order is not None
            and one.arrival.order.action is DelegationAction.LEND
            and one.arrival.order.signature is not None
            and one.arrival.order.until is not None
            and one.arrival.order.until > self.at
            and one.verdict.reason != "forged"
            and one.verdict.accepted
        ]
        if not lent:
            return
        one = self.rng.choice(lent)
        assert one.arrival.order is not None
        self.forged.add((one.arrival.order.by, one.arrival.order.to))
        arrival = one.arrival.model_copy(update={"key": f"k{number}", "received_at": self.at})
        self._append(one.model_copy(update={"arrival": arrival, "judged_at": self.at}))

    def _append(self, decided: DelegationDecided) -> None:
        self.entries.append(
            entry_after(
                self.entries[-1].hash if self.entries else FIRST_HASH,
                workflow_id=DELEGATIONS_TRAIL,
                number=len(self.entries) + 1,
                key=decided.arrival.key,
                at=self.at,
                actor="a",
                event=decided,
            )
        )

    def _compared(self, number: int, what: str) -> Iterator[str]:
        people = self.people()
        read = people_in(people.text)
        if read.persons != people.persons:
            yield f"after {number}: the text differs from the list"
        for name in NAMES[:3]:
            for at in (self.at, self.at + DAY, self.at + 20 * DAY):
                known = people.identify(name, at).approver
                assert known is not None
                recipients = set(Absences(people, at).recipients_for(name))
                wanted = self.naive.recipients_for(name, at)
                if recipients != wanted:
                    yield f"after {number} ({what}) {recipients} get messages for {name}, not {wanted}"
                has = _delegated(known.standings[1:])
                if has != self.naive.acts_for(name, at):
                    yield f"after {number} ({what}) {name} acts as {has}, not {self.naive.acts_for(name, at)}"


def _decided(entry: AuditEntry) -> DelegationDecided:
    assert isinstance(entry.event, DelegationDecided)
    return entry.event


def _typed(role: str) -> DelegableRole:
    return DelegableRole(role=role)


def _delegated(standings: Sequence[PersonRoles]) -> set[tuple[str, str]]:
    return {(one.person, role) for one in standings for role in one.roles}
