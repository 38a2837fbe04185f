"""Arguments that a JSON Schema describes, as a model like that of any other tool. Imports `jsonschema` late.

The model has no fields of its own: what the schema allows is kept as it is, whole numbers in one spelling and
the schema's defaults filled in, because an approver and the policy must see everything that will run.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from itertools import islice
from typing import Any, ClassVar, Final

from pydantic import ConfigDict, JsonValue, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaError, SchemaValidator, core_schema

from activities.tools.one_number import one_number
from plangate.domain.escaping import cut, one_line
from plangate.domain.tool import ToolArguments

TOO_MUCH: Final = "takes too long to check by the server's schema; make it smaller"
_MAX_FAULTS: Final = 20
_MOST_WORK: Final = 20_000  # keywords checked for one value: below half a second
_LETTERS: Final = 10_000  # of text, or of a fault's message times 100, that cost as much as one keyword
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
    defaults: ClassVar[Mapping[str, JsonValue]] = {}
    check: ClassVar[Callable[[Any], Iterator[Fault]]]

    @model_validator(mode="before")
    @classmethod
    def _complete_and_check(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        given = {name: one_number(one) for name, one in value.items()}
        whole = {**given, **{name: deepcopy(one) for name, one in cls.defaults.items() if name not in given}}
        found = list(islice(cls.check(whole), _MAX_FAULTS))
        if found and whole != given and not list(islice(cls.check(given), 1)):
            return given  # the defaults of several arguments contradict each other
        if found:
            raise ValidationError.from_exception_data(
                "arguments", [_line(path, said) for path, said in found]
            )
        return whole

    @classmethod
    def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
        """Return the schema that was given."""
        return deepcopy(dict(cls.json_schema))


def arguments_of(schema: Mapping[str, Any]) -> type[SchemaArguments]:
    """Return the model for a schema, which is plain (`activities.tools.mcp.schema`)."""
    return type(
        "McpArguments",
        (SchemaArguments,),
        {
            "__module__": __name__,
            "__annotations__": {},
            "json_schema": schema,
            "defaults": _defaults(schema),
            "check": staticmethod(checker_of(schema)),
        },
    )


def checker_of(schema: Mapping[str, Any]) -> Callable[[Any], Iterator[Fault]]:
    """Return a function that yields what is wrong with a value by a plain schema."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415  comes with the extra `mcp`
    from referencing import Registry  # noqa: PLC0415  as above

    extend: Any = validators.extend  # it has no types
    work = _Work()
    rules = {**Draft202012Validator.VALIDATORS, "pattern": _pattern}
    kind = extend(Draft202012Validator, {name: _counted(rule, work) for name, rule in rules.items()})
    validator = kind(dict(schema), registry=Registry())  # an empty one: nothing is fetched
    is_strict = "properties" in schema and "additionalProperties" not in schema

    def check(value: Any) -> Iterator[Fault]:
        if is_strict and isinstance(value, Mapping):
            for name in value:
                if name not in schema["properties"]:
                    yield (str(name),), "unknown field; remove it"
        work.left = _MOST_WORK
        try:
            for error in validator.iter_errors(value):
                yield _fault(error)
        except _TooMuch:
            yield (), TOO_MUCH
        except Exception as error:  # noqa: BLE001  the schema is foreign: what it cannot check, it forbids
            yield (), f"cannot be checked by the server's schema ({type(error).__name__})"

    return check


class _TooMuch(Exception):
    pass


class _Work(threading.local):
    """The remaining work that one check may take: schema times value may be hours of it."""

    left = 0

    def spend(self, amount: int) -> None:
        """Count some of it.

        Raises:
            _TooMuch: none is left.
        """
        self.left -= amount
        if self.left < 0:
            raise _TooMuch


def _counted(rule: Any, work: _Work) -> Any:
    """Return the check of one keyword, which counts its work; ``Any`` stands for what has no types."""

    def check(validator: Any, expected: Any, instance: Any, schema: Any) -> Iterator[Any]:
        parts = len(expected) if isinstance(expected, list | dict) else 0
        letters = len(instance) if isinstance(instance, str) else 0
        work.spend(1 + parts + letters // _LETTERS)
        for error in rule(validator, expected, instance, schema) or ():
            work.spend(1 + 100 * len(error.message) // _LETTERS)  # it quotes the whole value
            yield error

    return check


def _defaults(schema: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Return the default of each argument that has one which its own schema allows."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    return {
        name: one_number(one["default"])
        for name, one in properties.items()
        if "default" in one and not list(islice(checker_of(one)(one["default"]), 1))
    }


def _fault(error: Any) -> Fault:
    path, rule = tuple(error.absolute_path), error.validator
    match rule:
        case "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            # One error for each name: the message begins with it.
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
            return path, "fits none of the forms that it may have, or more than one"
        case "pattern":
            return path, _cut(f"must match the pattern {error.validator_value}")
    return path, _cut(error.message)


def _line(path: tuple[str | int, ...], said: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("json_schema", "{said}", {"said": said}), loc=path, input=None
    )


def _cut(text: str) -> str:
    return cut(one_line(text), _LONGEST)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    """Check a pattern in linear time; one that needs more than that is left to the server."""
    from jsonschema import ValidationError as Mismatch  # noqa: PLC0415  comes with the extra `mcp`

    if not isinstance(instance, str) or (matcher := _matcher(pattern)) is None:
        return
    try:
        matcher.validate_python(instance)
    except ValidationError:
        yield Mismatch("does not match")


@lru_cache(maxsize=500)
def _matcher(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None
