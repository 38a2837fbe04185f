"""Watch a run: print a line per event, ask for a decision, and print the outcome."""

import asyncio

from plangate.cli.console import Session
from plangate.cli.exits import Exit, Interrupted
from plangate.cli.following import (
    ReadFailure,
    changes_between,
    decision_key,
    no_worker_warning,
    poll,
    waiting_words,
)
from plangate.cli.gate import DecisionPrompt, PromptResult
from plangate.cli.progress import Progress
from plangate.domain.escaping import one_line
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.presentation.run_page import is_over, outcome_page


async def watch_to_the_end(session: Session, workflow_id: str, by: str | None) -> int:
    """Watch a run, ask for decisions on a terminal, and print the outcome; return 0 if it was executed."""
    screen, watcher = session.screen, Watcher(session, by)
    try:
        status = await watcher.follow(workflow_id)
    except asyncio.CancelledError:
        raise Interrupted(_interrupted_words(workflow_id, watcher.last)) from None
    if screen.is_json:
        screen.print_json(status.model_dump(mode="json"))
    else:
        screen.show(outcome_page(status))
    return Exit.DONE if status.state == Outcome.EXECUTED else Exit.FAILED


class Watcher:
    """Follows a run to its end, and asks for decisions on a terminal.

    Args:
        session: the client that reads the run, and the terminal that asks the person.
        by: the person's name; asked for if None.

    Attributes:
        last: the newest status that was read.
    """

    def __init__(self, session: Session, by: str | None) -> None:
        self.last: Status | None = None
        self._client = session.client
        self._screen = session.screen
        self._prompt = DecisionPrompt(session, by) if session.screen.can_ask else None
        self._asked_about: set[tuple[object, ...]] = set()

    async def follow(self, workflow_id: str) -> Status:
        """Print each event and ask for decisions; return the status with the outcome."""
        with Progress(self._screen.err) as progress:
            async for polled in poll(self._client, workflow_id):
                warning = no_worker_warning(polled)
                if warning:
                    progress.note(warning)
                if isinstance(polled, ReadFailure):
                    continue
                changes = _changes_page(self.last, polled)
                if changes.rows:
                    with progress.paused():
                        self._screen.show(changes)
                self.last = polled
                if is_over(polled):
                    return polled
                waits = polled.state in (Phase.IN_REVIEW, Phase.HELD)
                if self._prompt and waits and decision_key(polled) not in self._asked_about:
                    await self._ask(self._prompt, polled, progress)
                elif not warning:
                    progress.update(waiting_words(polled))
        raise AssertionError("poll() never ends")

    async def _ask(self, prompt: DecisionPrompt, polled: Status, progress: Progress) -> None:
        progress.update(waiting_words(polled))
        with progress.paused():
            asked = await prompt.ask(polled)
        if asked is not PromptResult.OBSOLETE:
            self._asked_about.add(decision_key(polled))
        if asked is PromptResult.POSTPONED:
            progress.note(
                f"Not decided. Still watching; Ctrl-C exits, and the run "
                f"{'stays held' if polled.held else 'continues'}. "
                f"To be asked again: {program()} watch {one_line(polled.workflow_id)}"
            )


def _interrupted_words(workflow_id: str, last: Status | None) -> str:
    """Return a sentence for Ctrl-C that states whether the run continues or waits."""
    run = one_line(workflow_id)
    if last is not None and last.held:
        step = step_or_undo(last.held.step, undo=last.held.undo)
        return f"Stopped watching; {run} is held at {step}. Resolve it with: {program()} resolve {run}"
    return f"Stopped watching; {run} continues. To watch it again: {program()} watch {run}"


def _changes_page(before: Status | None, after: Status) -> Page:
    page = Page()
    for when, line in changes_between(before, after):
        page.entry(moment(when, with_seconds=True) if when else "", line)
    return page
