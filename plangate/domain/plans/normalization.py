"""Normalize the numbers and times in a tool's arguments, because rules and people compare them.

A `Decimal` is a JSON number in the plan, so that policies can add it up. A `datetime` is in UTC.
"""

import operator
import re
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial, reduce
from typing import Annotated, Any, Final, Union, get_args, get_origin

from annotated_types import GroupedMetadata
from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationInfo,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

_MOST_DIGITS: Final = 15  # digits that every JSON parser preserves exactly in a number
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?")


def normalized_type(annotation: Any, metadata: Sequence[Any] = ()) -> Any:
    """Return the type with each `Decimal` and `datetime` in it normalized; ``metadata`` annotates it."""
    if get_origin(annotation) is Annotated:
        inner, *own = get_args(annotation)
        return normalized_type(inner, (*own, *metadata))
    kept = list(metadata)
    if annotation is Decimal and not any(isinstance(one, _NumberSchema) for one in metadata):
        places = _places(metadata)
        kept += [
            AfterValidator(partial(_one_decimal, places=places)),
            BeforeValidator(_decimal_in_json),
            PlainSerializer(_as_number, return_type=int | float, when_used="json"),
            _NumberSchema(),
        ]
    elif annotation is datetime:
        if _UTC not in metadata:
            kept.append(_UTC)
    else:
        annotation = _rebuilt(annotation)
    return Annotated[(annotation, *kept)] if kept else annotation


def normalize_fields(fields: Mapping[str, FieldInfo]) -> bool:
    """Normalize each `Decimal` and `datetime` in the fields of a model; return whether one was changed."""
    is_changed = False
    for field in fields.values():
        normalized = normalized_type(field.annotation, field.metadata)
        inner, *metadata = get_args(normalized) if get_origin(normalized) is Annotated else (normalized,)
        if (inner, metadata) != (field.annotation, list(field.metadata)):
            field.annotation, field.metadata, is_changed = inner, metadata, True
    return is_changed


def _rebuilt(annotation: Any) -> Any:
    """Return a generic type or a union with its parts normalized."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return reduce(operator.or_, map(normalized_type, parts)) if _differs(parts) else annotation
    if origin in (list, tuple, dict) and _differs(parts):
        return origin[tuple(normalized_type(part) for part in parts)]
    return annotation


def _differs(parts: Sequence[Any]) -> bool:
    return any(normalized_type(part) is not part for part in parts)


def _places(metadata: Sequence[Any]) -> int | None:
    """Return the ``decimal_places`` that the annotations of a type declare."""
    for one in metadata:
        inner = one.metadata if isinstance(one, FieldInfo) else [one]
        for part in inner:
            flat = list(part) if isinstance(part, GroupedMetadata) else [part]
            for constraint in flat:
                places = getattr(constraint, "decimal_places", None)
                if isinstance(places, int):
                    return places
    return None


def _decimal_in_json(value: Any, info: ValidationInfo) -> Any:
    """Return a JSON number, or a string in the form of one, as a decimal: ``"42_50"`` is not 4250."""
    if info.mode != "json" or isinstance(value, Decimal):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("must be a number such as 42.50")
    return Decimal(str(value))


def _one_decimal(value: Decimal, places: int | None) -> Decimal:
    """Return a number with the declared number of decimal places, or with as few as possible."""
    digits, exponent = value.as_tuple().digits, int(value.as_tuple().exponent)
    if len(digits) > _MOST_DIGITS or abs(exponent) > _MOST_DIGITS or abs(value.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"has more than {_MOST_DIGITS} digits, which a JSON number does not keep exactly")
    if not value:
        value = Decimal(0)
    least = value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()
    if places is None or -int(least.as_tuple().exponent) > places:
        return least
    return least.quantize(Decimal(1).scaleb(-places))


def _as_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must be a time with its zone, such as 2026-05-03T09:00:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("is too early or too late") from None


_UTC: Final = AfterValidator(_in_utc)


class _NumberSchema:
    """Declares a `Decimal` as a number only: strings are also accepted, but are not part of the schema."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core))
        numbers = [one for one in schema.get("anyOf", ()) if one.get("type") == "number"]
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return {**rest, **(numbers[0] if numbers else {"type": "number"})}
