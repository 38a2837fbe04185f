"""Name the place of a function in its author's code, for the sentence that says what is wrong with it."""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn

from plangate.domain.errors import ToolInvalid


def plain_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function in a partial, a bound method, a callable object or a chain of wrappers."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = getattr(type(function), "__call__", function)  # noqa: B004  of its class, not of itself
    return getattr(function, "__func__", function)


def place_of(function: Callable[..., Any]) -> str:
    """Return ``refunds.py:12``, relative to the working directory if the file is below it."""
    plain = plain_function(function)
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        return str(getattr(plain, "__module__", "?"))
    path = Path(code.co_filename)
    with suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{code.co_firstlineno}"


def refuse(function: Callable[..., Any], name: str, problem: str) -> NoReturn:
    """Raise the sentence that says what is wrong with the tool ``name``.

    Raises:
        ToolInvalid: always.
    """
    raise ToolInvalid(f"{place_of(function)}: the tool {name} cannot be used: {problem}")
