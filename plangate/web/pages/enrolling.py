"""`/enrol`: an enroller compares the thumbprints of proposed keys with their owners, and signs each key."""

import asyncio
import shlex
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.errors import Refused
from plangate.domain.people.people import People, Person, is_valid_at
from plangate.presentation.clock import now
from plangate.signing.passkeys import challenge_of
from plangate.signing.public_keys import is_passkey
from plangate.web.key_signing import claims_in, claims_to_sign, send_signed
from plangate.web.pages.deciding import text_of
from plangate.web.passkeys import asserted, request_options
from plangate.web.proposals import ProposedKey
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep

router = APIRouter()


@dataclass(frozen=True, slots=True)
class PendingKey:
    """A proposed key that is not valid yet, and its owner, as spelled in the list of people."""

    person: str
    key: ProposedKey

    def command(self, by: str) -> str:
        """Return the command that confirms it, ready for a shell."""
        key, whose, signer = self.key.public, shlex.quote(self.person), shlex.quote(by)
        return f"plangate people confirm --key {key} --by {signer} -- {whose}"


@router.get("/enrol")
async def show(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show the keys that people proposed here and that are not valid yet."""
    return await _page(request, web, visitor)


@router.post("/enrol/compare")
async def compare(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Ask the enroller to compare one thumbprint, and to sign the confirmation of the key."""
    one = await _chosen(web, visitor, text_of(form, "key"))
    mine = signing_passkeys(visitor.people, visitor.name)
    if not mine:
        return await _page(request, web, visitor, HTTPStatus.CONFLICT)
    claims = await claims_to_sign(web, visitor, KeyAction.CONFIRM, one.person, one.key.public)
    proposed = await asyncio.to_thread(web.proposals.keys_of, visitor.name)
    known = {key.key_id: key.credential_id for key in proposed}
    ids = [known[key] for key in mine] if known.keys() >= set(mine) else []
    return web.pages.draw(
        request,
        "enrol_compare.html",
        visitor=visitor,
        one=one,
        claims=claims.model_dump_json(),
        sign=request_options(challenge_of(claims), web.place, ids),
    )


@router.post("/enrol/confirm")
async def confirm(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the signed confirmation of a key, and show its result."""
    claims = claims_in(
        text_of(form, "claims"), "The form contains no key; open the page again, and confirm it there."
    )
    one = await _chosen(web, visitor, claims.key_id)
    assertion = asserted(text_of(form, "credential"))
    if not text_of(form, "same"):
        return await _page(request, web, visitor, HTTPStatus.CONFLICT, fault="enrol.not_compared")
    if assertion is None:
        return await _page(request, web, visitor, HTTPStatus.CONFLICT, fault="passkey.not_signed")
    is_accepted = await send_signed(
        web, visitor, claims, assertion, action=KeyAction.CONFIRM, person=one.person, key=one.key.public
    )
    await asyncio.to_thread(web.proposals.note_used, visitor.name, assertion.credential_id, now())
    done = "enrol.counts" if is_accepted else "enrol.kept"
    return await _page(request, web, visitor, sent=one, done=done)


def signing_passkeys(people: People | None, name: str) -> list[str]:
    """Return the thumbprints of an enroller's passkeys in the list itself; only these may confirm keys."""
    person = _enroller(people, name)
    enrolled = {one.key_id for one in people.enrolments if one.public is not None} if people else set()
    keys = person.keys if person is not None else ()
    return [
        key.id for key in keys if is_passkey(key.x) and is_valid_at(key, now()) and key.id not in enrolled
    ]


def is_enroller(people: People | None, name: str) -> bool:
    """Return whether this person is an enroller in the list of people."""
    return _enroller(people, name) is not None


def _enroller(people: People | None, name: str) -> Person | None:
    person = people.find(name) if people is not None else None
    return person if person is not None and person.enroller and person.active else None


async def _chosen(web: Web, visitor: Visitor, key_id: str) -> PendingKey:
    """Return the proposed key with that thumbprint.

    Raises:
        Refused: the visitor is not an enroller, or the key is not waiting to be confirmed.
    """
    found = [one for one in await _awaiting(web, visitor) if one.key.key_id == key_id]
    if not found:
        raise Refused("This key is not waiting for your confirmation; open the page again.")
    return found[0]


async def _awaiting(web: Web, visitor: Visitor) -> list[PendingKey]:
    people = visitor.people
    if people is None or not is_enroller(people, visitor.name):
        return []
    known = {key.id for person in people.persons for key in person.keys}
    found = []
    for name, key in await asyncio.to_thread(web.proposals.keys):
        person = people.find(name)
        if person is not None and person.active and key.key_id not in known:
            found.append(PendingKey(person.name, key))
    return found


async def _page(
    request: Request,
    web: Web,
    visitor: Visitor,
    status: int = 200,
    *,
    fault: str = "",
    sent: PendingKey | None = None,
    done: str = "",
) -> Response:
    """Return the page without the key that was just ``sent``, even if it is not in the list yet."""
    if not is_enroller(visitor.people, visitor.name):
        raise Refused("You are not an enroller in the list of people; ask the person who maintains it.")
    return web.pages.draw(
        request,
        "enrol.html",
        status,
        visitor=visitor,
        keys=[one for one in await _awaiting(web, visitor) if one != sent],
        can_sign=bool(signing_passkeys(visitor.people, visitor.name)),
        fault=fault,
        done=done,
        name=sent.person if sent else "",
    )
