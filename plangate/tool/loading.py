"""Find tools from other packages: those in the settings, and those that installed packages declare.

A module is imported in this process, so only an operator may specify one. Each error in a tool or its import
is reported in one sentence.
"""

import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from plangate.domain.errors import ToolInvalid
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import ToolDeclaration
from plangate.settings import Settings
from plangate.tool.decorator import ToolFunction
from plangate.tool.function_tool import FunctionTool
from plangate.tool.places import shown
from plangate.tool.protocols import Tool, ToolClass

GROUP: Final = "plangate.tools"
SETTING: Final = "PLANGATE_TOOLS"
_LONGEST_CAUSE: Final = 300


@dataclass(frozen=True, slots=True)
class Found:
    """A tool that can be built, and a description of its origin."""

    tool: ToolClass
    origin: str


@dataclass(frozen=True, slots=True)
class _Ready:
    """A tool object that needs no settings."""

    tool: Tool

    @property
    def declaration(self) -> ToolDeclaration:
        return self.tool.declaration

    def from_settings(self, settings: Settings) -> Tool:  # noqa: ARG002  the protocol of registered tools
        return self.tool


def named_tools(names: Iterable[str]) -> list[Found]:
    """Return the tools in ``PLANGATE_TOOLS``: all tools in each ``module``, and each ``module:name``.

    Modules in the working directory are found too.

    Raises:
        ToolInvalid: one of them cannot be imported, has no tool, or has a tool that cannot be used.
    """
    names = tuple(names)
    if names:
        add_working_directory()
    return [found for name in names for found in tools_of(name, SETTING)]


def add_working_directory() -> None:
    """Add the working directory to Python's search path."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # last, so that no module here shadows a package


def installed_tools() -> list[Found]:
    """Return the tools of the installed packages that have the entry point ``plangate.tools``.

    Raises:
        ToolInvalid: one of them cannot be imported, has no tool, or has a tool that cannot be used.
    """
    points = sorted(entry_points(group=GROUP), key=lambda one: (one.name, one.value))
    return [found for point in points for found in tools_of(point.value, _package_of(point))]


def tools_of(name: str, by: str) -> list[Found]:
    """Return all tools of a ``module``, or the tool ``module:name``.

    Args:
        name: the name of the module or the tool.
        by: the setting or package that refers to it, for error messages.

    Raises:
        ToolInvalid: the module cannot be imported, has no tool, or has a tool that cannot be used.
    """
    module_name, _, attribute = name.partition(":")
    module = imported(module_name, by)
    if attribute:
        if not hasattr(module, attribute):
            raise ToolInvalid(
                f"{by} refers to {name}, but {module_name} has no {attribute}; correct the name."
            )
        things = {attribute: getattr(module, attribute)}
    else:
        things = dict(vars(module))
    found = list(_tools_among(things, module))
    if not found:
        raise ToolInvalid(
            f"{by} refers to {name}, which has no tool ({_file_of(module)}); decorate a function with @tool, "
            "or give its class from_settings."
        )
    return found


def imported(name: str, by: str) -> ModuleType:
    """Import a module that a setting or a package refers to.

    Raises:
        ToolInvalid: the module cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ToolInvalid:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ToolInvalid(
                f"{by} refers to {name}, but there is no such module; put {name.partition('.')[0]}.py into "
                f"{Path.cwd()}, install its package, or correct the name."
            ) from None
        raise ToolInvalid(_cannot_be_imported(name, by, error)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001  the module may raise anything during its import
        raise ToolInvalid(_cannot_be_imported(name, by, error)) from None


def _cannot_be_imported(name: str, by: str, error: BaseException) -> str:
    said = cut(one_line(str(error)), _LONGEST_CAUSE)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename
    ]
    if isinstance(error, SyntaxError):
        at, said = f"{shown(error.filename or name)}:{error.lineno}", str(error.msg)
    else:
        at = f"{shown(frames[-1].filename)}:{frames[-1].lineno}" if len(frames) > 1 else name
    kind = type(error).__name__
    return (
        f"{at}: {by} refers to {name}, which cannot be imported ({kind}{': ' if said else ''}{said}); fix it."
    )


def _tools_among(things: dict[str, Any], module: ModuleType) -> Iterator[Found]:
    """Yield each tool once, even if it has several names."""
    seen: set[int] = set()
    for thing in things.values():
        found = _as_tool(thing, module)
        if found is not None and id(thing) not in seen:
            seen.add(id(thing))
            yield found


def _as_tool(thing: Any, module: ModuleType) -> Found | None:
    if isinstance(thing, ToolFunction):
        thing.declaration  # noqa: B018  raises if its parts do not fit together
        return Found(cast("ToolClass", thing), thing.place)
    if isinstance(thing, FunctionTool):  # derived from a tool that is also found
        return None
    try:
        is_declared = isinstance(getattr(thing, "declaration", None), ToolDeclaration)
    except Exception:  # noqa: BLE001  an object of that module need not be a tool
        return None
    if not is_declared:
        return None
    if callable(getattr(thing, "from_settings", None)):
        return Found(thing, _file_of(module))
    if isinstance(thing, type):  # only its instances may be tools
        return None
    if all(hasattr(thing, one) for one in ("objection", "act", "find_out")):
        return Found(_Ready(thing), _file_of(module))
    raise ToolInvalid(
        f"{_file_of(module)}: the tool {thing.declaration.name} cannot be used: it does not have objection, "
        "act or find_out; add them."
    )


def _file_of(module: ModuleType) -> str:
    return shown(getattr(module, "__file__", None) or module.__name__)


def _package_of(point: EntryPoint) -> str:
    distribution = point.dist.name if point.dist is not None else "an installed package"
    return f"The entry point {point.name} of {distribution}"
