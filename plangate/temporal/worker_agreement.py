"""Keep the workers of one task queue consistent: the same records, policy, people, tools, web servers.

If two workers with different records used one queue, a plan could be drafted on one trail and decided on the
other. A worker therefore polls with an identity that contains its installation id, and accepts no work while
a worker of another installation polls the same queue. If workers share the records but differ in policy, list
of people, tools or trusted web servers, a rolling update may be in progress. They continue to work, and every
status reports the difference. docs/policy.md describes which policy applies to a plan, and when another
worker refuses it.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
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
from plangate.domain.people.people import People
from plangate.domain.people.trusted_web import NO_WEB, TrustedWeb
from plangate.domain.plans.tool import ToolDeclaration
from plangate.policy.effective_people import people_in_effect
from plangate.policy.rules import Rules, delegation_rules_of
from plangate.records.database import Database
from plangate.records.installation import read_installation
from plangate.records.key_statements import key_statements
from plangate.records.rule_texts import listed_with_delegations, record_rules
from plangate.records.workers import (
    WorkerFacts,
    differences,
    remove_worker,
    report_worker,
    running_workers,
)

CHECK_EVERY: Final = timedelta(seconds=20)
_MARK: Final = " installation="
_SHOWN: Final = 12
_POLLS_WITHIN: Final = timedelta(seconds=75)  # a poll lasts a minute
_NOT_SEEN: Final = "The workers of the task queue cannot be listed."
_FORBIDDEN: Final = (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED)
_FOREIGN: Final = "other_installation"
_ACCEPTS_NO_WORK: Final = (
    "This worker accepts no work, because workers with other records poll its task queue. Set "
    "PLANGATE_DATABASE_URL to their records, or PLANGATE_TASK_QUEUE to another queue."
)
_FOREIGN_POLL: Final = (
    "Workers with other records poll this worker's task queue. Only they can continue the runs whose plans "
    "they draft. Stop them, or set their PLANGATE_DATABASE_URL to the records of this worker."
)
_log = structlog.get_logger(__name__)


def polling_identity(identity: str, installation: str) -> str:
    """Return the identity with which a worker of this installation polls."""
    return f"{identity}{_MARK}{installation[:_SHOWN]}"


def hash_of_tools(declarations: Iterable[ToolDeclaration], servers: Sequence[object] = ()) -> str:
    """Return the SHA-256 of the tools' names, arguments and retry safety, as hex.

    For MCP servers it covers the content of their file (``servers``, as JSON), not the tools that they list.
    So if one worker cannot reach a server, this does not count as a difference between the workers. Each plan
    contains the definitions of its tools.
    """
    described: dict[str, object] = {one.name: [one.schema(), one.retry_safety.value] for one in declarations}
    if servers:
        described["MCP servers"] = list(servers)
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def record_both_rules(database: Database, rules: Rules, worker: str, web: TrustedWeb = NO_WEB) -> None:
    """Record the policy and the list of people that ``worker`` uses.

    Raises:
        RecordsUnavailable: the database did not respond.
        DirectoryUnavailable: the list of people cannot be read now.
        TrailDamaged: the key changes cannot be read.
    """
    record_rules(database, "policy", rules.policy_text, rules.policy_hash, worker)
    listed = rules.directory.people() or People()
    with database.read() as connection:
        listed = people_in_effect(listed, web, key_statements(connection), read_installation(connection))
        people = listed_with_delegations(connection, listed, delegation_rules_of(rules.policy))
    record_rules(database, "people", people.text, people.hash, worker)


def hash_of_web(web: TrustedWeb) -> str:
    """Return the SHA-256 of the web servers that are trusted, as hex."""
    return hashlib.sha256(
        json.dumps([sorted(web.origins or ()), sorted(web.keys or ())]).encode()
    ).hexdigest()


def facts_of(
    client: Client,
    task_queue: str,
    rules: Rules,
    tools: str,
    web: TrustedWeb = NO_WEB,
    *,
    drafts: bool | None = None,
) -> WorkerFacts:
    """Return the current rules and tools of a worker; its list of people may have changed since it started.

    Args:
        client: the worker's connection.
        task_queue: the queue it polls.
        rules: the rules that it uses.
        tools: the result of `hash_of_tools`.
        web: the web servers that it trusts.
        drafts: whether it can draft plans.

    Raises:
        DirectoryUnavailable: the list of people cannot be read now.
    """
    people = rules.directory.people() or People()
    return WorkerFacts(
        worker=client.identity,
        namespace=client.namespace,
        task_queue=task_queue,
        policy=rules.policy_hash,
        people=people.hash,
        tools=tools,
        web=hash_of_web(web),
        drafts=drafts,
    )


class WorkerAgreement:
    """Compares this worker with the others of its task queue.

    Args:
        client: a client of the worker's namespace.
        database: the records.
        facts: returns the rules and tools that this worker uses now.
        record_rules: records the rules that this worker uses, if the rules trail contains different ones.
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
        self._logged: tuple[str, ...] = ()
        self._reported: WorkerFacts | None = None
        self._polled: dict[str, tuple[datetime, float]] = {}

    async def wait_for_own_queue(self, task_queue: str, *, every: float = 5.0) -> None:
        """Return once no worker of another installation polls the task queue; log those that do."""
        while True:
            try:
                foreign = await self.foreign_pollers(task_queue)
            except RPCError as error:
                _log.warning(_NOT_SEEN, action="agreement", error=str(error))
            else:
                if not foreign:
                    return
                _log.error(_ACCEPTS_NO_WORK, action=_FOREIGN, task_queue=task_queue, others=sorted(foreign))
            await asyncio.sleep(every)

    async def foreign_pollers(self, task_queue: str) -> set[str]:
        """Return the identities of workers of other installations that poll the task queue.

        The server lists a worker for five minutes after its last poll. A worker is considered stopped once
        its last poll has not changed for `_POLLS_WITHIN`. This is measured with the monotonic clock, because
        the server's time is unknown, and because this clock stops while the machine sleeps: the other workers
        may sleep too. If a proxy forbids the call, the set is empty.

        Raises:
            RPCError: the server does not respond.
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

    async def keep_comparing(self, task_queue: str, every: float = CHECK_EVERY.total_seconds()) -> None:
        """Report this worker and compare it with the others until cancelled; then remove the report.

        A worker of another installation that appears later is only logged: an identity is unverified, and
        each run refuses a worker with other records anyway. Every failure is logged and retried.
        """
        try:
            while True:
                try:
                    await asyncio.to_thread(self._compare)
                    foreign = await self.foreign_pollers(task_queue)
                except RPCError as error:
                    _log.warning(_NOT_SEEN, action="agreement", error=str(error))
                except Exception:  # noqa: BLE001  the worker continues, and tries again
                    _log.exception("The workers cannot be compared.", action="agreement")
                else:
                    if foreign:
                        _log.error(
                            _FOREIGN_POLL, action=_FOREIGN, task_queue=task_queue, others=sorted(foreign)
                        )
                await asyncio.sleep(every)
        finally:
            await asyncio.to_thread(self._leave)

    def _known_facts(self) -> WorkerFacts:
        """Return this worker's rules and tools; if its list of people is unreadable, those last reported.

        Raises:
            DirectoryUnavailable: the list could not be read since the worker started.
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
                found = differences(running_workers(connection, facts.namespace, facts.task_queue))
            if not found:  # a different worker may have recorded its rules last, and has stopped since
                self._record_rules()
        except (RecordsUnavailable, DirectoryUnavailable) as error:
            _log.warning("The workers cannot be compared.", action="agreement", error=str(error))
            return
        for sentence in found:
            if sentence not in self._logged:
                _log.warning(sentence, action="workers_differ")
        self._logged = found

    def _leave(self) -> None:
        try:
            with self._database.write() as connection:
                remove_worker(connection, self._client.identity)
        except RecordsUnavailable:
            pass  # the report expires
