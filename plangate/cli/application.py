"""What the application that starts this command line brings along: its tools.

The package alone has no tools. `starter.py` registers those of its worker, so that plans and policies are
checked before anything is sent, and `tools` has something to list.
"""

from collections.abc import Callable, Mapping

from plangate.domain.errors import OperatorError
from plangate.domain.tool import ToolDeclaration

Declarations = Callable[[], Mapping[str, ToolDeclaration]]
_registered: list[Declarations] = []


def register_tools(declarations: Declarations) -> None:
    """Let commands use what ``declarations`` returns; it is called by commands that need it alone."""
    _registered[:] = [declarations]


def has_tools() -> bool:
    """Whether an application registered its tools."""
    return bool(_registered)


def declared_tools() -> Mapping[str, ToolDeclaration]:
    """Return what each tool of the application declares, by its name.

    Raises:
        OperatorError: no application started this command line.
    """
    if not _registered:
        raise OperatorError(
            "This command needs the tools of the worker, which the package alone does not have; run it with "
            "python starter.py in the folder of the worker."
        )
    return _registered[0]()
