"""`/me/lend`, `/me/take-back`, `/me/lent`: confirm a delegation or its end, then show the result."""

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from plangate.domain.decisions.delegations import DelegationAction, DelegationRequest
from plangate.domain.errors import Refused
from plangate.domain.people.assurance import Assurance
from plangate.presentation.clock import now
from plangate.signing.passkeys import challenge_of
from plangate.web.decision_proof import Way, proving_for
from plangate.web.delegating import (
    NOTHING_TYPED,
    Typed,
    attested,
    claims_to_sign,
    delegation_from,
    delegations_to,
    end_in,
    least_of,
    objection_to,
    order_from,
    send,
    signed,
    typed_in,
)
from plangate.web.pages.deciding import text_of
from plangate.web.pages.me import own_page
from plangate.web.passkeys import asserted, request_options
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep

router = APIRouter()


@router.post("/me/lend")
async def delegate(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Ask the person to confirm the delegation; nothing is sent yet."""
    typed = typed_in(form)
    until = end_in(typed, text_of(form, "until_utc"))
    fault, objection = "", ""
    if not typed.roles or not typed.to or until is None:
        fault = "lend.no_role" if not typed.roles else "lend.no_one" if not typed.to else "lend.no_day"
    else:
        order = delegation_from(visitor, typed, until)
        objection = objection_to(visitor, order, await web.gate.delegation_rules())
        if not objection:
            return await _ask(request, web, visitor, order, typed=typed)
    return await own_page(
        request, web, visitor, HTTPStatus.UNPROCESSABLE_ENTITY, fault=fault, objection=objection, typed=typed
    )


@router.post("/me/take-back")
async def end_delegation(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Ask the person to confirm that they end all delegations to another person."""
    to = text_of(form, "to")
    if not delegations_to(visitor.people, visitor.name, to):
        raise Refused("You have no delegation to this person that could be ended; open your page again.")
    order = DelegationRequest(action=DelegationAction.END, by=visitor.name, to=to)
    return await _ask(request, web, visitor, order)


@router.post("/me/lent")
async def confirmed(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the confirmed request with its proof, and show its result."""
    order, claims = order_from(form, visitor)
    assertion = asserted(text_of(form, "credential")) if claims is not None else None
    if claims is not None and assertion is not None:
        whole = signed(order, claims, assertion)
        await asyncio.to_thread(web.proposals.note_used, visitor.name, assertion.credential_id, now())
    elif claims is not None or not await _needs_no_passkey(web, visitor, order):
        return await _ask(request, web, visitor, order, fault="passkey.not_signed")
    else:
        whole = await attested(web, visitor, order)
    delegations = delegations_to(visitor.people, visitor.name, order.to)  # unchanged
    result = await send(web, whole)
    return web.pages.draw(
        request, "lent.html", visitor=visitor, order=order, result=result, delegations=delegations
    )


async def _ask(
    request: Request,
    web: Web,
    visitor: Visitor,
    order: DelegationRequest,
    *,
    fault: str = "",
    typed: Typed = NOTHING_TYPED,
) -> Response:
    """Return the page that asks to confirm a request, or the person's own page if they cannot prove it."""
    delegations = (
        delegations_to(visitor.people, visitor.name, order.to) if order.action is DelegationAction.END else ()
    )
    least = least_of(order, await web.gate.delegation_rules(), delegations)
    proving = await proving_for(web, least, visitor)
    if proving.way is None and order.action is DelegationAction.LEND:
        return await own_page(
            request, web, visitor, HTTPStatus.CONFLICT, fault="lend.no_passkey", typed=typed
        )
    claims = await claims_to_sign(web, order) if proving.way is Way.PASSKEY else None
    return web.pages.draw(
        request,
        "lend.html",
        HTTPStatus.CONFLICT if fault else HTTPStatus.OK,
        visitor=visitor,
        order=order,
        delegations=delegations,
        way=proving.way,
        order_json=order.model_dump_json(),
        claims=claims.model_dump_json() if claims else "",
        sign=request_options(challenge_of(claims), web.place, proving.credential_ids) if claims else "",
        fault=fault,
    )


async def _needs_no_passkey(web: Web, visitor: Visitor, order: DelegationRequest) -> bool:
    """Return whether a request can be sent here without a passkey; ending a delegation never needs one."""
    if order.action is DelegationAction.END:
        return True
    least = least_of(order, await web.gate.delegation_rules(), ())
    return least is Assurance.TYPED or (await proving_for(web, least, visitor)).way is Way.LOGIN
