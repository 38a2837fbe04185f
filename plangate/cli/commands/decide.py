"""`approve`, `withdraw-approval`, `reject` and `request-changes`: one implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plangate.cli import console, decisions, gate, preflight, progress
from plangate.cli.exits import Exit
from plangate.cli.options import AsJson, By, Comment, PlanPrefix, RunId
from plangate.domain import decision as domain
from plangate.domain import errors, run
from plangate.presentation import clock, run_page


def _command(choice: str, help_text: str) -> Callable[..., int]:
    """Return the command that makes one kind of decision."""

    def decide(
        workflow_id: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
    ) -> int:
        made = decisions.made_decision(domain.Choice(choice), by=by, plan=plan, comment=comment)
        here = console.open_console(as_json=as_json)
        return asyncio.run(_decide(here, workflow_id, made))

    decide.__doc__ = help_text
    return decide


approve = _command(
    "approve",
    """Approve exactly one plan of a run.

    Exit 0: accepted, or kept by Temporal because no worker is running. Exit 3: refused, with the reason.
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
            return await _decide_on_what_is_shown(session, workflow_id, decision)
        signed = await _signed(session, workflow_id, decision)
        with progress.Progress(here.screen.err) as waiting:
            waiting.brief("waiting for the verdict")
            answer = await session.client.decide(workflow_id, signed)
        return _show_verdict(here, workflow_id, answer)


async def _decide_on_what_is_shown(
    session: console.Session, workflow_id: str, decision: domain.Decision
) -> int:
    """Show the plan in review, ask, and send its fingerprint; ask again if it was replaced."""
    screen = session.screen
    gatekeeper = gate.Gatekeeper(session, decision.by)
    while True:
        status = await session.client.status(workflow_id)
        preflight.checked(status, decision)
        screen.show(run_page.run_page(status, clock.now()))
        if not await gatekeeper.confirm(status, decision.decision):
            screen.say("Nothing was sent.")
            return Exit.FAILED
        signed = session.console.keys.signed(decision, status)
        answer = await session.client.decide(workflow_id, signed)
        open_phases = (run.Phase.IN_REVIEW, run.Phase.DRAFTING)
        if answer is None or answer.accepted is not False or answer.state not in open_phases:
            return _show_verdict(session.console, workflow_id, answer)
        after = await session.client.status(workflow_id)
        if after.state != run.Phase.IN_REVIEW or after.fingerprint == status.fingerprint:
            return _show_verdict(session.console, workflow_id, answer)
        screen.say_aside(f"{decisions.verdict_words(answer)} This is the new plan:", "yellow")


async def _signed(session: console.Session, workflow_id: str, decision: domain.Decision) -> domain.Decision:
    """Sign the decision if this machine has a key and the plan is the one in review."""
    if not session.console.keys.has(decision.by):
        return decision
    status = await session.client.status(workflow_id)
    if status.fingerprint is None or not status.fingerprint.startswith(decision.plan):
        return decision
    return session.console.keys.signed(decision, status)


def _show_verdict(here: console.Console, workflow_id: str, answer: domain.DecisionAnswer | None) -> int:
    words = decisions.verdict_words(answer)
    is_refused = answer is not None and answer.accepted is False
    if here.screen.is_json:
        nothing = {"accepted": None, "reason": words, "state": None}
        known = answer.model_dump() if answer else nothing
        here.screen.print_json({"workflow_id": workflow_id, **known})
    elif is_refused:
        raise errors.Refused(words)
    else:
        here.screen.say(words)
    return Exit.REFUSED if is_refused else Exit.DONE
