"""`resolve`: say how a held run goes on, or ends."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from plangate.cli import console, decisions, gate, preflight, sending
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.options import AsJson, By, Comment, PlanPrefix, RunId
from plangate.domain import decision as domain
from plangate.presentation import clock, run_page

_WAYS = "retry, skip, mark_done, undo or abort"


def resolve(
    workflow_id: RunId,
    resolution: Annotated[str, typer.Argument(metavar="RESOLUTION", show_default=False, help=f"{_WAYS}.")],
    *,
    by: By,
    step: Annotated[
        int, typer.Option("--step", metavar="N", min=1, show_default=False, help="The held step.")
    ],
    plan: PlanPrefix = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> int:
    """Say how a held run goes on, or ends.

    Exit 0: accepted, or kept by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    made = decisions.made_decision(
        domain.Choice.RESOLVE,
        by=by,
        plan=plan,
        comment=comment,
        step=step,
        resolution=_resolution(resolution),
    )
    here = console.open_console(as_json=as_json)
    return asyncio.run(_resolve(here, workflow_id, made))


def _resolution(typed: str) -> domain.Resolution:
    try:
        return domain.Resolution(typed.replace("-", "_"))
    except ValueError:
        raise WrongUsage(f"No resolution is called {typed!r}; type {_WAYS}.") from None


async def _resolve(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
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
