"""One run executed by Plangate's own activities on real records, without a Temporal server.

`SimulatedRun` does what the workflow does: it applies the results of activities, and starts the next one.
If a worker is killed, the result of its activity is lost, and the next worker repeats it.
"""

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from pydantic import JsonValue
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.closing import Closing
from activities.decisions import Decisions
from activities.execution import Execution
from activities.failed_step import Holding
from activities.plan_check import PlanCheck
from activities.planning import Planning
from activities.requirement_check import Requiring
from activities.signal_times import SignalTimes
from activities.tasks import AdmitTask, CloseTask, DraftTask, HoldTask, StepResult, StepTask
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Via
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.people.people import People
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.policy import Policy
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import Outcome, Requested, RunRef
from plangate.domain.runs.fold import apply
from plangate.domain.runs.lifecycle import executed_because, undone_because
from plangate.domain.runs.run import Phase, RunState, includes, next_step, next_undo
from plangate.records.database import Database
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.tool import EffectStatus
from tests.support.account_tool import Account, BookingArguments, bookings
from tests.support.fakes import ScriptedPlanner
from tests.support.naive_run import REVIEW, CallResults, NaiveRun
from tests.support.policies import Wants


class Killed(BaseException):
    """Raised where the worker is killed."""


class ScriptedAccount(Account):
    """An account in memory; `CallResults` determines the results of its calls."""

    def __init__(self, call_results: CallResults, *, remembers: bool, undoable: bool) -> None:
        super().__init__(cast("Any", None), remembers=remembers)
        self.declaration = replace(self.declaration, undoable=undoable)
        self.world: list[tuple[str, str]] = []
        self.kills_worker_when_stored = False
        self._call_results = call_results
        self._calls: dict[str, int] = {}

    def lines(self) -> list[tuple[str, str]]:
        return self.world

    async def _do(self, line: str, key: str, failures: list[Exception]) -> Receipt:
        del failures
        self._calls[line] = self._calls.get(line, 0) + 1
        result = self._call_results.of(line, self._calls[line])
        self.kills_worker_when_stored = result.endswith("killed when stored")
        result = result.removesuffix(", killed when stored")
        if result in ("done", "lost, done", "killed after", "killed when stored"):
            self.world.append((key, line))
        match result:
            case "done" | "killed when stored":
                pass
            case "refused":
                raise ToolRefused("no")
            case "away":
                raise ToolUnavailable("later")
            case "killed before" | "killed after":
                raise Killed
            case _:
                raise EffectUnknown("lost")
        return self._receipt(line)

    async def find_out(self, arguments: BookingArguments, idempotency_key: str) -> EffectStatus:
        return self._found(f"booked {arguments.text}", idempotency_key)


class KillableRecords(Records):
    """Records whose worker may be killed once a result is stored."""

    account: ScriptedAccount | None = None

    async def transact(self, run: RunRef, act: Any, *, receipt: bool = False) -> Any:
        result = await super().transact(run, act, receipt=receipt)
        if receipt and self.account is not None and self.account.kills_worker_when_stored:
            self.account.kills_worker_when_stored = False
            raise Killed
        return result


class NoPeopleList:
    """A missing list of people: typed names are accepted."""

    def people(self) -> People | None:
        return None


class SimulatedRun:
    """The workflow's part of one run; `naive` contains the request."""

    def __init__(self, database: Database, workflow_id: str, naive: NaiveRun, rng: Random) -> None:
        self.id, self.naive, self._chance = workflow_id, naive, rng
        self.account = self.make_account()
        self._records = KillableRecords(database)
        self._records.account = self.account
        self._requiring = Requiring(self.make_policy())
        self._people = RecordedPeople(NoPeopleList(), self._records, "worker@here")
        self._plans = PlanCheck({"book": self.account}, 20)
        self._client = cast("Client", SimpleNamespace(identity="worker@here"))
        self._times = SignalTimes(self._client)
        self._arrivals = 0
        self._activities = 0
        requested = Requested(
            request="",
            requester=self.requester,
            timeout_seconds=int(REVIEW.total_seconds()),
            requested_at=naive.now,
        )
        self.state = apply(RunState(workflow_id=workflow_id), requested)
        self.first: str | None = None
        self._closed_on_record = False

    # ---- differences in other kinds of runs ---------------------------------------------------------

    requester = "rita"

    def make_account(self) -> ScriptedAccount:
        naive = self.naive
        return ScriptedAccount(naive.call_results, remembers=naive.remembers, undoable=naive.undoable)

    def make_policy(self) -> Policy:
        naive = self.naive
        requirement = Requirement.model_validate(
            {
                "needs": [{"role": "anyone", "count": naive.needed}],
                "approval_valid_for": int(naive.valid.total_seconds()) if naive.valid else None,
                "strike_keeps_approver": naive.strike_keeps_approver,
            }
        )
        return Wants(requirement)

    def plan_of(self, texts: list[str]) -> JsonValue:
        return {**bookings(*texts), "summary": "Book some lines"}

    # ---- people and time ----------------------------------------------------------------------------

    async def decide(self, choice: str, by: str, plan: str, said: dict[str, Any]) -> tuple[bool, str]:
        """Send a decision; return whether it was accepted, once all its consequences have happened."""
        self._arrivals += 1
        named = {"newest": self.state.fingerprint, "first": self.first}.get(plan) or "0" * 64
        more: dict[str, Any] = {}
        if choice == "edit":
            more["new_plan"] = self.plan_of(said["texts"])
        if choice == "resolve":
            more = {**said, "resolution": Resolution(said["resolution"])}
        decision = Decision(
            decision=Choice(choice), by=by, plan=named, comment=f"why {self._arrivals}", **more
        )
        arrival = Arrival(
            key=f"run:update:{self._arrivals:032x}",
            via=Via.UPDATE,
            name=choice,
            received_at=self.naive.now,
            decision=decision,
        )
        task = AdmitTask(run=self._ref(), state=self.state, arrivals=(arrival,))
        decisions = Decisions(self._records, self._times, self._people, self._plans, can_draft=True)
        (decided,) = await self._local(decisions.admit_decisions, task)
        self._apply(decided)
        await self.run()
        return decided.verdict.accepted, decided.verdict.reason

    async def pass_time(self) -> None:
        """Apply the current time."""
        waits = self.state.phase in (Phase.IN_REVIEW, Phase.HELD)
        if waits and self.state.deadline and self.naive.now >= self.state.deadline:
            outcome = Outcome.FAILED if self.state.phase is Phase.HELD else Outcome.EXPIRED
            await self._end(outcome, "its deadline passed")

    async def withdraw(self) -> None:
        if self.state.phase in (Phase.IN_REVIEW, Phase.HELD):
            await self._end(Outcome.WITHDRAWN, "withdrawn")

    # ---- the workflow -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Continue until a person has to decide, or the run has ended."""
        while await self.advance():
            pass

    async def advance(self) -> bool:
        """Take the next action and return True, or False if a person has to decide or the run has ended."""
        match self.state.phase:
            case Phase.DRAFTING:
                await self._draft()
            case Phase.EXECUTING:
                step = next_step(self.state)
                if step is None:
                    await self._end(Outcome.EXECUTED, executed_because(self.state))
                else:
                    await self._step(step, undo=False)
            case Phase.UNDOING:
                step = next_undo(self.state)
                if step is None:
                    await self._end(Outcome.FAILED, undone_because(self.state))
                else:
                    await self._step(step, undo=True)
            case Phase.CLOSED if not self._closed_on_record:
                assert self.state.closed is not None
                await self._end(self.state.closed.outcome, self.state.closed.reason)
            case _:
                return False
        return True

    async def _draft(self) -> None:
        before = self.state.drafted
        task = DraftTask(
            run=self._ref().model_copy(update={"requested": self.state.requested}),
            revision=self.state.next_revision,
            supplied=self.plan_of(self.naive.texts) if before is None else None,
            is_edit=self.state.edit is not None,
            previous=before.plan if before else None,
        )
        self.account.balance = self.naive.version if self.naive.watches else None
        planning = Planning(
            self._records,
            ScriptedPlanner(),
            self._plans,
            self._requiring,
            directory=self._people,
            times=self._times,
            outage_limit=REVIEW,
        )
        self._apply(await self._ordinary(planning.draft_plan, task))
        self.first = self.first or self.state.fingerprint

    async def _step(self, step: int, *, undo: bool) -> None:
        drafted, requested, progress = self.state.drafted, self.state.requested, self.state.steps[step - 1]
        assert drafted is not None
        assert requested is not None
        task = StepTask(
            run=self._ref(),
            requested_at=requested.requested_at,
            plan=drafted.plan,
            revision=drafted.revision,
            fingerprint=drafted.fingerprint,
            step=step,
            undo=undo,
            resolution=progress.undo.resolution if undo else progress.resolution,
            resolutions=self.state.resolutions,
        )
        self.account.balance = self.naive.version if self.naive.watches else None
        execution = Execution(
            self._records,
            {"book": self.account},
            self._people,
            self._requiring,
            longest_wait=REVIEW * 0,
        )
        try:
            result: StepResult = await self._ordinary(execution.execute_step, task)
        except ApplicationError as error:
            hold = HoldTask(
                run=self._ref(),
                fingerprint=drafted.fingerprint,
                step=step,
                undo=undo,
                reason=error.message,
                at=self.naive.now,
                resolutions=self.state.resolutions,
            )
            if error.type == "NotApproved":
                raise
            self.state = (await self._local(Holding(self._records, self._requiring).hold_run, hold)).record
            return
        if result.record is not None:
            self.state = result.record
        for event in (result.reopened, result.done, result.undone, result.closed):
            if event is not None:
                self._apply(event)
        self._closed_on_record = self._closed_on_record or result.closed is not None

    async def _end(self, outcome: Outcome, reason: str) -> None:
        task = CloseTask(
            run=self._ref(),
            outcome=outcome,
            reason=reason,
            at=self.naive.now,
            fingerprint=self.state.fingerprint,
        )
        for event in (await self._local(Closing(self._records).close_run, task)).events:
            self._apply(event)
        self._closed_on_record = True

    def _apply(self, event: Any) -> None:
        if not includes(self.state, event):
            self.state = apply(self.state, event)

    # ---- activities ---------------------------------------------------------------------------------

    def _ref(self) -> RunRef:
        drafted = self.state.drafted
        return RunRef(workflow_id=self.id, chain_id="run", audience=drafted.audience if drafted else None)

    async def _local(self, activity: Any, task: Any) -> Any:
        """Run a local activity; 25% of the workers are killed before the run has the result."""
        if self._chance.random() < 0.25:
            await self._with_retries(activity, task)
        return await self._with_retries(activity, task)

    async def _with_retries(self, activity: Any, task: Any) -> Any:
        """Run a local activity, with retries if a busy machine delayed it too long, as the workflow does."""
        while True:
            try:
                return await self._environment(1, is_local=True).run(activity, task)
            except ApplicationError as error:
                if error.type != "RecordsUnavailable":
                    raise

    async def _ordinary(self, activity: Any, task: Any) -> Any:
        """Run an activity until it has a result, regardless of how often its worker is killed."""
        self._activities += 1
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._environment(attempt).run(activity, task)
            except Killed:
                continue
            except ApplicationError as error:
                if error.non_retryable:
                    raise

    def _environment(self, attempt: int, *, is_local: bool = False) -> ActivityEnvironment:
        environment = ActivityEnvironment(self._client)
        environment.info = replace(
            environment.info,
            activity_id=str(self._activities),
            attempt=attempt,
            is_local=is_local,
            started_time=self.naive.now,
            workflow_id=self.id,
            workflow_run_id="run",
            workflow_type="PlanApproval",
        )
        return environment

    # ---- comparison ---------------------------------------------------------------------------------

    def shown(self) -> tuple[object, ...]:
        """Return the state in the same form as the simple run's `shown`."""
        undos = [step.undo.state.value for step in self.state.steps]
        return self.state.state, [step.state.value for step in self.state.steps], undos

    def world(self) -> list[tuple[str, str]]:
        """Return the effects in order, each under its revision instead of its fingerprint."""
        found, fingerprints = [], [*self.state.replaced, self.state.fingerprint]
        for key, line in self.account.world:
            rest = key.removeprefix(f"{self.id}:")
            fingerprint, _, name = rest.partition(":")
            found.append((f"{fingerprints.index(fingerprint) + 1}/{name}", line))
        return found
