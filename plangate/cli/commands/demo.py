"""`demo`: an end-to-end run in which a worker is killed; `plangate.cli.demo` runs it."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, options
from plangate.cli.demo import runner
from plangate.cli.exits import WrongUsage


@click.command()
@click.option("--interactive", is_flag=True, help="Pause for the decision, and ask in this terminal.")
@options.as_json
def demo(*, interactive: bool, as_json: bool) -> int:
    """Run an end-to-end demo (about ten seconds).

    Exit 0: every effect happened exactly once. Exit 1: something failed.
    """
    here = console.open_console(as_json=as_json)
    if interactive and not here.screen.can_ask:
        raise WrongUsage(
            "--interactive needs a terminal, and this is not one; run it in one, or leave it out."
        )
    return asyncio.run(runner.run_demo(here, interactive=interactive))
