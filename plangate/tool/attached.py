"""The functions that a tool's author attaches, such as preview, observe and undo.

The names of a function's parameters select the values that it gets: the tool's own arguments, and the values
in the table below. Any other name is an error, even if it has a default, because it is probably misspelt.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue

from plangate.domain.plans.tool import Receipt
from plangate.tool.looked_up import LOOK_UPS, check_look_up
from plangate.tool.places import plain_function, refuse
from plangate.tool.signature import KEY, check_kind, parameters_of

OFFERED: Final[Mapping[str, tuple[str, ...]]] = {
    "preview": ("observation",),
    "objection": (),
    "observe": (),
    "still_holds": ("seen", "now", "receipts"),
    "undo": ("receipt", KEY),
    "find_out": (KEY,),
    "find_out_undo": ("receipt", KEY),
    "find_settlement": ("receipt", KEY),
    "lacks": (),
}
"""The values that each attached function may ask for in addition to the tool's arguments."""

_PLAIN: Final = ("preview", "objection", "still_holds", "lacks")  # these must not be async


@dataclass(frozen=True, slots=True)
class Attached:
    """One attached function, with the annotations of the values that it asks for."""

    function: Callable[..., Any]
    asks: Mapping[str, Any]

    def values(self, arguments: BaseModel | None, **offered: Any) -> dict[str, Any]:
        """Return the arguments and the other values that the function asks for."""
        return {
            name: _as_annotated(offered[name], annotation) if name in offered else getattr(arguments, name)
            for name, annotation in self.asks.items()
        }


def attach(kind: str, tool: str, arguments: type[BaseModel], function: Callable[..., Any]) -> Attached:
    """Return a function attached to a tool as its ``kind``.

    Raises:
        ToolInvalid: it is not a function, it asks for something that the tool does not have, it is async
            although it must only compute, or it is a look-up that returns bool.
    """
    name = f"{tool} ({kind})"
    check_kind(function, name)
    own = () if kind == "lacks" else tuple(arguments.model_fields)
    offered = OFFERED[kind]
    # One function may be attached for two kinds, and use the default of a parameter for one of them.
    passed = {*arguments.model_fields, *chain.from_iterable(OFFERED.values())}
    asks: dict[str, Any] = {}
    for parameter in parameters_of(function, name).values():
        if parameter.name in offered and parameter.name in own:
            refuse(function, name, f"{parameter.name} is an argument of {tool} too; rename that argument.")
        if parameter.name in offered or parameter.name in own:
            asks[parameter.name] = parameter.annotation
        elif parameter.default is inspect.Parameter.empty or parameter.name not in passed:
            refuse(function, name, _not_passed(parameter.name, (*own, *offered)))
    if kind in _PLAIN and inspect.iscoroutinefunction(plain_function(function)):
        refuse(function, name, "it must not be async; write def instead of async def.")
    if kind in LOOK_UPS:
        check_look_up(function, name)
    return Attached(function, asks)


def _not_passed(parameter: str, known: Sequence[str]) -> str:
    close = get_close_matches(parameter, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    return f"it asks for {parameter}; it can ask for: {', '.join(known) or 'nothing'}{hint}"


def _as_annotated(value: Any, annotation: Any) -> Any:
    """Return a receipt or an observation in the type of the function's annotation: a model, or JSON."""
    plain: JsonValue | Receipt = value
    wanted = _class_in(annotation)
    if not inspect.isclass(wanted) or isinstance(value, str):
        return plain
    if isinstance(value, Receipt):
        if issubclass(wanted, Receipt) or not issubclass(wanted, (BaseModel, Mapping)):
            return value
        plain = value.details
    if issubclass(wanted, BaseModel) and plain is not None:
        return wanted.model_validate(plain, strict=False)
    return plain


def _class_in(annotation: Any) -> Any:
    """Return the class in an annotation: dict in ``dict[str, str]``, Refund in ``Refund | None``."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _class_in(annotation.__origin__)
    if origin in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return _class_in(parts[0]) if len(parts) == 1 else annotation
    return origin or annotation
