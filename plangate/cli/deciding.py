"""`approve`, `withdraw-approval`, `reject`, `request-changes` and `withdraw`.

A decision names what its maker saw.
"""

import asyncio
import json
import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from rich.text import Text

from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.following import Silence, looks
from plangate.cli.gate import Gatekeeper, made_decision, verdict_words
from plangate.cli.keys import KeyChain
from plangate.cli.progress import Progress
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import Session, opened, run_async, settings_for_people
from plangate.domain.audit import Outcome
from plangate.domain.decision import Choice, Decision, DecisionAnswer, withdrawal
from plangate.domain.errors import NotAnswered, RecordsUnavailable, Refused, TemporalUnreachable
from plangate.domain.escaping import one_line
from plangate.domain.people import same_person
from plangate.domain.plan import FINGERPRINT_LENGTH, short
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.program import program
from plangate.presentation.run_page import is_over, run_page
from plangate.presentation.words import spelled
from plangate.settings import Settings, operating_system_user

_PATIENCE: Final = 5.0  # seconds that a withdrawal is waited for


@dataclass(frozen=True, slots=True)
class DecisionOrder:
    """What was typed after ``approve`` and its like; ``plan`` is None where none was named."""

    workflow_id: str
    choice: Choice
    by: str
    plan: str | None
    comment: str
    as_json: bool


def decide(order: DecisionOrder) -> int:
    """Send a decision and print its verdict."""
    decision = made_decision(order.choice, by=order.by, plan=order.plan, comment=order.comment)
    settings, screen = settings_for_people(), open_screen(as_json=order.as_json)
    if not order.plan and not screen.can_ask:
        run_async(_ask_for_the_plan(settings, order))
    is_shown = _is_to_be_shown(order, KeyChain(settings, screen), screen)

    async def main() -> int:
        async with opened(settings) as session:
            if is_shown:
                return await _decide_on_what_is_shown(session, screen, order, decision)
            signed = await _signed(session, screen, order, decision)
            with Progress(screen.err) as progress:
                progress.brief("waiting for the verdict")
                answer = await session.gateway.decide(order.workflow_id, signed)
            return _print_verdict(screen, order.workflow_id, answer)

    return run_async(main())


async def _ask_for_the_plan(settings: Settings, order: DecisionOrder) -> NoReturn:
    """Raise what has to be mended where a plan has to be named: first of all, there must be one to decide on.

    Raises:
        RunNotFound: there is no such run.
        Refused: nothing can be decided on in it.
        WrongUsage: the plan is to be named.
    """
    with suppress(NotAnswered, RecordsUnavailable, TemporalUnreachable):
        async with opened(settings) as session:
            status = await session.gateway.status(order.workflow_id)
        if is_over(status):
            raise Refused(f"{order.workflow_id} has ended ({spelled(status.state)}).")
        _decidable(status, order.choice)
    raise WrongUsage(
        f"Name the plan that you saw, with --plan and its fingerprint: {program()} status "
        f"{order.workflow_id} shows it."
    )


def _is_to_be_shown(order: DecisionOrder, keys: KeyChain, screen: Screen) -> bool:
    """Return whether the plan has to be shown before the decision is made.

    Two plans can be made whose fingerprints begin alike. A signature is given on a plan that this command has
    shown, or that was named by its whole fingerprint.

    Raises:
        WrongUsage: it has to be shown, and nobody can be asked here.
    """
    if not order.plan:
        return True
    is_whole = len(order.plan) == FINGERPRINT_LENGTH
    if is_whole or not keys.has(order.by):
        return False
    if not screen.can_ask:
        raise WrongUsage(
            f"A signature names the whole plan: give all {FINGERPRINT_LENGTH} digits of its fingerprint "
            f"after --plan ({program()} status prints them)."
        )
    return True


async def _decide_on_what_is_shown(
    session: Session, screen: Screen, order: DecisionOrder, decision: Decision
) -> int:
    """Show the plan in review, ask, and send exactly its fingerprint; ask again where it was replaced."""
    keys = KeyChain(session.settings, screen)
    gatekeeper = Gatekeeper(session.gateway, screen, keys, order.by)
    while True:
        status = await session.gateway.status(order.workflow_id)
        _check_named(_decidable(status, order.choice), order)
        _refuse_in_vain(status, order)
        screen.show(run_page(status, now()))
        if not await gatekeeper.confirm(status, order.choice):
            screen.out.print(Text("Nothing was sent."))
            return Exit.FAILED
        shown = keys.signed(decision, status)
        answer = await session.gateway.decide(order.workflow_id, shown)
        if (
            answer is None
            or answer.accepted is not False
            or answer.state not in (Phase.IN_REVIEW, Phase.DRAFTING)
        ):
            return _print_verdict(screen, order.workflow_id, answer)
        after = await session.gateway.status(order.workflow_id)
        if after.state != Phase.IN_REVIEW or after.fingerprint == status.fingerprint:
            return _print_verdict(screen, order.workflow_id, answer)
        screen.err.print(Text(f"{verdict_words(answer)} This is the new one:", style="yellow"))


async def _signed(session: Session, screen: Screen, order: DecisionOrder, decision: Decision) -> Decision:
    """Sign where a key is here and the plan named is the one in review; else it is judged as it was typed."""
    keys = KeyChain(session.settings, screen)
    if not keys.has(order.by):
        return decision
    status = await session.gateway.status(order.workflow_id)
    if status.fingerprint is None or not status.fingerprint.startswith(decision.plan):
        return decision
    return keys.signed(decision, status)


def print_signed(order: DecisionOrder) -> int:
    """Print the finished, signed decision for another door: the Temporal CLI, the Web UI's dialog."""
    decision = made_decision(order.choice, by=order.by, plan=order.plan, comment=order.comment)
    settings, screen = settings_for_people(), open_screen(as_json=order.as_json)
    keys = KeyChain(settings, screen)
    if not keys.has(order.by):
        raise WrongUsage(f"There is no key of {order.by}'s here; make one: {program()} keys new {order.by}")
    if not order.plan and not screen.can_ask:
        run_async(_ask_for_the_plan(settings, order))
    is_shown = _is_to_be_shown(order, keys, screen)

    async def main() -> int:
        async with opened(settings) as session:
            status = await session.gateway.status(order.workflow_id)
            fingerprint = _decidable(status, order.choice)
            _check_named(fingerprint, order)
            _refuse_in_vain(status, order)
            if is_shown:
                screen.err.print(run_page(status, now()), crop=False)
                gatekeeper = Gatekeeper(session.gateway, screen, keys, order.by)
                if not await gatekeeper.confirm_signing(status, order.choice):
                    screen.err.print(Text("Nothing was signed."))
                    return Exit.FAILED
                if _decidable(await session.gateway.status(order.workflow_id), order.choice) != fingerprint:
                    raise Refused("The plan was replaced meanwhile; look at the new one and sign that.")
            signed = keys.signed(decision, status)
            message = signed.model_dump(mode="json", exclude_none=True, exclude={"decision"})
            if screen.is_json:
                screen.print_json(message)
                return Exit.DONE
            screen.out.print(Text(json.dumps(message)), soft_wrap=True)
            page = Page()
            page.note(f"Paste it into the Web UI's Send a Signal, under {order.choice}, or give it to:")
            signal = shlex.join(session.doors.words(order.workflow_id, order.choice, json.dumps(message)))
            page.command(signal)
            screen.err.print(page, crop=False)
            return Exit.DONE

    return run_async(main())


def _check_named(fingerprint: str, order: DecisionOrder) -> None:
    """Refuse a decision that names another plan than the one in review."""
    if order.plan and not fingerprint.startswith(order.plan.lower()):
        raise Refused(f"The plan in review is {short(fingerprint)}, not {short(order.plan)}.")


def _refuse_in_vain(status: Status, order: DecisionOrder) -> None:
    """Refuse, before anybody is asked, what the worker would refuse whatever is answered."""
    if order.choice is Choice.APPROVE and same_person(order.by, status.requester):
        raise Refused(f"Refused: {status.requester} asked for this; someone else must approve it.")
    mine = any(same_person(order.by, name) for name in status.approved_by)
    if order.choice is Choice.WITHDRAW_APPROVAL and not mine:
        raise Refused(f"Refused: {order.by} has no approval of this plan to take back.")


def _decidable(status: Status, choice: Choice) -> str:
    """Return the fingerprint of the plan on which ``choice`` can be decided now."""
    open_for = {Phase.IN_REVIEW}
    if choice is Choice.WITHDRAW_APPROVAL:
        open_for.add(Phase.EXECUTING)  # the record says whether a step has begun
    if status.state not in open_for or status.fingerprint is None:
        raise Refused(f"{status.workflow_id} is {spelled(status.state)}; there is nothing to decide now.")
    return status.fingerprint


def _print_verdict(screen: Screen, workflow_id: str, answer: DecisionAnswer | None) -> int:
    if screen.is_json:
        known = (
            answer.model_dump()
            if answer
            else {"accepted": None, "reason": verdict_words(None), "state": None}
        )
        screen.print_json({"workflow_id": workflow_id, **known})
    elif answer and answer.accepted is False:
        raise Refused(verdict_words(answer))
    else:
        screen.say(verdict_words(answer))
    return Exit.REFUSED if answer is not None and answer.accepted is False else Exit.DONE


def withdraw(workflow_id: str, *, by: str | None, comment: str, as_json: bool) -> int:
    """Ask a run to end as withdrawn, and wait a moment for it."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    reason = withdrawal(by or operating_system_user(), comment)

    async def main() -> int:
        async with opened(settings) as session:
            with suppress(
                NotAnswered, RecordsUnavailable
            ):  # whoever cannot be asked can be told all the same
                before = await session.gateway.status(workflow_id)
                if is_over(before):
                    raise Refused(
                        f"{workflow_id} has already ended: {before.reason or spelled(before.state)}."
                    )
            await session.gateway.withdraw(workflow_id, reason)
            status = await _closed(session, workflow_id)
            return _print_withdrawal(screen, workflow_id, status)

    return run_async(main())


async def _closed(session: Session, workflow_id: str) -> Status | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            async for look in looks(session.gateway, workflow_id):
                if not isinstance(look, Silence) and is_over(look):
                    return look
    except TimeoutError:
        pass
    return None


def _print_withdrawal(screen: Screen, workflow_id: str, status: Status | None) -> int:
    if screen.is_json:
        screen.print_json({"workflow_id": workflow_id, "state": status.state if status else None})
    elif status is None:
        words = f"{workflow_id} is asked to end; a worker sees to it, after a step that is running now."
        screen.say(one_line(words))
    elif status.state == Outcome.WITHDRAWN:
        screen.say(one_line(f"{workflow_id} is {status.reason or 'withdrawn'}."))
    else:
        raise Refused(f"{workflow_id} had already ended ({status.state}); there was nothing to withdraw.")
    return Exit.DONE if status is None or status.state == Outcome.WITHDRAWN else Exit.REFUSED
