"""Turn the return value of a tool's function into a receipt, an observation or a status.

When a function returns, its effect has happened, so any return value leads to a receipt.
"""

import inspect
from dataclasses import dataclass
from types import UnionType
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic_core import to_jsonable_python

from plangate.domain.escaping import cut, lasting_line
from plangate.domain.plans.plan import canonical_json, uncanonical
from plangate.domain.plans.previews import in_words
from plangate.domain.plans.tool import Receipt

MAX_DETAILS: Final = 64 * 1024  # maximum bytes of canonical JSON
_LONGEST_SUMMARY: Final = 1_000
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Accepted(Generic[R]):
    """A tool's function returns this if the remote system has accepted the call, which may still fail."""

    value: R


def value_of(returned: Any) -> Any:
    """Return the result type of a return annotation: X for X, Accepted[X], and X | Accepted[X]."""
    parts = get_args(returned) if get_origin(returned) in (Union, UnionType) else (returned,)
    values = {get_args(part)[0] if get_origin(part) is Accepted else part for part in parts}
    return values.pop() if len(values) == 1 else returned


def model_of(returned: Any) -> type[BaseModel] | None:
    """Return the model in a return annotation, if its fields are the details of a receipt."""
    is_model = inspect.isclass(returned) and issubclass(returned, BaseModel)
    return returned if is_model and not issubclass(returned, Receipt) else None


def receipt_of(returned: Any) -> Receipt:
    """Return the receipt for the return value of a tool's function."""
    match returned:
        case Accepted(value=value):
            return receipt_of(value).model_copy(update={"final": False})
        case Receipt():
            return _kept(returned.summary, returned.details).model_copy(update={"final": returned.final})
        case None:
            return Receipt(summary="done")
        case str():
            return Receipt(summary=cut(returned, _LONGEST_SUMMARY) or "done")
    try:
        details = to_jsonable_python(returned, fallback=str, inf_nan_mode="strings")
        if not isinstance(details, dict):
            details = {"result": details}
        return _kept(lasting_line(in_words(details)) or "done", details)
    except Exception:  # noqa: BLE001  a value's own code failed, but the effect has happened
        return Receipt(summary=f"done; the returned value ({type(returned).__name__}) cannot be stored")


def json_of(returned: Any) -> JsonValue:
    """Return a function's observation as JSON; raise an error if JSON cannot represent it."""
    observed: JsonValue = to_jsonable_python(returned)
    return observed


def _kept(summary: str, details: dict[str, JsonValue]) -> Receipt:
    """Return a receipt that fits into the records."""
    summary = cut(summary, _LONGEST_SUMMARY)
    if not any(uncanonical(details)):
        size = len(canonical_json(details))
        if size > MAX_DETAILS:
            return Receipt(
                summary=f"{cut(summary, _LONGEST_SUMMARY // 2)} (its details have {size:,} bytes, more than "
                f"the limit of {MAX_DETAILS:,}, and were not kept)"
            )
    return Receipt(summary=summary, details=details)
