"""`/me`: a person's keys and delegations; `/invitation/…`: propose a passkey without being signed in."""

import asyncio
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from plangate.domain.decisions.decision import first_faults
from plangate.domain.decisions.delegations import DelegationAction, DelegationRequest
from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.errors import Refused
from plangate.domain.escaping import one_line
from plangate.presentation.clock import now
from plangate.signing.passkeys import challenge_of
from plangate.signing.public_keys import thumbprint_of
from plangate.web.delegating import NOTHING_TYPED, Typed, attested, moment_in, send
from plangate.web.key_signing import claims_in, claims_to_sign, send_signed
from plangate.web.my_page import MyPage, my_page
from plangate.web.pages.deciding import text_of
from plangate.web.passkeys import (
    Registered,
    asserted,
    creation_options,
    registered,
    registration_challenges,
    request_options,
)
from plangate.web.proposals import KeyOfAnother, TooManyKeys
from plangate.web.results import ResultKind
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep, read_form

_LONGEST_NAME = 60

router = APIRouter()


@router.get("/me")
async def me(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show the person's keys, and who decides for whom."""
    return await own_page(request, web, visitor)


@router.post("/me/passkeys")
async def add(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Propose the passkey that the browser has created."""
    made = _made(web, form, visitor.session.token_hash)
    fault = "me.not_made" if made is None else await _keep(web, form, visitor.name, made)
    if fault:
        return await own_page(request, web, visitor, HTTPStatus.UNPROCESSABLE_ENTITY, fault=fault)
    return RedirectResponse("/me", 303)


@router.post("/me/passkeys/forget")
async def forget(web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Delete a proposed passkey; if it is already valid, it stays valid."""
    await asyncio.to_thread(web.proposals.forget, visitor.name, text_of(form, "key"))
    return RedirectResponse("/me", 303)


@router.post("/me/passkeys/revoke")
async def ask_to_revoke(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Ask the person to sign the revocation of one of their keys."""
    key_id = text_of(form, "key")
    key = next((one for one in (await _my_page(web, visitor)).keys if one.key_id == key_id), None)
    if key is None:
        raise Refused("This key is no longer in the list of people; open your page again.")
    claims = await claims_to_sign(web, visitor, KeyAction.REVOKE, visitor.name, key_id)
    return web.pages.draw(
        request,
        "revoke.html",
        visitor=visitor,
        key=key,
        claims=claims.model_dump_json(),
        sign=request_options(challenge_of(claims), web.place, []),
    )


@router.post("/me/passkeys/revoked")
async def revoke(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the signed request to revoke a key, and show its result."""
    claims = claims_in(
        text_of(form, "claims"), "The form contains no key; open your page again, and revoke it there."
    )
    assertion = asserted(text_of(form, "credential"))
    if assertion is None:
        return await own_page(request, web, visitor, HTTPStatus.CONFLICT, fault="passkey.not_signed")
    is_accepted = await send_signed(
        web, visitor, claims, assertion, action=KeyAction.REVOKE, person=visitor.name, key=claims.key_id
    )
    return await own_page(request, web, visitor, done="me.revoked" if is_accepted else "me.revoking")


@router.post("/me/away")
async def start_absence(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the person's request to start an absence, and show their page with the result."""
    until = moment_in(text_of(form, "until_utc")) or moment_in(text_of(form, "until"))
    if until is None:
        return await own_page(request, web, visitor, HTTPStatus.UNPROCESSABLE_ENTITY, fault="away.no_time")
    try:
        order = DelegationRequest(
            action=DelegationAction.AWAY,
            by=visitor.name,
            to=text_of(form, "to"),
            until=until,
            reason=text_of(form, "reason"),
        )
    except ValidationError as error:
        raise Refused(f"This absence cannot be sent: {first_faults(error)}.") from None
    return await _ordered(request, web, visitor, order)


@router.post("/me/back")
async def end_absence(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the person's request to end their absence."""
    del form
    order = DelegationRequest(action=DelegationAction.BACK, by=visitor.name)
    return await _ordered(request, web, visitor, order)


async def _ordered(request: Request, web: Web, visitor: Visitor, order: DelegationRequest) -> Response:
    """Send an absence request, attested if this server's attestation is valid, and show its result."""
    result = await send(web, await attested(web, visitor, order))
    if result.kind is ResultKind.REFUSED:
        raise Refused(f"{result.reason.rstrip('.')}.")
    if result.kind is not ResultKind.ACCEPTED:
        return await own_page(request, web, visitor, done="away.kept")
    return RedirectResponse("/me", 303)


@router.get("/invitation/{token}")
async def invitation(request: Request, web: WebDep, token: str) -> Response:
    """Show the page on which an invited person proposes a passkey."""
    return await _invited(request, web, token)


@router.post("/invitation/{token}")
async def accept(request: Request, web: WebDep, token: str) -> Response:
    """Propose the passkey of an invited person, and mark the invitation as used."""
    form = await read_form(request)
    made = _made(web, form, token)
    if made is None:
        return await _invited(request, web, token, "me.not_made")
    person = await asyncio.to_thread(web.proposals.invited, token, now())
    if person is None:
        return await _invited(request, web, token)
    fault = await _keep(web, form, person, made)
    if fault:  # the invitation can still be used
        return await _invited(request, web, token, fault)
    if await asyncio.to_thread(web.proposals.use_invitation, token, now()) is None:
        await asyncio.to_thread(web.proposals.forget, person, thumbprint_of(made.public))
        return await _invited(request, web, token)  # it has just been used
    keys = await asyncio.to_thread(web.proposals.keys_of, person)
    return web.pages.draw(request, "invitation.html", person=person, made=keys[-1], register="", fault="")


async def _invited(request: Request, web: Web, token: str, fault: str = "") -> Response:
    person = await asyncio.to_thread(web.proposals.invited, token, now())
    if person is None:
        return web.pages.draw(
            request, "invitation.html", HTTPStatus.NOT_FOUND, person=None, made=None, register=""
        )
    return web.pages.draw(
        request,
        "invitation.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        person=person,
        made=None,
        register=await _registration(web, person, token),
        fault=fault,
        action=f"/invitation/{quote(token)}",
    )


async def _my_page(web: Web, visitor: Visitor) -> MyPage:
    proposed = await asyncio.to_thread(web.proposals.keys_of, visitor.name)
    once_listed = await web.gate.were_listed([one.public for one in proposed])
    rules = await web.gate.delegation_rules()
    return my_page(visitor.name, visitor.people, proposed, rules, now(), once_listed=once_listed)


async def own_page(
    request: Request,
    web: Web,
    visitor: Visitor,
    status: int = 200,
    *,
    fault: str = "",
    objection: str = "",
    done: str = "",
    typed: Typed = NOTHING_TYPED,
) -> Response:
    """Return the person's own page.

    Args:
        request: the request for the page.
        web: the shared objects of the pages.
        visitor: the person.
        status: the HTTP status of the response.
        fault: the key of the message about a failure.
        objection: why a worker would refuse the delegation.
        done: the key of the message about a success.
        typed: the content of the form to delegate a role.
    """
    return web.pages.draw(
        request,
        "me.html",
        status,
        visitor=visitor,
        me=await _my_page(web, visitor),
        register=await _registration(web, visitor.name, visitor.session.token_hash),
        fault=fault,
        objection=objection,
        done=done,
        typed=typed,
    )


async def _registration(web: Web, person: str, subject: str) -> str:
    """Return the options, as JSON, to create a passkey for a person in a session or by an invitation."""
    known = await asyncio.to_thread(web.proposals.keys_of, person)
    challenge = registration_challenges(web.key, subject, now())[0]
    return creation_options(challenge, person, web.place, [one.credential_id for one in known])


def _made(web: Web, form: FormData, subject: str) -> Registered | None:
    """Return the passkey in a form; None if it is not for this session or invitation."""
    challenges = registration_challenges(web.key, subject, now())
    try:
        return registered(text_of(form, "credential"), challenges, web.place)
    except ValueError:
        return None


async def _keep(web: Web, form: FormData, person: str, made: Registered) -> str:
    """Propose a passkey; if that fails, return the key of the message that explains why."""
    name = one_line(text_of(form, "name").strip())[:_LONGEST_NAME]
    try:
        await asyncio.to_thread(web.proposals.propose, person, name, made, now())
    except TooManyKeys:
        return "me.too_many"
    except KeyOfAnother:
        return "me.of_another"
    return ""
