"""`stop` and `go`: stop steps before they start, and release the stop."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, options, stop_requests
from plangate.cli.exits import WrongUsage
from plangate.domain.decisions import decision
from plangate.domain.runs import stops

_tool = click.option("--tool", metavar="NAME", help="Only the steps of this tool.")


@click.command()
@_tool
@click.option("--reason", default="", help="The reason; others can see it.")
@options.own_name
@click.option("--list", "list_all", is_flag=True, help="Only show the active stops.")
@options.as_json
def stop(*, tool: str | None, reason: str, by: str | None, list_all: bool, as_json: bool) -> int:
    """Stop every step, or every step of one tool, before it starts.

    The stop takes effect within seconds, on all workers; a running step still finishes. Decisions are still
    accepted. The stop lasts until it is released with the command go.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    if list_all:
        if tool is not None or reason or by is not None:
            raise WrongUsage("--list takes no other option: it only shows the active stops.")
        return asyncio.run(stop_requests.show_stops(here))
    if by is None:
        raise WrongUsage("Give your own name with --by; --list shows the active stops.")
    if decision.is_empty_comment(reason):
        raise WrongUsage("Give the reason with --reason; others can see it.")
    order = stop_requests.made_stop_request(stops.StopAction.STOP, by=by, tool=tool, reason=reason)
    return asyncio.run(stop_requests.stop(here, order))


@click.command()
@click.option("--by", metavar="NAME", required=True, help="Your own name.")
@_tool
@click.option(
    "--stop",
    "number",
    type=options.AtLeast(1),
    help="The number of the stop that you saw. If omitted on a terminal, it is shown and you are asked.",
)
@click.option("--reason", default="", help="The reason for the release.")
@options.as_json
def go(*, by: str, tool: str | None, number: int | None, reason: str, as_json: bool) -> int:
    """Release a stop, so that steps can start again.

    By default two people on the list have to release it; the person who requested the stop may be one of
    them. Without a list of people, one person is enough. Exit codes as for stop.
    """
    here = console.open_console(as_json=as_json)
    order = stop_requests.made_stop_request(
        stops.StopAction.GO, by=by, tool=tool, reason=reason, number=number or 1
    )
    return asyncio.run(stop_requests.go(here, order, is_named=number is not None))
