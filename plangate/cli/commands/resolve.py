"""`resolve`: decide how a held run continues, or ends."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, decisions, keyboard, options, preflight, resolving, sending
from plangate.cli.exits import Exit
from plangate.domain.decisions import decision as domain
from plangate.domain.runs import run
from plangate.presentation import clock, resolving_page, run_page


@click.command()
@options.run_id
@click.argument(
    "resolution", default="", help="retry, skip, mark_done, undo or abort; asked for on a terminal."
)
@options.by
@options.step_number
@options.hold_number
@options.plan_prefix
@options.comment
@options.as_json
def resolve(
    workflow_id: str,
    resolution: str,
    *,
    by: str,
    step: int | None,
    hold: int,
    plan: str | None,
    comment: str,
    as_json: bool,
) -> int:
    """Resolve a held run.

    retry tries the step again. skip omits it (--comment gives the reason). mark_done states that a step in
    doubt was done (--comment gives the evidence). undo undoes the done steps and ends the run. abort ends it
    without undoing anything. Exit 0: accepted, or stored by Temporal because no worker is running. Exit 1:
    nothing was sent. Exit 3: refused, with the reason.
    """
    made = decisions.made_decision(
        domain.Choice.RESOLVE,
        by=by,
        plan=plan,
        comment=comment,
        step=step,
        resolution=decisions.resolution_named(resolution),
        hold=hold,
    )
    here = console.open_console(as_json=as_json)
    if not here.screen.can_ask:
        decisions.require_whole_resolution(made, workflow_id)
    return asyncio.run(_resolve(here, workflow_id, made))


async def _resolve(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
    await preflight.require_named_plan(here, workflow_id, decision)
    is_shown = preflight.must_be_shown(here, decision)
    async with here.connected() as session:
        if is_shown or not decisions.is_whole_resolution(decision):
            return await _show_and_resolve(session, workflow_id, decision)
        answer = await sending.send_named(session, workflow_id, decision)
        return sending.show_verdict(here, workflow_id, answer)


async def _show_and_resolve(session: console.Session, workflow_id: str, decision: domain.Decision) -> int:
    """Show the held run, ask for a resolution, and send it; ask again if another step is held by then."""
    screen = session.screen
    resolver = resolving.Resolver(session, keyboard.Keyboard(screen))
    while True:
        status = await session.client.status(workflow_id)
        preflight.checked(status, decision)
        if session.console.keys.has(decision.by):  # a signature covers the whole plan
            screen.show(run_page.run_page(status, clock.now()))
        has_choices = decision.resolution is None
        screen.show_on_stderr(resolving_page.resolving_page(status, clock.now(), has_choices=has_choices))
        whole = await resolver.complete(status, decision)
        if whole is None:
            screen.say("Nothing was sent; the run is still held.")
            return Exit.FAILED
        signed = session.console.keys.signed(whole, status)
        answer = await session.client.decide(workflow_id, signed)
        if answer is None or answer.accepted is not False or answer.state != run.Phase.HELD:
            return sending.show_verdict(session.console, workflow_id, answer)
        after = await session.client.status(workflow_id)
        if after.held is None or status.held is None or after.held.since == status.held.since:
            return sending.show_verdict(session.console, workflow_id, answer)
        screen.say_on_stderr(f"{decisions.verdict_words(answer)} This is why it is held now:", "yellow")
