"""`demo`: an end-to-end run in which a worker is killed; `plangate.cli.demo` runs it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from plangate.cli import console
from plangate.cli.demo import runner
from plangate.cli.exits import WrongUsage
from plangate.cli.options import AsJson


def demo(
    *,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Pause for the decision, and ask in this terminal.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run an end-to-end demo (about ten seconds).

    Exit 0: every effect happened exactly once. Exit 1: something failed.
    """
    here = console.open_console(as_json=as_json)
    if interactive and not here.screen.can_ask:
        raise WrongUsage(
            "--interactive needs a terminal, and this is not one; run it in one, or leave it out."
        )
    return asyncio.run(runner.run_demo(here, interactive=interactive))
