"""`sign`: a finished, signed decision, for the Temporal CLI or the Web UI's dialog."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path

import click

from plangate.cli import choices, console, decisions, edit_page, gate, options, plan_file, preflight, request
from plangate.cli import new_plan as new_plans
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors
from plangate.domain.decisions import decision as domain
from plangate.domain.plans import drafting
from plangate.presentation import clock, page, program_name, run_page

_DECISIONS = "approve, withdraw-approval, reject, request-changes, edit or resolve"


@click.command()
@options.run_id
@click.argument("choice", metavar="DECISION", help=f"{_DECISIONS}.")
@options.by
@options.plan_prefix
@options.comment
@click.option("--new-plan", type=options.PATH, help="For edit: the whole new plan; - reads stdin.")
@options.step_number
@click.option(
    "--resolution",
    metavar="RESOLUTION",
    default="",
    help="For resolve: retry, skip, mark_done, undo or abort.",
)
@options.hold_number
@options.as_json
def sign(
    workflow_id: str,
    choice: str,
    *,
    by: str,
    plan: str | None,
    comment: str,
    new_plan: Path | None,
    step: int | None,
    resolution: str,
    hold: int,
    as_json: bool,
) -> int:
    """Print a signed decision for the Web UI or Temporal's CLI.

    It is signed with the key that `keys new` created for that name. Paste it into the Web UI's Send a Signal,
    or pass it to Temporal's command line. Standard output contains only the JSON; --json omits the
    explanation on standard error.
    """
    known = {choices.command_of(one): one for one in domain.Choice}
    wanted = known.get(choice.replace("_", "-"))
    if wanted is None:
        raise WrongUsage(f"There is no decision {choice!r}; type {_DECISIONS}.")
    decision = decisions.made_decision(
        wanted,
        by=by,
        plan=plan,
        comment=comment,
        step=step,
        resolution=decisions.resolution_named(resolution),
        hold=hold if wanted is domain.Choice.RESOLVE else None,
    )
    here = console.open_console(as_json=as_json)
    _check_parts(decision, workflow_id, new_plan)
    if new_plan is not None:
        try:
            proposed = new_plans.read_new_plan(new_plan, here.settings.max_steps)
        except plan_file.PlanFileFaults as error:
            return request.show_faults(here.screen, error)
        decision = decision.model_copy(update={"new_plan": proposed.model_dump(mode="json")})
    if not here.keys.has(decision.by):
        make_one = f"{program_name.program()} keys new {shlex.quote(decision.by)}"
        raise WrongUsage(f"There is no key for {decision.by} on this machine; make one with: {make_one}")
    return asyncio.run(_sign(here, workflow_id, decision))


def _check_parts(decision: domain.Decision, workflow_id: str, new_plan: Path | None) -> None:
    """Check that the decision has what its kind needs, and nothing else.

    Raises:
        WrongUsage: a part is missing, or there is an extra one.
    """
    is_edit = decision.decision is domain.Choice.EDIT
    if is_edit is not (new_plan is not None):
        raise WrongUsage("An edit is signed with its new plan: sign ID edit --new-plan FILE.")
    if decision.decision is domain.Choice.RESOLVE:
        decisions.require_whole_resolution(decision, workflow_id)
    elif decision.step is not None or decision.resolution is not None:
        raise WrongUsage("Only resolve has --step and --resolution; leave them out.")


async def _sign(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
    await preflight.require_named_plan(here, workflow_id, decision)
    is_shown = preflight.must_be_shown(here, decision)
    async with here.connected() as session:
        status = await session.client.status(workflow_id)
        fingerprint = preflight.checked(status, decision)
        if is_shown:
            here.screen.show_on_stderr(run_page.run_page(status, clock.now()))
            if status.held is not None:
                decision = decision.model_copy(update={"hold": status.held.number})
            if decision.new_plan is not None:
                proposed = drafting.as_proposed_plan(decision.new_plan)
                here.screen.show_on_stderr(edit_page.edit_page(status, proposed, decision.by))
            if not await gate.DecisionPrompt(session, decision.by).confirm_signing(status, decision):
                here.screen.say_on_stderr("Nothing was signed.")
                return Exit.FAILED
            now = await session.client.status(workflow_id)
            if preflight.decidable(now, decision.decision) != fingerprint:
                raise errors.Refused(
                    "The plan was replaced in the meantime; review the new one and sign that."
                )
        signed = here.keys.signed(decision, status)
        message = signed.model_dump(mode="json", exclude_none=True, exclude={"decision"})
        if here.screen.is_json:
            here.screen.print_json(message)
            return Exit.DONE
        here.screen.write_line(json.dumps(message))
        here.screen.show_on_stderr(_how_to_send(session, workflow_id, decision.decision, json.dumps(message)))
        return Exit.DONE


def _how_to_send(
    session: console.Session, workflow_id: str, choice: domain.Choice, message: str
) -> page.Page:
    shown = page.Page()
    shown.note(f"Paste it into the Web UI's Send a Signal, under {choice}, or run:")
    shown.command(shlex.join(session.access.words(workflow_id, choice, message)))
    return shown
