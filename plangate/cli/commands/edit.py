"""`edit`: replace the plan in review by another version of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from plangate.cli import application, console, decisions, gate, plan_file, preflight, request, sending
from plangate.cli.exits import Exit
from plangate.cli.options import AsJson, By, Comment, Replaces, RunId
from plangate.domain import decision as domain
from plangate.presentation import clock, run_page


def edit(
    workflow_id: RunId,
    *,
    by: By,
    plan: Annotated[
        Path,
        typer.Option(
            "--plan",
            metavar="FILE",
            show_default=False,
            help="The whole new plan, JSON or YAML; - reads standard input.",
        ),
    ],
    replaces: Replaces = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> int:
    """Replace the plan in review by your own version of it.

    Exit 0: accepted, or kept by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    tools = application.declared_tools() if application.has_tools() else None
    try:
        new_plan = plan_file.read_plan_file(plan, tools, here.settings.max_steps)
    except plan_file.PlanFileFaults as error:
        return request.show_faults(here.screen, error)
    made = decisions.made_decision(
        domain.Choice.EDIT, by=by, plan=replaces, comment=comment, new_plan=new_plan
    )
    return asyncio.run(_edit(here, workflow_id, made))


async def _edit(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
    await preflight.require_named_plan(here, workflow_id, decision)
    is_shown = preflight.must_be_shown(here, decision)
    async with here.connected() as session:
        if is_shown:
            status = await session.client.status(workflow_id)
            preflight.checked(status, decision)
            here.screen.show(run_page.run_page(status, clock.now()))
            if not await gate.Gatekeeper(session, decision.by).confirm(status, decision.decision):
                here.screen.say("Nothing was sent.")
                return Exit.FAILED
            decision = here.keys.signed(decision, status)
        answer = await sending.send_named(session, workflow_id, decision)
        return sending.show_verdict(here, workflow_id, answer)
