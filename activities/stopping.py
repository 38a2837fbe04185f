"""The local activity that checks and records stop and release requests, and the retries of stopped steps.

`activities.step_attempt` checks before each claim whether the step is stopped.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.calling_workflow import check_workflow_type, own_audience
from activities.tasks import MessageTask
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.decisions.key_requests import (
    KeyDecided,
    KeyRequestArrival,
    is_key_request,
    read_key_request,
)
from plangate.domain.decisions.key_requests import judge as judge_key_request
from plangate.domain.errors import (
    DirectoryUnavailable,
    OtherRecords,
    RecordsUnavailable,
    StepStopped,
    StepTooEarly,
)
from plangate.domain.escaping import cut
from plangate.domain.people.people import Enrolment, Identified, People, identify
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.stops import (
    ActiveStops,
    Stop,
    StopAnswer,
    StopContext,
    StopDecided,
    StopRequestArrival,
    StopRules,
    is_stop_query,
    judge,
    read_stop_request,
    shown,
)
from plangate.elapsed import elapsed
from plangate.logs.redaction import redact_text
from plangate.records.key_requests import record_key_request
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.records.stops import StopsCache, active_stops, record_stop_request
from plangate.signing.enrolment import enrolment_in, statement_of, verify_key_request
from plangate.signing.stops import verify_stop_request
from plangate.temporal.contract import STOP_TYPE

# A stopped step is retried after a second, or after up to 20 seconds if very many steps are stopped.
_SHORTEST_DELAY: Final = 1.0
_LONGEST_DELAY: Final = 20.0
_MAX_REASON_SHOWN: Final = 4_000
_MAX_RETRIES_PER_SECOND: Final = 40  # the total number of attempts of all stopped steps of a worker
_WAITS: Final = (DirectoryUnavailable, RecordsUnavailable, OtherRecords, StepTooEarly)
_WAITS_BY_NAME: Final = frozenset(one.__name__ for one in _WAITS)
_log = structlog.get_logger(__name__)


class Stopping:
    """Checks and records stop and release requests, and requests about keys."""

    def __init__(
        self,
        records: Records,
        directory: RecordedPeople,
        rules: StopRules,
        policy_hash: str,
        tools: Collection[str],
    ) -> None:
        self._records = records
        self._directory = directory
        self._rules = rules
        self._policy_hash = policy_hash
        self._tools = tools

    @activity.defn
    async def judge_order(self, task: MessageTask) -> StopAnswer:
        """Record the request with its result, and return it with the current stops.

        A query gets a result, but is not recorded.

        Raises:
            ApplicationError: the records or the list of people are unavailable.
        """
        with as_application_errors():
            check_workflow_type(STOP_TYPE)
            audience = own_audience(self._records)
            if is_key_request(task.inputs):
                return await self._answer_about_key(task, audience)
            if is_stop_query(task.inputs):
                return StopAnswer(
                    audience=audience, stops=shown(await with_time_limit(self._records, self._active_stops()))
                )
            arrival = read_stop_request(key=task.key, inputs=task.inputs, received_at=task.received_at)
            decided, stops = await with_time_limit(self._records, self._recorded(arrival, audience, task.at))
            _log_decided(decided)
            return StopAnswer(
                audience=audience,
                accepted=decided.verdict.accepted,
                reason=decided.verdict.reason,
                stops=shown(stops),
            )

    async def _active_stops(self) -> ActiveStops:
        return await self._records.write(active_stops, receipt=True)

    async def _recorded(
        self, arrival: StopRequestArrival, audience: Audience, at: datetime
    ) -> tuple[StopDecided, ActiveStops]:
        people = await self._directory.people()
        sender = _sender(arrival, people, audience)
        by = StopContext(
            rules=self._rules,
            release=self._rules.release(people),
            tools=self._tools,
            at=at,
            policy=self._policy_hash,
            people=people.hash if people is not None else "",
        )

        def verdict(stops: ActiveStops, known: Identified) -> StopDecided:
            return judge(stops, arrival, known, by)

        # Ahead of the steps that are waiting for their turn, because the request should stop them.
        return await self._records.write(
            lambda connection: record_stop_request(connection, arrival, sender, verdict), receipt=True
        )

    async def _answer_about_key(self, task: MessageTask, audience: Audience) -> StopAnswer:
        decided = await with_time_limit(self._records, self._key_decided(task, audience))
        _log_key_decided(decided)
        if decided.verdict.accepted:
            await self._directory.people_and_changes(fresh=True)  # this also records the list
        stops = await with_time_limit(self._records, self._active_stops())
        return StopAnswer(
            audience=audience,
            accepted=decided.verdict.accepted,
            reason=decided.verdict.reason,
            stops=shown(stops),
        )

    async def _key_decided(self, task: MessageTask, audience: Audience) -> KeyDecided:
        arrival = read_key_request(key=task.key, inputs=task.inputs, received_at=task.received_at)
        while True:
            people, changes = await self._directory.people_and_changes(fresh=True)
            sender, enrolment = _key_sender(arrival, people, audience)
            verdict = partial(judge_key_request, arrival, people=people, enrolment=enrolment, at=task.at)
            decided = await self._records.write(
                partial(record_key_request, arrival=arrival, sender=sender, known=changes, judge=verdict),
                receipt=True,
            )
            if decided is not None:
                return decided


class StoppedSteps:
    """The stops that this worker last saw, and the times at which its stopped steps are retried."""

    def __init__(self) -> None:
        self.seen = StopsCache()
        self._recent: list[float] = []

    def retry_delay(self) -> timedelta:
        """Return the time until a stopped step is retried: short, but different for each step."""
        now = elapsed()
        self._recent = [at for at in self._recent if now - at < _SHORTEST_DELAY] + [now]
        seconds = min(max(_SHORTEST_DELAY, len(self._recent) / _MAX_RETRIES_PER_SECOND), _LONGEST_DELAY)
        return timedelta(seconds=seconds)


@contextmanager
def waiting(steps: StoppedSteps) -> Iterator[None]:
    """Allow a step to wait for people, its start time or the records without using up its attempts.

    The heartbeat details, which Temporal passes to the next attempt, count the attempts that only waited. A
    stopped step is retried within 20 seconds.
    """
    try:
        yield
    except StepStopped:
        _count_as_wait()
        with as_application_errors(again=steps.retry_delay()):
            raise
    except _WAITS:
        _count_as_wait()
        raise
    except ApplicationError as error:  # already converted by an inner block
        if error.type in _WAITS_BY_NAME:
            _count_as_wait()
        raise


def tries_without_waits() -> int:
    """Return the number of this attempt, not counting attempts that only waited."""
    return max(1, activity.info().attempt - _waits())


def keep_error(message: str) -> None:
    """Pass an interrupted effect's error to the next attempt, which can only look up the result."""
    activity.heartbeat(_waits(), cut(redact_text(message), _MAX_REASON_SHOWN))


def kept_error() -> str:
    """Return the error that an earlier attempt kept, or an empty string."""
    match activity.info().heartbeat_details:
        case [int(), str() as message]:
            return message
        case _:
            return ""


def _count_as_wait() -> None:
    activity.heartbeat(_waits() + 1, kept_error())


def _waits() -> int:
    match activity.info().heartbeat_details:
        case [int() as waits, *_] if 0 <= waits < activity.info().attempt:
            return waits
        case _:
            return 0


def step_stopped(stop: Stop) -> StepStopped:
    """Return the error for a step that is waiting."""
    return StepStopped(f"{stop}. Nothing was done; the step begins once the stop is released.")


def _sender(arrival: StopRequestArrival, people: People | None, audience: Audience) -> Identified:
    order = arrival.order
    if order is None:
        return Identified()
    if order.signature is None or people is None:
        return identify(people, order.by, arrival.received_at)
    return verify_stop_request(order, audience=audience, people=people, at=arrival.received_at)


def _key_sender(
    arrival: KeyRequestArrival, people: People | None, audience: Audience
) -> tuple[Identified, Enrolment | None]:
    """Return the sender of a request about a key, and the change that its signature proves."""
    order = arrival.order
    if order is None or people is None:
        return Identified(), None
    sender = verify_key_request(order, audience=audience, people=people, at=arrival.received_at)
    try:
        return sender, enrolment_in(people, statement_of(order))
    except ValueError:
        return sender, None


def _log_key_decided(decided: KeyDecided) -> None:
    order = decided.arrival.order
    _log.warning(
        "A request about a key is recorded.",
        action="key_decided",
        order=order.action.value if order else None,
        accepted=decided.verdict.accepted,
        reason=decided.verdict.reason,
    )


def _log_decided(decided: StopDecided) -> None:
    order = decided.arrival.order
    _log.warning(
        "A stop or release request is recorded.",
        action="stop_decided",
        order=order.action.value if order else None,
        tool=order.tool if order else None,
        accepted=decided.verdict.accepted,
        reason=decided.verdict.reason,
    )
