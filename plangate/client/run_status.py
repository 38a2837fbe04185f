"""Find the status of a run: from its workflow if a worker responds, otherwise from the records.

`plangate.client.offline_status` finds it without a worker.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.common import QueryRejectCondition
from temporalio.service import RPCError

from plangate.client.attempts import UnpauseCommand, with_attempts
from plangate.client.messages import run_handle
from plangate.client.offline_status import status_without_workflow
from plangate.client.reads import READ_TIMEOUT, limited_read
from plangate.domain.errors import (
    RecordsMissing,
    RecordsUnavailable,
    RunNotFound,
    StatusContradicts,
    TrailDamaged,
)
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import OUTCOMES
from plangate.domain.runs.status import Status, is_unsettled, with_settlements, with_stops
from plangate.domain.runs.status_consistency import checked
from plangate.records.database import Database
from plangate.records.queries import (
    by_people_on_record,
    settlements_on_record,
    status_on_record,
    stops_on_record,
    with_duplicates_now,
)
from plangate.records.workers import differences, may_draft, running_workers
from plangate.temporal.contract import STATUS

QUERY_TIMEOUT: Final = READ_TIMEOUT


class RunStatuses:
    """Reads the status of runs, and checks each on the caller's machine.

    Args:
        client: a client of the namespace in which the workers run.
        task_queue: the workers' task queue.
        database: the records, opened for reading; None if they cannot be accessed.
        unpause_command: returns the command that a status shows for a paused step or draft.
        query_timeout: how long to wait for a worker's response.
    """

    def __init__(
        self,
        client: TemporalClient,
        task_queue: str,
        database: Database | None,
        *,
        unpause_command: UnpauseCommand,
        query_timeout: timedelta,
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._database = database
        self._unpause_command = unpause_command
        self._query_timeout = query_timeout

    async def status(self, workflow_id: str) -> Status:
        """Return the checked status of a run; see `plangate.client.Client.status`."""
        status = self.checked(await self.unchecked(workflow_id), workflow_id)
        return await asyncio.to_thread(self._with_recorded_fields, status)

    async def unchecked(self, workflow_id: str) -> Status:
        """Return the status of a run as it was read, without the fields that only the records can fill.

        Raises:
            RunNotFound, NotAnswered, TemporalUnreachable: as `plangate.client.Client.status`.
        """
        try:
            async with limited_read(self._query_timeout):
                status = await run_handle(self._client, workflow_id).query(
                    STATUS,
                    result_type=Status,
                    # A terminated run still responds, with its state before the termination.
                    reject_condition=QueryRejectCondition.NOT_COMPLETED_CLEANLY,
                    rpc_timeout=self._query_timeout,
                )
            return await with_attempts(self._client, status, self._unpause_command)
        except WorkflowQueryFailedError as error:
            if not await asyncio.to_thread(self.is_on_record, workflow_id):
                raise not_a_run(workflow_id) from error
            return await status_without_workflow(
                self._client, self._database, workflow_id, self._unpause_command
            )
        except (WorkflowQueryRejectedError, RPCError):
            return await status_without_workflow(
                self._client, self._database, workflow_id, self._unpause_command
            )

    def checked(self, status: Status, workflow_id: str) -> Status:
        """Return a status whose plan, steps and fingerprint are consistent and belong to this run.

        Raises:
            StatusContradicts: they are inconsistent.
        """
        return checked(
            status,
            workflow_id=workflow_id,
            namespace=self._client.namespace,
            objection=self._other_installation(status),
        )

    def is_on_record(self, workflow_id: str) -> bool:
        """Return whether the available records contain the id."""
        try:
            return self._recorded(workflow_id) is not None
        except StatusContradicts:
            return True
        except RecordsUnavailable:
            return False  # the worker repeats this check before it drafts

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
                if is_unsettled(status):
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

    def _recorded(self, workflow_id: str) -> Status | None:
        return None if self._database is None else status_on_record(self._database, workflow_id)

    def _other_installation(self, status: Status) -> str | None:
        """Return an error message if the plan and records of this run are from different installations."""
        if self._database is None or status.installation is None:
            return None
        with suppress(RecordsMissing, RecordsUnavailable, TrailDamaged):
            ours = self._database.installation
            if status.installation != ours and self.is_on_record(status.workflow_id):
                return f"its plan was made for the installation {status.installation}, not for {ours}"
        return None


def not_a_run(workflow_id: str) -> RunNotFound:
    """Return the error for an id that belongs to another workflow."""
    name = one_line(workflow_id) if workflow_id.strip() else f"The id {workflow_id!r}"
    return RunNotFound(f"{name} is not a run of Plangate.")
