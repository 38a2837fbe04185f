"""The drafting activity: it turns a request or a supplied plan into a checked and recorded plan."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from pydantic import JsonValue
from temporalio import activity

from activities.calling_workflow import check_caller, own_audience
from activities.heartbeat import ServerClock, heartbeating, this_worker
from activities.outage_duration import Outage
from activities.plan_check import PlanCheck
from activities.planner import Brief, Draft, Planner
from activities.planner_states import PlannerStates
from activities.requirement_check import Requiring
from activities.signal_times import SignalTimes
from activities.tasks import DraftTask, KeepTask
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.base import Frozen
from plangate.domain.errors import (
    DirectoryUnavailable,
    DraftUnusable,
    NotApproved,
    PlangateError,
    PlanInvalid,
    RequestInvalid,
    WorkerStopping,
)
from plangate.domain.faults import Fault
from plangate.domain.people.people import People
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of, removed_steps, short
from plangate.domain.policies.rolling_totals import sums_wanted
from plangate.domain.policies.viewers import together
from plangate.domain.runs.audit import Drafted, ModelUse, Reopened
from plangate.domain.runs.request import check_opening
from plangate.domain.runs.run import Edit, Phase, RunState
from plangate.domain.runs.starting import FARTHEST
from plangate.domain.times.start_times import AFTER_DEADLINE, MOST_SPANS, StartTimes
from plangate.policy.requirements import demanded_of, evaluated_for
from plangate.policy.review_times import first_times, reopened_times
from plangate.records.attachments import keep
from plangate.records.duplicates import duplicates_while_drafting, store_match_keys
from plangate.records.records import Records
from plangate.records.reservations import with_others
from plangate.records.rule_texts import RecordedPeople
from plangate.records.tool_descriptions import keep_descriptions
from plangate.records.trail import Note, OpenTrail

# Attempts after which an unexpected failure is final; a setting limits the retries for the model's service.
_UNEXPECTED_TRIES: Final = 5
_log = structlog.get_logger(__name__)


class Planning:
    """Drafts plans with a planner, which gets the tools' declarations but no access to the tools."""

    def __init__(
        self,
        records: Records,
        planner: Planner,
        plans: PlanCheck,
        requiring: Requiring,
        *,
        directory: RecordedPeople,
        times: SignalTimes,
        outage_limit: timedelta,
    ) -> None:
        self._directory = directory
        self._records = records
        self._times = times
        self._requiring = requiring
        self._planner = planner
        self._states = PlannerStates(records)
        self._plans = plans
        self._outage_limit = outage_limit
        self._described: set[str] = set()

    @activity.defn
    async def draft_plan(self, task: DraftTask) -> Drafted:
        """Record the checked plan of one revision with its requirement, and return it.

        Raises:
            ApplicationError: named after the domain error: no model, a failed model, an invalid plan, an
                invalid request, an id in use, or unavailable records.
        """
        clock = ServerClock()
        with as_application_errors(_UNEXPECTED_TRIES, outage=Outage(self._outage_limit, clock)):
            check_caller(task.run, self._records)
            with heartbeating():
                return await self._draft(task, clock.now)

    @activity.defn
    async def draft_at_once(self, task: DraftTask) -> Drafted | None:
        """Draft a supplied plan inside the workflow task, which saves a separate activity.

        Return None if that would take long or fails on the first try; `draft_plan` then follows, with all its
        retries and errors.
        """
        at = task.at
        if task.supplied is None or at is None:
            return None
        try:
            check_caller(task.run, self._records, is_local=True)
            if self._plans.observes(self._plans.check(task.supplied)):
                return None
            return await with_time_limit(self._records, self._draft(task, lambda: at))
        except PlangateError:
            return None

    @activity.defn
    async def keep_plan(self, task: KeepTask) -> RunState:
        """Record that the plan from before an edit is in review again, and why; return the recorded state.

        The record is authoritative: another attempt may have drafted the edit, or recorded this.

        Raises:
            ApplicationError: the records are unavailable.
        """
        with as_application_errors():
            check_caller(task.run, self._records, is_local=True)
            writing = self._records.transact(task.run, lambda trail: _kept(trail, task))
            record = await with_time_limit(self._records, writing)
        if record.reopened is not None and record.phase is Phase.IN_REVIEW:
            _log.warning(
                "An edit could not be drafted; the plan before it is in review again.",
                action="reopened",
                workflow_id=task.run.workflow_id,
                fingerprint=short(record.reopened.fingerprint),
            )
        return record

    async def _draft(self, task: DraftTask, now: Callable[[], datetime]) -> Drafted:
        requested = check_opening(task.run, now())
        people = await self._directory.people_or_error()
        task = task.requested_by(_listed_name(requested.requester, people))
        self._times.follow()
        # Checking a supplied plan again is cheap, and `_record` finds a recorded plan.
        if task.supplied is None:
            earlier = await self._records.transact(task.run, lambda trail: self._earlier(trail, task))
            if isinstance(earlier, Drafted):
                return earlier
            if earlier is not None:  # the recorded edit is used, not the one in the task
                task = task.model_copy(update={"supplied": earlier.plan})
        listed = _listed(requested.requester, people) if task.revision == 1 else ""
        made = await self._plan(task, requested.request, await self._state(task))
        made = made.model_copy(update={"plan": await self._plans.with_previews(made.plan)})
        audience = own_audience(self._records)
        drafted, is_new = await self._records.transact(
            task.run,
            lambda trail: self._record(trail, task, made, listed=listed, audience=audience, now=now()),
        )
        if is_new:
            self._described.update(step.definition for step in drafted.plan.steps)
            _log_drafted(task, drafted)
        return drafted

    async def _state(self, task: DraftTask) -> JsonValue:
        """Return the planner's state from its last plan in this run; None if it was not saved."""
        if task.supplied is not None or task.previous is None:
            return None
        return await self._states.last(task.run)

    async def _plan(self, task: DraftTask, request: str, state: JsonValue) -> "_Made":
        if task.supplied is not None:
            return _Made(plan=self._plans.check(task.supplied))
        brief = Brief(request=request, previous=task.previous, feedback=task.feedback, state=state)
        draft = await _cancel_when_stopping(self._planner.draft(brief))
        try:
            plan = self._plans.check(draft.plan.proposed().model_dump(mode="json"))
        except PlanInvalid as error:
            raise DraftUnusable(f"The model's draft cannot be used: {error}") from error
        plan = plan.model_copy(update={"reads": draft.plan.reads})
        return _Made(plan=plan, planner=draft.planner, state=PlannerStates.written(draft.state))

    def _earlier(self, trail: OpenTrail, task: DraftTask) -> Drafted | Edit | None:
        """Return this revision's plan if an earlier attempt recorded it, or the edit to carry out."""
        for entry in trail.entries():
            if isinstance(entry.event, Drafted) and entry.event.revision == task.revision:
                return self._requiring.require_valid_plan(trail, _requested_at(task), entry.event)
        edit = trail.state().edit
        if task.is_edit and edit is None:
            raise NotApproved("The record has no edit of this plan, so nothing is drafted.")
        return edit

    def _record(
        self,
        trail: OpenTrail,
        task: DraftTask,
        made: "_Made",
        *,
        listed: str,
        audience: Audience,
        now: datetime,
    ) -> tuple[Drafted, bool]:
        """Record the plan if the recorded state expects one; the recorded request is used.

        Return the recorded plan, and whether it is new.
        """
        key = f"drafted:{task.revision}"
        earlier = trail.find([key]).get(key)
        if earlier is not None and isinstance(earlier.event, Drafted):
            return self._requiring.require_valid_plan(trail, _requested_at(task), earlier.event), False
        state = trail.state()
        if state.phase is not Phase.DRAFTING or state.next_revision != task.revision or trail.is_closed:
            raise NotApproved(
                f"The run is recorded as {state.state}, so revision {task.revision} is not drafted."
            )
        assert state.requested is not None
        requested = state.requested
        listed = listed or (state.drafted.requester if state.drafted else "")
        author = state.edit.by if state.edit else ""
        plan = made.plan
        if state.edit and state.drafted:  # an edit changes the steps, not the planner's reads
            plan = plan.model_copy(update={"reads": state.drafted.plan.reads})
        _check_beginning(plan, now)
        fingerprint = fingerprint_of(plan, task.revision, task.run.workflow_id, audience)
        people = evaluated_for(requested, requester=listed, author=author)
        recent = with_others(
            trail.connection,
            sums_wanted(self._requiring.limits, plan, people),
            run=trail.workflow_id,
            plan=fingerprint,
            now=now,
        )
        match_keys = self._plans.match_keys(plan)
        duplicates = duplicates_while_drafting(trail.connection, trail.workflow_id, match_keys, now)
        requirement = demanded_of(
            self._requiring.policy,
            plan,
            requested,
            requester=listed,
            author=author,
            recent=recent,
            duplicates=duplicates,
        )
        if state.drafted:  # its page also shows the previous plans
            seen_by = together(state.drafted.requirement.seen_by, requirement.seen_by)
            requirement = requirement.model_copy(update={"seen_by": seen_by})
        times = first_times(requested, requirement, plan, now)
        _check_start_times(times.starts)
        drafted = Drafted(
            revision=task.revision,
            plan=plan,
            fingerprint=fingerprint,
            audience=audience,
            requirement=requirement,
            drafted_at=now,
            deadline=times.deadline,
            planner=made.planner,
            requester=listed,
            author=author,
            struck=_removed(state, made.plan),
            state=keep(trail.connection, made.state) if made.state is not None else "",
            recent=recent,
            duplicates=duplicates,
            starts=times.starts,
            facts=times.facts,
        )
        store_match_keys(
            trail.connection,
            trail.workflow_id,
            match_keys,
            now,
            is_first=task.revision == 1,
            is_hidden=bool(requirement.seen_by),
        )
        described = self._plans.described(plan).items()
        keep_descriptions(trail.connection, (one for name, one in described if name not in self._described))
        trail.append(Note(key=key, at=now, actor=this_worker(), event=drafted))
        return drafted, True


def _kept(trail: OpenTrail, task: KeepTask) -> RunState:
    state = trail.state()
    is_expected = state.phase is Phase.DRAFTING and state.next_revision == task.revision
    if state.edit is None or state.drafted is None or not is_expected or trail.is_closed:
        return state
    at = max(task.at, trail.entries()[-1].at)
    times = reopened_times(state.requested, state.drafted, at)
    event = Reopened(
        fingerprint=state.drafted.fingerprint,
        edit=f"the edit by {state.edit.by} could not be drafted: {task.reason}",
        reopened_at=at,
        deadline=times.deadline,
        facts=times.facts,
        starts=times.starts,
    )
    trail.append(Note(key=f"reopened:{at.isoformat()}", at=at, actor=this_worker(), event=event))
    return trail.state()


def _check_beginning(plan: Plan, now: datetime) -> None:
    """Refuse a plan that begins years from now, because that must be a mistake.

    Raises:
        PlanInvalid: the plan begins too late.
    """
    if plan.not_before is not None and plan.not_before > now + FARTHEST:
        fault = Fault(("not_before",), f"is more than {FARTHEST.days} days ahead; choose an earlier time")
        raise PlanInvalid([fault])


def _check_start_times(starts: StartTimes | None) -> None:
    """Refuse a plan whose steps could not begin after an approval.

    Raises:
        PlanInvalid: it has no start times, or so many that later ones would not be recorded.
    """
    if starts is None:
        return
    if not starts.spans:
        fault = "could never begin: its rules leave no time for it; change their windows"
        raise PlanInvalid([Fault((), fault)])
    if len(starts.spans) >= MOST_SPANS:
        problem = (
            f"has too many start times, {MOST_SPANS} or more until {AFTER_DEADLINE.days} days after its "
            "review; ask for a shorter review, or give its rules fewer, longer windows"
        )
        raise PlanInvalid([Fault((), problem)])


def _removed(state: RunState, plan: Plan) -> tuple[int, ...]:
    """Return the steps that an edit removed, if that was its only change."""
    if state.edit is None or state.drafted is None:
        return ()
    return removed_steps(state.drafted.plan, plan.proposed()) or ()


class _Made(Frozen):
    """A checked plan, with its model and the planner's state, which are None for a supplied plan."""

    plan: Plan
    planner: ModelUse | None = None
    state: bytes | None = None


def _log_drafted(task: DraftTask, drafted: Drafted) -> None:
    _log.info(
        "A plan is drafted and recorded.",
        action="drafted",
        workflow_id=task.run.workflow_id,
        fingerprint=short(drafted.fingerprint),
        revision=drafted.revision,
        steps=len(drafted.plan.steps),
    )


def _requested_at(task: DraftTask) -> datetime:
    assert task.run.requested is not None  # after `check_opening`
    return task.run.requested.requested_at


def _listed_name(name: str, people: People | DirectoryUnavailable | None) -> str:
    """Return the requester's name as spelled in the list of people, if the list is readable and contains it.

    The request is recorded in any case; the draft waits for the list.
    """
    person = people.find(name) if isinstance(people, People) else None
    return person.name if person else name


def _listed(name: str, people: People | DirectoryUnavailable | None) -> str:
    """Return the requester's name as spelled in the list of people; empty if there is no list.

    Raises:
        DirectoryUnavailable: the list cannot be read.
        RequestInvalid: the list does not contain that name, so an approver could be the same person.
    """
    if isinstance(people, DirectoryUnavailable):
        raise people
    if people is None:
        return ""
    person = people.find(name)
    if person is None:
        raise RequestInvalid(
            f"The requester {name} is not in the list of people, so an approver could be the same person; "
            "start again with the requester's name as written in the list, and another id."
        )
    return person.name


async def _cancel_when_stopping(work: Coroutine[Any, Any, Draft]) -> Draft:
    """Await ``work``, or cancel it when the worker must stop, because a draft has no effect.

    Raises:
        WorkerStopping: the worker is stopping; another one starts over.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise WorkerStopping("The worker is stopping; another one will draft the plan.")
        return await working
    finally:
        working.cancel()
        stopping.cancel()
