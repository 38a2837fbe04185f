"""Which failures are tried again. The one place that turns Plangate's errors into Temporal's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.outage import Outage
from plangate.domain import errors
from plangate.domain.escaping import cut
from plangate.logs.redaction import recordable, redact_text

# A plan may have more faults than the server takes; a failure that it refuses would be tried again for ever.
_MAX_MESSAGE = 10_000
_IN_SECONDS = 120
_MAX_UNFORESEEN = 300
_log = structlog.get_logger(__name__)
_TRANSIENT = (errors.ModelUnavailable, errors.ToolUnavailable, errors.StillBegun)


@contextmanager
def told_to_temporal(
    tries: int | None = None, tried: Callable[[], int] | None = None, outage: Outage | None = None
) -> Iterator[None]:
    """Turn what the block raises into an `ApplicationError` whose type is the error's name.

    Args:
        tries: after so many attempts a transient failure, or one that nobody foresaw, is final.
            A failure of the records or of the list of people never is: the run waits until they are back.
        tried: says how often it was tried; Temporal's count of attempts where left out.
        outage: says for how long a transient failure is tried again, whatever the number of tries.

    The cause is left out on purpose: Temporal would keep its text and its stack in the history for ever. Of
    an unforeseen error the log has the whole, and the history its kind and one line without secrets.
    """
    counted = tried or (lambda: activity.info().attempt)
    try:
        yield
    except (errors.RecordsUnavailable, errors.DirectoryUnavailable, errors.WorkerStopping) as error:
        raise _failure(error, final=False, again=_soon(error)) from None
    except _TRANSIENT as error:
        count = counted()
        if outage is not None:
            lasted = outage.goes_on()
            raise _failure(error, final=lasted is not None, tried=count, lasted=lasted) from None
        raise _failure(error, final=_is_last(tries, count), tried=count) from None
    except errors.PlangateError as error:
        raise _failure(error, final=True) from None
    except Exception as error:  # noqa: BLE001  it goes on as another kind of error
        count, kind = counted(), type(error).__name__
        is_last = _is_last(tries, count)
        _log.exception("Something unforeseen happened.", action="unforeseen", attempt=count)
        said = recordable(f"{kind}: {error}", _MAX_UNFORESEEN)
        often = f"An unforeseen failure, {count} times" if is_last else "An unforeseen failure"
        raise ApplicationError(f"{often}: {said}", type=kind, non_retryable=is_last) from None


def _in_words(lasted: timedelta) -> str:
    seconds = round(lasted.total_seconds())
    return f"{seconds} seconds" if seconds < _IN_SECONDS else f"{round(seconds / 60)} minutes"


def _is_last(tries: int | None, tried: int) -> bool:
    return tries is not None and tried >= tries


def _soon(error: errors.PlangateError) -> timedelta | None:
    """Return when to come again to records or a list of people that were away; None for the usual time.

    A step's own pauses grow to minutes. They are for what it asks of the world; within half a minute of a
    repair of ours everything goes on.
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
) -> ApplicationError:
    message = cut(redact_text(str(error)), _MAX_MESSAGE)
    if final and tried:
        often = "once" if tried == 1 else f"{tried} times"
        message += f" It was tried {often}{'' if not lasted else f' in {_in_words(lasted)}'}."
    return ApplicationError(message, type=type(error).__name__, non_retryable=final, next_retry_delay=again)
