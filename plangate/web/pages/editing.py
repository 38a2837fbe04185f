"""`/runs/ID/edit` and `…/strike`: edit the plan, show the changes, and ask for confirmation."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from plangate.domain.decisions.decision import Choice, wrong_parts
from plangate.domain.errors import RecordsMissing, Refused, TemporalUnreachable
from plangate.domain.plans.plan import ProposedPlan, is_same_proposal, without_steps
from plangate.records.tool_descriptions import descriptions_of
from plangate.web.confirmation_page import UNCHECKED, ask, show_run
from plangate.web.confirmations import Confirmation
from plangate.web.pages.deciding import decision_of, not_now, text_of
from plangate.web.plan_form import FormFaults, PlanForm, Schemas, form_of, json_of, plan_from, plan_in_json
from plangate.web.results import ResultKind, result_of
from plangate.web.run_addresses import RUN
from plangate.web.run_reader import read_run
from plangate.web.run_view import RunView
from plangate.web.visitors import FormDep, Visitor, VisitorDep, Web, WebDep, web_of

_INCOMPLETE: Final = "The form is incomplete, so nothing was sent; open the run again, and edit there."

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Editor:
    """The content of an edit page.

    Attributes:
        form: the fields.
        whole: the whole plan as JSON, instead of fields.
        comment: the comment that was typed.
        definitions: the definitions of the tools, by name, from which the fields were built.
    """

    form: PlanForm
    whole: str | None
    comment: str
    definitions: Mapping[str, str]


@router.get(f"{RUN}/edit")
async def show(request: Request, web: WebDep, visitor: VisitorDep, workflow_id: str) -> Response:
    """Show the form for the plan in review; with ``?again=``, start from the plan of that confirmation."""
    again = request.query_params.get("again", "")
    view = await read_run(web, visitor, workflow_id)
    if Choice.EDIT.value not in view.offers or view.status.plan is None:
        return await show_run(request, visitor, view, fault="deciding.not_now")
    plan, refusal, comment = view.status.plan.proposed(), "", ""
    before = await asyncio.to_thread(web.confirmations.find, again, visitor.name, workflow_id)
    if before is not None and before.decision.new_plan is not None:
        plan = ProposedPlan.model_validate(before.decision.new_plan)
        refusal, comment = await _why_refused(web, before), before.decision.comment
    whole = json_of(plan) if request.query_params.get("notation") == "json" else None
    definitions = {step.tool: step.definition for step in view.status.plan.steps}
    schemas = await asyncio.to_thread(_schemas, web, definitions)
    editor = Editor(form_of(plan, refusal=refusal, schemas=schemas), whole, comment, definitions)
    return _page(request, visitor, view, editor)


@router.post(f"{RUN}/edit")
async def edit(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Ask to confirm the plan in the form, or show the form again with its errors."""
    view = await read_run(web, visitor, workflow_id)
    typed = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    base, definitions, whole = _base(typed), _definitions(typed), typed.get("whole")
    schemas = await asyncio.to_thread(_schemas, web, definitions)
    drawn = partial(form_of, base, typed if whole is None else None, schemas=schemas)
    comment = text_of(form, "comment")
    editor = Editor(drawn(), whole, comment, definitions)
    try:
        new = plan_from(base, typed, schemas) if whole is None else plan_in_json(whole)
        fault = _not_an_edit(view, typed, new)
        if fault:
            return _page(request, visitor, view, editor, fault)
        is_checked = await _check(web, new, editor.form)
    except FormFaults as error:
        faulty = drawn(error.faults) if whole is None else editor.form.with_faults(error.faults)
        return _page(request, visitor, view, replace(editor, form=faulty))
    return await _ask(request, visitor, view, form, new, is_checked=is_checked)


@router.post(f"{RUN}/strike")
async def strike(
    request: Request, web: WebDep, visitor: VisitorDep, form: FormDep, workflow_id: str
) -> Response:
    """Ask to confirm the plan without one step."""
    view = await read_run(web, visitor, workflow_id)
    status = view.status
    if text_of(form, "plan") != status.fingerprint or status.plan is None:
        return await show_run(request, visitor, view, fault="deciding.replaced")
    try:
        new = without_steps(status.plan.proposed(), {int(text_of(form, "strike"))})
    except ValueError as error:
        raise Refused(f"Nothing was removed: {error}.") from None
    return await _ask(request, visitor, view, form, new)


async def _ask(
    request: Request,
    visitor: Visitor,
    view: RunView,
    form: FormData,
    new: ProposedPlan,
    *,
    is_checked: bool = True,
) -> Response:
    newest = view.status.fingerprint or ""
    made = FormData([*form.multi_items(), ("decision", Choice.EDIT.value), ("plan", newest)])
    decision = decision_of(made, view.status, visitor, new.model_dump(mode="json"))
    fault = not_now(view, decision)
    wrong = wrong_parts(decision)
    if fault:
        return await show_run(request, visitor, view, fault=fault, comment=decision.comment)
    if wrong is not None:
        raise Refused(f"The decision was not sent: {wrong}.")
    return await ask(request, visitor, view, decision, "" if is_checked else UNCHECKED)


async def _check(web: Web, new: ProposedPlan, form: PlanForm) -> bool:
    """Have a worker's tools check the plan in a form; return whether a worker checked it.

    Raises:
        FormFaults: the tools found errors.
    """
    try:
        client = await web.gate.client()
    except TemporalUnreachable:
        return False
    checked = await client.checked(new.model_dump(mode="json"))
    if checked is not None and checked.faults:
        raise FormFaults(form.faults_at_fields(checked.faults))
    return checked is not None


def _schemas(web: Web, definitions: Mapping[str, str]) -> Schemas:
    """Return the argument schemas of the tools whose definitions are recorded."""
    with suppress(RecordsMissing), web.gate.database.read() as connection:
        found = descriptions_of(connection, [one for one in definitions.values() if one])
        return {tool: found[one].arguments for tool, one in definitions.items() if one in found}
    return {}


def _page(request: Request, visitor: Visitor, view: RunView, editor: Editor, fault: str = "") -> Response:
    is_wrong = fault or editor.form.has_faults
    status = HTTPStatus.UNPROCESSABLE_ENTITY if is_wrong and request.method == "POST" else HTTPStatus.OK
    return web_of(request).pages.draw(
        request, "edit.html", status, visitor=visitor, run=view, editor=editor, form=editor.form, fault=fault
    )


async def _why_refused(web: Web, before: Confirmation) -> str:
    """Return the reason why a worker refused this edit; empty if it was not sent or not refused."""
    if before.sent_at is None:
        return ""
    result = await result_of(web.gate, before)
    return result.reason if result.kind is ResultKind.REFUSED else ""


def _not_an_edit(view: RunView, typed: Mapping[str, str], new: ProposedPlan) -> str:
    """Return the key of the message that explains why the new plan cannot be sent; otherwise empty."""
    status = view.status
    if typed.get("plan") != status.fingerprint:
        return "edit.replaced"
    is_same = status.plan is not None and is_same_proposal(status.plan.proposed(), new)
    return "edit.same" if is_same else ""


def _definitions(typed: Mapping[str, str]) -> Mapping[str, str]:
    """Return the definitions of the tools from which a form was built.

    Raises:
        Refused: the form does not contain them.
    """
    try:
        return TypeAdapter(dict[str, str]).validate_json(typed.get("definitions", ""))
    except ValidationError:
        raise Refused(_INCOMPLETE) from None


def _base(typed: Mapping[str, str]) -> ProposedPlan:
    """Return the plan that a form was built from.

    Raises:
        Refused: the form does not contain it.
    """
    try:
        return ProposedPlan.model_validate_json(typed.get("base", ""))
    except ValidationError:
        raise Refused(_INCOMPLETE) from None
