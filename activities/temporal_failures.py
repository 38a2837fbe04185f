"""Convert Plangate's errors to Temporal's, and decide which are retried; no other module does this.

If a step's failure is not retried, or not any more, the run is held (`activities.failed_step`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.outage_duration import Outage
from plangate.domain import errors
from plangate.domain.escaping import cut
from plangate.logs.redaction import recordable, redact_text

# A plan's errors may be too long for the server. If it rejected the failure, it would retry endlessly.
_MAX_MESSAGE = 10_000
_IN_SECONDS = 120
_MAX_UNEXPECTED = 300
# The pauses between the attempts of a step, as in `workflows.options.STEP`.
_COEFFICIENT = 2.5
_LONGEST_PAUSE = 300
# The longest delay that a tool's remote system may request: rate limit windows last up to an hour.
_SHORTEST_DELAY = timedelta(seconds=1)
_LONGEST_DELAY = timedelta(hours=1)
_log = structlog.get_logger(__name__)
_TRANSIENT = (errors.ModelUnavailable, errors.ToolUnavailable, errors.OutcomePending)


@contextmanager
def as_application_errors(
    tries: int | None = None,
    tried: int | None = None,
    outage: Outage | None = None,
    again: timedelta | None = None,
) -> Iterator[None]:
    """Turn errors raised in the block into an `ApplicationError` whose type is the error's name.

    Args:
        tries: the number of attempts after which a transient or unexpected failure is final. A failure of the
            records or the list of people is never final: the run waits until they are back.
        tried: the number of attempts so far, including this one; default: Temporal's count.
        again: the time until a stopped step is retried; a stop is never final.
        outage: how long a transient failure is retried, regardless of the number of tries.

    The cause is omitted, because Temporal would keep its text and stack in the history. An unexpected error
    is logged in full; the history gets its type and one line without secrets.
    """
    try:
        yield
    except ApplicationError:
        raise  # already converted, closer to the cause
    except (errors.RecordsUnavailable, errors.DirectoryUnavailable, errors.WorkerStopping) as error:
        raise _failure(error, final=False, again=_outage_delay(error)) from None
    except (errors.StepStopped, errors.StepTooEarly) as error:
        # Benign, because the SDK would otherwise log it for each attempt of each waiting step.
        benign = ApplicationErrorCategory.BENIGN
        again = error.again if isinstance(error, errors.StepTooEarly) else again
        raise _failure(error, final=False, again=again, category=benign) from None
    except _TRANSIENT as error:
        count = _counted(tried)
        if outage is not None:
            lasted = outage.record_failure()
            raise _failure(
                error, final=lasted is not None, tried=count, lasted=lasted, again=_bounded(error)
            ) from None
        pause = None if tried is None else _pause(tried)
        again = _bounded(error) or pause
        raise _failure(error, final=_is_last(tries, count), tried=count, again=again) from None
    except errors.PlangateError as error:
        raise _failure(error, final=True) from None
    except Exception as error:  # noqa: BLE001  it is re-raised as an ApplicationError
        count, kind = _counted(tried), type(error).__name__
        is_last = _is_last(tries, count)
        _log.exception("An unexpected error occurred.", action="unforeseen", attempt=count)
        text = recordable(f"{kind}: {error}", _MAX_UNEXPECTED)
        times = f"An unexpected failure, {count} times" if is_last else "An unexpected failure"
        raise ApplicationError(f"{times}: {text}", type=kind, non_retryable=is_last) from None


def _bounded(error: errors.PlangateError) -> timedelta | None:
    """Return the delay that a tool's remote system requests, limited to the shortest and the longest pause.

    An effect that may still happen is looked up again once it can no longer happen.
    """
    if isinstance(error, errors.OutcomePending):
        return None if error.again is None else min(error.again, _LONGEST_DELAY)
    after = error.after if isinstance(error, errors.ToolUnavailable) else None
    return None if after is None else min(max(after, _SHORTEST_DELAY), _LONGEST_DELAY)


def _counted(tried: int | None) -> int:
    return activity.info().attempt if tried is None else tried


def _in_words(lasted: timedelta) -> str:
    seconds = round(lasted.total_seconds())
    return f"{seconds} seconds" if seconds < _IN_SECONDS else f"{round(seconds / 60)} minutes"


def _pause(tried: int) -> timedelta | None:
    """Return the pause after this many tries, if Temporal's count includes attempts that only waited."""
    if not activity.in_activity() or activity.info().attempt <= tried:
        return None
    return timedelta(seconds=min(_COEFFICIENT ** (tried - 1), _LONGEST_PAUSE))


def _is_last(tries: int | None, tried: int) -> bool:
    return tries is not None and tried >= tries


def _outage_delay(error: errors.PlangateError) -> timedelta | None:
    """Return when to retry after an outage of the records or the list of people; None for the usual pause.

    The pauses between a step's attempts grow to minutes, to outlast outages of the tool's service. After an
    outage of the records, everything continues within half a minute.
    """
    if isinstance(error, errors.WorkerStopping) or not activity.in_activity() or activity.info().is_local:
        return None
    return timedelta(seconds=min(2 ** min(activity.info().attempt - 1, 10), 20))


def _failure(
    error: errors.PlangateError,
    *,
    final: bool,
    tried: int | None = None,
    lasted: timedelta | None = None,
    again: timedelta | None = None,
    category: ApplicationErrorCategory = ApplicationErrorCategory.UNSPECIFIED,
) -> ApplicationError:
    message = cut(redact_text(str(error)), _MAX_MESSAGE)
    if final and tried:
        times = "once" if tried == 1 else f"{tried} times"
        message += f" It was tried {times}{'' if not lasted else f' in {_in_words(lasted)}'}."
    return ApplicationError(
        message,
        type=type(error).__name__,
        non_retryable=final,
        next_retry_delay=again,
        category=category,
    )
