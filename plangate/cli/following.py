"""Poll a run until it changes. Polling continues while no worker or server responds."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from plangate.client import Client
from plangate.domain.errors import NotAnswered, RecordsUnavailable, TemporalDenied, TemporalUnreachable
from plangate.domain.plurals import step_or_undo
from plangate.domain.runs.run import Phase, StepState
from plangate.domain.runs.status import Status, StepStatus, current_step
from plangate.presentation.clock import moment, now
from plangate.presentation.problems import problems
from plangate.presentation.run_page import (
    decision_words,
    is_over,
    needed_words,
    unread_words,
)
from plangate.presentation.step_page import step_words
from plangate.presentation.words import spelled

PAUSE: Final = 0.6  # seconds between two polls


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """A failed attempt to read the state of the run; ``reason`` is a sentence that explains why."""

    reason: str


async def poll(client: Client, workflow_id: str) -> AsyncIterator[Status | ReadFailure]:
    """Yield the status of a run, every `PAUSE` seconds.

    Raises:
        RunNotFound: there is no such run.
        TemporalDenied: the server does not accept this client.
    """
    while True:
        try:
            yield await client.status(workflow_id)
        except TemporalDenied:
            raise  # waiting would not help
        except (NotAnswered, TemporalUnreachable, RecordsUnavailable) as error:
            yield ReadFailure(str(error))
        await asyncio.sleep(PAUSE)


def no_worker_warning(polled: Status | ReadFailure) -> str | None:
    """Return the warning that no worker runs, or None if one does."""
    if isinstance(polled, ReadFailure):
        return polled.reason
    if polled.source == "workflow" or is_over(polled):
        return None
    unread = unread_words(polled)
    return (
        f"No worker responds{f', and {unread}' if unread else ''}. Start one with make worker; Ctrl-C exits. "
        f"{polled.workflow_id} continues as soon as one runs."
    )


async def wait_until_changed(client: Client, seen: Status) -> Status:
    """Wait until the run no longer waits for the same decision as in ``seen``, and return its status."""
    async for polled in poll(client, seen.workflow_id):
        if isinstance(polled, Status) and decision_key(polled) != decision_key(seen):
            return polled
    raise AssertionError("poll() never ends")


def decision_key(status: Status) -> tuple[object, ...]:
    """Return a value that changes whenever the run waits for a different decision."""
    return status.fingerprint, *_state_of(status)


def waiting_words(status: Status, *, is_supplied: bool = False) -> str:
    """Return what the run waits for, in one line; ``is_supplied``: its plan is checked, not drafted."""
    if status.state not in list(Phase):
        return f"{status.workflow_id}: {spelled(status.state)}"
    phase = Phase(status.state)
    match phase:
        case Phase.DRAFTING:
            if not status.revision and (is_supplied or not status.request):
                return f"{status.workflow_id}: the plan is being checked"
            return f"{status.workflow_id}: a plan is being drafted (revision {status.revision + 1})"
        case Phase.IN_REVIEW:
            until = f", until {moment(status.deadline)}" if status.deadline else ""
            needs = needed_words(status)
            return f"{status.workflow_id}: plan {status.short_fingerprint} waits for {needs}{until}"
        case Phase.EXECUTING:
            begins = status.waits_until(now())
            if begins is not None:
                verb = (
                    "continues" if any(step.state.is_done_or_skipped for step in status.steps) else "begins"
                )
                return f"{status.workflow_id}: approved; it {verb} at {moment(begins, with_seconds=True)}"
            next_step = status.steps[(current_step(status) or len(status.steps)) - 1]
            stands = "is stopped and must be released" if status.stops else _step_state(next_step)
            return (
                f"{status.workflow_id}: step {next_step.number} of {len(status.steps)}, {next_step.tool}, "
                f"{stands}"
            )
        case Phase.HELD:
            step = status.held.step if status.held else 0
            until = f", until {moment(status.deadline)}" if status.deadline else ""
            return f"{status.workflow_id}: held at step {step} of {len(status.steps)}, to be resolved{until}"
        case Phase.UNDOING:
            return f"{status.workflow_id}: the done steps are being undone"
        case Phase.CLOSED:
            return f"{status.workflow_id}: {spelled(status.state)}"
        case _:
            assert_never(phase)


def _step_state(step: StepStatus) -> str:
    if step.paused:
        return "is paused"
    if step.next_try:
        return f"waits for attempt {step.attempt}, at {moment(step.next_try, with_seconds=True)}"
    return "is running"


def changes_between(before: Status | None, after: Status) -> Iterator[tuple[datetime | None, str]]:
    """Yield a line for each change in ``after``, with its time if known.

    Decisions have their own time. Other changes found by the first poll have no time, because they happened
    earlier.
    """
    seen = None if before is None else now()
    known = before.decisions if before else ()
    listed_before = len(known) + (before.refusals_not_listed if before else 0)
    listed_after = len(after.decisions) + after.refusals_not_listed
    fresh = min(listed_after - listed_before, len(after.decisions))
    newest = after.decisions[len(after.decisions) - fresh :]
    decisions = [(decision.at, decision_words(decision)) for decision in newest]
    if before is not None:
        yield from decisions  # one of them led to a new plan
    if before is None or before.fingerprint != after.fingerprint:
        yield from ((seen, line) for line in _new_plan(after))
    if before is None:
        yield from decisions
    if before is None or _state_of(before) != _state_of(after):
        yield from ((seen, line) for line in _new_state(after))
    steps_before = {step.number: step.state for step in before.steps} if before else {}
    for step in after.steps:
        if step.state is not StepState.PENDING and steps_before.get(step.number) != step.state:
            yield seen, f"Step {step.number} of {len(after.steps)}, {step.tool}: {step_words(step)}"
    known_problems = set(problems(before)) if before else set()
    yield from ((seen, problem) for problem in problems(after) if problem not in known_problems)


def _new_plan(status: Status) -> Iterator[str]:
    if status.plan:
        yield f"Plan {status.short_fingerprint}, revision {status.revision}: {status.plan.summary}"


def _state_of(status: Status) -> tuple[object, ...]:
    """Return a key of the state. It changes each time the same plan is held or in review again."""
    began = status.held.since if status.held else status.reopened_at
    return status.state, began if status.state in (Phase.IN_REVIEW, Phase.HELD) else None


def _new_state(status: Status) -> Iterator[str]:
    if status.held:
        what = step_or_undo(status.held.step, undo=status.held.undo)
        yield f"{status.workflow_id} is held at {what}: {status.held.why}"
    elif status.edit_failed and status.state == Phase.IN_REVIEW:
        yield f"{status.workflow_id} is in review again, because {status.edit_failed}"
    elif not is_over(status):
        yield f"{status.workflow_id} is {spelled(status.state)}."
