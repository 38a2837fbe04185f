"""`/runs/ID/confirm` and `/runs/ID/decide`: one confirmation, then the decision and its verdict."""

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from plangate.domain.decision import Choice, Decision, Resolution, first_faults, wrong_parts
from plangate.domain.errors import Refused
from plangate.domain.status import Status
from plangate.presentation.clock import now
from plangate.web.run_reader import read_run
from plangate.web.run_view import RunView
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep
from plangate.web.web_key import attested

router = APIRouter()


@router.post("/runs/{workflow_id:path}/confirm")
async def confirm(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Show once more what is decided, in the plan's own words; nothing is sent yet."""
    view = await read_run(web, visitor, workflow_id)
    decision = _decision(form, view.status, visitor)
    fault = _not_now(form, view, decision)
    if fault:
        return _refused(request, web, visitor, view, fault)
    return web.pages.draw(request, "confirm.html", visitor=visitor, run=view, decision=decision)


@router.post("/runs/{workflow_id:path}/decide")
async def decide(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Send the decision, and show its verdict."""
    view = await read_run(web, visitor, workflow_id)
    decision = _decision(form, view.status, visitor)
    fault = _not_now(form, view, decision)
    if fault:
        return _refused(request, web, visitor, view, fault)
    client = await web.gate.client()
    proven = attested(decision, view.status, visitor.session, web.key, now())
    answer = await client.decide(workflow_id, proven)
    after = await read_run(web, visitor, workflow_id)
    return web.pages.draw(
        request, "verdict.html", visitor=visitor, run=after, decision=decision, answer=answer
    )


def _decision(form: FormData, status: Status, visitor: Visitor) -> Decision:
    """Return the decision that a form makes, on the plan whose fingerprint it names.

    Raises:
        Refused: it lacks a part; the message says which.
    """
    resolution = _text(form, "resolution")
    is_resolution = bool(resolution) and status.held is not None
    try:
        decision = Decision(
            decision=Choice(_text(form, "decision")),
            by=visitor.name,
            plan=_text(form, "plan"),
            comment=_text(form, "comment").replace("\r\n", "\n"),
            step=status.held.step if is_resolution and status.held else None,
            resolution=Resolution(resolution) if is_resolution else None,
            hold=status.held.number if is_resolution and status.held else None,
        )
    except ValidationError as error:
        raise Refused(f"The decision cannot be sent: {first_faults(error)}.") from None
    except ValueError:
        raise Refused("The form names no decision; open the run again, and decide there.") from None
    wrong = wrong_parts(decision)
    if wrong is not None:
        raise Refused(f"The decision was not sent: {wrong}.")
    return decision


def _not_now(form: FormData, view: RunView, decision: Decision) -> str:
    """Return the name of the words that say why this decision cannot be taken on this page; else empty."""
    if decision.plan != view.status.fingerprint:
        return "deciding.replaced"
    if decision.decision.value not in view.offers:
        return "deciding.not_now"
    if decision.decision is Choice.APPROVE and _unopened(form, view.folds):
        return "deciding.unopened"
    return ""


def _unopened(form: FormData, folds: Sequence[str]) -> list[str]:
    opened = {str(name) for name in form.getlist("opened")}
    return [fold for fold in folds if fold not in opened]


def _refused(request: Request, web: Web, visitor: Visitor, view: RunView, fault: str) -> Response:
    return web.pages.draw(request, "run.html", HTTPStatus.CONFLICT, visitor=visitor, run=view, fault=fault)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
