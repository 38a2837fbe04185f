"""Map every error that Plangate raises on purpose to an HTTP status and a message."""

from http import HTTPStatus
from typing import Final

from plangate.domain.errors import (
    BadInput,
    IdInUse,
    NotAnswered,
    OperatorError,
    PlangateError,
    RecordsMissing,
    RecordsUnavailable,
    Refused,
    RunNotFound,
    StatusContradicts,
    TemporalUnreachable,
)
from plangate.domain.escaping import one_line

_STATUS: Final[tuple[tuple[type[PlangateError], HTTPStatus], ...]] = (  # the first match is used
    (RunNotFound, HTTPStatus.NOT_FOUND),
    (IdInUse, HTTPStatus.CONFLICT),
    (StatusContradicts, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.FORBIDDEN),
    (BadInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TemporalUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (RecordsUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (RecordsMissing, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotAnswered, HTTPStatus.SERVICE_UNAVAILABLE),
    (OperatorError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: PlangateError) -> HTTPStatus:
    """Return the HTTP status of an error."""
    return next(
        (status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.SERVICE_UNAVAILABLE
    )


def words_of(error: PlangateError) -> str:
    """Return a message: what happened, and what to do."""
    return one_line(str(error))
