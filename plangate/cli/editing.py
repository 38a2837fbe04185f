"""Edit the plan in review in the person's editor, show the changes, ask, and send them.

Nothing that was typed is lost: until the new plan is accepted, its text is saved in a file, and the person
sees its path.
"""

import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plangate.cli.console import Session
from plangate.cli.decisions import made_decision, verdict_words
from plangate.cli.edit_page import edit_page
from plangate.cli.editor import editor_command, open_editor
from plangate.cli.exits import fit
from plangate.cli.keyboard import Keyboard
from plangate.cli.new_plan import read_new_plan
from plangate.cli.plan_file import PlanFileFaults
from plangate.cli.plan_yaml import yaml_of
from plangate.cli.request import show_faults
from plangate.domain.decisions.decision import Choice, DecisionAnswer
from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import ProposedPlan
from plangate.domain.plans.plan_changes import changes_between, in_short
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.page import Page
from plangate.presentation.program_name import program


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of a sent decision; None if no worker has checked it yet."""

    answer: DecisionAnswer | None


@dataclass(slots=True)
class _Draft:
    """The text being edited.

    Attributes:
        path: its file.
        original: the text before it was edited.
        may_be_deleted: whether the file is no longer needed.
        newest: the status of the run, once another plan has replaced the one being edited.
    """

    path: Path
    original: str
    may_be_deleted: bool = False
    newest: Status | None = None

    def is_unchanged(self) -> bool:
        """Return whether the text is unchanged, or empty except for comments, so that nothing is sent."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return True
        except (OSError, UnicodeDecodeError):
            return False  # the reader reports its errors
        lines = (line.strip() for line in text.splitlines())
        return text == self.original or all(not line or line.startswith("#") for line in lines)


class PlanEditor:
    """Lets a person edit a plan in review.

    Args:
        session: the terminal that asks the person, and the client that sends the edit.
        keyboard: reads their answers.
        by: the person's name.
    """

    def __init__(self, session: Session, keyboard: Keyboard, by: str) -> None:
        self._session = session
        self._screen = session.screen
        self._keyboard = keyboard
        self._by = by

    async def edit(self, status: Status, comment: str) -> Sent | None:
        """Edit the plan of ``status`` until it is sent; if nothing is sent, print the reason and return None.

        A refusal that the person does not correct is returned too.

        Raises:
            WrongUsage: there is no editor.
        """
        command = editor_command()
        with self._kept(status) as draft:
            while True:
                failed = await open_editor(command, draft.path)
                if failed:
                    self._say(f"{failed} Nothing was sent.")
                    return None
                if draft.is_unchanged():
                    self._leave(draft, "The plan was not changed; nothing was sent.")
                    return None
                try:
                    plan = read_new_plan(draft.path, self._session.console.settings.max_steps)
                except PlanFileFaults as error:
                    show_faults(self._screen, error)
                    if await self._wants_to_continue():
                        continue
                    return None
                if status.plan is not None and plan == status.plan.proposed():
                    self._leave(draft, "The new plan is the same as the plan in review; nothing was sent.")
                    return None
                if not await self._is_confirmed(status, plan):
                    if await self._wants_to_continue():
                        continue
                    return None
                sent = await self._send(status, plan, comment)
                draft.may_be_deleted = sent.answer is None or sent.answer.accepted is not False
                if draft.may_be_deleted or not await self._can_be_corrected(status, sent, draft):
                    return sent

    @contextmanager
    def _kept(self, status: Status) -> Iterator[_Draft]:
        """Keep the plan in a file during an edit; if the plan is not accepted, print the file's path."""
        assert status.plan is not None
        text = yaml_of(status.plan.proposed(), _header(status), _notes(status))
        with tempfile.NamedTemporaryFile(  # readable only by this user
            "w", encoding="utf-8", prefix="plangate-edit-", suffix=".yaml", delete=False
        ) as file:
            file.write(text)
        draft = _Draft(Path(file.name), text)
        try:
            yield draft
        finally:
            if draft.may_be_deleted or draft.is_unchanged():
                draft.path.unlink(missing_ok=True)
            else:
                self._say_where(status, draft)

    def _say_where(self, status: Status, draft: _Draft) -> None:
        words = [status.workflow_id, "--by", self._by, "--plan", str(draft.path)]
        page = Page()
        page.sentence(fit(f"Your text is saved in {draft.path}."))
        reverted = _reverted_changes(status, draft.newest)
        if reverted:
            page.sentence(reverted, "bold yellow")
        page.sentence("To continue editing it:")
        page.command(f"{program()} edit {shlex.join(words)}")
        self._screen.show_on_stderr(page)

    def _leave(self, draft: _Draft, why: str) -> None:
        draft.may_be_deleted = True
        self._say(why)

    async def _wants_to_continue(self) -> bool:
        self._keyboard.discard()
        while True:
            answer = await self._keyboard.ask("[e]dit again, or [l]eave?")
            typed = "leave" if answer is None else answer.lower()
            if typed in ("e", "edit", "l", "leave"):
                return typed in ("e", "edit")
            self._say("Not understood; type e or l.")

    async def _is_confirmed(self, status: Status, plan: ProposedPlan) -> bool:
        self._screen.show_on_stderr(edit_page(status, plan, self._by))
        self._keyboard.discard()
        return await self._keyboard.confirmed(f"Replace plan {status.short_fingerprint} with this one?")

    async def _send(self, status: Status, plan: ProposedPlan, comment: str) -> Sent:
        decision = made_decision(
            Choice.EDIT,
            by=self._by,
            plan=status.fingerprint,
            comment=comment,
            new_plan=plan.model_dump(mode="json"),
        )
        signed = self._session.console.keys.signed(decision, status)
        return Sent(await self._session.client.decide(status.workflow_id, signed))

    async def _can_be_corrected(self, status: Status, sent: Sent, draft: _Draft) -> bool:
        """Ask whether to edit a refused plan again, if the plan that it replaces is still in review."""
        now = await self._session.client.status(status.workflow_id)
        draft.newest = now if now.fingerprint != status.fingerprint else None
        if now.state != Phase.IN_REVIEW or now.fingerprint != status.fingerprint:
            return False
        self._say(verdict_words(sent.answer))
        return await self._wants_to_continue()

    def _say(self, words: str) -> None:
        self._screen.say_on_stderr(fit(words))


def _reverted_changes(edited: Status, newest: Status | None) -> str:
    """Return a warning about the changes of the newer plan that the saved text reverts; empty if none."""
    if newest is None or newest.plan is None or edited.plan is None:
        return ""
    changes = changes_between(edited.plan.proposed().as_plan(), newest.plan.proposed().as_plan())
    who = f" by {newest.author}" if newest.author else ""
    if not changes:
        return ""
    return one_line(
        f"It was written for revision {edited.revision}. Sent unchanged, it reverts what revision "
        f"{newest.revision}{who} has changed since: {in_short(changes)}."
    )


def _header(status: Status) -> list[str]:
    return [
        f"Plan {status.short_fingerprint}, revision {status.revision}, of {status.workflow_id}.",
        "Change it, save it, and close the editor: the changes are shown, and you are asked before",
        "anything is sent. If the file is unchanged or empty, nothing is sent.",
        "To remove a step, delete all its lines. Quoted values are strings; true and 7 are not.",
        "The tools create new previews and observations for the new plan.",
    ]


def _notes(status: Status) -> list[str]:
    """Return the preview of each step, to be shown above the step."""
    return [f"Step {step.number}: {step.preview or step.tool}" for step in status.steps]
