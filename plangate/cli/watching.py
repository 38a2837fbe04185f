"""`watch`, and `start --watch`: a line for each thing that happens, the question at the gate, the outcome."""

import asyncio

from plangate.cli.exits import Exit, Interrupted
from plangate.cli.following import Silence, absence, looks, news, waiting_words
from plangate.cli.gate import Asked, Gatekeeper
from plangate.cli.keys import KeyChain
from plangate.cli.progress import Progress
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import Session, opened, run_async, settings_for_people
from plangate.domain.audit import Outcome
from plangate.domain.escaping import one_line
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.program import program
from plangate.presentation.run_page import is_over, outcome_page


def watch(workflow_id: str, *, by: str | None, as_json: bool) -> int:
    """Watch a run to its end and return how it ended."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)

    async def main() -> int:
        async with opened(settings) as session:
            return await watch_to_the_end(session, screen, workflow_id, by)

    return run_async(main())


async def watch_to_the_end(session: Session, screen: Screen, workflow_id: str, by: str | None) -> int:
    """Watch, ask where a person can be asked, print the outcome; 0 where the plan was executed, else 1."""
    try:
        status = await follow_to_the_end(session, screen, workflow_id, by)
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


async def follow_to_the_end(session: Session, screen: Screen, workflow_id: str, by: str | None) -> Status:
    """Print what happens and ask where a person can be asked; return the status with the outcome."""
    gatekeeper = (
        Gatekeeper(session.gateway, screen, KeyChain(session.settings, screen), by)
        if screen.can_ask
        else None
    )
    before: Status | None = None
    asked_about: set[str | None] = set()
    with Progress(screen.err) as progress:
        async for look in looks(session.gateway, workflow_id):
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
    raise AssertionError("looks() never ends by itself")


def _print_news(screen: Screen, before: Status | None, after: Status) -> None:
    if screen.is_json:
        return
    page = Page()
    for when, line in news(before, after):
        page.entry(moment(when, with_seconds=True) if when else "", line)
    screen.show(page)
