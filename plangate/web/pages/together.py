"""`/together/…`: approve several plans of one kind with one confirmation. Each plan gets its own decision.

Each plan passes the checks of its own page. With a passkey one assertion signs all of them; with a login or a
typed name, the decisions are separate and are confirmed on one page.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import Response

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import PlangateError
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.signing.batches import FEWEST, MOST
from plangate.signing.passkeys import challenge_of_batch
from plangate.web.approving_together import kind_of, may_be_together, money_of, what_runs_in
from plangate.web.confirmation_page import NOT_SIGNED
from plangate.web.confirmations import Confirmation
from plangate.web.deciding_view import not_previewed
from plangate.web.decision_proof import Way, proven, proving_of, strictest_way
from plangate.web.pages.deciding import not_now, text_of
from plangate.web.pages.lists import draw_list
from plangate.web.passkeys import asserted, request_options
from plangate.web.results import Result, ResultKind, result_of, send
from plangate.web.run_lists import RunList
from plangate.web.run_reader import read_run
from plangate.web.run_view import RunView
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep, web_of

router = APIRouter()


class _NotTogether(Exception):
    """These plans cannot be approved together now; ``words`` is the key of the message that explains why."""

    def __init__(self, words: str, run: str = "") -> None:
        super().__init__(words)
        self.words, self.run = words, run


@dataclass(frozen=True, slots=True)
class _Chosen:
    """One plan to approve, with the way to prove the approval."""

    view: RunView
    decision: Decision

    @property
    def status(self) -> Status:
        return self.view.status


@dataclass(frozen=True, slots=True)
class _Result:
    """The result of one approval."""

    confirmation: Confirmation
    result: Result
    status: Status


@router.post("/together/confirm")
async def confirm(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Store each approval until it is confirmed, and redirect to the page that asks for it."""
    try:
        chosen = await _chosen(web, visitor, form)
        await _way(web, visitor, chosen)
    except _NotTogether as error:
        return await _list_again(request, web, visitor, error)
    made = [
        await asyncio.to_thread(web.confirmations.make, visitor.session, one.decision, one.status, now())
        for one in chosen
    ]
    return RedirectResponse(f"/together/confirm?{_named(made)}", 303)


@router.get("/together/confirm")
async def confirm_again(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show each plan to approve again; if the approvals were sent, redirect to their results."""
    found = await _confirmations(web, visitor, request.query_params.getlist("confirmation"))
    if all(one.sent_at is not None for one in found):
        return RedirectResponse(f"/together/decided?{_named(found)}", 303)
    try:
        chosen = await _waiting(web, visitor, found)
        way = await _way(web, visitor, chosen)
    except _NotTogether as error:
        return await _list_again(request, web, visitor, error)
    fault = "passkey.not_signed" if NOT_SIGNED in request.query_params else ""
    return await _ask(request, visitor, chosen, found, way=way, fault=fault)


@router.post("/together/decide")
async def decide(request: Request, web: WebDep, visitor: VisitorDep, form: FormDep) -> Response:
    """Send the confirmed approvals, then redirect to the results.

    A repeated request sends the same decisions.
    """
    found = await _confirmations(web, visitor, form.getlist("confirmation"))
    try:
        if any(one.sent_at is None for one in found):
            if not await _record_confirmed(web, visitor, form, found):
                return RedirectResponse(f"/together/confirm?{_named(found)}&{NOT_SIGNED}=1", 303)
            found = await _confirmations(web, visitor, form.getlist("confirmation"))
    except _NotTogether as error:
        return await _list_again(request, web, visitor, error)
    sent = await asyncio.gather(
        *(send(web.gate, web.confirmations, one) for one in found), return_exceptions=True
    )
    for one in sent:  # if a result is not known, its page shows that
        if isinstance(one, BaseException) and not isinstance(one, PlangateError):
            raise one
    return RedirectResponse(f"/together/decided?{_named(found)}", 303)


@router.get("/together/decided")
async def decided(request: Request, web: WebDep, visitor: VisitorDep) -> Response:
    """Show the result of each approval."""
    found = await _confirmations(web, visitor, request.query_params.getlist("confirmation"))
    if any(one.sent_at is None for one in found):
        raise HTTPException(404)
    results = [await _result(web, visitor, one) for one in found]
    return web.pages.draw(
        request,
        "together_decided.html",
        visitor=visitor,
        results=results,
        is_unknown=any(one.result.kind is ResultKind.UNKNOWN for one in results),
    )


async def _chosen(web: Web, visitor: Visitor, form: FormData) -> list[_Chosen]:
    """Return the plans whose fingerprints a form lists, checked in their current state.

    Raises:
        _NotTogether: there are too few or too many plans, or one of them cannot be approved with the others.
    """
    opened = await asyncio.to_thread(web.opened.of, visitor.session)
    named = list(dict.fromkeys(str(one) for one in form.getlist("plan")))
    if not FEWEST <= len(named) <= MOST:
        raise _NotTogether("together.fewest" if len(named) < FEWEST else "together.most")
    if not all(one in opened for one in named):
        raise _NotTogether("together.not_opened")
    chosen = []
    for fingerprint in named:
        view = await read_run(web, visitor, opened[fingerprint])
        decision = Decision(decision=Choice.APPROVE, by=visitor.name, plan=fingerprint)
        chosen.append(_Chosen(view, decision))
    _check(chosen)
    return chosen


def _check(chosen: Sequence[_Chosen]) -> None:
    for one in chosen:
        if not_now(one.view, one.decision) or not may_be_together(one.view):
            raise _NotTogether("together.changed", one.status.workflow_id)
    if len({kind_of(one.status) for one in chosen}) > 1:
        raise _NotTogether("together.kinds")


async def _way(web: Web, visitor: Visitor, chosen: Sequence[_Chosen]) -> Way:
    proofs = [await proving_of(web, one.status, Choice.APPROVE, visitor) for one in chosen]
    way = strictest_way(one.way for one in proofs)
    if way is None:
        raise _NotTogether("passkey.none")
    return way


async def _ask(
    request: Request,
    visitor: Visitor,
    chosen: Sequence[_Chosen],
    made: Sequence[Confirmation],
    *,
    way: Way,
    fault: str = "",
) -> Response:
    web, sign = web_of(request), ""
    if way is Way.PASSKEY:
        proving = await proving_of(web, chosen[0].status, Choice.APPROVE, visitor)
        challenge = challenge_of_batch([one.claims for one in made])
        sign = request_options(challenge, web.place, proving.credential_ids)
    return web.pages.draw(
        request,
        "together_confirm.html",
        visitor=visitor,
        statuses=[one.status for one in chosen],
        texts={one.status.workflow_id: not_previewed(one.view) for one in chosen},
        delegators=list(dict.fromkeys(delegator for one in chosen for delegator in one.view.delegators)),
        total=what_runs_in(one.status for one in chosen),
        money=money_of(one.status for one in chosen),
        confirmations=made,
        sign=sign,
        way=way,
        fault=fault,
    )


async def _record_confirmed(
    web: Web, visitor: Visitor, form: FormData, found: Sequence[Confirmation]
) -> bool:
    """Record that the approvals are confirmed, each with its proof; return False if a passkey did not sign.

    Raises:
        _NotTogether: one of the plans can no longer be approved with the others.
    """
    way = await _way(web, visitor, await _waiting(web, visitor, found))
    assertion = asserted(text_of(form, "credential")) if way is Way.PASSKEY else None
    if way is Way.PASSKEY and assertion is None:
        return False
    batch = [one.claims for one in found]
    for one in (one for one in found if one.sent_at is None):
        whole = proven(one, way, web.key, assertion, batch)
        await asyncio.to_thread(web.confirmations.record_sent, one, whole, now())
    if assertion is not None:
        await asyncio.to_thread(web.proposals.note_used, visitor.name, assertion.credential_id, now())
    return True


async def _waiting(web: Web, visitor: Visitor, found: Sequence[Confirmation]) -> list[_Chosen]:
    """Return the plans whose approvals are not sent yet; the rest was sent before a crash.

    Raises:
        _NotTogether: the confirmations have ended, or a plan can no longer be approved with the others.
    """
    if any(one.session != visitor.session.token_hash or one.has_ended(now()) for one in found):
        raise _NotTogether("deciding.ended")
    waiting = [one for one in found if one.sent_at is None]
    chosen = [_Chosen(await read_run(web, visitor, one.workflow_id), one.decision) for one in waiting]
    _check(chosen)
    return chosen


def _named(found: Sequence[Confirmation]) -> str:
    """Return the query of an address of these confirmations."""
    return urlencode([("confirmation", one.id) for one in found])


async def _confirmations(web: Web, visitor: Visitor, names: Sequence[object]) -> list[Confirmation]:
    """Return this person's confirmations with these ids; all of them must be approvals.

    Raises:
        HTTPException: one is missing, or there are more than can be approved at once.
    """
    found = [
        await asyncio.to_thread(web.confirmations.find, str(name), visitor.name)
        for name in dict.fromkeys(names)
    ][: MOST + 1]
    approvals = [one for one in found if one is not None and one.decision.decision is Choice.APPROVE]
    if len(approvals) != len(found) or not FEWEST <= len(found) <= MOST:
        raise HTTPException(404)
    return approvals


async def _result(web: Web, visitor: Visitor, one: Confirmation) -> _Result:
    result = await result_of(web.gate, one)
    return _Result(one, result, await web.gate.status(one.workflow_id, visitor.rights))


async def _list_again(request: Request, web: Web, visitor: Visitor, why: _NotTogether) -> Response:
    return await draw_list(
        request, web, visitor, RunList.FOR_ME, path="/", fault=why.words, run=why.run, status=409
    )
