"""Send a decision that a command made, and show its result."""

from contextlib import suppress

from plangate.cli.console import Console, Session
from plangate.cli.decisions import verdict_words
from plangate.cli.exits import Exit
from plangate.cli.progress import Progress
from plangate.domain.decisions.decision import Decision, DecisionAnswer
from plangate.domain.errors import PlangateError, Refused
from plangate.domain.runs.run import Phase


async def send_named(session: Session, workflow_id: str, decision: Decision) -> DecisionAnswer | None:
    """Send a decision on the plan that it refers to; None if no worker has checked it yet."""
    signed = await _signed(session, workflow_id, decision)
    with Progress(session.screen.err) as waiting:
        waiting.brief("waiting for the result")
        return await session.client.decide(workflow_id, signed)


def show_verdict(here: Console, workflow_id: str, answer: DecisionAnswer | None) -> int:
    """Print the result and return the exit code.

    Raises:
        Refused: the decision was refused, and JSON is not expected.
    """
    words = verdict_words(answer)
    is_refused = answer is not None and answer.accepted is False
    if here.screen.is_json:
        nothing = {"accepted": None, "reason": words, "state": None}
        known = answer.model_dump() if answer else nothing
        here.screen.print_json({"workflow_id": workflow_id, **known})
    elif is_refused:
        raise Refused(words)
    else:
        here.screen.say(words)
    return Exit.REFUSED if is_refused else Exit.DONE


async def warn_about_stops(session: Session, workflow_id: str, answer: DecisionAnswer | None) -> None:
    """After the last approval, warn if an active stop covers the steps that would start."""
    if answer is None or not answer.accepted or answer.state != Phase.EXECUTING:
        return
    with suppress(PlangateError):
        status = await session.client.status(workflow_id)
        for stop in status.stops:
            session.screen.say_on_stderr(
                f"Stopped: the steps begin when stop {stop.number} is released.", "bold red"
            )


async def _signed(session: Session, workflow_id: str, decision: Decision) -> Decision:
    """Sign the decision if this machine has a key and the plan is the one in review."""
    if not session.console.keys.has(decision.by):
        return decision
    status = await session.client.status(workflow_id)
    if status.fingerprint is None or not status.fingerprint.startswith(decision.plan):
        return decision
    return session.console.keys.signed(decision, status)
