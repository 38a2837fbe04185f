"""The client: submit a request, decide, get the status of a run, wait for it to end, list and withdraw runs.

It reads from the workflow if a worker is running, otherwise from the records and Temporal's visibility; every
status states its source. `plangate.client.deciding` sends decisions, `plangate.client.run_status` reads the
status of a run, and the other modules of this folder send other requests.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Self

from pydantic import JsonValue
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.accesses import record_access
from plangate.client.attempts import UnpauseCommand, plain_unpause_command
from plangate.client.checking import checked_by_worker
from plangate.client.deciding import send_decision, send_withdrawal
from plangate.client.delegating import query_delegations, send_delegation
from plangate.client.messages import run_handle
from plangate.client.offline_status import error_of, result_of
from plangate.client.run_status import QUERY_TIMEOUT, RunStatuses
from plangate.client.starting import checked_id, in_use, new_id, start_run
from plangate.client.stopping import KnownStops, known_stops, send_key_request, send_stop_request
from plangate.client.waiting_runs import WaitingRuns, open_of, waiting_runs
from plangate.domain.decisions.accesses import Access, AccessAnswer
from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer, Resolution
from plangate.domain.decisions.delegations import DelegationAnswer, DelegationRequest
from plangate.domain.decisions.key_requests import KeyRequest
from plangate.domain.errors import (
    ListIncomplete,
    NotAnswered,
    RecordsMissing,
    Refused,
    RequestInvalid,
    StatusContradicts,
    TemporalDenied,
)
from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import ProposedPlan
from plangate.domain.plans.plan_checked import PlanChecked
from plangate.domain.runs.audit import AuditEntry
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import RunResult, Status
from plangate.domain.runs.stops import StopAnswer, StopRequest
from plangate.logs.setup import leave_logs_to_the_application
from plangate.records.database import Database
from plangate.records.lists import WAITING, Wanted
from plangate.records.queries import trail_on_record
from plangate.settings import Settings, load_settings
from plangate.temporal.connection import connect

_PAUSE: Final = 1.0  # seconds until an unavailable server is queried again


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
        self._query_timeout = query_timeout
        self._statuses = RunStatuses(
            client, task_queue, database, unpause_command=unpause_command, query_timeout=query_timeout
        )
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
            IdInUse: the id was used before, perhaps by this program for the same request.
            RequestInvalid: the id is malformed, or the request is too large.
            TemporalUnreachable: the server does not respond.
        """
        workflow_id = new_id() if workflow_id is None else checked_id(workflow_id)
        if await asyncio.to_thread(self._statuses.is_on_record, workflow_id):
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
            RequestInvalid: the decision is too large.
            RunNotFound: there is no such run.
            TemporalUnreachable: the server does not respond.
        """
        return await send_decision(
            self._client,
            self._statuses,
            workflow_id,
            decision,
            update_id=update_id,
            query_timeout=self._query_timeout,
        )

    async def edit(
        self, status: Status, new_plan: ProposedPlan, *, by: str, comment: str = ""
    ) -> DecisionAnswer | None:
        """Replace the plan of ``status`` with a new one; return the result as `decide` does.

        ``by`` becomes an author of the new plan, which another person must approve.

        Raises:
            Refused: the status has no plan.
            NotAnswered, RequestInvalid, RunNotFound, TemporalUnreachable: as for `decide`.
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
            NotAnswered, RequestInvalid, RunNotFound, TemporalUnreachable: as for `decide`.
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
        return await self._statuses.status(workflow_id)

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
            RunNotFound: the server has no such run, perhaps because another server now has this address.
            TemporalDenied: the server does not accept this client.
        """
        handle = run_handle(self._client, workflow_id, RunResult)
        while True:
            try:
                result: RunResult = await handle.result()
            except WorkflowFailureError:  # terminated or timed out
                return result_of(await self.status(workflow_id))
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:  # past its retention, or it never existed
                    return result_of(await self.status(workflow_id))
                cause = error_of(error)
                if isinstance(cause, TemporalDenied | RequestInvalid):
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
        await send_withdrawal(self._client, self._statuses, workflow_id, reason)

    async def still_open(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these runs are open on the Temporal server.

        Raises:
            TemporalUnreachable: the server does not respond.
        """
        try:
            return frozenset(await open_of(self._client, workflow_ids))
        except RPCError as error:
            raise error_of(error) from error

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
            listed = await waiting_runs(self._client, self._database, self._statuses.unchecked, wanted)
        except RPCError as error:
            raise error_of(error) from error
        found, unread = [], dict(listed.unread)
        for status in listed.found:
            try:
                found.append(self._statuses.checked(status, status.workflow_id))
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
        return await known_stops(self._client, self._task_queue, self._database)

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
