"""Asking the person at the terminal: what was shown is what is decided, by exactly its fingerprint.

While a question stands, the run is watched: what was settled elsewhere meanwhile takes the question back.
"""

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from pydantic import ValidationError

from plangate.cli.exits import WrongUsage, fit
from plangate.cli.following import moved_on
from plangate.cli.keyboard import Keyboard
from plangate.cli.keys import KeyChain
from plangate.cli.screen import Screen
from plangate.client import Client
from plangate.domain.decision import MAX_COMMENT, Choice, Decision, DecisionAnswer, is_placeholder
from plangate.domain.digest import digest
from plangate.domain.escaping import one_line
from plangate.domain.people import same_person
from plangate.domain.plan import FINGERPRINT_LENGTH, MIN_PREFIX
from plangate.domain.status import Status
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.run_page import add_request, plan_page, unread_words, waits_for
from plangate.presentation.words import spelled
from plangate.settings import operating_system_user

SENT_LATER: Final = (
    "No worker answered: the decision waits at the Temporal server, and is judged as soon as a worker runs. "
    "Check the result with the status command."
)
_ANSWERS: Final = {
    "a": Choice.APPROVE,
    "approve": Choice.APPROVE,
    "r": Choice.REJECT,
    "reject": Choice.REJECT,
    "c": Choice.REQUEST_CHANGES,
    "changes": Choice.REQUEST_CHANGES,
}
_REFUSALS: Final = {word: choice for word, choice in _ANSWERS.items() if choice is not Choice.APPROVE}
_TAKES_BACK: Final = {"w": Choice.WITHDRAW_APPROVAL, "withdraw": Choice.WITHDRAW_APPROVAL}


class Asked(StrEnum):
    """What came of asking."""

    DECIDED = "decided"
    PUT_OFF = "put off"
    MOVED_ON = "moved on"


class Gatekeeper:
    """Shows a plan that waits, asks for a decision, and sends it.

    Args:
        gateway: where the decision is sent.
        screen: where the person sits.
        keys: what a decision is signed with, where there is a key of its maker's name.
        by: who decides; asked for where it is None. Never the requester by default.
    """

    def __init__(self, gateway: Client, screen: Screen, keys: KeyChain, by: str | None) -> None:
        self._gateway = gateway
        self._keys = keys
        self._screen = screen
        self._by = by
        self._viewer = by or operating_system_user()
        self._keyboard = Keyboard(screen.err)

    async def ask(self, status: Status) -> Asked:
        """Show the plan of ``status`` and ask what to do with it, until it is decided, put off, or gone."""
        page = Page()
        page.gap()
        page.heading(f"{status.workflow_id} {waits_for(status, self._viewer)}")
        if status.unread:
            page.note(f"{unread_words(status)}, which may settle it.", "yellow")
        add_request(page, status)
        page.field("requester", status.requester)
        page.extend(plan_page(status, now()))
        page.gap()
        self._screen.err.print(page, crop=False)
        self._keyboard.discard()
        asking = asyncio.create_task(self._ask(status))
        moving = asyncio.create_task(moved_on(self._gateway, status))
        try:
            await asyncio.wait((asking, moving), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            self._screen.err.print()
            self._say(f"No decision is needed any more: {_what_happened(status, moving.result())}.")
            return Asked.MOVED_ON
        finally:
            for task in (asking, moving):
                task.cancel()
            await asyncio.gather(asking, moving, return_exceptions=True)

    async def confirm(self, status: Status, choice: Choice) -> bool:
        """Ask whether ``choice`` is really meant for the plan of ``status``, which has been shown."""
        self._keyboard.discard()
        self._say_what_runs(status)
        return await self._is_meant(f"{_verb(choice)} plan {status.short_fingerprint}?")

    async def confirm_signing(self, status: Status, choice: Choice) -> bool:
        """Ask whether ``choice`` on the plan of ``status``, which has been shown, is to be signed."""
        self._keyboard.discard()
        self._say_what_runs(status)
        return await self._is_meant(f"Sign '{spelled(choice)}' for plan {status.short_fingerprint}?")

    async def _is_meant(self, question: str) -> bool:
        while True:
            answer = ((await self._keyboard.ask(f"{question} [y/N]")) or "n").lower()
            if answer in ("y", "yes", "n", "no"):
                return answer in ("y", "yes")
            self._say("Not understood; type y or n.")

    async def _ask(self, status: Status) -> Asked:
        while True:
            first, answers = self._offered(status)
            self._say_what_runs(status)
            answer = await self._keyboard.ask(
                f"Plan {status.short_fingerprint}: {first}[r]eject, request [c]hanges, or [l]ater?"
            )
            if answer is None or answer.lower() in ("l", "later"):
                return Asked.PUT_OFF
            choice = answers.get(answer.lower())
            if choice is None:
                letter = f"{first[1]}, " if first else ""
                self._say(f"Not understood; type {letter}r, c or l.")
                continue
            decision = await self._complete(status, choice)
            if decision is None:
                return Asked.PUT_OFF
            signed = self._keys.signed(decision, status)
            sent = await self._gateway.decide(status.workflow_id, signed)
            self._say(verdict_words(sent))
            if sent is None or sent.accepted is not False:
                return Asked.DECIDED

    def _offered(self, status: Status) -> tuple[str, Mapping[str, Choice]]:
        """Return what is offered first, and every answer: nobody approves twice, or what they asked for."""
        if self._by is not None and any(same_person(name, self._by) for name in status.approved_by):
            return "[w]ithdraw your approval, ", {**_REFUSALS, **_TAKES_BACK}
        if self._by is not None and same_person(self._by, status.requester):
            return "", _REFUSALS
        return "[a]pprove, ", _ANSWERS

    async def _complete(self, status: Status, choice: Choice) -> Decision | None:
        """Ask for what the decision still lacks; None where the person leaves."""
        given = self._by
        while True:
            is_asked = given is None
            by, given = given or await self._keyboard.ask("Your name:"), None
            if by is None:
                return None
            if choice is Choice.APPROVE and same_person(by, status.requester):
                self._say(f"{status.requester} asked for this, so someone else must approve it.")
                continue
            comment: str | None = ""
            if choice is not Choice.APPROVE:
                question = (
                    "What should change?" if choice is Choice.REQUEST_CHANGES else "Why? (may be empty)"
                )
                comment = await self._keyboard.ask(question)
            if comment is None:
                return None
            try:
                return made_decision(choice, by=by, plan=status.fingerprint or "", comment=comment)
            except WrongUsage as error:
                self._say(_AT_A_PROMPT.get(str(error), str(error)) if is_asked else str(error))

    def _say_what_runs(self, status: Status) -> None:
        if status.plan is None:
            return
        page = Page()
        page.field("This plan:", digest(status.plan), "bold", indent=0, width=len("This plan:"))
        self._screen.err.print(page, crop=False)

    def _say(self, words: str) -> None:
        page = Page()
        page.sentence(fit(words))
        self._screen.err.print(page, crop=False)


def made_decision(choice: Choice, *, by: str, plan: str | None, comment: str) -> Decision:
    """Return the decision that these words make.

    Where no plan is named, it is about the one that will be shown: `KeyChain.signed` puts its fingerprint in.

    Raises:
        WrongUsage: they make none.
    """
    if choice is Choice.REQUEST_CHANGES and not comment.strip():
        raise WrongUsage("Say what to change with --comment; the planner reads it.")
    plan = plan or _YET_TO_BE_SHOWN
    if len(plan) < MIN_PREFIX:
        raise WrongUsage(_MENDS["plan"])
    if is_placeholder(by):
        raise WrongUsage(_MENDS["by"])
    try:
        return Decision(decision=choice, by=by, plan=plan, comment=comment)
    except ValidationError as error:
        field = error.errors(include_url=False, include_input=False)[0]["loc"][0]
        raise WrongUsage(_MENDS[str(field)]) from None


_YET_TO_BE_SHOWN: Final = "0" * FINGERPRINT_LENGTH
_MENDS: Final = {
    "by": "The name after --by must be your own, with 1 to 100 visible characters.",
    "plan": f"The plan is named by {MIN_PREFIX} or more of the digits 0-9 and a-f of its fingerprint; "
    "copy them from the status command.",
    "comment": f"The comment is longer than {MAX_COMMENT:,} characters; shorten it.",
}

_AT_A_PROMPT: Final = {_MENDS["by"]: "Type your own name, with 1 to 100 visible characters."}


def verdict_words(answer: DecisionAnswer | None) -> str:
    """Return what became of a decision that was sent."""
    if answer is None:
        return SENT_LATER
    verdict = {True: "Accepted", False: "Refused", None: "No verdict yet"}[answer.accepted]
    return one_line(f"{verdict}: {answer.reason.rstrip('.')}.")


def _verb(choice: Choice) -> str:
    return {
        Choice.APPROVE: "Approve",
        Choice.REJECT: "Reject",
        Choice.REQUEST_CHANGES: "Request changes to",
        Choice.WITHDRAW_APPROVAL: "Take back your approval of",
    }[choice]


def _what_happened(before: Status, after: Status) -> str:
    if after.fingerprint != before.fingerprint:
        return f"plan {after.short_fingerprint}, revision {after.revision}, has replaced this one"
    return f"the run is {spelled(after.state)}"
