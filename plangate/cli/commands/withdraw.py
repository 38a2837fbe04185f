"""`withdraw`: end a run."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click

from plangate.cli import console, following, keyboard, options
from plangate.cli.exits import Exit
from plangate.domain import errors, escaping
from plangate.domain.decisions import decision as domain
from plangate.domain.runs import audit, status
from plangate.presentation import remaining_effects_page, run_page, words

_SECONDS_TO_WAIT = 5.0


@click.command()
@options.run_id
@click.option("--by", metavar="NAME", show_default="the operating system's user")
@options.comment
@click.option("--yes", is_flag=True, help="Do not ask for confirmation, even if steps are already done.")
@options.as_json
def withdraw(workflow_id: str, *, by: str | None, comment: str, yes: bool, as_json: bool) -> int:
    """Withdraw a run.

    A step that is running is finished first. If steps are already done, they are listed, and on a terminal
    you are asked to confirm. Exit 1: nothing was sent. Exit 3: the run has already ended.
    """
    here = console.open_console(as_json=as_json)
    reason = domain.withdrawal(by or here.user, comment)
    return asyncio.run(_withdraw(here, workflow_id, reason, is_asked=here.screen.can_ask and not yes))


async def _withdraw(here: console.Console, workflow_id: str, reason: str, *, is_asked: bool) -> int:
    async with here.connected() as session:
        with suppress(errors.NotAnswered, errors.RecordsUnavailable):  # it can still be withdrawn
            before = await session.client.status(workflow_id)
            if run_page.is_over(before):
                why = before.reason or words.spelled(before.state)
                raise errors.Refused(f"{workflow_id} has already ended: {why.rstrip('.')}.")
            left = remaining_effects_page.remaining_effects_page(before)
            here.screen.show_on_stderr(left)
            if left.rows and is_asked and not await _is_confirmed(here, workflow_id):
                here.screen.say("Nothing was sent.")
                return Exit.FAILED
        await session.client.withdraw(workflow_id, reason)
        return _show(here, workflow_id, await _ended(session, workflow_id))


async def _is_confirmed(here: console.Console, workflow_id: str) -> bool:
    asked = keyboard.Keyboard(here.screen)
    asked.discard()
    return await asked.confirmed(f"Withdraw {escaping.one_line(workflow_id)}?")


async def _ended(session: console.Session, workflow_id: str) -> status.Status | None:
    """Return the status with the outcome, or None if the run does not end within 5 seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_TO_WAIT):
            async for polled in following.poll(session.client, workflow_id):
                if not isinstance(polled, following.ReadFailure) and run_page.is_over(polled):
                    return polled
    return None


def _show(here: console.Console, workflow_id: str, ended: status.Status | None) -> int:
    is_withdrawn = ended is None or ended.state == audit.Outcome.WITHDRAWN
    if here.screen.is_json:
        here.screen.print_json({"workflow_id": workflow_id, "state": ended.state if ended else None})
    elif ended is None:
        sent = f"The withdrawal of {workflow_id} was sent; a worker ends the run after its current step."
        here.screen.say(escaping.one_line(sent))
    elif is_withdrawn:
        here.screen.say(escaping.one_line(f"{workflow_id} is {ended.reason or 'withdrawn'}."))
    else:
        raise errors.Refused(f"{workflow_id} had already ended ({ended.state}); nothing was withdrawn.")
    return Exit.DONE if is_withdrawn else Exit.REFUSED
