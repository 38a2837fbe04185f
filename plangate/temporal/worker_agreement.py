"""Workers of one task queue agree: on the records by force, on policy, people and tools by report.

Two workers with different records on one queue would draft a plan on one trail and judge it on the other. A
worker therefore names its installation in the identity under which it polls, and takes no work while another
installation polls the same queue. Workers that share their records but not their policy, list of people or
tools may be in the middle of an update: they go on, and everybody who looks at a run is told.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

import structlog
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from plangate.domain.errors import DirectoryUnavailable, RecordsUnavailable
from plangate.domain.tool import ToolDeclaration
from plangate.records.database import Database
from plangate.records.workers import (
    WorkerFacts,
    differences,
    forget_worker,
    report_worker,
    running_workers,
)

LOOK_EVERY: Final = timedelta(seconds=20)
_MARK: Final = " installation="
_SHOWN: Final = 12
_POLLS_WITHIN: Final = timedelta(seconds=75)  # a poll lasts a minute
_NOT_SEEN: Final = "The task queue cannot be looked at."
_FORBIDDEN: Final = (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED)
_FOREIGN: Final = "other_installation"
_TAKES_NO_WORK: Final = (
    "This worker takes no work: workers with other records poll its task queue. Set PLANGATE_DATABASE_URL to "
    "the same records as theirs, or PLANGATE_TASK_QUEUE to another queue."
)
_BESIDE: Final = (
    "Workers with other records poll this worker's task queue. Runs whose plans they draft go on with them "
    "alone; stop them, or set their PLANGATE_DATABASE_URL to the same records as ours."
)
_log = structlog.get_logger(__name__)


def polling_identity(identity: str, installation: str) -> str:
    """Return the identity under which a worker of this installation polls."""
    return f"{identity}{_MARK}{installation[:_SHOWN]}"


def hash_of_tools(declarations: Iterable[ToolDeclaration]) -> str:
    """Return the SHA-256 of what a worker can do: names, arguments and retry safety."""
    described = {one.name: [one.schema(), one.retry_safety.value] for one in declarations}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


class WorkerAgreement:
    """Compares this worker with the others of its task queue.

    Args:
        client: connected to the worker's namespace.
        database: the records.
        facts: says what this worker works with at the moment.
        record_rules: enters by what this worker judges, where the trail of rules says otherwise.
    """

    def __init__(
        self,
        client: Client,
        database: Database,
        facts: Callable[[], WorkerFacts],
        record_rules: Callable[[], None],
    ) -> None:
        self._client = client
        self._database = database
        self._facts = facts
        self._record_rules = record_rules
        self._said: tuple[str, ...] = ()
        self._reported: WorkerFacts | None = None
        self._polled: dict[str, tuple[datetime, float]] = {}

    async def wait_for_own_queue(self, task_queue: str, *, every: float = 5.0) -> None:
        """Return once no worker of another installation polls the task queue; log each who does."""
        while True:
            try:
                foreign = await self.foreign_pollers(task_queue)
            except RPCError as error:
                _log.warning(_NOT_SEEN, action="agreement", error=str(error))
            else:
                if not foreign:
                    return
                _log.error(_TAKES_NO_WORK, action=_FOREIGN, task_queue=task_queue, others=sorted(foreign))
            await asyncio.sleep(every)

    async def foreign_pollers(self, task_queue: str) -> set[str]:
        """Return the identities of workers of other installations that poll the task queue.

        The server lists one that has gone for five minutes more. It counts as gone when its last poll has not
        moved for `_POLLS_WITHIN`, by a clock of our own that only measures: the server's time is not known.
        It stands still while this machine sleeps, for the others may sleep with it.
        Where something in between lets only a worker's own calls through, none are known.

        Raises:
            RPCError: the server does not answer now.
        """
        ours = polling_identity("", self._database.installation)
        found: dict[str, datetime] = {}
        for kind in (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY):
            request = DescribeTaskQueueRequest(
                namespace=self._client.namespace, task_queue=TaskQueue(name=task_queue), task_queue_type=kind
            )
            try:
                described = await self._client.workflow_service.describe_task_queue(request)
            except RPCError as error:
                if error.status not in _FORBIDDEN:
                    raise
                _log.warning(_NOT_SEEN, action="agreement", error=str(error))
                return set()
            for poller in described.pollers:
                if _MARK in poller.identity and not poller.identity.endswith(ours):
                    at = poller.last_access_time.ToDatetime(UTC)
                    found[poller.identity] = max(at, found.get(poller.identity, at))
        now = monotonic()
        for identity, at in found.items():
            if self._polled.get(identity, (None, 0.0))[0] != at:
                self._polled[identity] = (at, now)
        return {one for one in found if now - self._polled[one][1] < _POLLS_WITHIN.total_seconds()}

    async def keep_comparing(self, task_queue: str, every: float = LOOK_EVERY.total_seconds()) -> None:
        """Report this worker and compare it with the others, until cancelled; take it off then.

        A worker of another installation that comes later is logged. It stops nothing here: an identity is the
        poller's own word, and each run refuses a worker with other records by itself. Whatever fails is
        logged, and tried again.
        """
        try:
            while True:
                try:
                    await asyncio.to_thread(self._compare)
                    foreign = await self.foreign_pollers(task_queue)
                except RPCError as error:
                    _log.warning(_NOT_SEEN, action="agreement", error=str(error))
                except Exception:  # noqa: BLE001  whatever it is, the worker goes on, and is looked at again
                    _log.exception("The workers cannot be compared.", action="agreement")
                else:
                    if foreign:
                        _log.error(_BESIDE, action=_FOREIGN, task_queue=task_queue, others=sorted(foreign))
                await asyncio.sleep(every)
        finally:
            await asyncio.to_thread(self._leave)

    def _known_facts(self) -> WorkerFacts:
        """Return what this worker works with; while its list of people cannot be read, as reported last.

        Raises:
            DirectoryUnavailable: it could not be read since the worker's start.
        """
        try:
            self._reported = self._facts()
        except DirectoryUnavailable:
            if self._reported is None:
                raise
        return self._reported

    def _compare(self) -> None:
        try:
            facts = self._known_facts()
            with self._database.write() as connection:
                report_worker(connection, facts)
                said = differences(running_workers(connection, facts.namespace, facts.task_queue))
            if not said:  # one that differed may have been the last to enter its rules, and is gone
                self._record_rules()
        except (RecordsUnavailable, DirectoryUnavailable) as error:
            _log.warning("The workers cannot be compared.", action="agreement", error=str(error))
            return
        for sentence in said:
            if sentence not in self._said:
                _log.warning(sentence, action="workers_differ")
        self._said = said

    def _leave(self) -> None:
        try:
            with self._database.write() as connection:
                forget_worker(connection, self._client.identity)
        except RecordsUnavailable:
            pass  # it counts as gone soon
