"""Turn pydantic's validation errors into plain English.

The messages use JSON's terms, not Python's: a tuple is a list, a dict an object.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from plangate.domain.faults import Fault, FaultPath
from plangate.domain.plurals import counted

_KINDS: Final = {
    **dict.fromkeys(("string_type", "string_sub_type", "string_unicode"), "must be text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "decimal_type", "decimal_parsing"), "must be a number"),
    **dict.fromkeys(("finite_number", "int_parsing_size"), "must be a number that JSON can represent"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(
        ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type"), "must be a list"
    ),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"),
        "must be an object, with a value for each name",
    ),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "must be a time such as 2026-05-03T09:00:00Z",
    ),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing"), "must be a day such as 2026-05-03"
    ),
    "timezone_aware": "must be a time with its zone, such as 2026-05-03T09:00:00Z",
    "none_required": "must be null",
    "invalid_key": "has a name that is not text",
    "missing": "is missing",
    "extra_forbidden": "unknown field; remove it",
    "recursion_loop": "refers to itself",
}
_LIMITS: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
_OTHERWISE: Final = re.compile(r"^(?:Input|Value|Object) should ")


def faults_in(error: ValidationError, at: FaultPath = ()) -> list[Fault]:
    """Return the errors that pydantic found.

    Args:
        error: the error that pydantic raised.
        at: the path of the value that was validated.
    """
    found = error.errors(include_url=False, include_input=False)
    return [
        Fault((*at, *fault["loc"]), _message(fault["type"], fault["msg"], fault.get("ctx", {})))
        for fault in found
        if not (fault["type"] == "too_short" and _has_faulty_items(fault["loc"], found))
    ]


def _has_faulty_items(path: FaultPath, found: Sequence[ErrorDetails]) -> bool:
    """Return whether items of the list at ``path`` have errors, because pydantic's count omits such items."""
    return any(len(fault["loc"]) > len(path) and fault["loc"][: len(path)] == path for fault in found)


def _message(kind: str, message: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "string_too_short" | "bytes_too_short" if context["min_length"] == 1:
            return "must not be empty"
        case "string_too_short" | "bytes_too_short":
            return f"must have at least {counted(context['min_length'], 'character')}"
        case "string_too_long" | "bytes_too_long":
            return f"must have at most {counted(context['max_length'], 'character')}"
        case "too_short":
            return f"must have at least {counted(context['min_length'], 'item')}"
        case "too_long":
            return f"must have at most {counted(context['max_length'], 'item')}"
        case "json_invalid":
            return f"is not JSON: {context['error']}"
        case _ if kind in _LIMITS:
            return _LIMITS[kind].format_map(context)
        case _ if kind in _KINDS:
            return _KINDS[kind]
    plain = _OTHERWISE.sub("must ", message)  # a type no model here uses, or one from a tool's own validator
    return plain[:1].lower() + plain[1:]
