"""Create stop and release requests at a terminal, and send them."""

import secrets
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from plangate.cli.answer import error_as_json
from plangate.cli.console import Console, Session
from plangate.cli.exits import Exit, WrongUsage, end_with
from plangate.cli.keyboard import Keyboard
from plangate.client.stopping import WORKER, KnownStops
from plangate.domain.decisions.decision import is_placeholder
from plangate.domain.decisions.delegations import DelegationAnswer
from plangate.domain.decisions.received import MAX_REASON
from plangate.domain.errors import Refused
from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import Audience
from plangate.domain.plurals import counted
from plangate.domain.runs.stops import StopAction, StopAnswer, StopRequest, StopStatus
from plangate.domain.validation import faults_in
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.presentation.stops_page import stops_page
from plangate.signing.stops import signed_stop_request

Answer = TypeVar("Answer", StopAnswer, DelegationAnswer)
Listed = TypeVar("Listed", bound=BaseModel)
_KEPT = (
    "No worker answered: the request is stored on the Temporal server and checked once a worker runs. "
    "No step begins without a worker. Check the result with: {} stop --list"
)
_WRONG = {
    "by": "The name after --by must be your own, with 1 to 100 visible characters.",
    "tool": "The name after --tool must have 1 to 100 characters; the tools command lists them.",
    "reason": f"The reason is longer than {MAX_REASON:,} characters; shorten it.",
}


def made_stop_request(
    action: StopAction, *, by: str, tool: str | None, reason: str, number: int | None = None
) -> StopRequest:
    """Return the request that was entered.

    Raises:
        WrongUsage: a part of it is malformed.
    """
    if is_placeholder(by):
        raise WrongUsage(_WRONG["by"])
    try:
        return StopRequest(action=action, by=by, tool=tool, reason=reason, stop=number)
    except ValidationError as error:
        raise WrongUsage(_WRONG[str(faults_in(error)[0].path[0])]) from None


async def stop(here: Console, order: StopRequest) -> int:
    """Send a stop, signed if its sender has a key on this machine and its scope is known."""
    async with here.connected() as session:
        audience = None
        if here.keys.has(order.by):
            audience = (await session.client.stops()).audience
        return show_verdict(
            here, await session.client.request_stop(_signed(here, order, audience)), StopAnswer()
        )


async def go(here: Console, order: StopRequest, *, is_named: bool) -> int:
    """Show the active stop, and send its release."""
    async with here.connected() as session:
        known = await session.client.known_stops()
        answer = known.answer
        active = next((one for one in answer.stops if one.tool == order.tool), None)
        if active is None:
            raise Refused(" ".join([_nothing_to_release(order, answer), *_caveats(known)]))
        if is_named and order.stop != active.number:
            raise Refused(
                f"Stop {order.stop} is not active; stop {active.number} is, by {one_line(active.by)}: "
                f"{one_line(active.reason).rstrip('.')}."
            )
        if not is_named and not await _is_confirmed(session, active):
            return Exit.FAILED
        exact = order.model_copy(update={"stop": active.number})
        return show_verdict(
            here, await session.client.request_stop(_signed(here, exact, answer.audience)), StopAnswer()
        )


async def show_stops(here: Console) -> int:
    """Print the active stops; without a worker, the recorded stops and the number of waiting requests."""
    async with here.connected() as session:
        known = await session.client.known_stops()
    if known.waiting and here.screen.is_json:  # a plain list would claim that there are no other stops
        words = " ".join(_caveats(known))
        error = error_as_json(words, Exit.FAILED)
        stops = [one.model_dump(mode="json") for one in known.answer.stops]
        here.screen.print_json({**error, "stops": stops, "waiting_orders": known.waiting})
        return end_with(words, Exit.FAILED)
    nothing = (
        "Nothing is stopped." if known.source == WORKER else "Nothing is stopped according to the records."
    )
    show_all(here, known.answer.stops, nothing, stops_page)
    for words in _caveats(known):
        here.screen.say(words)
    return Exit.FAILED if known.waiting else Exit.DONE


def _caveats(known: KnownStops) -> list[str]:
    """Return sentences about how reliable the stops are; empty if a worker returned them."""
    if known.source == WORKER:
        return []
    wait = "waits" if known.waiting == 1 else "wait"
    waiting = (
        f"{counted(known.waiting, 'request')} to stop or to release {wait} "
        "on the Temporal server for a worker to check; start one. No step begins without a worker."
    )
    return [f"Source: {known.source}.", *([waiting] if known.waiting else [])]


async def _is_confirmed(session: Session, active: StopStatus) -> bool:
    screen = session.screen
    if not screen.can_ask:
        raise WrongUsage(
            f"Give the number of the stop that you saw with --stop: {program()} stop --list shows it."
        )
    screen.show_on_stderr(stops_page((active,)))
    keyboard = Keyboard(screen)
    keyboard.discard()
    is_confirmed = await keyboard.confirmed(f"Release stop {active.number}?")
    if not is_confirmed:
        screen.say("Nothing was sent.")
    return is_confirmed


def _signed(here: Console, order: StopRequest, audience: Audience | None) -> StopRequest:
    key = here.keys.key_of(order.by) if audience is not None else None
    if key is None or audience is None:
        return order
    return signed_stop_request(order, key, audience=audience, at=now(), token_id=secrets.token_urlsafe(16))


def _nothing_to_release(order: StopRequest, answer: StopAnswer) -> str:
    what = "of everything" if order.tool is None else f"of {one_line(order.tool)}"
    if not answer.stops:
        return "Nothing is stopped, so there is nothing to release."
    others = ", ".join("everything" if one.tool is None else one_line(one.tool) for one in answer.stops)
    hint = "give the tool with --tool" if order.tool is None else "leave out --tool to release that"
    return f"There is no stop {what}; currently stopped: {others}. To release it, {hint}."


def show_all(
    here: Console, all_of_it: Sequence[Listed], nothing: str, page: Callable[[Sequence[Listed]], Page]
) -> int:
    """Print the active items, or a sentence if there are none; return the exit code."""
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in all_of_it])
    elif not all_of_it:
        here.screen.say(nothing)
    else:
        here.screen.show(page(all_of_it))
    return Exit.DONE


def show_verdict(here: Console, answer: Answer | None, nothing: Answer, kept: str = _KEPT) -> int:
    """Print the result of a request, and return the exit code.

    Args:
        here: the console to print on.
        answer: the worker's response; None if no worker has checked the request yet.
        nothing: an empty response, which has no result.
        kept: the message if there is no response yet, with a placeholder for the program's name.

    Raises:
        Refused: it was refused, and the output is not JSON.
    """
    if answer is None:
        words = kept.format(program())
    else:
        verdict = {True: "Accepted", False: "Refused", None: "No result yet"}[answer.accepted]
        words = one_line(f"{verdict}: {answer.reason.rstrip('.')}.")
    is_refused = answer is not None and answer.accepted is False
    if here.screen.is_json:
        known = answer or nothing.model_copy(update={"reason": words})
        here.screen.print_json(known.model_dump(mode="json", exclude={"audience"}))
    elif is_refused:
        raise Refused(words)
    else:
        here.screen.say(words)
    return Exit.REFUSED if is_refused else Exit.DONE
