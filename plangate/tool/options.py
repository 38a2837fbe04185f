"""Check the options of `@tool`; errors contain the file and line of the decorated function."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from pydantic import BaseModel

from plangate.domain.plans.plan import MAX_TOOL_NAME, TOOL_NAME
from plangate.domain.plans.tool import LONGEST_ACTION, RetrySafety
from plangate.tool.places import refuse
from plangate.tool.returned import model_of

_LONGEST_DESCRIPTION: Final = 1_000  # valid in the APIs of all models


def written_name(function: Callable[..., Any]) -> str | None:
    """Return the name of the function in the author's code, or None."""
    while hasattr(function, "func"):  # a partial has no name
        function = function.func
    return getattr(function, "__name__", None)


def check_known(function: Callable[..., Any], given: Iterable[str], known: Collection[str]) -> None:
    """Check that `@tool` has these options."""
    for option in given:
        if option not in known:
            name = written_name(function) or type(function).__name__
            refuse(function, name, f"@tool has no option {option}; its options are: {', '.join(known)}.")


def checked_name(function: Callable[..., Any], name: object) -> str:
    """Return the tool's name: the option, or the function's name."""
    own = name if name is not None else written_name(function)
    if own is None:
        refuse(function, type(function).__name__, 'it has no name; give one: tool(…, name="…").')
    if not isinstance(own, str):
        refuse(function, written_name(function) or repr(own), f"name={own!r} must be text.")
    if not TOOL_NAME.fullmatch(own):
        refuse(
            function,
            own,
            f"its name is invalid; use a letter, then a-z, 0-9 and _, {MAX_TOOL_NAME} characters at most: "
            '@tool(name="…").',
        )
    return own


def checked_description(function: Callable[..., Any], name: str, given: object, docstring: str) -> str:
    """Return the tool's description: the option, or the first paragraph of the docstring."""
    if given is not None and not isinstance(given, str):
        refuse(function, name, f"description={given!r} must be text.")
    description = given or docstring
    if not description.strip():
        refuse(function, name, "it has no docstring; describe in one sentence what it does.")
    if len(description) > _LONGEST_DESCRIPTION:
        what = "its description" if given else "the first paragraph of its docstring"
        refuse(
            function,
            name,
            f"{what} has {len(description):,} characters; use at most {_LONGEST_DESCRIPTION:,}.",
        )
    return description


def checked_safety(function: Callable[..., Any], name: str, safety: object) -> RetrySafety | None:
    """Return the declared retry safety, or None."""
    if safety is None or isinstance(safety, RetrySafety):
        return safety
    named = {one.name.lower(): one for one in RetrySafety}
    if not isinstance(safety, str) or safety not in named:
        refuse(function, name, f"the retry safety {safety!r} is unknown; use one of: {', '.join(named)}.")
    return named[safety]


def checked_seconds(function: Callable[..., Any], name: str, seconds: object) -> int:
    """Return the time limit of one call."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_ACTION:
        refuse(function, name, f"seconds={seconds!r} must be a whole number from 1 to {LONGEST_ACTION}.")
    return seconds


def checked_receipt(function: Callable[..., Any], name: str, receipt: object) -> type[BaseModel] | None:
    """Return the declared model of the receipt's details, or None; a dict has no fields for references."""
    model = model_of(receipt)
    if receipt is not None and model is None:
        shown = receipt.__name__ if isinstance(receipt, type) else repr(receipt)
        refuse(
            function,
            name,
            f"receipt={shown} must be a pydantic model; if the function returns no model, remove receipt.",
        )
    return model


def checked_switch(function: Callable[..., Any], name: str, option: str, value: object) -> bool:
    """Return the value of a boolean option."""
    if not isinstance(value, bool):
        refuse(function, name, f"{option}={value!r} must be True or False.")
    return value


def checked_identifying(
    function: Callable[..., Any], name: str, identifying: object, arguments: Collection[str]
) -> tuple[str, ...]:
    """Return the names of the arguments that identify an effect."""
    if isinstance(identifying, str) or not isinstance(identifying, Sequence):
        refuse(function, name, f'identifying={identifying!r} must be names of arguments, as in ("payment",).')
    for one in identifying:
        if not isinstance(one, str) or one not in arguments:
            known = ", ".join(arguments) or "none"
            refuse(
                function, name, f"identifying contains {one!r}, which is not one of its arguments: {known}."
            )
    return tuple(identifying)
