"""Retries for each kind of failure."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.temporal_failures import as_application_errors
from plangate.domain import errors


def failure(error: Exception, tries: int, tried: int) -> ApplicationError:
    with pytest.raises(ApplicationError) as caught, as_application_errors(tries, tried):
        raise error
    return caught.value


@pytest.mark.parametrize("kind", [errors.ToolUnavailable, errors.OutcomePending, errors.ModelUnavailable])
def test_a_transient_failure_is_final_at_the_last_attempt(kind: type[Exception]) -> None:
    assert not failure(kind("x"), 3, 2).non_retryable
    last = failure(kind("x"), 3, 3)
    assert last.non_retryable
    assert "It was tried 3 times" in last.message


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (None, None),
        (timedelta(), timedelta(seconds=1)),
        (timedelta(seconds=7), timedelta(seconds=7)),
        (timedelta(days=9), timedelta(hours=1)),
    ],
)
def test_a_tool_is_retried_after_the_time_requested_by_its_server_within_limits(
    asked: timedelta | None, waited: timedelta | None
) -> None:
    assert failure(errors.ToolUnavailable("x", asked), 3, 1).next_retry_delay == waited


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (None, None),
        (timedelta(seconds=0.2), timedelta(seconds=0.2)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=9), timedelta(hours=1)),
    ],
)
def test_an_effect_that_may_still_happen_is_looked_up_again_in_time(
    asked: timedelta | None, waited: timedelta | None
) -> None:
    """A vendor may request the delay when a call is repeated."""
    assert failure(errors.OutcomePending("x", asked), 3, 1).next_retry_delay == waited


@pytest.mark.parametrize("error", [errors.RecordsUnavailable("x"), errors.WorkerStopping("x")])
def test_a_failure_of_the_records_or_a_worker_shutdown_is_never_final(error: Exception) -> None:
    assert not failure(error, 3, 99).non_retryable


@pytest.mark.parametrize(
    "error", [errors.NotApproved("x"), errors.ToolRefused("x"), errors.InDoubt("x"), errors.NoModel("x")]
)
def test_a_permanent_failure_is_final_immediately(error: Exception) -> None:
    assert failure(error, 3, 1).non_retryable


def test_an_unexpected_failure_is_retried_and_then_final() -> None:
    assert not failure(ZeroDivisionError("oops"), 3, 2).non_retryable
    assert "unexpected" in failure(ZeroDivisionError("oops"), 3, 3).message


@pytest.mark.parametrize("error", [errors.ToolRefused("x"), ZeroDivisionError("x")])
@pytest.mark.parametrize("tried", [1, 3])
def test_the_cause_is_not_written_to_the_history(error: Exception, tried: int) -> None:
    raised = failure(error, 3, tried)
    assert raised.__suppress_context__
    assert raised.__cause__ is None


@pytest.mark.parametrize("tried", [1, 3])
def test_an_unexpected_error_is_recorded_in_one_short_line_without_secrets(tried: int) -> None:
    raised = failure(ValueError("at postgres://u:hunter2@db/x\nwhile\x1b[2J " + "y" * 5_000), 3, tried)
    assert "hunter2" not in raised.message
    assert raised.message.isprintable()
    assert len(raised.message) < 500
    assert raised.type == "ValueError"


def test_after_an_outage_of_the_records_the_step_continues_within_half_a_minute() -> None:
    def attempt(number: int) -> ApplicationError:
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=number)
        return environment.run(failure, errors.RecordsUnavailable("x"), 3, 1)

    delays = [attempt(number).next_retry_delay for number in (1, 3, 40)]
    assert delays == [timedelta(seconds=1), timedelta(seconds=4), timedelta(seconds=20)]
