"""Which failures are tried again. The one place that turns Plangate's errors into Temporal's."""

from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError

from plangate.domain import errors
from plangate.domain.visible import cut

# A plan may have more faults than the server takes; a failure that it refuses would be tried again for ever.
_MAX_MESSAGE = 10_000
_TRANSIENT = (errors.ModelUnavailable, errors.ToolUnavailable)


@contextmanager
def told_to_temporal(tries: int | None = None) -> Iterator[None]:
    """Turn what the block raises into an `ApplicationError` whose type is the error's name.

    Args:
        tries: after so many attempts a transient failure, or one that nobody foresaw, is final.
            A failure of the records never is: the run waits until they are back.

    The cause is left out on purpose: Temporal would keep its text and its stack in the history for ever.
    """
    try:
        yield
    except (errors.RecordsUnavailable, errors.WorkerStopping) as error:
        raise _failure(error, final=False) from None
    except _TRANSIENT as error:
        raise _failure(error, final=_is_last(tries), tried=True) from None
    except errors.PlangateError as error:
        raise _failure(error, final=True) from None
    except Exception as error:
        if _is_last(tries):
            said = cut(f"{type(error).__name__}: {error}", _MAX_MESSAGE)
            raise ApplicationError(
                f"An unforeseen failure, {activity.info().attempt} times: {said}",
                type=type(error).__name__,
                non_retryable=True,
            ) from error
        raise


def _is_last(tries: int | None) -> bool:
    return tries is not None and activity.info().attempt >= tries


def _failure(error: errors.PlangateError, *, final: bool, tried: bool = False) -> ApplicationError:
    message = cut(str(error), _MAX_MESSAGE)
    if final and tried:
        message += f" It was tried {activity.info().attempt} times."
    return ApplicationError(message, type=type(error).__name__, non_retryable=final)
