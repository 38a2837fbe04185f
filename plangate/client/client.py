"""The client: submit a request, decide, get the status of a run, wait for it to end, list and withdraw runs.

It reads from the workflow if a worker is running, otherwise from the records and Temporal's visibility; every
status states its source.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Self

from pydantic import JsonValue
from temporalio.client import Client as TemporalClient
from temporalio.client import (
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.accesses import record_access
from plangate.client.attempts import UnpauseCommand, plain_unpause_command, with_attempts
from plangate.client.checking import checked_by_worker
from plangate.client.delegating import query_delegations, send_delegation
from plangate.client.offline_status import NO_WORKER, result_of, status_without_workflow, unreachable
from plangate.client.starting import checked_id, in_use, new_id, start_run
from plangate.client.stopping import (
    WORKER,
    KnownStops,
    query_stops,
    send_key_request,
    send_stop_request,
    waiting_stop_requests,
)
from plangate.client.waiting_runs import WaitingRuns, open_of, waiting_runs
from plangate.domain.accesses import Access, AccessAnswer
from plangate.domain.audit import OUTCOMES, AuditEntry
from plangate.domain.decision import Choice, Decision, DecisionAnswer, Resolution
from plangate.domain.delegations import DelegationAnswer, DelegationRequest
from plangate.domain.errors import (
    ListIncomplete,
    NotAnswered,
    RecordsMissing,
    RecordsUnavailable,
    Refused,
    RunNotFound,
    StatusContradicts,
    TemporalDenied,
    TrailDamaged,
)
from plangate.domain.escaping import one_line
from plangate.domain.key_requests import KeyRequest
from plangate.domain.plan import Audience, ProposedPlan
from plangate.domain.plan_checked import PlanChecked
from plangate.domain.request import PlanRequest
from plangate.domain.run import Phase
from plangate.domain.shown import checked
from plangate.domain.status import RunResult, Status, is_open, with_settlements, with_stops
from plangate.domain.stops import StopAnswer, StopRequest
from plangate.logs.setup import leave_logs_to_the_application
from plangate.records.database import Database
from plangate.records.lists import WAITING, Wanted
from plangate.records.queries import (
    by_people_on_record,
    settlements_on_record,
    status_on_record,
    stops_on_record,
    trail_on_record,
    with_duplicates_now,
)
from plangate.records.workers import differences, may_draft, running_workers
from plangate.settings import Settings, load_settings
from plangate.temporal.connection import connect
from plangate.temporal.contract import DECIDE, STATUS, WORKFLOW_TYPE

_PAUSE: Final = 1.0  # seconds until an unavailable server is queried again
QUERY_TIMEOUT: Final = timedelta(seconds=3)
# A run tries for three seconds to record a decision, then responds with the reason of the failure.
DECIDE_TIMEOUT: Final = timedelta(seconds=8)
_NO_WORKER_CODES: Final = (
    RPCStatusCode.CANCELLED,  # the query reached its time limit
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.FAILED_PRECONDITION,  # the server has not seen a worker recently
)


class Client:
    """A connection to Plangate: submits, decides, waits, lists and reads the status.

    `connect` opens one with the settings; the constructor takes open connections.

    Args:
        client: a client of the namespace in which the workers run.
        task_queue: the workers' task queue.
        database: the records, opened for reading; None if they cannot be accessed.
        unpause_command: returns the command that a status shows for a paused step or draft.
        query_timeout: how long to wait for a worker's response to a query. After that, no worker is
            considered running.
    """

    def __init__(
        self,
        client: TemporalClient,
        task_queue: str,
        database: Database | None,
        *,
        unpause_command: UnpauseCommand = plain_unpause_command,
        query_timeout: timedelta = QUERY_TIMEOUT,
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._database = database
        self._unpause_command = unpause_command
        self._query_timeout = query_timeout
        self._opened: Database | None = None

    @classmethod
    async def connect(cls, settings: Settings | None = None) -> Self:
        """Connect with the settings of the environment: ``async with await Client.connect() as client``.

        The server is set by Temporal's own variables and profile file, the workers' queue by
        ``PLANGATE_TASK_QUEUE``, and the records by ``PLANGATE_DATABASE_URL``. Without records, a status needs
        a running worker.

        Args:
            settings: used instead of the ``PLANGATE_`` variables.

        Raises:
            SettingsInvalid: a setting cannot be used.
            TemporalDenied: the server does not accept this client, or has no such namespace.
            TemporalUnreachable: there is no server, or it does not respond.
        """
        settings = settings or load_settings()
        leave_logs_to_the_application()
        client = await connect(settings)
        database = Database(settings.records)
        connected = cls(client, settings.task_queue, database)
        connected._opened = database
        return connected

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the records that `connect` opened."""
        if self._opened is not None:
            self._opened.close()

    async def submit(self, request: PlanRequest, workflow_id: str | None = None) -> str:
        """Start a run and return its workflow id; an id that was used before is refused.

        Raises:
            IdInUse: the id belongs to another request, open or recorded.
            RequestInvalid: the id is malformed.
            TemporalUnreachable: the server does not respond.
        """
        workflow_id = checked_id(workflow_id) if workflow_id else new_id()
        if await asyncio.to_thread(self._is_on_record, workflow_id):
            raise in_use(workflow_id)
        await start_run(self._client, self._task_queue, request, workflow_id)
        return workflow_id

    async def decide(
        self, workflow_id: str, decision: Decision, *, update_id: str | None = None
    ) -> DecisionAnswer | None:
        """Send a decision and return the result; None if no worker is running and the decision is queued.

        The result has ``accepted`` None if a worker received the decision but cannot record it yet; its
        ``reason`` explains why.

        The update returns a result immediately, but needs a worker. Without a worker, the decision is sent as
        a signal, which the server keeps. If a worker dies in between, both may be received; the second is
        refused.

        Args:
            workflow_id: the run.
            decision: the decision.
            update_id: the id of this decision, so that it has only one result if it is sent again.

        Raises:
            NotAnswered: the worker that received it could not respond.
            RunNotFound: there is no such run.
            TemporalUnreachable: the server does not respond.
        """
        if not await self._has_worker(workflow_id):
            return await self._decide_by_signal(workflow_id, decision)
        message = decision.model_dump(mode="json", exclude_none=True)
        try:
            answer: DecisionAnswer = await self._handle(workflow_id).execute_update(
                DECIDE, message, id=update_id, result_type=DecisionAnswer, rpc_timeout=DECIDE_TIMEOUT
            )
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            if isinstance(error.__cause__, asyncio.CancelledError):
                raise error.__cause__ from None  # the caller was cancelled: send nothing more
            return await self._decide_by_signal(workflow_id, decision)
        except WorkflowUpdateFailedError as error:
            raise NotAnswered(f"The worker could not process the decision: {error.cause}") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return await self._answer_after_end(workflow_id)
            raise unreachable(error) from error
        return answer

    async def edit(
        self, status: Status, new_plan: ProposedPlan, *, by: str, comment: str = ""
    ) -> DecisionAnswer | None:
        """Replace the plan of ``status`` with a new one; return the result as `decide` does.

        ``by`` becomes an author of the new plan, which another person must approve.

        Raises:
            Refused: the status has no plan.
            NotAnswered, RunNotFound, TemporalUnreachable: as for `decide`.
        """
        changes = {"new_plan": new_plan.model_dump(mode="json")}
        return await self._decide_on(status, Choice.EDIT, by=by, comment=comment, **changes)

    async def resolve(
        self, status: Status, resolution: Resolution, *, by: str, comment: str = ""
    ) -> DecisionAnswer | None:
        """Resolve the held step of ``status``; return the result as `decide` does.

        ``comment`` is needed for ``skip`` (the reason) and ``mark_done`` (the evidence).

        Raises:
            Refused: the run of ``status`` is not held.
            NotAnswered, RunNotFound, TemporalUnreachable: as for `decide`.
        """
        if status.held is None:
            raise Refused(f"{one_line(status.workflow_id)} is not held; there is nothing to resolve.")
        held: dict[str, Any] = {
            "step": status.held.step,
            "resolution": resolution,
            "hold": status.held.number,
        }
        return await self._decide_on(status, Choice.RESOLVE, by=by, comment=comment, **held)

    async def _decide_on(self, status: Status, choice: Choice, **parts: Any) -> DecisionAnswer | None:
        if status.fingerprint is None:
            raise Refused(f"{one_line(status.workflow_id)} has no plan yet; there is nothing to decide on.")
        decision = Decision(decision=choice, plan=status.fingerprint, **parts)
        return await self.decide(status.workflow_id, decision)

    async def status(self, workflow_id: str) -> Status:
        """Return the status of a run: from its workflow if a worker responds, otherwise from the records.

        Its plan, steps and fingerprint are compared locally, on the caller's machine.

        Raises:
            StatusContradicts: they are inconsistent.
            RunNotFound: neither Temporal nor the records contain the id.
            NotAnswered: Temporal has the run, but no worker is running and no records are available.
            TemporalUnreachable: the server does not respond.
        """
        status = self._checked(await self._status(workflow_id), workflow_id)
        return await asyncio.to_thread(self._with_recorded_fields, status)

    def _with_recorded_fields(self, status: Status) -> Status:
        """Add the fields that only the records can fill, such as settlements and revoked approvals."""
        known = self._reported_by_workers()
        if self._database is not None and status.source == "workflow" and status.state not in OUTCOMES:
            with suppress(RecordsMissing, RecordsUnavailable, TrailDamaged):
                known |= by_people_on_record(self._database, status.workflow_id)
        status = status.model_copy(update=known)
        if self._database is not None and status.source == "workflow":
            with suppress(RecordsMissing, RecordsUnavailable, TrailDamaged):
                status = with_stops(status, stops_on_record(self._database))
                status = with_duplicates_now(self._database, status)
                if is_open(status):
                    found = settlements_on_record(self._database, status.workflow_id)
                    status = with_settlements(status, found)
        return status

    def _reported_by_workers(self) -> dict[str, object]:
        """Return the fields of a status that the running workers reported to the records."""
        if self._database is None:
            return {}
        with suppress(RecordsMissing, RecordsUnavailable), self._database.read() as connection:
            running = running_workers(connection, self._client.namespace, self._task_queue)
            return {"workers_differ": differences(running), "may_draft": may_draft(running)}
        return {}

    async def _status(self, workflow_id: str) -> Status:
        try:
            status = await self._handle(workflow_id).query(
                STATUS,
                result_type=Status,
                # A terminated run still responds, with its state before the termination.
                reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY,
                rpc_timeout=self._query_timeout,
            )
            return await with_attempts(self._client, status, self._unpause_command)
        except WorkflowQueryFailedError as error:
            if not await asyncio.to_thread(self._is_on_record, workflow_id):
                raise _not_a_run(workflow_id) from error
            return await status_without_workflow(
                self._client, self._database, workflow_id, self._unpause_command
            )
        except (WorkflowQueryRejectedError, RPCError):
            return await status_without_workflow(
                self._client, self._database, workflow_id, self._unpause_command
            )

    async def wait_for_plan(self, workflow_id: str) -> Status:
        """Wait until the run's plan can be decided on, or it needs no decision, and return the status.

        A model may take minutes, and a worker may have to be started; set a limit with ``asyncio.timeout``.

        Raises:
            RunNotFound, StatusContradicts, TemporalUnreachable: as `status`.
        """
        while True:
            with suppress(NotAnswered):
                status = await self.status(workflow_id)
                if status.state != Phase.DRAFTING:
                    return status
            await asyncio.sleep(_PAUSE)

    async def wait(self, workflow_id: str) -> RunResult:
        """Wait until the run has ended and return its result; a server outage only delays it.

        Approvals may take weeks; set a limit with ``asyncio.timeout``.

        Raises:
            RunNotFound: there is no such run.
            TemporalDenied: the server does not accept this client.
        """
        handle = self._client.get_workflow_handle(workflow_id, result_type=RunResult)
        while True:
            try:
                result: RunResult = await handle.result()
            except WorkflowFailureError:  # terminated or timed out
                return result_of(await self.status(workflow_id))
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:  # past its retention, or it never existed
                    return result_of(await self.status(workflow_id))
                cause = unreachable(error)
                if isinstance(cause, TemporalDenied):
                    raise cause from error
                await asyncio.sleep(_PAUSE)
            else:
                return result

    async def withdraw(self, workflow_id: str, reason: str) -> None:
        """Request that the run end as withdrawn.

        Raises:
            NotAnswered: the worker that received it could not respond.
            RunNotFound: there is no such run.
            Refused: it has ended.
            TemporalUnreachable: the server does not respond.
        """
        await self._check_type(workflow_id)
        try:
            await self._handle(workflow_id).cancel(reason=reason)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                ended = (await self.status(workflow_id)).state
                raise Refused(
                    f"{one_line(workflow_id)} has ended ({ended}); there is nothing to withdraw."
                ) from None
            raise unreachable(error) from error

    async def still_open(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these runs are open on the Temporal server.

        Raises:
            TemporalUnreachable: the server does not respond.
        """
        try:
            return frozenset(await open_of(self._client, workflow_ids))
        except RPCError as error:
            raise unreachable(error) from error

    async def pending(self, wanted: Wanted = WAITING) -> list[Status]:
        """Return one page of the runs that need a decision (in review or held), earliest deadline first.

        Raises:
            ListIncomplete: the status of some runs cannot be read; `waiting` returns the others.
            TemporalUnreachable: the server does not respond.
        """
        waiting = await self.waiting(wanted)
        if waiting.unread:
            raise ListIncomplete(waiting.unread)
        return list(waiting.found)

    async def waiting(self, wanted: Wanted = WAITING) -> WaitingRuns:
        """Return the runs of `pending`, and the open runs whose status cannot be read, each with the reason.

        Raises:
            TemporalUnreachable: the server does not respond.
        """
        try:
            listed = await waiting_runs(self._client, self._database, self._status, wanted)
        except RPCError as error:
            raise unreachable(error) from error
        found, unread = [], dict(listed.unread)
        for status in listed.found:
            try:
                found.append(self._checked(status, status.workflow_id))
            except StatusContradicts as error:
                unread[status.workflow_id] = error
        return WaitingRuns(tuple(found), unread, listed.rows)

    async def request_stop(self, order: StopRequest) -> StopAnswer | None:
        """Send a stop or release request; see `plangate.client.stopping.send_stop_request`."""
        return await send_stop_request(self._client, self._task_queue, order)

    async def request_key_change(self, order: KeyRequest) -> StopAnswer | None:
        """Send a request about a key; see `plangate.client.stopping.send_key_request`."""
        return await send_key_request(self._client, self._task_queue, order)

    async def stops(self) -> StopAnswer:
        """Return the active stops, from a worker or the records; see `known_stops` for the source.

        Raises:
            NotAnswered: no worker is running, and no records are available.
            TemporalUnreachable: the server does not respond.
        """
        return (await self.known_stops()).answer

    async def known_stops(self) -> KnownStops:
        """Return the active stops with their source, and how many requests wait for a worker.

        Raises:
            NotAnswered, TemporalUnreachable: as `stops`.
        """
        answer = await query_stops(self._client, self._task_queue)
        if answer is not None:
            return KnownStops(answer, WORKER)
        if self._database is not None:
            with suppress(RecordsMissing, RecordsUnavailable):
                stops = await asyncio.to_thread(stops_on_record, self._database)
                installation = self._database.installation
                audience = Audience(installation=installation, namespace=self._client.namespace)
                waiting = await waiting_stop_requests(self._client, self._task_queue)
                return KnownStops(StopAnswer(stops=stops, audience=audience), f"records{NO_WORKER}", waiting)
        raise NotAnswered(
            "No worker responds, and there are no records here, so the active stops are not known; "
            "start a worker."
        )

    async def delegate(self, order: DelegationRequest) -> DelegationAnswer | None:
        """Send a request to start or end a delegation; see `plangate.client.delegating.send_delegation`."""
        return await send_delegation(self._client, self._task_queue, order)

    async def delegations(self) -> DelegationAnswer:
        """Return the current delegations.

        Raises:
            NotAnswered: no worker is running.
            TemporalUnreachable: the server does not respond.
        """
        answer = await query_delegations(self._client, self._task_queue)
        if answer is None:
            raise NotAnswered(
                "No worker responds, so it is not known which roles are delegated; start a worker."
            )
        return answer

    async def record_access(self, look: Access) -> AccessAnswer:
        """Record that a person reads as an auditor; see `plangate.client.accesses.record_access`."""
        return await record_access(self._client, self._task_queue, look)

    async def checked(self, plan: JsonValue) -> PlanChecked | None:
        """Return a worker's check of a plan; see `plangate.client.checking.checked_by_worker`."""
        return await checked_by_worker(self._client, self._task_queue, plan)

    def trail(self, workflow_id: str) -> tuple[AuditEntry, ...]:
        """Return a run's audit trail.

        Raises:
            RecordsMissing: no records are available.
            RecordsUnavailable: the database does not respond.
            RunNotFound: the id is not recorded.
        """
        if self._database is None:
            raise RecordsMissing(
                "There are no records here; set PLANGATE_DATABASE_URL to the worker's database."
            )
        return trail_on_record(self._database, workflow_id)

    def _handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(workflow_id)

    def _checked(self, status: Status, workflow_id: str) -> Status:
        return checked(
            status,
            workflow_id=workflow_id,
            namespace=self._client.namespace,
            objection=self._other_installation(status),
        )

    def _is_on_record(self, workflow_id: str) -> bool:
        try:
            return self._recorded(workflow_id) is not None
        except StatusContradicts:
            return True
        except RecordsUnavailable:
            return False  # the worker repeats this check before it drafts

    def _recorded(self, workflow_id: str) -> Status | None:
        return None if self._database is None else status_on_record(self._database, workflow_id)

    async def _check_type(self, workflow_id: str) -> None:
        """Check that the workflow is a run, before a signal or a cancellation is sent to it."""
        try:
            description = await self._handle(workflow_id).describe(rpc_timeout=QUERY_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise unreachable(error) from error
            return  # the next call reports why
        if description.workflow_type != WORKFLOW_TYPE:
            raise _not_a_run(workflow_id)

    async def _has_worker(self, workflow_id: str) -> bool:
        """Return whether a worker responds for the run; the next call reports any other error."""
        try:
            await self._handle(workflow_id).query(STATUS, rpc_timeout=self._query_timeout)
        except RPCError as error:
            return error.status not in _NO_WORKER_CODES
        except WorkflowQueryFailedError:
            pass
        return True

    async def _decide_by_signal(self, workflow_id: str, decision: Decision) -> DecisionAnswer | None:
        await self._check_type(workflow_id)
        message = decision.model_dump(mode="json", exclude_none=True, exclude={"decision"})
        try:
            await self._handle(workflow_id).signal(decision.decision.value, message)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return await self._answer_after_end(workflow_id)
            raise unreachable(error) from error
        return None

    async def _answer_after_end(self, workflow_id: str) -> DecisionAnswer:
        """Return the result of a decision on a run that is not open in Temporal."""
        status = await self.status(workflow_id)
        if status.state not in OUTCOMES:
            raise RunNotFound(
                f"The Temporal server no longer has {one_line(workflow_id)}; it accepts no more decisions."
            )
        return DecisionAnswer(
            accepted=False,
            reason=f"the run has ended ({status.state}); it accepts no more decisions",
            state=status.state,
        )

    def _other_installation(self, status: Status) -> str | None:
        """Return an error message if the plan and records of this run are from different installations."""
        if self._database is None or status.installation is None:
            return None
        with suppress(RecordsMissing, RecordsUnavailable, TrailDamaged):
            ours = self._database.installation
            if status.installation != ours and self._is_on_record(status.workflow_id):
                return f"its plan was made for the installation {status.installation}, not for {ours}"
        return None


def _not_a_run(workflow_id: str) -> RunNotFound:
    name = one_line(workflow_id) if workflow_id.strip() else f"The id {workflow_id!r}"
    return RunNotFound(f"{name} is not a run of Plangate.")
