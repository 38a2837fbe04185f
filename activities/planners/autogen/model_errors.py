"""Map the errors of model clients to planner errors.

Errors are recognized by their HTTP status, or else by the names of their classes. The clients of many vendors
come from one generator and share these names across two generations of httpx, so none has to be imported.
Some servers report an error with status 200: `error_in_answer` uses the same table. Messages never repeat the
service's text, which may contain parts of the prompt or the key.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final

from plangate.domain.errors import ModelRefused, ModelUnavailable, PlannerError

_Meaning = tuple[type[PlannerError], str]

_BY_STATUS: Final[Mapping[int, _Meaning]] = {
    400: (
        ModelRefused,
        "reported a malformed request; check that PLANGATE_MODEL can call tools (vLLM: --tool-call-parser)",
    ),
    401: (ModelRefused, "does not accept the key; check OPENAI_API_KEY, or the key in PLANGATE_MODEL_CONFIG"),
    402: (ModelRefused, "requires payment; check the account of the key"),
    403: (ModelRefused, "denies access; check the key's permissions, and PLANGATE_MODEL"),
    404: (
        ModelRefused,
        "does not recognize the model or the address; check PLANGATE_MODEL and OPENAI_BASE_URL",
    ),
    408: (ModelUnavailable, "timed out"),
    409: (ModelUnavailable, "reported a conflict with another request"),
    413: (ModelRefused, "rejected the request as too large; shorten it"),
    422: (
        ModelRefused,
        "could not process the request; check that the server at OPENAI_BASE_URL accepts tool calls",
    ),
    425: (ModelUnavailable, "is not ready"),
    429: (
        ModelUnavailable,
        "limits the rate, or the quota is used up; check the account's limits",
    ),
}

_BY_NAME: Final[Mapping[str, _Meaning]] = {
    "APITimeoutError": (ModelUnavailable, "did not answer in time"),
    "TimeoutException": (ModelUnavailable, "did not answer in time"),
    "TimeoutError": (ModelUnavailable, "did not answer in time"),
    "APIConnectionError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "TransportError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "OSError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "WebSocketConnectionClosedError": (ModelUnavailable, "closed the connection"),
    "WebSocketQueueFullError": (ModelUnavailable, "cannot keep up with the requests"),
    "APIResponseValidationError": (ModelUnavailable, "returned no completion; check OPENAI_BASE_URL"),
    "LengthFinishReasonError": (ModelRefused, "cut its answer at the length limit; ask for less"),
    "ContentFilterFinishReasonError": (
        ModelRefused,
        "withheld its answer (content filter); reword the request",
    ),
    "OpenAIError": (ModelRefused, "is not configured correctly; check the key and its settings"),
}

# The statuses that correspond to known error codes in responses with status 200.
_STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "context_length_exceeded": 413,
    "string_above_max_length": 413,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_credits": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "resource_exhausted": 429,
    "overloaded_error": 503,
}
_REDIRECT: Final = (ModelRefused, "is at another address; check OPENAI_BASE_URL")
_OTHER_REFUSAL: Final = (ModelRefused, "refused the request; check PLANGATE_MODEL and OPENAI_BASE_URL")
_OTHER_FAILURE: Final = (ModelUnavailable, "failed")
_ERROR_AS_ANSWER: Final = (ModelUnavailable, "answered with an error")
_UNEXPECTED: Final = (ModelUnavailable, "returned a response that cannot be parsed; check OPENAI_BASE_URL")

_FAILURE_CLASSES: Final = (3, 4, 5)
_CODE_FORMAT: Final = re.compile(r"[a-z]+(_[a-z]+){0,5}")
_MAX_CODE: Final = 48
_DIGITS_OF_STATUS: Final = 3


def planner_error(error: BaseException) -> PlannerError:
    """Return the planner error for a model client's error."""
    known = known_error(error)
    if known is not None:
        return known
    kind, sentence = _UNEXPECTED
    return kind(f"The model's service {sentence} ({type(error).__name__}{location_of(error)}).")


def known_error(error: BaseException) -> PlannerError | None:
    """Return the planner error for a model client's error; None if the table does not contain it.

    A `PlannerError` among its causes, raised by the transport, takes precedence over the first known cause.
    """
    for cause in _chain(error):
        if isinstance(cause, PlannerError):
            return cause
    for cause in _chain(error):
        status = _status_of(cause)
        if status is not None:
            kind, sentence = _meaning_of(status)
            return kind(f"The model's service {sentence} ({_with_code(str(status), cause)}).")
        for base in type(cause).__mro__:
            if base.__name__ in _BY_NAME:
                kind, sentence = _BY_NAME[base.__name__]
                return kind(f"The model's service {sentence} ({type(cause).__name__}).")
    return None


def has_planner_error(error: BaseException) -> bool:
    """Return whether a planner error, with a message for users, is among the causes."""
    return any(isinstance(cause, PlannerError) for cause in _chain(error))


def error_in_answer(error: object) -> PlannerError:
    """Return the planner error for an error object that was sent instead of a completion."""
    parts = error if isinstance(error, Mapping) else {}
    codes = [part for name in ("code", "type", "status") if isinstance(part := parts.get(name), str)]
    numbers = [_number(parts.get(name)) for name in ("code", "status", "status_code")]
    known = [_STATUS_OF_CODE[code.lower()] for code in codes if code.lower() in _STATUS_OF_CODE]
    status = next((number for number in (*numbers, *known) if number), None)
    kind, sentence = _ERROR_AS_ANSWER if status is None else _meaning_of(status)
    code = next((code for code in codes if _is_plain(code)), None)
    shown = ", ".join(part for part in (str(status or ""), code) if part)
    return kind(f"The model's service {sentence} ({shown or 'without a code'}).")


def _number(value: object) -> int | None:
    """Return a failing HTTP status, which may be given as text, or None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == _DIGITS_OF_STATUS:
        value = int(value)
    return value if isinstance(value, int) and value // 100 in _FAILURE_CLASSES else None


def _meaning_of(status: int) -> _Meaning:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    match status // 100:
        case 3:
            return _REDIRECT
        case 4:
            return _OTHER_REFUSAL
        case _:
            return _OTHER_FAILURE


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _status_of(error: BaseException) -> int | None:
    """Return the failing HTTP status of an error, or None; an invalid 200 is recognized by its class."""
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) and status // 100 in _FAILURE_CLASSES else None


def _with_code(status: str, error: BaseException) -> str:
    """Return the status, and the vendor's code if it is plain words, not a key or free text."""
    code = getattr(error, "code", None)
    return f"{status}, {code}" if isinstance(code, str) and _is_plain(code) else status


def _is_plain(code: str) -> bool:
    return len(code) <= _MAX_CODE and _CODE_FORMAT.fullmatch(code) is not None


def location_of(error: BaseException) -> str:
    """Return where an error was raised; the message of an unexpected error is never shown."""
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" at {PurePath(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"
