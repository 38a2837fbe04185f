"""Ask at the terminal how a held run continues, after showing what each choice will do."""

from plangate.cli.choices import NOT_YET_ASKED, Wording, is_yes_or_no, wording_of_resolution
from plangate.cli.console import Session
from plangate.cli.exits import fit
from plangate.cli.keyboard import Keyboard
from plangate.domain.decisions.decision import Decision, Resolution, is_empty_comment
from plangate.domain.plans.plan import short
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.status import Status
from plangate.presentation.page import Page
from plangate.presentation.resolutions import resolution_words, without_needs
from plangate.presentation.resolving_page import CHOICE_WIDTH
from plangate.presentation.words import spelled


class Resolver:
    """Completes a resolution with the answers of the person at the terminal.

    Args:
        session: the terminal that asks the person.
        keyboard: reads their answers.
    """

    def __init__(self, session: Session, keyboard: Keyboard) -> None:
        self._screen = session.screen
        self._keyboard = keyboard

    async def complete(self, status: Status, decision: Decision) -> Decision | None:
        """Return ``decision`` with its step, resolution and comment, once it is confirmed.

        None if the person cancels. The run of ``status`` is held, and `resolving_page` has been shown.
        """
        assert status.held is not None
        self._keyboard.discard()
        resolution = decision.resolution or await self._choose(status)
        if resolution is None:
            return None
        wording = wording_of_resolution(resolution, _step_words(status))
        comment: str | None = decision.comment
        if not decision.comment.strip():
            comment = await self._ask_why(wording, resolution)
        if comment is None:
            return None
        changes = {
            "step": status.held.step,
            "resolution": resolution,
            "comment": comment,
            "hold": status.held.number,
        }
        whole = decision.model_copy(update=changes)
        return whole if await self._is_confirmed(status, wording, resolution) else None

    async def _choose(self, status: Status) -> Resolution | None:
        assert status.held is not None
        offered = {one: wording_of_resolution(one, _step_words(status)) for one in status.held.resolutions}
        offers = ", ".join(wording.offer for wording in offered.values())
        while True:
            answer = await self._keyboard.ask(f"Held at {_step_words(status)}: {offers}, or [l]ater?")
            typed = "later" if answer is None else answer.lower().replace(" ", "_")
            if typed in ("l", "later"):
                return None
            for resolution, wording in offered.items():
                if typed in (wording.letter, wording.word):
                    return resolution
            letters = ", ".join(wording.letter for wording in offered.values())
            self._say(f"Not understood; type {letters} or l.")

    async def _ask_why(self, wording: Wording, resolution: Resolution) -> str | None:
        assert wording.question is not None
        while True:
            comment = await self._keyboard.ask(wording.question)
            if comment and is_yes_or_no(comment):
                self._say(NOT_YET_ASKED)
                continue
            if comment is None or not resolution.needs_comment:
                return comment
            if comment and not is_empty_comment(comment):
                return comment
            self._say("It is recorded, so it cannot be empty or a placeholder; Ctrl-D cancels.")

    async def _is_confirmed(self, status: Status, wording: Wording, resolution: Resolution) -> bool:
        page = Page()
        words = without_needs(resolution_words(status)[resolution])
        page.field(spelled(resolution), words, "bold", width=CHOICE_WIDTH)
        self._screen.show_on_stderr(page)
        question = f"{wording.verb}, in plan {short(status.fingerprint or '')} of {status.workflow_id}?"
        return await self._keyboard.confirmed(fit(question))

    def _say(self, words: str) -> None:
        self._screen.say_on_stderr(fit(words))


def _step_words(status: Status) -> str:
    assert status.held is not None
    return step_or_undo(status.held.step, undo=status.held.undo)
