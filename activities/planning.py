"""The activity that drafts: from a request, or a plan brought along, to a checked plan on the record."""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, Final

import structlog
from temporalio import activity

from activities.caller import check_caller, own_audience
from activities.failures import told_to_temporal
from activities.heartbeat import ServerClock, beating, this_worker
from activities.outage import Outage
from activities.planner import Brief, Draft, Planner
from activities.requiring import Requiring
from activities.signal_times import SignalTimes
from activities.tasks import DraftTask
from plangate.domain.audit import Drafted, ModelUse
from plangate.domain.drafting import check_plan
from plangate.domain.errors import (
    DirectoryUnavailable,
    DraftUnusable,
    NotApproved,
    PlanInvalid,
    RequestInvalid,
    WorkerStopping,
)
from plangate.domain.faults import Fault
from plangate.domain.people import Directory, People, identity
from plangate.domain.plan import Plan, fingerprint_of, short
from plangate.domain.request import check_opening
from plangate.domain.run import Phase
from plangate.records.database import Database
from plangate.records.trail import Note, open_trail
from plangate.tool import Tool, arguments_for

# How often a failure that nobody foresaw is tried again; how long one of the model's service, is a setting.
_UNFORESEEN_TRIES: Final = 5
_log = structlog.get_logger(__name__)


class Planning:
    """Drafts plans with a planner, over tools that are only described to it, never handed over."""

    def __init__(
        self,
        database: Database,
        planner: Planner,
        tools: Mapping[str, Tool],
        requiring: Requiring,
        *,
        directory: Directory,
        max_steps: int,
        times: SignalTimes,
        patience: timedelta,
    ) -> None:
        self._directory = directory
        self._database = database
        self._times = times
        self._requiring = requiring
        self._planner = planner
        self._tools = tools
        self._declarations = {name: tool.declaration for name, tool in tools.items()}
        self._max_steps = max_steps
        self._patience = patience

    @activity.defn
    async def draft_plan(self, task: DraftTask) -> Drafted:
        """Return the checked plan of one revision, after it and its requirement are on the record.

        Raises:
            ApplicationError: named after the domain error: no model, a model that failed, an invalid plan,
                a request that no door let through, an id that is taken, records that do not answer.
        """
        clock = ServerClock()
        with told_to_temporal(_UNFORESEEN_TRIES, outage=Outage(self._patience, clock)):
            check_caller(task.run, self._database)
            check_opening(task.run, clock.now())
            people = await self._database.transact(self._people)
            task = _as_listed(task, people)
            self._times.follow()
            with beating():
                # A plan brought along costs nothing to check anew, and `_record` finds what is there already.
                if task.supplied is None:
                    earlier = await self._database.transact(self._open_and_look, task)
                    if earlier is not None:
                        return earlier
                listed = _listed(task.run.requested.requester, people) if task.revision == 1 else ""
                plan, planner = await self._plan(task)
                self._object(plan)
                return await self._database.transact(self._record, task, plan, planner, clock, listed)

    def _people(self) -> People | DirectoryUnavailable | None:
        """Return the list of people; where it cannot be read, the error, for when it is needed."""
        try:
            return self._directory.people()
        except DirectoryUnavailable as error:
            return error

    async def _plan(self, task: DraftTask) -> tuple[Plan, ModelUse | None]:
        if task.supplied is not None:
            return check_plan(task.supplied, self._declarations, self._max_steps), None
        brief = Brief(request=task.run.requested.request, previous=task.previous, feedback=task.feedback)
        draft = await _unless_the_worker_stops(
            self._planner.draft(brief, self._declarations, self._max_steps)
        )
        try:
            return check_plan(
                draft.plan.model_dump(mode="json"), self._declarations, self._max_steps
            ), draft.planner
        except PlanInvalid as error:
            raise DraftUnusable(f"The model's draft cannot be used: {error}") from error

    def _object(self, plan: Plan) -> None:
        """Refuse a plan that could never run under these settings; an approver must not be asked in vain."""
        faults = []
        for index, step in enumerate(plan.steps):
            tool = self._tools[step.tool]
            objection = tool.objection(arguments_for(tool.declaration, step.arguments))
            if objection:
                faults.append(Fault(("steps", index), objection))
        if faults:
            raise PlanInvalid(faults)

    def _open_and_look(self, task: DraftTask) -> Drafted | None:
        """Put the request on the record, and return this revision's plan where an earlier attempt made it."""
        with self._database.write() as connection:
            trail = open_trail(connection, task.run)
            for entry in trail.entries():
                if isinstance(entry.event, Drafted) and entry.event.revision == task.revision:
                    return self._requiring.borne_out(trail, task.run, entry.event)
        return None

    def _record(
        self, task: DraftTask, plan: Plan, planner: ModelUse | None, clock: ServerClock, listed: str
    ) -> Drafted:
        """Put the plan on the record, where the record wants one; what it says of the request counts."""
        audience = own_audience(self._database)
        fingerprint = fingerprint_of(plan, task.revision, task.run.workflow_id, audience)
        key, now = f"drafted:{task.revision}", clock.now()
        with self._database.write() as connection:
            trail = open_trail(connection, task.run)
            earlier = trail.find([key]).get(key)
            if earlier is not None and isinstance(earlier.event, Drafted):
                return self._requiring.borne_out(trail, task.run, earlier.event)
            state = trail.state()
            if state.phase is not Phase.DRAFTING or state.next_revision != task.revision or trail.is_closed:
                raise NotApproved(
                    f"The run is {state.state} by its record, so no revision {task.revision} is made for it."
                )
            assert state.requested is not None
            requested = state.requested
            listed = listed or (state.drafted.requester if state.drafted else "")
            requirement = self._requiring.policy.requirement_for(
                plan, request=requested.request, requester=listed or identity(requested.requester)
            )
            seconds = min(requested.timeout_seconds, requirement.timeout_seconds or requested.timeout_seconds)
            drafted = Drafted(
                revision=task.revision,
                plan=plan,
                fingerprint=fingerprint,
                audience=audience,
                requirement=requirement,
                drafted_at=now,
                deadline=now + timedelta(seconds=seconds),
                planner=planner,
                requester=listed,
            )
            trail.append(Note(key=key, at=now, actor=this_worker(), event=drafted))
        _log.info(
            "A plan is drafted and on the record.",
            action="drafted",
            workflow_id=task.run.workflow_id,
            fingerprint=short(fingerprint),
            revision=task.revision,
            steps=len(plan.steps),
        )
        return drafted


def _as_listed(task: DraftTask, people: People | DirectoryUnavailable | None) -> DraftTask:
    """Return the task with its requester as the list of people writes the name, where it can be read."""
    if people is None or isinstance(people, DirectoryUnavailable):
        return task  # the request goes on the record all the same; the draft waits for the list
    requested = task.run.requested
    person = people.find(requested.requester)
    if person is None:
        return task
    requested = requested.model_copy(update={"requester": person.name})
    return task.model_copy(update={"run": task.run.model_copy(update={"requested": requested})})


def _listed(name: str, people: People | DirectoryUnavailable | None) -> str:
    """Return the requester as the list of people writes the name; empty where there is no list.

    Raises:
        DirectoryUnavailable: there is a list, and it cannot be read.
        RequestInvalid: the list does not have that name: who approves could be the same person.
    """
    if isinstance(people, DirectoryUnavailable):
        raise people
    if people is None:
        return ""
    person = people.find(name)
    if person is None:
        raise RequestInvalid(
            f"The requester {name} is not in the list of people, so nobody could tell whether the same "
            "person approves; start again with --requester and the name as the list has it, and another "
            "--id."
        )
    return person.name


async def _unless_the_worker_stops(work: Coroutine[Any, Any, Draft]) -> Draft:
    """Await ``work``, or break it off when the worker is told to stop: a draft has no effect to finish first.

    Raises:
        WorkerStopping: the worker stops, and another one starts over.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(activity.wait_for_worker_shutdown())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise WorkerStopping("The worker stops; another one drafts the plan.")
        return await working
    finally:
        working.cancel()
        stopping.cancel()
