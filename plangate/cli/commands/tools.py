"""`tools`: the tools that plans can use."""

from __future__ import annotations

import click

from plangate.cli import application, console, environment, options
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import escaping
from plangate.presentation import lists


@click.command()
@click.argument("name", default="", help="Only the tool with this name.")
@options.as_json
def tools(name: str, *, as_json: bool) -> int:
    """List the tools that plans can use.

    The tools that you added come first. Each line says where a tool comes from, what it can do, which setting
    is missing, and which arguments it takes.
    """
    screen = console.open_console(as_json=as_json).screen
    listed = application.listed_tools()
    found = [one for one in lists.own_first(listed) if name in ("", one.declaration.name)]
    if name and not found:
        known = ", ".join(sorted(one.declaration.name for one in listed))
        raise WrongUsage(f"There is no tool {escaping.one_line(name)}; the tools are: {known}{_not_set()}.")
    if screen.is_json:
        screen.print_json([lists.tool_as_json(one) for one in found])
    else:
        screen.show(lists.tools_page(found))
    return Exit.DONE


def _not_set() -> str:
    return "" if environment.settings_for_people().tools else " (PLANGATE_TOOLS is not set here)"
