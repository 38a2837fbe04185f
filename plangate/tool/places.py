"""Find the author's function, its return annotation, and its file and line for error messages."""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any, NoReturn, get_type_hints

from plangate.domain.errors import ToolInvalid


def plain_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function in a partial, a bound method, a callable object or a chain of wrappers."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = getattr(type(function), "__call__", function)  # noqa: B004  on the class
    return getattr(function, "__func__", function)


def returned_by(function: Callable[..., Any]) -> Any:
    """Return a function's return annotation, or None."""
    return get_type_hints(plain_function(function)).get("return")


def source_location(function: Callable[..., Any]) -> str:
    """Return the file and line of a function: ``refunds.py:12``."""
    plain = plain_function(function)
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        return str(getattr(function, "__module__", "") or type(function).__name__)
    return f"{shown(code.co_filename)}:{code.co_firstlineno}"


def shown(file: str) -> str:
    """Return the path of a file; if it is below the working directory, relative to that."""
    path = Path(file)
    with suppress(ValueError, OSError):
        path = path.relative_to(Path.cwd())
    return str(path)


def refuse(function: Callable[..., Any], name: str, problem: str) -> NoReturn:
    """Raise an error that explains what is wrong with the tool ``name``.

    Raises:
        ToolInvalid: always.
    """
    raise ToolInvalid(f"{source_location(function)}: the tool {name} cannot be used: {problem}")
