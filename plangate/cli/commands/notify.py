"""`notify`: send notices, send a single one as a test, and list those that could not be delivered."""

from __future__ import annotations

import asyncio

import click

from plangate import settings
from plangate.cli import console, options
from plangate.cli.exits import Exit, WrongUsage
from plangate.logs import setup
from plangate.notifications import failures, notifier_process, trial_notice
from plangate.records import deliveries


@click.command()
def run() -> int:
    """Send notices until Ctrl-C or SIGTERM, instead of the workers.

    Set PLANGATE_NOTICES=off for the workers. If several processes run, one sends and the others wait.
    """
    loaded = settings.load_settings()
    setup.configure_logs(loaded)
    setup.warn_of_unknown_variables()
    asyncio.run(notifier_process.run_alone(loaded))
    return Exit.DONE


@click.command()
@click.argument("name", help="The person, or a role as role:NAME.")
@options.as_json
def try_one(name: str, *, as_json: bool) -> int:
    """Send one notice to a person now, and print the result.

    It goes to each of their addresses. Exit 1: an address did not accept it.
    """
    here = console.open_console(as_json=as_json)
    with here.records() as database:
        found = asyncio.run(trial_notice.try_addresses(here.settings, database, name))
        if not found:
            raise WrongUsage(trial_notice.why_no_address(database, name))
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in found])
    for one in found:
        here.screen.say(str(one))
    return Exit.DONE if all(one.is_sent for one in found) else Exit.FAILED


@click.command()
@options.as_json
def failed(*, as_json: bool) -> int:
    """List the notices that could not be delivered.

    The newest notices come first. The list includes notices that are being retried or wait for the hourly
    limit.
    """
    here = console.open_console(as_json=as_json)
    with here.records() as database, database.read() as connection:
        found = [failures.undelivered_notice(one) for one in deliveries.undelivered(connection)]
    if here.screen.is_json:
        here.screen.print_json([one.model_dump(mode="json") for one in found])
    elif not found:
        here.screen.say("Every notice has been delivered, or will be sent when it is due.")
    for one in found:
        here.screen.say(f"{one.run}: {one}" if one.run else str(one))
    return Exit.DONE
