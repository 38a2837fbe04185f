"""The one table from what model clients raise to what Plangate fails with.

Errors are known by their HTTP status, else by the names of their classes: the clients of many vendors are
made by the same generator and share these names, over two generations of httpx; none has to be imported.
No message repeats what the service wrote: that may hold parts of the prompt or of the key.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Final

from plangate.domain.errors import ModelRefused, ModelUnavailable, PlannerError

_Meaning = tuple[type[PlannerError], str]

_BY_STATUS: Final[Mapping[int, _Meaning]] = {
    400: (ModelRefused, "found the request malformed; check that PLANGATE_MODEL can call tools"),
    401: (ModelRefused, "does not accept the key; check OPENAI_API_KEY, or the key in PLANGATE_MODEL_CONFIG"),
    402: (ModelRefused, "wants to be paid; check the account behind the key"),
    403: (ModelRefused, "does not allow this; check what the key may do, and PLANGATE_MODEL"),
    404: (ModelRefused, "knows no such model or address; check PLANGATE_MODEL and OPENAI_BASE_URL"),
    408: (ModelUnavailable, "ran out of time"),
    409: (ModelUnavailable, "was in conflict with another request"),
    413: (ModelRefused, "found the request too large; say it in fewer words"),
    422: (ModelRefused, "could not use the request; check that PLANGATE_MODEL can call tools"),
    425: (ModelUnavailable, "wants to be asked later"),
    429: (ModelUnavailable, "is asked too often, or its quota is used up; check the account's limits"),
}

_BY_NAME: Final[Mapping[str, _Meaning]] = {
    "APITimeoutError": (ModelUnavailable, "did not answer in time"),
    "TimeoutException": (ModelUnavailable, "did not answer in time"),
    "TimeoutError": (ModelUnavailable, "did not answer in time"),
    "APIConnectionError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "TransportError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "OSError": (ModelUnavailable, "cannot be reached; check OPENAI_BASE_URL and the network"),
    "WebSocketConnectionClosedError": (ModelUnavailable, "closed the connection"),
    "WebSocketQueueFullError": (ModelUnavailable, "is asked faster than it answers"),
    "APIResponseValidationError": (ModelUnavailable, "gave no completion; check OPENAI_BASE_URL"),
    "LengthFinishReasonError": (ModelRefused, "cut its answer at the length limit; ask for less"),
    "ContentFilterFinishReasonError": (
        ModelRefused,
        "withheld its answer (content filter); reword the request",
    ),
    "OpenAIError": (ModelRefused, "cannot be used as it is set up; check the key and its settings"),
}

_REDIRECT: Final = (ModelRefused, "is at another address; check OPENAI_BASE_URL")
_OTHER_REFUSAL: Final = (ModelRefused, "refused the request; check PLANGATE_MODEL and OPENAI_BASE_URL")
_OTHER_FAILURE: Final = (ModelUnavailable, "failed")
_UNFORESEEN: Final = (ModelUnavailable, "gave an answer that cannot be read; check OPENAI_BASE_URL")

_NOT_DONE: Final = (3, 4, 5)
_CODE_WORD: Final = re.compile(r"[a-z]+(_[a-z]+){0,5}")
_MAX_CODE: Final = 48


def planner_error(error: Exception) -> PlannerError:
    """Return what ``error``, raised by a model client, means: the first known one of its causes counts."""
    if isinstance(error, PlannerError):
        return error
    for cause in _chain(error):
        status = _status_of(cause)
        if status is not None:
            kind, sentence = _meaning_of(status)
            return kind(f"The model's service {sentence} ({_with_code(str(status), cause)}).")
        for base in type(cause).__mro__:
            if base.__name__ in _BY_NAME:
                kind, sentence = _BY_NAME[base.__name__]
                return kind(f"The model's service {sentence} ({type(cause).__name__}).")
    kind, sentence = _UNFORESEEN
    return kind(f"The model's service {sentence} ({type(error).__name__}{_place_of(error)}).")


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
    """Return the status of an HTTP answer that says no; an unreadable 200 is known by its class."""
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) and status // 100 in _NOT_DONE else None


def _with_code(status: str, error: BaseException) -> str:
    """Return the status and the vendor's own code where that is a few plain words, never a key or a text."""
    code = getattr(error, "code", None)
    if isinstance(code, str) and len(code) <= _MAX_CODE and _CODE_WORD.fullmatch(code):
        return f"{status}, {code}"
    return status


def _place_of(error: BaseException) -> str:
    """Say where it was raised: of an error that nobody foresaw, the message is not shown."""
    traceback = error.__traceback__
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f" at {PurePath(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno}"
