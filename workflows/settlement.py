"""The workflow `PlangateSettlement`: look up the results of a run's accepted effects after its end.

If a step is done and its receipt is not final, the run starts this workflow as a child that continues after
the run's end. It calls the tools at increasing intervals, records their results on the run's trail, and ends
when all results are known or the time is up. It takes no input: its id contains the run's id, and everything
else is recorded. An operator may therefore start it again (docs/operations.md).
"""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from activities.settling import LookedUp, RecordTask, Settling
    from plangate.domain.base import Frozen
    from plangate.domain.escaping import markdown_code
    from plangate.domain.runs.audit import Settlement
    from plangate.domain.runs.settlements import SettlementState, run_of, state_of, worst_of
    from plangate.temporal.contract import SETTLEMENT_TYPE
    from plangate.temporal.search_attributes import PLANGATE_STATE
    from workflows import options
    from workflows.recording import Recording, has_nothing_to_do, reason_of


class SettlementResult(Frozen):
    """The accepted effects of a run and their known results.

    Attributes:
        run: its workflow id.
        ends: the settlements found so far.
        still_open: the steps whose results are still being looked up.
        reason: why nothing more is looked up, or why the last look-up failed; empty if it succeeded.
    """

    run: str
    ends: tuple[Settlement, ...] = ()
    still_open: tuple[int, ...] = ()
    reason: str = ""


@workflow.defn(name=SETTLEMENT_TYPE)
class PlangateSettlement:
    """The look-up of one run's accepted effects, from the run's end until all are known or time is up."""

    def __init__(self) -> None:
        self._run = run_of(workflow.info().workflow_id) or ""
        self._recording = Recording(needs_people=False)
        self._ends: tuple[Settlement, ...] = ()
        self._open: tuple[LookedUp, ...] = ()
        self._problem = ""

    @workflow.run
    async def run(self, *inputs: Any) -> SettlementResult:
        """Repeat the look-up until all results are known or the time is up; return the results."""
        del inputs
        pause = options.FIRST_LOOK_UP_PAUSE
        while await self._look_up_once():
            await workflow.sleep(self._until_next(pause), summary="until the next look-up")
            pause = min(2 * pause, options.LONGEST_LOOK_UP_PAUSE)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new()
        return self.status()

    async def _look_up_once(self) -> bool:
        """Look up once, and record the known results; return whether any effect remains to be looked up."""
        try:
            looked = await workflow.execute_activity_method(
                Settling.look_up_settlement, summary=f"how the effects of {self._run} end", **options.LOOK_UP
            )
            self._problem = ""
        except ActivityError as error:
            self._problem = reason_of(error)
            return not has_nothing_to_do(error) and workflow.now() < self._started + options.LONGEST_LOOK_UP
        ended = tuple(one for step in looked.steps if (one := self._ended(step)) is not None)
        ended_steps = {one.step for one in ended}
        self._open = tuple(one for one in looked.steps if one.step not in ended_steps)
        self._problem = next((one.summary for one in self._open if not one.was_asked), "")
        if ended or not self._open:
            await self._record(ended)
        return bool(self._open)

    def _ended(self, step: LookedUp) -> LookedUp | None:
        """Return the final result of an effect; None if it will be looked up again."""
        if step.state is not SettlementState.OPEN:
            return step
        # A tool that has been unavailable since the run ended gets more time.
        last = step.until if step.was_asked else max(step.until, self._started) + options.LOOK_UP_GRACE
        if workflow.now() < last:
            return None
        why = "it was still open" if step.was_asked else f"its tool could not be queried: {step.summary}"
        said = f"when the time for its look-up was over, {why}"
        return step.model_copy(update={"state": SettlementState.UNKNOWN, "summary": said})

    async def _record(self, ended: tuple[LookedUp, ...]) -> None:
        try:
            recorded = await self._recording.write(
                Settling.record_settlement, lambda: RecordTask(ended=ended, at=workflow.now())
            )
        except FailureError as error:
            self._problem = reason_of(error)
            return
        self._ends = recorded.events
        if workflow.info().typed_search_attributes.get(PLANGATE_STATE) is not None:
            states = [*map(state_of, self._ends), *(one.state for one in self._open)]
            workflow.upsert_search_attributes([PLANGATE_STATE.value_set(worst_of(states))])

    def _until_next(self, pause: timedelta) -> timedelta:
        """Return how long to wait: the pause, but not beyond the last look-up."""
        now = workflow.now()
        ahead = [one.until - now for one in self._open if one.until > now]
        return min([pause, *ahead])

    @property
    def _started(self) -> Any:
        return workflow.info().workflow_start_time

    @workflow.query(description="How the accepted effects of the run ended, as far as known")
    def status(self) -> SettlementResult:
        """Return the settlements found so far."""
        return SettlementResult(
            run=self._run,
            ends=self._ends,
            still_open=tuple(one.step for one in self._open),
            reason=self._recording.why_not_written(self._problem),
        )

    def page(self) -> str:
        """Return the Web UI's page; see `workflows.details_interceptor`."""
        lines = [f"How the accepted effects of {markdown_code(self._run)} end:"]
        lines += [f"step {one.step}: **{state_of(one)}**, {markdown_code(one.summary)}" for one in self._ends]
        lines += [f"step {one.step}: looked up until {one.until:%Y-%m-%d %H:%M} UTC" for one in self._open]
        lines += [f"The last look-up failed: {markdown_code(self._problem)}"] if self._problem else []
        return "\n".join(lines)
