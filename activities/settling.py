"""The activities that look up and record the final results of accepted effects.

`Settling.look_up_settlement` calls the tools. `Settling.record_settlement` writes the results; it is a local
activity, which only Plangate's own workflow can schedule.

The calling workflow's id identifies the run. Everything else is recorded: the open steps, their arguments and
their receipts. An attacker who starts such a workflow can therefore only make Plangate look up the results
earlier.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, assert_never

import structlog
from temporalio import activity

from activities.calling_workflow import own_audience
from activities.effect_once import failure_words
from activities.heartbeat import heartbeating, this_worker
from activities.step_tool import tool_of_step
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.errors import NotApproved, OtherRecords, PlangateError, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import short
from plangate.domain.plans.tool import FIND_OUT_SECONDS
from plangate.domain.runs.audit import Settlement, StepReversed, StepSettled, StepUnsettled, step_key
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.run import RunState, key_of, unsettled_steps
from plangate.domain.runs.settlements import SettlementState, entry_for, run_of
from plangate.logs.redaction import recordable
from plangate.records.records import Records
from plangate.records.trail import Note, OpenTrail, reopen_trail
from plangate.temporal.contract import SETTLEMENT_TYPE
from plangate.tool import (
    Reversed,
    Settled,
    Settles,
    Tool,
    arguments_for,
)

_LONGEST_SUMMARY: Final = 2_000
_log = structlog.get_logger(__name__)


class LookedUp(Frozen):
    """One accepted effect and its final result, if known.

    Attributes:
        step: its number.
        state: the state that the tool reported.
        summary: the sentence that the tool returned, or why the look-up failed.
        until: when the look-up ends.
        was_asked: whether the look-up succeeded.
    """

    step: int
    state: SettlementState
    summary: str = ""
    until: AwareDatetime
    was_asked: bool = True


class LookUpResult(Frozen):
    """The current state of each accepted effect of a run that is still open in the records."""

    steps: tuple[LookedUp, ...]


class RecordTask(Frozen):
    """Record the final results of these effects; ``at`` is the workflow's time."""

    ended: tuple[LookedUp, ...]
    at: AwareDatetime


class RecordResult(Frozen):
    """The recorded final results of all accepted effects of the run."""

    events: tuple[Settlement, ...]


class Settling:
    """Looks up and records the final results of accepted effects."""

    def __init__(self, records: Records, tools: Mapping[str, Tool]) -> None:
        self._records = records
        self._tools = tools

    @activity.defn
    async def look_up_settlement(self) -> LookUpResult:
        """Look up the final results of the run's open effects with the tools.

        Raises:
            ApplicationError: the run has not ended according to these records, or (retryable) they are
                unavailable.
        """
        with heartbeating(), as_application_errors():
            run = _calling_run()
            state = await self._records.write(lambda connection: self._ended(reopen_trail(connection, run)))
            return LookUpResult(
                steps=tuple([await self._looked_up(state, step) for step in unsettled_steps(state)])
            )

    @activity.defn
    async def record_settlement(self, task: RecordTask) -> RecordResult:
        """Record each final result once, and return all recorded settlements of the run.

        Raises:
            ApplicationError: the run has not ended according to these records, or they are unavailable.
        """
        with as_application_errors():
            run = _calling_run(is_local=True)
            new, state = await with_time_limit(
                self._records,
                self._records.write(
                    lambda connection: self._record(reopen_trail(connection, run), task), receipt=True
                ),
            )
            for event in new:
                _log_end(state, event)
            return RecordResult(events=tuple(one.settlement for one in state.steps if one.settlement))

    def _ended(self, trail: OpenTrail) -> RunState:
        """Return the recorded state of a run that has ended.

        Raises:
            NotApproved: the run has not ended, or has no plan.
            OtherRecords: its plan was drafted for other records.
            TrailDamaged: the links of its trail are broken.
        """
        trail.check()
        state = trail.state()
        if not trail.is_closed or state.drafted is None:
            raise NotApproved(
                f"The run {one_line(trail.workflow_id)} has not ended according to the records, "
                "so nothing is looked up."
            )
        if state.drafted.audience != own_audience(self._records):
            made_for = cut(one_line(str(state.drafted.audience)), 200)
            raise OtherRecords(f"The plan of this run was made for the installation {made_for}.")
        return state

    def _record(self, trail: OpenTrail, task: RecordTask) -> tuple[tuple[Settlement, ...], RunState]:
        state = self._ended(trail)
        at = max(task.at, trail.entries()[-1].at)
        open_steps = unsettled_steps(state)
        new = tuple(
            entry_for(one.state, one.step, recordable(one.summary, _LONGEST_SUMMARY), at)
            for one in task.ended
            if one.step in open_steps
        )
        key = state.fingerprint or ""
        notes = (
            Note(key=step_key(key, one.step, "settlement"), at=at, actor=this_worker(), event=one)
            for one in new
        )
        trail.append(*notes)
        return new, trail.state()

    async def _looked_up(self, state: RunState, number: int) -> LookedUp:
        assert state.drafted is not None
        until = state.steps[number - 1].settles_until
        assert until is not None
        try:
            found = await self._ask(state, number)
        except Exception as error:  # noqa: BLE001  any error leads to another look-up
            why = recordable(failure_words(error, FIND_OUT_SECONDS), _LONGEST_SUMMARY)
            _log.warning(
                "A tool could not report how an accepted effect ended; it will be called again.",
                action="look_up",
                workflow_id=state.workflow_id,
                step=number,
                exc_info=None if isinstance(error, PlangateError) else error,
                error=why,
            )
            return LookedUp(
                step=number, state=SettlementState.OPEN, summary=why, until=until, was_asked=False
            )
        if found is None:
            return LookedUp(step=number, state=SettlementState.OPEN, until=until)
        how = SettlementState.SETTLED if isinstance(found, Settled) else SettlementState.REVERSED
        # Done before Temporal stores it: the text may contain a secret, or be too large for a message.
        summary = recordable(found.summary, _LONGEST_SUMMARY)
        return LookedUp(step=number, state=how, summary=summary, until=until)

    async def _ask(self, state: RunState, number: int) -> Settled | Reversed | None:
        """Look up the final result of a step with its tool and the arguments of the call.

        Raises:
            ToolUnavailable: this worker has no such tool, or the look-up is not possible now.
            Exception: any error raised by the tool author's code.
        """
        assert state.drafted is not None
        step, receipt = state.drafted.plan.steps[number - 1], state.steps[number - 1].receipt
        assert receipt is not None
        tool = tool_of_step(step, self._tools)
        if not isinstance(tool, Settles):
            raise ToolUnavailable(f"The tool {step.tool} of this worker cannot look up how its effects end.")
        values = {**step.arguments, **resolve_references(step.arguments, state.steps)}
        arguments = arguments_for(tool.declaration, values)
        async with asyncio.timeout(FIND_OUT_SECONDS):
            found = await tool.find_settlement(arguments, receipt, key_of(state, number, undo=False))
        if found is not None and not isinstance(found, Settled | Reversed):
            raise TypeError(f"find_settlement returned {type(found).__name__}")
        if found is not None and not isinstance(found.summary, str):
            raise TypeError(f"find_settlement returned a summary that is {type(found.summary).__name__}")
        return found


def _calling_run(*, is_local: bool = False) -> str:
    """Return the run whose settlements the calling workflow looks up, by that workflow's id.

    Raises:
        NotApproved: another workflow scheduled it.
    """
    info = activity.info()
    run = run_of(info.workflow_id or "")
    if info.workflow_type != SETTLEMENT_TYPE or run is None or (is_local and not info.is_local):
        caller = cut(one_line(f"{info.workflow_type} {info.workflow_id}"), 200)
        raise NotApproved(
            f"Only the workflow {SETTLEMENT_TYPE} of a run may schedule this activity, not {caller}."
        )
    return run


def _log_end(state: RunState, event: Settlement) -> None:
    log = _log.bind(
        workflow_id=state.workflow_id,
        fingerprint=short(state.fingerprint or ""),
        step=event.step,
        summary=event.summary,
    )
    match event:
        case StepSettled():
            log.info("An accepted effect is final.", action="settled")
        case StepReversed():
            log.warning("An accepted effect was reversed after its run had ended.", action="reversed")
        case StepUnsettled():
            log.warning("It is not known how an accepted effect ended; check it by hand.", action="unsettled")
        case _:
            assert_never(event)
