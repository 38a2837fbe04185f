"""`edit`: replace the plan in review with another version of it, from an editor or a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from plangate.cli import (
    console,
    decisions,
    edit_page,
    editing,
    gate,
    keyboard,
    new_plan,
    options,
    plan_file,
    preflight,
    request,
    sending,
)
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain.decisions import decision as domain
from plangate.domain.plans import plan as plans


@click.command()
@options.run_id
@options.by
@click.option(
    "--plan",
    type=options.PATH,
    show_default="opens $VISUAL or $EDITOR",
    help="The whole new plan, in JSON or YAML; - reads standard input.",
)
@options.replaces
@options.comment
@options.as_json
def edit(
    workflow_id: str, *, by: str, plan: Path | None, replaces: str | None, comment: str, as_json: bool
) -> int:
    """Replace the plan in review with your own version.

    You become an author of the new plan, so another person must approve it. Exit 0: accepted, or stored by
    Temporal because no worker is running. Exit 1: nothing was sent. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    made = decisions.made_decision(domain.Choice.EDIT, by=by, plan=replaces, comment=comment)
    if plan is None:
        if not here.screen.can_ask:
            raise WrongUsage("There is no terminal for an editor; supply the new plan with --plan FILE.")
        return asyncio.run(_edit(here, workflow_id, made))
    try:
        proposed = new_plan.read_new_plan(plan, here.settings.max_steps)
    except plan_file.PlanFileFaults as error:
        return request.show_faults(here.screen, error)
    whole = made.model_copy(update={"new_plan": proposed.model_dump(mode="json")})
    return asyncio.run(_send(here, workflow_id, whole, proposed))


async def _edit(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
    """Open the editor on the plan in review."""
    async with here.connected() as session:
        status = await session.client.status(workflow_id)
        preflight.checked(status, decision)
        editor = editing.PlanEditor(session, keyboard.Keyboard(here.screen), decision.by)
        sent = await editor.edit(status, decision.comment)
    return Exit.FAILED if sent is None else sending.show_verdict(here, workflow_id, sent.answer)


async def _send(
    here: console.Console, workflow_id: str, decision: domain.Decision, proposed: plans.ProposedPlan
) -> int:
    """Send a new plan that was read from a file."""
    await preflight.require_named_plan(here, workflow_id, decision)
    is_shown = preflight.must_be_shown(here, decision)
    async with here.connected() as session:
        if not is_shown:
            answer = await sending.send_named(session, workflow_id, decision)
            return sending.show_verdict(here, workflow_id, answer)
        status = await session.client.status(workflow_id)
        preflight.checked(status, decision)
        here.screen.show_on_stderr(edit_page.edit_page(status, proposed, decision.by))
        if not await gate.DecisionPrompt(session, decision.by).confirm_edit(status):
            here.screen.say("Nothing was sent.")
            return Exit.FAILED
        signed = here.keys.signed(decision, status)
        return sending.show_verdict(here, workflow_id, await session.client.decide(workflow_id, signed))
