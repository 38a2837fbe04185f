"""Prove a decision on a page: with only a name, with a login, or with a passkey.

The page asks for the weakest proof that the run's rules accept. The worker checks the proof, and only its
result is final.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Key, People, is_valid_at
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.signing.decisions import Claims
from plangate.signing.logins import login_token
from plangate.signing.passkeys import Assertion, passkey_token
from plangate.signing.public_keys import is_passkey
from plangate.web.confirmations import Confirmation
from plangate.web.proposals import ProposedKey
from plangate.web.visitors import Visitor, Web


class Way(StrEnum):
    """The way a decision is proven.

    Attributes:
        NAME: only with the name.
        LOGIN: with an attestation of the web server that the person is logged in.
        PASSKEY: with the person's passkey.
    """

    NAME = "name"
    LOGIN = "login"
    PASSKEY = "passkey"


@dataclass(frozen=True, slots=True)
class Proving:
    """The proof that a decision needs, and how this person can give it here.

    Attributes:
        least: the weakest proof that the run's rules accept.
        way: the way to give it; None if this person cannot give it here.
        passkeys: the person's valid passkeys.
        proposed: those that the person registered on this web server.
    """

    least: Assurance
    way: Way | None
    passkeys: tuple[Key, ...]
    proposed: tuple[ProposedKey, ...]

    @property
    def credential_ids(self) -> list[str]:
        """The passkeys that may sign: all valid ones, if each was registered here; otherwise empty."""
        ids = {one.key_id: one.credential_id for one in self.proposed}
        valid_ids = [key.id for key in self.passkeys]
        return [ids[one] for one in valid_ids] if ids.keys() >= set(valid_ids) else []


async def proving_of(web: Web, status: Status, choice: Choice, visitor: Visitor) -> Proving:
    """Return how this visitor proves this kind of decision on this run."""
    return await proving_for(web, _least(status, choice), visitor)


async def proving_for(web: Web, least: Assurance, visitor: Visitor) -> Proving:
    """Return how this visitor can give a proof of at least this strength.

    A passkey that was only proposed is also offered, because it may just have been added to the list of
    people.
    """
    passkeys = valid_passkeys(visitor.people, visitor.name, now())
    proposed = await asyncio.to_thread(web.proposals.keys_of, visitor.name)
    # A login is attested even if the workers might not trust this server: their refusal explains what to set.
    if visitor.session.assurance >= Assurance.LOGIN and least <= Assurance.LOGIN:
        way: Way | None = Way.LOGIN
    elif least is Assurance.TYPED:
        way = Way.NAME
    else:
        way = Way.PASSKEY if passkeys or proposed else None
    return Proving(least, way, passkeys, proposed)


def valid_passkeys(people: People | None, name: str, at: datetime) -> tuple[Key, ...]:
    """Return a person's currently valid passkeys."""
    person = people.find(name) if people is not None else None
    return tuple(key for key in (person.keys if person else ()) if is_passkey(key.x) and is_valid_at(key, at))


def strictest_way(ways: Iterable[Way | None]) -> Way | None:
    """Return one way to prove decisions with these requirements; None if one cannot be proven."""
    order = (None, Way.PASSKEY, Way.LOGIN, Way.NAME)
    return min(ways, key=order.index)


def proven(
    confirmation: Confirmation,
    way: Way,
    own: Ed25519PrivateKey,
    assertion: Assertion | None,
    batch: Sequence[Claims] = (),
) -> Decision:
    """Return the decision of a confirmation with its token.

    Args:
        confirmation: the confirmed decision.
        way: the way to prove it.
        own: this server's key, for logins.
        assertion: the assertion of a passkey.
        batch: the claims of all approvals that the assertion signs, if it signs several.
    """
    match way:
        case Way.NAME:
            return confirmation.decision
        case Way.LOGIN:
            token = login_token(confirmation.claims, own)
        case Way.PASSKEY:
            assert assertion is not None
            token = passkey_token(confirmation.claims, assertion, batch)
        case _:
            assert_never(way)
    return confirmation.decision.model_copy(update={"signature": token})


def _least(status: Status, choice: Choice) -> Assurance:
    requirement = status.requirement
    if requirement is None:
        return Assurance.TYPED
    return requirement.resolving.assurance if choice is Choice.RESOLVE else requirement.assurance
