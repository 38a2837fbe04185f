"""The groups `policy`, `people` and `keys` of the command line: as thin as `starter.py`, which adds them."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from plangate.cli.exits import Act
from plangate.cli.options import AsJson, MaybeFile

When = Annotated[
    str,
    typer.Argument(
        metavar="TIME", show_default=False, help="A day or time (2026-05-03T12:00, UTC), or 7d: so long ago."
    ),
]

policy_app = typer.Typer(help="Check a policy, and see what it makes of a plan.")
people_app = typer.Typer(help="Check the list of people.")
keys_app = typer.Typer(help="Keys to sign decisions with.")


@keys_app.command("new")
def keys_new(
    name: Annotated[
        str, typer.Argument(show_default=False, help="Whose key it is, as in the list of people.")
    ],
    *,
    passphrase: Annotated[bool, typer.Option("--passphrase", help="Protect it with a passphrase.")] = False,
    as_json: AsJson = False,
) -> Act:
    """Make a key pair, and print its public line for the list of people."""
    from plangate.cli.keys import new_key  # noqa: PLC0415  imported when it is asked for

    return partial(new_key, name, with_passphrase=passphrase, as_json=as_json)


@keys_app.command("list")
def keys_list(*, as_json: AsJson = False) -> Act:
    """List the private keys that are here."""
    from plangate.cli.keys import list_keys  # noqa: PLC0415  imported when it is asked for

    return partial(list_keys, as_json=as_json)


@keys_app.command("seal")
def keys_seal(*, as_json: AsJson = False) -> Act:
    """Print the public key that seals the trail on this host.

    Auditors name it to know whose seals to believe: PLANGATE_SEALERS, or --sealer.
    """
    from plangate.cli.keys import show_seal_key  # noqa: PLC0415  imported when it is asked for

    return partial(show_seal_key, as_json=as_json)


@policy_app.command("check")
def policy_check(file: MaybeFile = None, *, as_json: AsJson = False) -> Act:
    """Check a policy: print its rules, or every fault (exit 2)."""
    from plangate.cli.rules import check_policy  # noqa: PLC0415  imported when it is asked for

    return partial(check_policy, file, as_json=as_json)


@policy_app.command("as-of")
def policy_as_of(when: When, *, as_json: AsJson = False) -> Act:
    """Print the policy of that time, from the records."""
    from plangate.cli.rules import show_as_of  # noqa: PLC0415  imported when it is asked for

    return partial(show_as_of, "policy", when, as_json=as_json)


@people_app.command("as-of")
def people_as_of(when: When, *, as_json: AsJson = False) -> Act:
    """Print the list of people of that time, from the records."""
    from plangate.cli.rules import show_as_of  # noqa: PLC0415  imported when it is asked for

    return partial(show_as_of, "people", when, as_json=as_json)


@policy_app.command("explain")
def policy_explain(
    *,
    plan: Annotated[
        Path,
        typer.Option("--plan", metavar="FILE", show_default=False, help="JSON or YAML; - is standard input."),
    ],
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", show_default=False, help="Instead of PLANGATE_POLICY."),
    ] = None,
    request: Annotated[
        str, typer.Option("--request", metavar="TEXT", show_default=False, help="The request's words.")
    ] = "",
    requester: Annotated[
        str | None,
        typer.Option("--requester", metavar="NAME", show_default="you, by the operating system"),
    ] = None,
    as_json: AsJson = False,
) -> Act:
    """Show which rule asks for what in a plan."""
    from plangate.cli.rules import explain_policy  # noqa: PLC0415  imported when it is asked for

    return partial(
        explain_policy, plan, policy_path=policy, request=request, requester=requester, as_json=as_json
    )


@people_app.command("check")
def people_check(file: MaybeFile = None, *, as_json: AsJson = False) -> Act:
    """Check a list of people: print it, or every fault (exit 2)."""
    from plangate.cli.rules import check_people  # noqa: PLC0415  imported when it is asked for

    return partial(check_people, file, as_json=as_json)
