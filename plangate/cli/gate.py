"""Ask for a decision at the terminal, on exactly the plan or the held step that was shown.

The run is watched while the question is open; if it continues without an answer, the question is cancelled.
"""

import asyncio
from enum import StrEnum

from plangate.cli.choices import NOT_YET_ASKED, is_yes_or_no, wording_of
from plangate.cli.console import Session
from plangate.cli.decisions import at_a_prompt, made_decision, verdict_words
from plangate.cli.editing import PlanEditor
from plangate.cli.exits import WrongUsage, fit
from plangate.cli.following import wait_until_changed
from plangate.cli.keyboard import Keyboard
from plangate.cli.resolving import Resolver
from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer
from plangate.domain.people.people import same_person
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.prompt_page import prompt_page
from plangate.presentation.resolving_page import resolving_page
from plangate.presentation.run_page import (
    add_request,
    plan_page,
    run_page,
    unread_words,
    waits_for,
)
from plangate.presentation.words import spelled


class PromptResult(StrEnum):
    """The result of asking for a decision."""

    DECIDED = "decided"
    POSTPONED = "postponed"
    OBSOLETE = "obsolete"


class DecisionPrompt:
    """Shows a plan in review or a held run, asks for a decision, and sends it.

    Args:
        session: the terminal that asks the person, and the client that sends the decision.
        by: the approver's name; asked for if None. Never defaults to the requester.
    """

    def __init__(self, session: Session, by: str | None) -> None:
        self._session = session
        self._client = session.client
        self._keys = session.console.keys
        self._screen = session.screen
        self._by = by
        self._viewer = by or session.console.user
        self._keyboard = Keyboard(self._screen)
        self._editing = asyncio.Lock()

    async def ask(self, status: Status) -> PromptResult:
        """Show the run of ``status`` and ask what to do, until it is decided, postponed or has changed.

        An editor that is open is not interrupted.
        """
        self._show(status)
        self._keyboard.discard()
        asking = asyncio.create_task(self._ask_to_resolve(status) if status.held else self._ask(status))
        change = asyncio.create_task(wait_until_changed(self._client, status))
        try:
            await asyncio.wait((asking, change), return_when=asyncio.FIRST_COMPLETED)
            async with self._editing:
                pass
            if asking.done():
                return asking.result()
            asking.cancel()
            await asyncio.wait([asking])
            self._say(f"No decision is needed now: {_what_happened(status, change.result())}.")
            return PromptResult.OBSOLETE
        finally:
            for task in (asking, change):
                task.cancel()
            await asyncio.gather(asking, change, return_exceptions=True)

    def _show(self, status: Status) -> None:
        if status.held:
            if self._by is not None and self._keys.has(self._by):  # a signature covers the whole plan
                self._screen.show_on_stderr(run_page(status, now()))
            self._screen.show_on_stderr(resolving_page(status, now()))
            return
        page = Page()
        page.gap()
        page.heading(f"{status.workflow_id} {waits_for(status, self._viewer)}")
        if status.unread:
            page.note(f"{unread_words(status)} and may already answer this.", "yellow")
        add_request(page, status)
        page.field("requester", status.requester)
        page.extend(plan_page(status, now()))
        page.gap()
        self._screen.show_on_stderr(page)

    async def confirm(self, status: Status, choice: Choice) -> bool:
        """Ask whether to send ``choice`` for the plan in ``status``, which has been shown."""
        return await self._is_confirmed(status, f"{wording_of(choice).verb} plan {status.short_fingerprint}?")

    async def confirm_signing(self, status: Status, decision: Decision) -> bool:
        """Ask whether to sign ``decision`` on the plan in ``status``, which has been shown."""
        what = f"'{spelled(decision.resolution or decision.decision)}'"
        if decision.step is not None:
            what += f" of step {decision.step}"
        return await self._is_confirmed(status, f"Sign {what} for plan {status.short_fingerprint}?")

    async def confirm_edit(self, status: Status) -> bool:
        """Ask whether the new plan, which has been shown, should replace the plan in ``status``."""
        return await self._confirmed(f"Replace plan {status.short_fingerprint} with this one?")

    async def _is_confirmed(self, status: Status, question: str) -> bool:
        self._show_prompt(status)
        return await self._confirmed(question)

    async def _confirmed(self, question: str) -> bool:
        self._keyboard.discard()
        return await self._keyboard.confirmed(question)

    async def _ask(self, status: Status) -> PromptResult:
        while True:
            offered = {choice: wording_of(choice) for choice in self._offered(status)}
            offers = ", ".join(wording.offer for wording in offered.values())
            self._show_prompt(status)
            answer = await self._keyboard.ask(f"Plan {status.short_fingerprint}: {offers}, or [l]ater?")
            typed = "later" if answer is None else answer.lower()
            if typed in ("l", "later"):
                return PromptResult.POSTPONED
            choice = next((one for one, how in offered.items() if typed in (how.letter, how.word)), None)
            if choice is None:
                letters = ", ".join(wording.letter for wording in offered.values())
                self._say(f"Not understood; type {letters} or l.")
                continue
            decision = await self._complete(status, choice)
            if decision is None:
                return PromptResult.POSTPONED
            if choice is Choice.EDIT:
                is_decided = await self._edit(status, decision)
            else:
                is_decided = await self._send(status, decision)
            if is_decided:
                return PromptResult.DECIDED

    async def _ask_to_resolve(self, status: Status) -> PromptResult:
        why = _why_excluded(status, self._by) if self._by else ""
        if why:
            self._say(why)
            return PromptResult.POSTPONED
        while True:
            begun = await self._complete(status, Choice.RESOLVE)
            if begun is None:
                return PromptResult.POSTPONED
            decision = await Resolver(self._session, self._keyboard).complete(status, begun)
            if decision is None:
                return PromptResult.POSTPONED
            if await self._send(status, decision):
                return PromptResult.DECIDED

    async def _send(self, status: Status, decision: Decision) -> bool:
        """Sign and send a decision, and print its result; return False if it was refused."""
        signed = self._keys.signed(decision, status)
        return self._print_result(await self._client.decide(status.workflow_id, signed))

    async def _edit(self, status: Status, decision: Decision) -> bool:
        """Let the person edit the plan, and print the result; return False if it was not sent, or refused."""
        async with self._editing:
            try:
                editor = PlanEditor(self._session, self._keyboard, decision.by)
                sent = await editor.edit(status, decision.comment)
            except WrongUsage as error:
                self._say(str(error))
                return False
        return sent is not None and self._print_result(sent.answer)

    def _print_result(self, answer: DecisionAnswer | None) -> bool:
        self._say(verdict_words(answer))
        return answer is None or answer.accepted is not False

    def _offered(self, status: Status) -> tuple[Choice, ...]:
        """Return the possible choices; the requester, authors and people who have approved cannot approve."""
        refusals = (Choice.EDIT, Choice.REJECT, Choice.REQUEST_CHANGES)
        if self._by is not None and any(same_person(name, self._by) for name in status.approved_by):
            return (Choice.WITHDRAW_APPROVAL, *refusals)
        if self._by is not None and _why_excluded(status, self._by):
            return refusals
        return (Choice.APPROVE, *refusals)

    async def _complete(self, status: Status, choice: Choice) -> Decision | None:
        """Ask for the missing parts of a decision; None if the person cancels."""
        given = self._by
        while True:
            is_asked = given is None
            by, given = given or await self._keyboard.ask("Your name:"), None
            if by is None:
                return None
            why = _why_excluded(status, by) if choice in (Choice.APPROVE, Choice.RESOLVE) else ""
            if why:
                self._say(why)
                continue
            question = None if choice is Choice.RESOLVE else wording_of(choice).question
            comment = await self._keyboard.ask(question) if question else ""
            while comment and is_yes_or_no(comment):
                self._say(NOT_YET_ASKED)
                comment = await self._keyboard.ask(question or "")
            if comment is None:
                return None
            try:
                return made_decision(choice, by=by, plan=status.fingerprint or "", comment=comment)
            except WrongUsage as error:
                self._say(at_a_prompt(str(error)) if is_asked else str(error))

    def _show_prompt(self, status: Status) -> None:
        if status.plan is not None:
            self._screen.show_on_stderr(prompt_page(status, now()))

    def _say(self, words: str) -> None:
        self._screen.say_on_stderr(fit(words))


def _why_excluded(status: Status, name: str) -> str:
    """Return the reason why this person may neither approve nor resolve; empty if they may."""
    then = f"another person must {'resolve it' if status.held else 'approve'}."
    if same_person(name, status.requester):
        return f"{status.requester} is the requester, so {then}"
    if any(same_person(name, author) for author in status.authors):
        return f"{name} edited this plan, so {then}"
    return ""


def _what_happened(before: Status, after: Status) -> str:
    if after.fingerprint != before.fingerprint:
        return f"plan {after.short_fingerprint}, revision {after.revision}, has replaced this one"
    if before.held and after.held:
        return f"the run is held again, at step {after.held.step}"
    return f"the run is {spelled(after.state)}"
