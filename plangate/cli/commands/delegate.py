"""`delegate`: delegate some of your roles to another person for a limited time, or end a delegation."""

from __future__ import annotations

import asyncio

import click

from plangate.cli import console, delegating, options
from plangate.cli.exits import WrongUsage
from plangate.domain.decisions import delegations


@click.command()
@click.option("--to", metavar="NAME", help="Who may act for you.")
@click.option("--roles", metavar="ROLES", help="The roles to delegate, separated by commas.")
@click.option(
    "--until",
    metavar="TIME",
    help="When it ends: a date or time (2026-12-24, UTC), or a duration: 14d. At most 90 days.",
)
@options.own_name
@options.why
@click.option("--end", is_flag=True, help="End every delegation to that person.")
@click.option("--list", "list_all", is_flag=True, help="Only show the current delegations.")
@options.as_json
def delegate(
    *,
    to: str | None,
    roles: str | None,
    until: str | None,
    by: str | None,
    reason: str,
    end: bool,
    list_all: bool,
    as_json: bool,
) -> int:
    """Delegate some of your roles to another person for a limited time.

    The policy lists the roles that may be delegated (delegable). A delegation needs the proof of identity
    that the rules about the role require. A delegated role cannot be delegated further. Decisions made on
    your behalf are marked as such.

    Exit 0: accepted, or stored by Temporal because no worker is running. Exit 3: refused, with the reason.
    """
    here = console.open_console(as_json=as_json)
    if list_all:
        if any((to, roles, until, by, reason, end)):
            raise WrongUsage("--list takes no other option: it only shows the current delegations.")
        return asyncio.run(delegating.show_delegations(here))
    if to is None or by is None:
        raise WrongUsage(
            "Give your own name with --by and the other person's with --to; --list shows the delegations."
        )
    if end and (roles is not None or until is not None):
        raise WrongUsage("--end ends every delegation to that person; leave out --roles and --until.")
    if not end and (roles is None or until is None):
        raise WrongUsage(
            "Give the roles with --roles and the end with --until, or end every delegation with --end."
        )
    action = delegations.DelegationAction.END if end else delegations.DelegationAction.LEND
    order = delegating.made_delegation_request(action, by=by, to=to, roles=roles, until=until, reason=reason)
    return asyncio.run(delegating.send(here, order))
