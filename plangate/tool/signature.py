"""Check a tool's functions, and create its arguments model from its main function's signature."""

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, cast, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic_core import SchemaError, ValidationError

from plangate.domain.plans.normalization import normalized_type
from plangate.domain.plans.tool import REASON_ARGUMENT, Reference, ToolArguments
from plangate.domain.validation import faults_in
from plangate.tool.places import plain_function, refuse

KEY: Final = "idempotency_key"
Amount = Annotated[Decimal, Field(gt=0, decimal_places=2)]
"""An amount of money greater than 0, in a currency with two decimal places; 42.5 becomes 42.50."""
_NOT_JSON: Final = {
    "uniqueItems": "JSON has no sets; use list or tuple",
    "writeOnly": "a secret must not be in a plan; read it from the environment in the function",
}


class Referable:
    """Marks an argument that may be a reference: ``number: Annotated[int, Referable]``.

    Its value may then come from the receipt of an earlier step. The function gets the plain value. Never mark
    amounts, recipients or hosts, because the approver must see these.
    """


class FunctionArguments(ToolArguments):
    """The base class of arguments models that are created from signatures; normalizes defaults too."""

    model_config = ConfigDict(validate_default=True)


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a function: a step's arguments, and whether it takes the idempotency key."""

    arguments: type[ToolArguments]
    wants_key: bool


def check_kind(function: Callable[..., Any], name: str) -> None:
    """Check that a value is a function that does its work when it is called.

    Raises:
        ToolInvalid: it is a class, another value, or a generator, whose code would not run.
    """
    if isinstance(function, (staticmethod, classmethod, property)):
        refuse(plain_function(function), name, "decorate a plain function, or a bound method.")
    if isinstance(function, type) or not callable(function):
        refuse(function, name, "decorate a function, not a class or a value.")
    plain = plain_function(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        refuse(function, name, "it is a generator; return a value instead of yielding.")


def parameters_of(function: Callable[..., Any], name: str) -> Mapping[str, inspect.Parameter]:
    """Return the parameters with resolved annotations, without the parameters that a partial has set.

    Raises:
        ToolInvalid: a parameter cannot be passed by its name, its type cannot be resolved, or the key is not
            a str.
    """
    try:
        parameters = inspect.signature(function).parameters
        hints = get_type_hints(plain_function(function), include_extras=True)
    except (TypeError, ValueError) as error:
        refuse(function, name, f"its signature cannot be read ({error}).")
    except NameError as error:
        refuse(function, name, f"a type in its signature is unknown ({error}); define it at module level.")
    found = {}
    for parameter in parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            star = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
            refuse(
                function,
                name,
                f"a plan cannot contain {star}{parameter.name}; name each argument, with its type.",
            )
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            refuse(function, name, f"{parameter.name} can only be passed by position; remove the '/'.")
        if parameter.name in _preset(function):
            continue
        annotation = hints.get(parameter.name, parameter.annotation)
        if parameter.name == KEY and annotation not in (str, inspect.Parameter.empty):
            refuse(function, name, f"{KEY} must be str.")
        found[parameter.name] = parameter.replace(annotation=annotation)
    return found


def signature_of(function: Callable[..., Any], name: str, described: Mapping[str, str]) -> Signature:
    """Return the signature of a tool's function.

    Args:
        function: the function, as written by its author.
        name: the name of the tool.
        described: the argument descriptions in the docstring.

    Raises:
        ToolInvalid: an argument cannot be part of a plan.
    """
    fields: dict[str, Any] = {}
    parameters = dict(parameters_of(function, name))
    wants_key = parameters.pop(KEY, None)
    for parameter in parameters.values():
        _check_name(function, name, parameter)
        fields[parameter.name] = _field(function, name, parameter, described.get(parameter.name, ""))
    title = "".join(part.capitalize() for part in name.split("_")) + "Arguments"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Field name .* shadows an attribute")
            model = create_model(title, __base__=FunctionArguments, __module__=__name__, **fields)
        model.model_json_schema()
    except (PydanticUserError, SchemaError, TypeError, ValueError, NameError) as error:
        refuse(function, name, f"its arguments cannot be declared: {_first_line(error)}")
    return Signature(model, wants_key is not None)


def _check_name(function: Callable[..., Any], name: str, parameter: inspect.Parameter) -> None:
    argument = parameter.name
    if argument == REASON_ARGUMENT:
        refuse(function, name, f"'{REASON_ARGUMENT}' is reserved for the reason of a step; rename it.")
    if argument in ("self", "cls") and parameter.annotation is inspect.Parameter.empty:
        refuse(
            function,
            name,
            f"it is a method without a bound {argument}; create an instance and decorate its method: "
            f"{name} = tool(Thing().{name}).",
        )
    if argument.startswith(("_", "model_")):
        refuse(function, name, f"an argument cannot be called {argument}; rename it.")
    if parameter.annotation in (inspect.Parameter.empty, Any, object):
        refuse(
            function,
            name,
            f"the argument {argument} has no type that a plan can be checked against; write one, for example "
            f"{argument}: str.",
        )


def _field(
    function: Callable[..., Any], name: str, parameter: inspect.Parameter, described: str
) -> tuple[Any, FieldInfo]:
    """Return the type and the field of one argument."""
    default = parameter.default
    info = default if isinstance(default, FieldInfo) else None
    annotation = _annotation(parameter.annotation, info)
    explicit = [one for one in (*_metadata(parameter.annotation), info) if isinstance(one, FieldInfo)]
    if any(one.alias or one.validation_alias or one.serialization_alias for one in explicit):
        refuse(function, name, f"the argument {parameter.name} has an alias; use one name.")
    _check_type(function, name, parameter.name, annotation)
    options: dict[str, Any] = {}
    if info is not None:
        options = {one: getattr(info, one) for one in ("title", "examples", "description")}
        options = {one: value for one, value in options.items() if value is not None}
        if not info.is_required():
            options["default"] = info.get_default(call_default_factory=True, validated_data={})
    elif default is not inspect.Parameter.empty:
        options["default"] = default
    if described and not any(one.description for one in explicit):
        options["description"] = described
    if "default" in options:
        options["default"] = _checked_default(function, name, parameter.name, annotation, options["default"])
    return annotation, cast("FieldInfo", Field(**options))


def _annotation(annotation: Any, info: FieldInfo | None) -> Any:
    """Return the type for the model: normalized, and with a reference if the author allows one."""
    metadata = [*_metadata(annotation), *(info.metadata if info is not None else ())]
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    is_referable = any(one is Referable or isinstance(one, Referable) for one in metadata)
    kept = [one for one in metadata if one is not Referable and not isinstance(one, Referable)]
    if not is_referable or Reference in get_args(plain):
        return normalized_type(plain, kept)
    described = [one for one in kept if isinstance(one, FieldInfo)]
    constraints = [part for one in kept for part in (one.metadata if isinstance(one, FieldInfo) else [one])]
    union = normalized_type(plain, constraints) | Reference
    return Annotated[(union, *map(_description_of, described))] if described else union


def _description_of(info: FieldInfo) -> FieldInfo:
    return cast("FieldInfo", Field(description=info.description))


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return tuple(get_args(annotation)[1:]) if get_origin(annotation) is Annotated else ()


def _check_type(function: Callable[..., Any], name: str, argument: str, annotation: Any) -> None:
    """Check that JSON can represent a type unambiguously."""
    try:
        schema = TypeAdapter(annotation).json_schema()
    except (PydanticUserError, SchemaError, TypeError, ValueError, NameError) as error:
        refuse(
            function,
            name,
            f"JSON cannot represent the argument {argument} ({_first_line(error)}); use text, numbers, lists "
            "or a pydantic model of them.",
        )
    for keyword, problem in _NOT_JSON.items():
        if _has(schema, keyword, value=True):
            refuse(function, name, f"JSON cannot represent the argument {argument}: {problem}.")
    if _has(schema, "format", "binary"):
        refuse(function, name, f"JSON cannot represent the argument {argument}: use str instead of bytes.")


def _has(schema: Any, keyword: str, value: object) -> bool:
    """Return whether a JSON schema has this keyword with this value anywhere."""
    if isinstance(schema, list):
        return any(_has(one, keyword, value) for one in schema)
    if not isinstance(schema, dict):
        return False
    return schema.get(keyword) == value or any(_has(one, keyword, value) for one in schema.values())


def _checked_default(
    function: Callable[..., Any], name: str, argument: str, annotation: Any, default: Any
) -> JsonValue:
    """Return the default value, and check that a plan could have this value."""
    adapter = TypeAdapter(annotation)
    try:
        as_json = adapter.dump_json(adapter.validate_python(default))
        adapter.validate_json(as_json, strict=True)
    except ValidationError as error:
        refuse(function, name, f"the default of {argument} is not valid: it {faults_in(error)[0].message}.")
    except (TypeError, ValueError) as error:
        refuse(function, name, f"JSON cannot represent the default of {argument} ({_first_line(error)}).")
    return cast("JsonValue", adapter.validate_python(default))


def _preset(function: Callable[..., Any]) -> frozenset[str]:
    """Return the arguments that a partial has set, which plans therefore cannot set."""
    names: set[str] = set()
    while isinstance(function, functools.partial):
        names |= function.keywords.keys()
        function = function.func
    return frozenset(names)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
