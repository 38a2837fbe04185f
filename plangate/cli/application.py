"""The parts that the starting application adds to the command line: its tools and its worker.

The package itself has neither. `starter.py` registers the tools of its worker. The command line checks plans
and policies against these tools before it sends anything, and `tools` lists them. Imports little: ``--help``
uses it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from plangate.domain.errors import OperatorError

if TYPE_CHECKING:
    from plangate.domain.plans.tool import ToolDeclaration
    from plangate.tool.listing import ListedTool

Declarations: TypeAlias = "Callable[[], Mapping[str, ToolDeclaration]]"
Listing: TypeAlias = "Callable[[], Sequence[ListedTool]]"
_registered: list[tuple[Declarations, Listing]] = []


def register_tools(declarations: Declarations, listing: Listing) -> None:
    """Register the functions that return the tools; only commands that need tools call them."""
    _registered[:] = [(declarations, listing)]


def has_tools() -> bool:
    """Whether an application registered its tools."""
    return bool(_registered)


def require_application() -> None:
    """Check that an application started this command line.

    Raises:
        OperatorError: only the package was started, without an application.
    """
    if not _registered:
        raise OperatorError(
            "This command needs the worker's tools, which the package alone does not have; run it as "
            "`python starter.py …` in the folder of the worker."
        )


def declared_tools() -> "Mapping[str, ToolDeclaration]":
    """Return the declaration of each of the application's tools, by name.

    Raises:
        OperatorError: only the package was started, without an application.
    """
    require_application()
    return _registered[0][0]()


def listed_tools() -> "Sequence[ListedTool]":
    """Return the tools of the application, each with its origin and missing settings.

    Raises:
        OperatorError: only the package was started, without an application, or a tool cannot be used.
    """
    require_application()
    return _registered[0][1]()
