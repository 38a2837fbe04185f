"""Connect the web server to Plangate: to the client, the records and the list of people.

The server starts even if Temporal does not respond, and keeps running while it is down. Lists then come from
the records.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final, Self

from temporalio.client import Client as TemporalClient

from plangate.client import Client
from plangate.domain.decisions.accesses import Access
from plangate.domain.decisions.delegations import DelegationRules
from plangate.domain.errors import (
    NotAnswered,
    RecordsMissing,
    RunNotFound,
    TemporalUnreachable,
)
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import Identified, People
from plangate.domain.runs.status import Status
from plangate.elapsed import elapsed
from plangate.policy.kept_lists import lists_in
from plangate.policy.policy_file import has_see_rules, roles_of_see_rules
from plangate.policy.rules import delegation_rules_in
from plangate.records.database import Database
from plangate.records.lists import Sort, Wanted
from plangate.records.queries import (
    policy_in_effect,
    runs_on_record,
    status_on_record,
    statuses_on_record,
)
from plangate.records.rule_texts import rules_in_effect, were_listed
from plangate.records.workers import may_draft, running_workers
from plangate.settings import Settings
from plangate.temporal.connection import connect
from plangate.web.view_rights import ViewRights

_NOT_FOUND_STEP: Final = 0.25
"""In seconds; 'not found' takes a multiple of this time, so that it does not reveal a hidden run."""
_ANSWERS_WITHIN: Final = timedelta(seconds=1.5)
"""How long a page waits for a worker before it shows the recorded state."""
_LONGEST_ID: Final = 80


class Gate:
    """Reads runs and sends decisions.

    Args:
        connecting: connects to the Temporal server, when it is first needed.
        task_queue: the workers' task queue.
        database: the records.
    """

    def __init__(
        self, connecting: Callable[[], Awaitable[TemporalClient]], task_queue: str, database: Database
    ) -> None:
        self._connecting = connecting
        self._task_queue = task_queue
        self.database = database
        self._client: Client | None = None
        self._connect_lock = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the connection to the Temporal server and the records in the settings."""
        return cls(
            partial(connect, settings), settings.task_queue, Database(settings.records, reads_only=True)
        )

    async def client(self) -> Client:
        """Return the connected client.

        Raises:
            TemporalUnreachable: the server does not respond.
        """
        async with self._connect_lock:
            if self._client is None:
                self._client = Client(
                    await self._connecting(), self._task_queue, self.database, query_timeout=_ANSWERS_WITHIN
                )
        return self._client

    async def status(self, workflow_id: str, rights: ViewRights) -> Status:
        """Return the checked status of a run, from the records if the Temporal server does not respond.

        For a run that the person may not see, the response is the same as for one that does not exist, and
        its timing does not reveal the difference.

        Raises:
            RunNotFound: there is no such run for this person.
            StatusContradicts: its parts contradict each other.
            TemporalUnreachable: the server does not respond, and the records do not contain the run.
        """
        began = elapsed()
        with suppress(RunNotFound):
            status = await self._status(workflow_id)
            if rights.shows(status):
                return status
        await asyncio.sleep(_NOT_FOUND_STEP - (elapsed() - began) % _NOT_FOUND_STEP)
        raise RunNotFound(f"There is no run {cut(one_line(workflow_id), _LONGEST_ID)}.")

    async def _status(self, workflow_id: str) -> Status:
        try:
            client = await self.client()
            return await client.status(workflow_id)
        except TemporalUnreachable:
            recorded = await asyncio.to_thread(self._recorded, workflow_id)
            if recorded is None:
                raise
            return recorded

    def _recorded(self, workflow_id: str) -> Status | None:
        status = status_on_record(self.database, workflow_id)
        if status is None:
            return None
        with self.database.read() as connection:
            running = running_workers(connection, status.namespace or "", self._task_queue)
        return status.model_copy(update={"may_draft": may_draft(running)})

    async def still_open(self, workflow_ids: Sequence[str]) -> frozenset[str]:
        """Return which of these runs are open in Temporal; all runs while the server does not respond."""
        if not workflow_ids:
            return frozenset()
        try:
            client = await self.client()
            return await client.still_open(workflow_ids)
        except TemporalUnreachable:
            return frozenset(workflow_ids)

    async def newest(self, most: int, rights: ViewRights) -> list[Status]:
        """Return the newest recorded runs that this person may see; check at most ``most`` runs.

        Raises:
            RecordsMissing: there are no records.
            RecordsUnavailable: the database does not respond.
        """
        return await asyncio.to_thread(self._newest, most, rights)

    def _newest(self, most: int, rights: ViewRights) -> list[Status]:
        newest = runs_on_record(self.database, Wanted(sort=Sort.NEWEST, limit=most))
        found = statuses_on_record(self.database, [one.workflow_id for one in newest])
        return [status for status in found if rights.shows(status)]

    async def record_access(self, look: Access) -> None:
        """Record that an auditor reads a run or that a person downloads a copy, before they get it.

        If no worker is running, the Temporal server keeps the record until one is.

        Raises:
            NotAnswered: it was not recorded, so nothing may be shown.
            TemporalUnreachable: the server does not respond, so nothing may be shown.
        """
        client = await self.client()
        answer = await client.record_access(look)
        if answer.recorded is False:
            raise NotAnswered(f"Your access could not be recorded: {answer.reason.rstrip('.')}.")

    async def rights(self, identified: Identified) -> ViewRights:
        """Return a person's rights to see runs.

        Raises:
            RecordsUnavailable: the database does not respond.
        """
        policy = await asyncio.to_thread(self._policy)
        return ViewRights(identified.approver, has_see_rules(policy), roles_of_see_rules(policy))

    async def delegation_rules(self) -> DelegationRules:
        """Return the roles that people may delegate under the policy that a worker recorded last.

        Raises:
            RecordsUnavailable: the database does not respond.
        """
        return await asyncio.to_thread(lambda: delegation_rules_in(self._policy()))

    def _policy(self) -> str:
        try:
            return policy_in_effect(self.database)
        except RecordsMissing:
            return ""

    async def people(self) -> People | None:
        """Return the list of people that a worker recorded last, or None.

        Raises:
            RecordsUnavailable: the database does not respond.
        """
        return await asyncio.to_thread(self._people)

    async def were_listed(self, publics: Sequence[str]) -> frozenset[str]:
        """Return which of these public keys are or were in a recorded list of people.

        Raises:
            RecordsUnavailable: the database does not respond.
        """
        return await asyncio.to_thread(self._were_listed, publics) if publics else frozenset()

    def _were_listed(self, publics: Sequence[str]) -> frozenset[str]:
        with suppress(RecordsMissing), self.database.read() as connection:
            return were_listed(connection, publics)
        return frozenset()

    def _people(self) -> People | None:
        with suppress(RecordsMissing), self.database.read() as connection:
            in_force = rules_in_effect(connection, "people")
            if in_force is not None and in_force.text is not None:
                return lists_in((in_force.text,))(in_force.text.hash)
        return None

    def close(self) -> None:
        """Close the records."""
        self.database.close()
