"""`serve`: run the inbox, its pages and the HTTP API."""

from __future__ import annotations

import asyncio

import click

from plangate import settings
from plangate.cli.exits import Exit
from plangate.logs import setup
from plangate.web import serving


@click.command()
@click.option("--while-stdin-is-open", is_flag=True, hidden=True)
def serve(*, while_stdin_is_open: bool) -> int:
    """Run the inbox until Ctrl-C or SIGTERM.

    PLANGATE_WEB_ADDRESS is the address to listen on, and PLANGATE_WEB_URL is the address that people type.
    """
    loaded = settings.load_settings()
    setup.configure_logs(loaded)
    setup.warn_of_unknown_variables()
    asyncio.run(serving.serve(loaded, is_a_child=while_stdin_is_open))
    return Exit.DONE
