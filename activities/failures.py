"""Which failures are tried again. The one place that turns Plangate's errors into Temporal's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError

from plangate.domain import errors
from plangate.domain.visible import cut

# A plan may have more faults than the server takes; a failure that it refuses would be tried again for ever.
_MAX_MESSAGE = 10_000
_TRANSIENT = (errors.ModelUnavailable, errors.ToolUnavailable, errors.StillBegun)


@contextmanager
def told_to_temporal(tries: int | None = None, tried: Callable[[], int] | None = None) -> Iterator[None]:
    """Turn what the block raises into an `ApplicationError` whose type is the error's name.

    Args:
        tries: after so many attempts a transient failure, or one that nobody foresaw, is final.
            A failure of the records or of the list of people never is: the run waits until they are back.
        tried: says how often it was tried; Temporal's count of attempts where left out.

    The cause is left out on purpose: Temporal would keep its text and its stack in the history for ever.
    """
    counted = tried or (lambda: activity.info().attempt)
    try:
        yield
    except (errors.RecordsUnavailable, errors.DirectoryUnavailable, errors.WorkerStopping) as error:
        raise _failure(error, final=False) from None
    except _TRANSIENT as error:
        count = counted()
        raise _failure(error, final=_is_last(tries, count), tried=count) from None
    except errors.PlangateError as error:
        raise _failure(error, final=True) from None
    except Exception as error:
        count = counted()
        if _is_last(tries, count):
            said = cut(f"{type(error).__name__}: {error}", _MAX_MESSAGE)
            raise ApplicationError(
                f"An unforeseen failure, {count} times: {said}",
                type=type(error).__name__,
                non_retryable=True,
            ) from error
        raise


def _is_last(tries: int | None, tried: int) -> bool:
    return tries is not None and tried >= tries


def _failure(error: errors.PlangateError, *, final: bool, tried: int | None = None) -> ApplicationError:
    message = cut(str(error), _MAX_MESSAGE)
    if final and tried:
        message += " It was tried once." if tried == 1 else f" It was tried {tried} times."
    return ApplicationError(message, type=type(error).__name__, non_retryable=final)
