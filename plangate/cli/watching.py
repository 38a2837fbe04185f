"""Watch a run: print a line per event, ask for a decision, and print the outcome."""

import asyncio

from plangate.cli.console import Session
from plangate.cli.exits import Exit, Interrupted
from plangate.cli.following import Silence, absence, looks, news, waiting_words
from plangate.cli.gate import Asked, Gatekeeper
from plangate.cli.progress import Progress
from plangate.cli.screen import Screen
from plangate.domain.audit import Outcome
from plangate.domain.escaping import one_line
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.program import program
from plangate.presentation.run_page import is_over, outcome_page


async def watch_to_the_end(session: Session, workflow_id: str, by: str | None) -> int:
    """Watch a run, ask for decisions on a terminal, and print the outcome; return 0 if it was executed."""
    screen = session.screen
    try:
        status = await follow_to_the_end(session, workflow_id, by)
    except asyncio.CancelledError:
        raise Interrupted(
            f"Stopped watching; {one_line(workflow_id)} continues. "
            f"Look again with: {program()} watch {one_line(workflow_id)}"
        ) from None
    if screen.is_json:
        screen.print_json(status.model_dump(mode="json"))
    else:
        screen.show(outcome_page(status))
    return Exit.DONE if status.state == Outcome.EXECUTED else Exit.FAILED


async def follow_to_the_end(session: Session, workflow_id: str, by: str | None) -> Status:
    """Print what happens and ask for decisions on a terminal; return the status with the outcome."""
    screen = session.screen
    gatekeeper = Gatekeeper(session, by) if screen.can_ask else None
    before: Status | None = None
    asked_about: set[str | None] = set()
    with Progress(screen.err) as progress:
        async for look in looks(session.client, workflow_id):
            away = absence(look)
            if away:
                progress.note(away)
            if isinstance(look, Silence):
                continue
            with progress.paused():
                _print_news(screen, before, look)
            before = look
            if is_over(look):
                return look
            if gatekeeper and look.state == Phase.IN_REVIEW and look.fingerprint not in asked_about:
                progress.update(waiting_words(look))
                with progress.paused():
                    asked = await gatekeeper.ask(look)
                if asked is not Asked.MOVED_ON:
                    asked_about.add(look.fingerprint)
                if asked is Asked.PUT_OFF:
                    progress.note(
                        "Not decided. Still watching; Ctrl-C leaves, and the run continues. "
                        f"To be asked again: {program()} watch {one_line(workflow_id)}"
                    )
            elif not away:
                progress.update(waiting_words(look))
    raise AssertionError("looks() never ends")


def _print_news(screen: Screen, before: Status | None, after: Status) -> None:
    if screen.is_json:
        return
    page = Page()
    for when, line in news(before, after):
        page.entry(moment(when, with_seconds=True) if when else "", line)
    screen.show(page)
