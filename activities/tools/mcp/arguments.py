"""Create an arguments model from a JSON Schema. Imports `jsonschema` only when needed.

The model has no fields: it keeps values that the schema allows, normalizes whole numbers and fills in the
schema's defaults, because approvers and the policy must see everything that will run. Multiples are checked
in decimal: 19.99 is a multiple of 0.01, although not in binary.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaError, SchemaValidator, core_schema

from activities.tools.mcp.defaults import Defaults
from activities.tools.whole_numbers import with_whole_numbers
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import ToolArguments

TOO_EXPENSIVE: Final = "takes too long to check against the server's schema; make it smaller"
_MAX_FAULTS: Final = 20
_MAX_WORK: Final = 20_000  # keywords checked for one value: less than half a second
_MAX_WORK_FOR_DEFAULTS: Final = 3 * _MAX_WORK  # for filling in defaults: before, after, alternatives
_CHARACTERS_PER_KEYWORD: Final = (
    10_000  # characters of text that count as one keyword; 1% of this in a message
)
_LONGEST: Final = 200
_TYPES: Final = {
    "string": "must be text",
    "integer": "must be a whole number",
    "number": "must be a number",
    "boolean": "must be true or false",
    "array": "must be a list",
    "object": "must be an object, with a value for each name",
    "null": "must be null",
}
Fault = tuple[tuple[str | int, ...], str]


class SchemaArguments(ToolArguments):
    """The base of arguments that a JSON schema describes."""

    model_config = ConfigDict(extra="allow")

    json_schema: ClassVar[Mapping[str, Any]] = {}
    fill: ClassVar[Callable[[Any], Any]]
    check: ClassVar[Callable[[Any], Iterator[Fault]]]

    @model_validator(mode="before")
    @classmethod
    def _complete_and_check(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {name: with_whole_numbers(one) for name, one in value.items()}
        filled: Any = given
        found: list[Fault] = [((), TOO_EXPENSIVE)]
        with suppress(_TooExpensive, RecursionError):
            filled = cls.fill(given)
            found = list(islice(cls.check(filled), _MAX_FAULTS))
        if found:
            raise ValidationError.from_exception_data(
                "arguments", [_line(path, problem) for path, problem in found]
            )
        return filled

    @classmethod
    def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
        """Return the given schema."""
        return deepcopy(dict(cls.json_schema))


def arguments_of(schema: Mapping[str, Any]) -> type[SchemaArguments]:
    """Return the model for a schema, which is plain (`activities.tools.mcp.schema`)."""
    work = _Work()
    validator = _validator_of(schema, work)
    return type(
        "McpArguments",
        (SchemaArguments,),
        {
            "__module__": __name__,
            "__annotations__": {},
            "json_schema": schema,
            "fill": staticmethod(_filler(validator, work)),
            "check": staticmethod(_checker(validator, work)),
        },
    )


def checker_of(schema: Mapping[str, Any]) -> Callable[[Any], Iterator[Fault]]:
    """Return a function that yields the errors of a value under a plain schema."""
    work = _Work()
    return _checker(_validator_of(schema, work), work)


def _checker(validator: Any, work: "_Work") -> Callable[[Any], Iterator[Fault]]:
    schema = validator.schema
    is_strict = "properties" in schema and "additionalProperties" not in schema

    def check(value: Any) -> Iterator[Fault]:
        if is_strict and isinstance(value, Mapping):
            for name in value:
                if name not in schema["properties"]:
                    yield (str(name),), "unknown field; remove it"
        work.left = _MAX_WORK
        try:
            for error in validator.iter_errors(value):
                yield _fault(error)
        except _TooExpensive:
            yield (), TOO_EXPENSIVE
        except Exception as error:  # noqa: BLE001  a failed check counts as an error
            yield (), f"cannot be checked against the server's schema ({type(error).__name__})"

    return check


def _filler(validator: Any, work: "_Work") -> Callable[[Any], Any]:
    """Return a function that fills in the defaults of a plain schema; it may raise `_TooExpensive`."""

    def allows(part: Mapping[str, Any], value: Any) -> bool:
        try:
            return bool(validator.evolve(schema=part).is_valid(value))
        except _TooExpensive:
            raise
        except Exception:  # noqa: BLE001  a failed check counts as an error
            return False

    defaults = Defaults(validator.schema, allows, work.spend)

    def fill(value: Any) -> Any:
        work.left = _MAX_WORK_FOR_DEFAULTS
        return defaults.fill(value)

    return fill


def _validator_of(schema: Mapping[str, Any], work: "_Work") -> Any:
    """Return the validator for a schema, which counts its work; ``Any`` stands for untyped objects."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415  comes with the extra `mcp`
    from referencing import Registry  # noqa: PLC0415  as above

    extend: Any = validators.extend
    rules = {**Draft202012Validator.VALIDATORS, "pattern": _pattern, "multipleOf": _multiple_of}
    kind = extend(Draft202012Validator, {name: _counted(rule, work) for name, rule in rules.items()})
    return kind(dict(schema), registry=Registry())  # an empty registry, so that nothing is fetched


class _TooExpensive(Exception):
    pass


class _Work(threading.local):
    """The remaining work that one check may do, because some schemas and values would take hours."""

    left = 0

    def spend(self, amount: int) -> None:
        """Count some work.

        Raises:
            _TooExpensive: the limit is reached.
        """
        self.left -= amount
        if self.left < 0:
            raise _TooExpensive


def _counted(rule: Any, work: _Work) -> Any:
    """Return the check of one keyword, which counts its work; ``Any`` stands for untyped objects."""

    def check(validator: Any, expected: Any, instance: Any, schema: Any) -> Iterator[Any]:
        parts = len(expected) if isinstance(expected, list | dict) else 0
        characters = len(instance) if isinstance(instance, str) else 0
        work.spend(1 + parts + characters // _CHARACTERS_PER_KEYWORD)
        for error in rule(validator, expected, instance, schema) or ():
            work.spend(
                1 + 100 * len(error.message) // _CHARACTERS_PER_KEYWORD
            )  # the message quotes the whole value
            yield error

    return check


def _fault(error: Any) -> Fault:
    path, rule = tuple(error.absolute_path), error.validator
    match rule:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            # One error for each name, which begins the message.
            name = next((one for one in missing if error.message.startswith(repr(one))), missing[0])
            return (*path, name), "is missing"
        case "type":
            return path, _TYPES.get(str(error.validator_value), f"must be {error.validator_value}")
        case "enum":
            return path, _cut("must be one of " + ", ".join(map(repr, error.validator_value[:20])))
        case "const":
            return path, _cut(f"must be {error.validator_value!r}")
        case "additionalProperties":
            return path, _cut(f"has an unknown field: {error.message}")
        case "anyOf" | "oneOf":
            return path, "matches none of its allowed forms, or more than one"
        case "pattern":
            return path, _cut(f"must match the pattern {error.validator_value}")
    return path, _cut(error.message)


def _line(path: tuple[str | int, ...], problem: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("json_schema", "{problem}", {"problem": problem}), loc=path, input=None
    )


def _cut(text: str) -> str:
    return cut(one_line(text), _LONGEST)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """Check a pattern that can be matched in linear time; leave all others to the server."""
    from jsonschema import ValidationError as Mismatch  # noqa: PLC0415  comes with the extra `mcp`

    if not isinstance(instance, str) or (matcher := _matcher(pattern)) is None:
        return
    try:
        matcher.validate_python(instance)
    except ValidationError:
        yield Mismatch("does not match")


def _multiple_of(_validator: Any, factor: Any, instance: Any, _schema: Any) -> Iterator[Any]:
    """Check a multiple in decimal arithmetic, as JSON writes numbers."""
    from jsonschema import ValidationError as Mismatch  # noqa: PLC0415  comes with the extra `mcp`

    if (
        isinstance(instance, int | float)
        and not isinstance(instance, bool)
        and _exact(instance) % _exact(factor)
    ):
        yield Mismatch(f"{instance!r} is not a multiple of {factor!r}")


def _exact(number: float) -> Fraction:
    """Return a number as a decimal, with the fewest digits that represent it exactly."""
    return Fraction(number) if isinstance(number, int) else Fraction(repr(number))


@lru_cache(maxsize=500)
def _matcher(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None
