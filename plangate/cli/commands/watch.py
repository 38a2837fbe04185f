"""`watch`: follow a run to its end."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, options, watching


@click.command()
@options.run_id
@options.optional_by
@options.as_json
def watch(workflow_id: str, *, by: str | None, as_json: bool) -> int:
    """Watch a run to its end; on a terminal, ask for the decision.

    Exit 0: the plan was executed. Exit 1: it failed, expired, was rejected or withdrawn.
    """
    return asyncio.run(_watch(console.open_console(as_json=as_json), workflow_id, by))


async def _watch(here: console.Console, workflow_id: str, by: str | None) -> int:
    async with here.connected() as session:
        return await watching.watch_to_the_end(session, workflow_id, by)
