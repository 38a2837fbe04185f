"""`tools`: the tools that plans can use."""

from __future__ import annotations

from plangate.cli import application, console
from plangate.cli.exits import Exit
from plangate.cli.options import AsJson
from plangate.presentation import lists


def tools(*, as_json: AsJson = False) -> int:
    """List the tools that plans can use.

    For each: where it comes from, what it can do, what it lacks, and its arguments.
    """
    screen = console.open_console(as_json=as_json).screen
    if screen.is_json:
        screen.print_json([lists.tool_as_json(one) for one in application.listed_tools()])
    else:
        screen.show(lists.tools_page(application.listed_tools()))
    return Exit.DONE
