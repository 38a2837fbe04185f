"""`/runs/ID/resolve` and `…/withdraw`: resolve a held run, and end a request."""

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData
from starlette.responses import Response

from plangate.domain.decisions.decision import Choice, Resolution, needed_comment, withdrawal, wrong_parts
from plangate.domain.errors import Refused
from plangate.presentation.resolutions import resolution_words
from plangate.web.confirmation_page import ask, show_run
from plangate.web.pages.deciding import decision_of, not_now, text_of
from plangate.web.run_addresses import RUN, in_address
from plangate.web.run_reader import read_run
from plangate.web.run_view import RunView
from plangate.web.visitor_actions import can_withdraw
from plangate.web.visitors import FormDep, Visitor, VisitorDep, WebDep, web_of

router = APIRouter()


@router.get(f"{RUN}/resolve")
async def show(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Show which steps happened and which did not, and the effect of each resolution."""
    view = await read_run(web, visitor, workflow_id)
    if Choice.RESOLVE.value not in view.offers or view.status.held is None:
        return await show_run(request, visitor, view, fault="deciding.not_now")
    return _page(request, visitor, view)


@router.post(f"{RUN}/resolve")
async def resolve(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Ask to confirm a resolution, or ask for its missing parts; the typed text is kept."""
    view = await read_run(web, visitor, workflow_id)
    status = view.status
    made = FormData([*form.multi_items(), ("decision", Choice.RESOLVE.value)])
    if status.held is None or text_of(form, "hold") != str(status.held.number):
        return await show_run(request, visitor, view, fault="deciding.not_now")
    if text_of(form, "resolution") not in status.held.resolutions:
        return _page(request, visitor, view, form, "resolve.choose")
    decision = decision_of(made, status, visitor)
    fault = not_now(view, decision)
    if fault:
        return await show_run(request, visitor, view, fault=fault, comment=decision.comment)
    if wrong_parts(decision) is not None:
        if not needed_comment(decision):
            raise Refused(f"The decision was not sent: {wrong_parts(decision)}.")
        is_skip = decision.resolution is Resolution.SKIP
        return _page(request, visitor, view, form, "resolve.say_why" if is_skip else "resolve.say_how")
    return await ask(request, visitor, view, decision)


@router.get(f"{RUN}/withdraw")
async def ask_to_withdraw(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Ask the requester to confirm ending the run; nothing is sent yet."""
    view = await read_run(web, visitor, workflow_id)
    if not can_withdraw(view.status, visitor.name):
        return await show_run(request, visitor, view, fault="deciding.not_now")
    return web.pages.draw(request, "withdraw.html", visitor=visitor, run=view)


@router.post(f"{RUN}/withdraw")
async def withdraw(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """End the requester's run; a step that is running is finished first."""
    view = await read_run(web, visitor, workflow_id)
    if not can_withdraw(view.status, visitor.name):
        return await show_run(request, visitor, view, fault="deciding.not_now")
    client = await web.gate.client()
    await client.withdraw(workflow_id, withdrawal(visitor.name, text_of(form, "comment")))
    return RedirectResponse(f"/runs/{in_address(workflow_id)}", 303)


def _page(
    request: Request, visitor: Visitor, view: RunView, form: FormData | None = None, fault: str = ""
) -> Response:
    return web_of(request).pages.draw(
        request,
        "resolve.html",
        HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK,
        visitor=visitor,
        run=view,
        ways=[(one.value, words) for one, words in resolution_words(view.status).items()],
        chosen=text_of(form, "resolution") if form is not None else "",
        comment=text_of(form, "comment") if form is not None else "",
        fault=fault,
    )
