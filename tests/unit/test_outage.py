"""The duration of a failure across the attempts of an activity."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import ServerClock, heartbeating
from activities.outage_duration import Outage
from activities.temporal_failures import as_application_errors
from plangate.domain.errors import DraftUnusable, ModelUnavailable, PlannerError

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
UNAVAILABLE = ModelUnavailable("The model's service cannot be reached.")


class Attempts:
    """The attempts of one activity, as in Temporal: each gets the last heartbeat of the previous one."""

    def __init__(self, patience: timedelta = HOUR) -> None:
        self._patience = patience
        self._count = 0
        self.kept: tuple[Any, ...] = ()

    def fails(
        self, at: timedelta, waited: timedelta = timedelta(0), error: PlannerError = UNAVAILABLE
    ) -> ApplicationError:
        """Make one attempt start and fail at this time, after a wait for a worker."""
        self._count += 1
        environment = ActivityEnvironment()
        environment.info = replace(
            environment.info,
            attempt=self._count,
            heartbeat_details=self.kept,
            current_attempt_scheduled_time=NOON + at - waited,
            started_time=NOON + at,
        )
        environment.on_heartbeat = self._keep
        with pytest.raises(ApplicationError) as caught:
            environment.run(self._attempt, error)
        return caught.value

    def _keep(self, *details: Any) -> None:
        self.kept = details

    def _attempt(self, error: PlannerError) -> None:
        with as_application_errors(5, outage=Outage(self._patience, ServerClock())):
            raise error


def test_an_outage_is_retried_for_the_full_time_and_then_final() -> None:
    attempts = Attempts()
    for minute in range(60):
        failure = attempts.fails(timedelta(minutes=minute))
        assert not failure.non_retryable
        assert failure.message == str(UNAVAILABLE)
    last = attempts.fails(timedelta(minutes=61))
    assert last.non_retryable
    assert last.message == f"{UNAVAILABLE} It was tried 61 times in 61 minutes."


def test_time_without_a_worker_does_not_count() -> None:
    attempts = Attempts()
    assert not attempts.fails(timedelta(0), waited=timedelta(days=1)).non_retryable
    assert not attempts.fails(timedelta(days=2), waited=timedelta(days=2)).non_retryable
    assert not attempts.fails(timedelta(days=2, minutes=59)).non_retryable
    assert attempts.fails(timedelta(days=2, minutes=61)).non_retryable


def test_with_zero_patience_the_first_failure_is_final() -> None:
    failure = Attempts(timedelta(0)).fails(timedelta(0))
    assert failure.non_retryable
    assert failure.message == f"{UNAVAILABLE} It was tried once."


def test_a_permanent_failure_is_final_immediately() -> None:
    assert Attempts().fails(timedelta(0), error=DraftUnusable("The model proposed no step.")).non_retryable


@pytest.mark.parametrize("kept", [("junk",), (None, 1), (1,), (1, 2, 3), (1e308, 1), (float("nan"), 1)])
def test_heartbeats_of_another_release_restart_the_count(kept: tuple[Any, ...]) -> None:
    attempts = Attempts()
    attempts.kept = kept
    assert not attempts.fails(timedelta(days=1)).non_retryable


async def test_the_heartbeats_of_a_long_attempt_carry_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.heartbeat.HEARTBEAT_EVERY", timedelta(milliseconds=5))
    environment, beats = ActivityEnvironment(), asyncio.Queue[tuple[Any, ...]]()
    environment.info = replace(environment.info, heartbeat_details=(60.0, 1.0))
    environment.on_heartbeat = lambda *details: beats.put_nowait(details)

    async def attempt() -> tuple[Any, ...]:
        with heartbeating():
            return await beats.get()

    assert await environment.run(attempt) == (60.0, 1.0)
