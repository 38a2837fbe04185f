"""A tool in the list of the command `tools`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.plurals import counted

BUILT_IN: Final = "built in"
"""The origin of the tools that come with Plangate."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool with its origin, and its abilities with the settings of this process.

    Attributes:
        declaration: the declaration of the tool.
        origin: `BUILT_IN`, or the file and line of its function.
        lacks: a description of the missing setting or library; empty if nothing is missing.
        has_preview: whether it has its own preview.
        has_precondition: whether it has a precondition.
        settles_within: how long to look up the outcome of an accepted call; None for tools without this
            look-up.
    """

    declaration: ToolDeclaration
    origin: str
    lacks: str = ""
    has_preview: bool = False
    has_precondition: bool = False
    settles_within: timedelta | None = None


def unavailable_tools_warning(names: Iterable[str]) -> str:
    """List in one line the tools with a missing setting, and how to see it; empty if there are none."""
    lacking = sorted(names)
    if not lacking:
        return ""
    are, lack = ("is", "it lacks") if len(lacking) == 1 else ("are", "each lacks")
    return (
        f"{counted(len(lacking), 'tool')} {are} not offered, because {lack} a setting or a library: "
        f"{', '.join(lacking)}. See what is missing with: starter.py tools"
    )
