"""`approve`, `withdraw-approval`, `reject` and `request-changes`: one implementation."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, decisions, gate, options, preflight, sending
from plangate.cli.exits import Exit
from plangate.domain.decisions import decision as domain
from plangate.domain.runs import run
from plangate.presentation import clock, run_page


def _command(choice: str, help_text: str) -> click.Command:
    """Return the command that makes one kind of decision."""

    @click.command(help=help_text)
    @options.run_id
    @options.by
    @options.plan_prefix
    @options.comment
    @options.as_json
    def decide(workflow_id: str, *, by: str, plan: str | None, comment: str, as_json: bool) -> int:
        made = decisions.made_decision(domain.Choice(choice), by=by, plan=plan, comment=comment)
        here = console.open_console(as_json=as_json)
        return asyncio.run(_decide(here, workflow_id, made))

    return decide


approve = _command(
    "approve",
    """Approve exactly one plan of a run.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """,
)
withdraw_approval = _command(
    "withdraw_approval",
    """Withdraw your approval of a plan.

    Possible until the first step begins. Exit codes as for approve.
    """,
)
reject = _command("reject", """Reject a plan, which ends its run. Exit codes as for approve.""")
request_changes = _command(
    "request_changes",
    """Ask for another revision of a plan.

    --comment says what to change. Exit codes as for approve.
    """,
)


async def _decide(here: console.Console, workflow_id: str, decision: domain.Decision) -> int:
    await preflight.require_named_plan(here, workflow_id, decision)
    is_shown = preflight.must_be_shown(here, decision)
    async with here.connected() as session:
        if is_shown:
            return await _show_and_decide(session, workflow_id, decision)
        answer = await sending.send_named(session, workflow_id, decision)
        await sending.warn_about_stops(session, workflow_id, answer)
        return sending.show_verdict(here, workflow_id, answer)


async def _show_and_decide(session: console.Session, workflow_id: str, decision: domain.Decision) -> int:
    """Show the plan in review, ask for a decision, and send it; ask again if the plan was replaced."""
    screen = session.screen
    prompt = gate.DecisionPrompt(session, decision.by)
    while True:
        status = await session.client.status(workflow_id)
        preflight.checked(status, decision)
        screen.show(run_page.run_page(status, clock.now()))
        if not await prompt.confirm(status, decision.decision):
            screen.say("Nothing was sent.")
            return Exit.FAILED
        signed = session.console.keys.signed(decision, status)
        answer = await session.client.decide(workflow_id, signed)
        open_phases = (run.Phase.IN_REVIEW, run.Phase.DRAFTING)
        if answer is None or answer.accepted is not False or answer.state not in open_phases:
            await sending.warn_about_stops(session, workflow_id, answer)
            return sending.show_verdict(session.console, workflow_id, answer)
        after = await session.client.status(workflow_id)
        if after.state != run.Phase.IN_REVIEW or after.fingerprint == status.fingerprint:
            return sending.show_verdict(session.console, workflow_id, answer)
        screen.say_on_stderr(f"{decisions.verdict_words(answer)} This is the new plan:", "yellow")
