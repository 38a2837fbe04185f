"""`/runs/ID/confirm`, `…/decide` and `…/decided/…`: confirm a decision, send it, and show its result."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from pydantic import JsonValue, ValidationError
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.responses import Response

from plangate.domain.decisions.decision import Choice, Decision, Resolution, first_faults, wrong_parts
from plangate.domain.errors import RecordsMissing, Refused
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.run_page import is_over
from plangate.signing.passkeys import Assertion
from plangate.web.confirmation_page import NOT_SIGNED, ask, ask_again, show_run
from plangate.web.confirmations import Confirmation
from plangate.web.deciding_view import name_of
from plangate.web.decision_proof import Way, proven, proving_of
from plangate.web.edit_view import changes_view
from plangate.web.offered_decisions import has_begun
from plangate.web.passkeys import asserted
from plangate.web.results import Result, ResultKind, result_of, send
from plangate.web.run_addresses import RUN, in_address
from plangate.web.run_lists import Line, RunList, listed
from plangate.web.run_reader import read_run
from plangate.web.run_view import RunView
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep

router = APIRouter()


@router.post(f"{RUN}/confirm")
async def confirm(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Show the decision and its plan again; nothing is sent yet."""
    view = await read_run(web, visitor, workflow_id)
    status = view.status
    decision = decision_of(form, status, visitor)
    files = await unopened_files(web, visitor, form, view)
    opened = [str(name) for name in form.getlist("opened") if name not in files]
    await asyncio.to_thread(
        web.views.note_opened, visitor.name, workflow_id, status.fingerprint or "", opened
    )
    fault = not_now(view, decision) or _unread(form, view, decision, files)
    if fault:
        return await show_run(request, visitor, view, fault=fault, comment=decision.comment)
    return await ask(request, visitor, view, decision)


@router.get(f"{RUN}/confirm/{{name}}")
async def confirm_again(
    request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str, name: str
) -> Response:
    """Show a decision that is to be confirmed; if it was sent, redirect to its result."""
    one = await asyncio.to_thread(web.confirmations.find, name, visitor.name, workflow_id)
    if one is not None and one.sent_at is not None:
        return RedirectResponse(f"/runs/{in_address(workflow_id)}/decided/{name}", 303)
    view = await read_run(web, visitor, workflow_id)
    if one is None or one.has_ended(now()) or one.session != visitor.session.token_hash:
        return await show_run(request, visitor, view, fault="deciding.ended")
    fault = not_now(view, one.decision)
    if fault:
        return await show_run(request, visitor, view, fault=fault, comment=one.decision.comment)
    return await ask_again(request, visitor, view, one)


@router.post(f"{RUN}/decide")
async def decide(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Send a confirmed decision, and redirect to its result. A repeated request sends the same decision."""
    name = text_of(form, "confirmation")
    one = await asyncio.to_thread(web.confirmations.find, name, visitor.name, workflow_id)
    if one is None or one.has_ended(now()):
        view = await read_run(web, visitor, workflow_id)
        return await show_run(request, visitor, view, fault="deciding.ended")
    if one.sent_at is None:
        refused = await _record_confirmed(request, web, visitor, form, one)
        if refused is not None:
            return refused
        one = await asyncio.to_thread(web.confirmations.find, name, visitor.name, workflow_id) or one
    await send(web.gate, web.confirmations, one)
    return RedirectResponse(f"/runs/{in_address(workflow_id)}/decided/{one.id}", 303)


@router.get(f"{RUN}/decided/{{name}}")
async def decided(
    request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str, name: str
) -> Response:
    """Show the result of a decision."""
    one = await asyncio.to_thread(web.confirmations.find, name, visitor.name, workflow_id)
    if one is None or one.sent_at is None:
        raise HTTPException(404)
    result = await result_of(web.gate, one)
    view = await read_run(web, visitor, workflow_id)
    return web.pages.draw(
        request,
        "verdict.html",
        visitor=visitor,
        run=view,
        decision=one.decision,
        result=result,
        confirmation=one,
        name=name_of(view.status, one.decision),
        next_run=await _next_run(web, visitor, workflow_id),
        replaced=_changes_since(view.status, one, result),
    )


async def _record_confirmed(
    request: Request, web: Web, visitor: Visitor, form: FormData, one: Confirmation
) -> Response | None:
    """Record that a decision is confirmed, with its proof; return an error page if it cannot be confirmed."""
    view = await read_run(web, visitor, one.workflow_id)
    status = view.status
    fault = not_now(view, one.decision)
    if one.session != visitor.session.token_hash:
        fault = fault or "deciding.ended"
    if fault:
        return await show_run(request, visitor, view, fault=fault, comment=one.decision.comment)
    way = (await proving_of(web, status, one.decision.decision, visitor)).way
    assertion = asserted(text_of(form, "credential")) if way is Way.PASSKEY else None
    if way is None or (way is Way.PASSKEY and assertion is None):
        return await ask(request, visitor, view, one.decision, NOT_SIGNED)
    whole = proven(one, way, web.key, assertion)
    await asyncio.to_thread(web.confirmations.record_sent, one, whole, now())
    if isinstance(assertion, Assertion):
        await asyncio.to_thread(web.proposals.note_used, visitor.name, assertion.credential_id, now())
    return None


def decision_of(form: FormData, status: Status, visitor: Visitor, new_plan: JsonValue = None) -> Decision:
    """Return the decision in a form, on the plan with the fingerprint in the form.

    Raises:
        Refused: a part is missing; the message states which.
    """
    resolution = text_of(form, "resolution")
    is_resolution = bool(resolution) and status.held is not None
    try:
        decision = Decision(
            decision=Choice(text_of(form, "decision")),
            by=visitor.name,
            plan=text_of(form, "plan"),
            comment=text_of(form, "comment"),
            new_plan=new_plan,
            step=status.held.step if is_resolution and status.held else None,
            resolution=Resolution(resolution) if is_resolution else None,
            hold=status.held.number if is_resolution and status.held else None,
        )
    except ValidationError as error:
        raise Refused(f"The decision cannot be sent: {first_faults(error)}.") from None
    except ValueError:
        raise Refused("The form contains no decision; open the run again, and decide there.") from None
    return decision


def not_now(view: RunView, decision: Decision) -> str:
    """Return the key of the message that explains why this decision cannot be made here; otherwise empty."""
    if decision.plan != view.status.fingerprint:
        return "deciding.replaced"
    if decision.decision is Choice.WITHDRAW_APPROVAL and has_begun(view.status):
        return "deciding.too_late"
    if is_over(view.status):
        return "deciding.is_over"
    if decision.decision.value not in view.offers:
        return "deciding.not_now"
    if decision.hold is not None and (view.status.held is None or decision.hold != view.status.held.number):
        return "deciding.not_now"
    return ""


def _unread(form: FormData, view: RunView, decision: Decision, files: Sequence[str]) -> str:
    """Return what prevents a decision for now: a collapsed section is unopened, or a comment is missing."""
    if decision.decision is Choice.APPROVE and unopened(form, view.folds):
        return "deciding.unopened"
    if decision.decision is Choice.APPROVE and files:
        return "deciding.unopened_files"
    if decision.decision is Choice.REQUEST_CHANGES and wrong_parts(decision):
        return "deciding.say_what"
    wrong = wrong_parts(decision)
    if wrong is not None:
        raise Refused(f"The decision was not sent: {wrong}.")
    return ""


def unopened(form: FormData, folds: Sequence[str]) -> list[str]:
    """Return the collapsed sections that were not read to the end."""
    opened = {str(name) for name in form.getlist("opened")}
    return [fold for fold in folds if fold not in opened]


async def unopened_files(web: Web, visitor: Visitor, form: FormData, view: RunView) -> list[str]:
    """Return the sections of files that the page does not show in full and the visitor has not opened.

    A file is treated as opened if they downloaded it, opened it separately, or scrolled in its frame, as the
    page's script reports.
    """
    inside = {str(name) for name in form.getlist("inside")}
    had = await asyncio.to_thread(web.opened.files_of, visitor.session)
    files = [file for step in view.steps for file in step.files if not file.is_whole]
    return [one.fold for one in files if one.sha256 not in had and not (one.is_shown and one.fold in inside)]


async def _next_run(web: Web, visitor: Visitor, workflow_id: str) -> Line | None:
    """Return the run with the earliest deadline among the others that wait for this person."""
    with suppress(RecordsMissing):
        found = await listed(web.gate, web.index, visitor, RunList.FOR_ME)
        return next((line for line in found.lines if line.workflow_id != workflow_id), None)
    return None


def _changes_since(status: Status, one: Confirmation, result: Result) -> object:
    """Return the changes in the newest plan, if a refused decision was on the previous plan."""
    before = status.previous
    if result.kind is not ResultKind.REFUSED or before is None or status.plan is None:
        return None
    return changes_view(before, status.plan) if before.fingerprint == one.decision.plan else None


def text_of(form: FormData, name: str) -> str:
    """Return a form field; empty if it is missing or not text."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
