"""The command line. Thin: it parses, hands over to `console`, and ends with the exit code that comes back.

Each command returns what is to be done; `main` does it, under the one guard that turns every error into one
sentence. Nothing slow is imported before a command is known, so that ``--help`` answers at once.
"""

import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from plangate.own_python import use_own_python

use_own_python()

import typer

from console.exits import Act, Exit, WrongUsage, fill_closed_streams, guarded, told
from plangate import __version__
from plangate.process_end import end_process

if TYPE_CHECKING:
    from console.deciding import DecisionOrder

PROGRAM: Final = "python starter.py"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # rich's own help costs a tenth of a second
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 interrupted.",
)

policy_app, people_app, keys_app, audit_app = (
    typer.Typer(help=words)
    for words in (
        "Check a policy, and see what it makes of a plan.",
        "Check the list of people.",
        "Keys to sign decisions with.",
        "What is on the record, and proof of it.",
    )
)
for _name, _group in {
    "policy": policy_app,
    "people": people_app,
    "keys": keys_app,
    "audit": audit_app,
}.items():
    app.add_typer(_group, name=_name)

RunId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The run's workflow id.")]
MaybeFile = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", show_default=False, help="The file; else as set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for machines.")]
By = Annotated[
    str, typer.Option("--by", metavar="NAME", show_default=False, help="Who decides; not the requester.")
]
MaybeBy = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", show_default=False, help="Who decides here; asked for otherwise."),
]
PlanPrefix = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="PREFIX",
        show_default=False,
        help="The fingerprint of the plan that you saw, or its first 8 digits or more. "
        "Without it, on a terminal, the plan is shown and you are asked.",
    ),
]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", show_default=False, help="In your words.")]


@app.callback(invoke_without_command=True)
def plangate(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> Act | None:
    """Plangate: a gate between AI agents and the world.

    Nothing that an agent plans happens before the right people have approved exactly that.
    """
    if version:
        typer.echo(f"plangate {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(Exit.USAGE)
    return None


@app.command()
def demo(
    *,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Stop at the gate, and ask in this terminal.")
    ] = False,
) -> Act:
    """Tell the whole story by itself, in under a minute.

    Exit 0 means that every effect happened exactly once; 1 that something did not hold.
    """
    from console.demo.story import tell  # noqa: PLC0415  imported when it is asked for

    return partial(tell, interactive=interactive)


@app.command()
def start(
    text: Annotated[
        str,
        typer.Argument(
            show_default=False, help="What you want done, in plain words; - reads standard input."
        ),
    ] = "",
    *,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", show_default=False, help="A ready plan, JSON or YAML."),
    ] = None,
    workflow_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", show_default=False, help="The run's id; made up otherwise."),
    ] = None,
    requester: Annotated[
        str | None,
        typer.Option("--requester", metavar="NAME", show_default="you, by the operating system"),
    ] = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="TIME", help="How long people may take: 72h, 30m, 7d, 1h30m.")
    ] = "72h",
    by: MaybeBy = None,
    watch: Annotated[bool, typer.Option("--watch", help="Watch it to its end, and ask at the gate.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return at once, without waiting for the plan.")
    ] = False,
    as_json: AsJson = False,
) -> Act:
    """Hand in a request, and wait for its plan.

    Exit 0: the plan is there (with --watch: it was executed). Exit 1: it could not be drafted (with --watch:
    or was not executed). Exit 2: the request or the plan file is wrong. Exit 3: the id is taken.
    """
    from console import starting  # noqa: PLC0415  imported when it is asked for

    order = starting.StartOrder(
        text=text,
        plan_file=plan,
        workflow_id=workflow_id,
        requester=requester,
        timeout=timeout,
        by=by,
        watch=watch,
        wait=not no_wait,
        as_json=as_json,
    )
    return partial(starting.start, order)


@app.command()
def status(run: RunId, *, as_json: AsJson = False) -> Act:
    """Show where a run stands, and all that it will do.

    It answers while no worker runs too, and after Temporal has dropped the run; its last line says who did.
    """
    from console.looking import show_status  # noqa: PLC0415  imported when it is asked for

    return partial(show_status, run, as_json=as_json)


@app.command()
def pending(*, as_json: AsJson = False) -> Act:
    """List the runs that wait for a decision."""
    from console.looking import show_pending  # noqa: PLC0415  imported when it is asked for

    return partial(show_pending, as_json=as_json)


@app.command()
def approve(
    run: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
) -> Act:
    """Approve exactly one plan of a run.

    Exit 0: accepted, or sent durably where no worker runs to judge it now. Exit 3: refused, and why.
    """
    return _decide("approve", run, by=by, plan=plan, comment=comment, as_json=as_json)


@app.command()
def reject(
    run: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
) -> Act:
    """Reject a plan, which ends its run. Exit codes as for approve."""
    return _decide("reject", run, by=by, plan=plan, comment=comment, as_json=as_json)


@app.command()
def request_changes(
    run: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
) -> Act:
    """Ask for another revision of a plan.

    --comment says what to change. Exit codes as for approve.
    """
    return _decide("request_changes", run, by=by, plan=plan, comment=comment, as_json=as_json)


@app.command()
def withdraw(
    run: RunId,
    *,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", show_default="you, by the operating system"),
    ] = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> Act:
    """Take a request back. A step that is running is finished first. Exit 3: the run has ended already."""
    from console.deciding import withdraw as act  # noqa: PLC0415  imported when it is asked for

    return partial(act, run, by=by, comment=comment, as_json=as_json)


@app.command()
def watch(run: RunId, *, by: MaybeBy = None, as_json: AsJson = False) -> Act:
    """Watch a run to its end; on a terminal, ask at the gate.

    Exit 0: the plan was executed. Exit 1: it failed, expired, was rejected or withdrawn.
    """
    from console.watching import watch as act  # noqa: PLC0415  imported when it is asked for

    return partial(act, run, by=by, as_json=as_json)


@app.command()
def tools(*, as_json: AsJson = False) -> Act:
    """List what the steps of a plan can do."""
    from console.looking import show_tools  # noqa: PLC0415  imported when it is asked for

    return partial(show_tools, as_json=as_json)


@app.command()
def sign(
    run: RunId,
    choice: Annotated[
        str,
        typer.Argument(metavar="DECISION", show_default=False, help="approve, reject or request-changes."),
    ],
    *,
    by: By,
    plan: PlanPrefix = None,
    comment: Comment = "",
) -> Act:
    """Print a signed decision, to be sent by another door.

    It is signed with the key that `keys new` made for that name, and fits into the Web UI's Send a Signal and
    Temporal's command line. Only the JSON goes to standard output.
    """
    from console.deciding import print_signed  # noqa: PLC0415  imported when it is asked for

    word = choice.replace("-", "_")
    if word not in ("approve", "reject", "request_changes"):
        raise WrongUsage(f"No decision is called {choice!r}; there are approve, reject and request-changes.")
    return partial(print_signed, _order(word, run, by=by, plan=plan, comment=comment, as_json=False))


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
    from console.keys import new_key  # noqa: PLC0415  imported when it is asked for

    return partial(new_key, name, with_passphrase=passphrase, as_json=as_json)


@keys_app.command("list")
def keys_list(*, as_json: AsJson = False) -> Act:
    """List the private keys that are here."""
    from console.keys import list_keys  # noqa: PLC0415  imported when it is asked for

    return partial(list_keys, as_json=as_json)


@keys_app.command("seal")
def keys_seal(*, as_json: AsJson = False) -> Act:
    """Print the public key that seals the trail on this host.

    Auditors name it to know whose seals to believe: PLANGATE_SEALERS, or --sealer.
    """
    from console.keys import show_seal_key  # noqa: PLC0415  imported when it is asked for

    return partial(show_seal_key, as_json=as_json)


@policy_app.command("check")
def policy_check(file: MaybeFile = None, *, as_json: AsJson = False) -> Act:
    """Check a policy: print its rules, or every fault (exit 2)."""
    from console.rules import check_policy  # noqa: PLC0415  imported when it is asked for

    return partial(check_policy, file, as_json=as_json)


@policy_app.command("explain")
def policy_explain(
    *,
    plan: Annotated[Path, typer.Option("--plan", metavar="FILE", show_default=False, help="JSON or YAML.")],
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
    from console.rules import explain_policy  # noqa: PLC0415  imported when it is asked for

    return partial(
        explain_policy, plan, policy_path=policy, request=request, requester=requester, as_json=as_json
    )


@people_app.command("check")
def people_check(file: MaybeFile = None, *, as_json: AsJson = False) -> Act:
    """Check a list of people: print it, or every fault (exit 2)."""
    from console.rules import check_people  # noqa: PLC0415  imported when it is asked for

    return partial(check_people, file, as_json=as_json)


@audit_app.command("show")
def audit_show(run: RunId, *, as_json: AsJson = False) -> Act:
    """Print the audit trail of a run.

    Like all of audit, it is read from the records; neither a worker nor a Temporal server is needed.
    """
    from console.auditing import show_trail  # noqa: PLC0415  imported when it is asked for

    return partial(show_trail, run, as_json=as_json)


@audit_app.command("list")
def audit_list(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="WHEN", show_default=False, help="A day (2026-05-03), or 7d: so long."
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", show_default=False, help="Requested or decided on by."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", show_default=False, help="Such as executed, or in_review."),
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> Act:
    """List all runs that were ever on the record."""
    from console.auditing import list_runs  # noqa: PLC0415  imported when it is asked for

    return partial(list_runs, since=since, by=by, state=state, as_json=as_json, as_csv=as_csv)


@audit_app.command("verify")
def audit_verify(
    run: Annotated[
        str | None, typer.Argument(metavar="[ID]", show_default=False, help="One run; else everything.")
    ] = None,
    *,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint", metavar="FILE", show_default=False, help="A checkpoint that was kept elsewhere."
        ),
    ] = None,
    as_json: AsJson = False,
) -> Act:
    """Examine whether the records are what was written.

    It finds and names every edit, gap, swap, foreign entry and missing run. Exit 0: they are what was
    written. Exit 1: they are not.
    """
    from console.auditing import verify  # noqa: PLC0415  imported when it is asked for

    return partial(verify, run, checkpoint=checkpoint, as_json=as_json)


@audit_app.command("checkpoint")
def audit_checkpoint() -> Act:
    """Print the newest checkpoint, to be kept elsewhere.

    Where the records are put back to an older state later, `audit verify --checkpoint FILE` finds out.
    """
    from console.auditing import print_checkpoint  # noqa: PLC0415  imported when it is asked for

    return print_checkpoint


@audit_app.command("export")
def audit_export(
    run: RunId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Else standard output."),
    ] = None,
) -> Act:
    """Write the evidence of one run into one file.

    It is for somebody without access to these records, who examines it by `audit verify-bundle`.
    """
    from console.auditing import export  # noqa: PLC0415  imported when it is asked for

    return partial(export, run, output=output)


@audit_app.command("verify-bundle")
def audit_verify_bundle(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="What export wrote.")],
    *,
    sealer: Annotated[
        list[str] | None,
        typer.Option(
            "--sealer",
            metavar="KEY",
            show_default=False,
            help="A public key whose seals to believe; repeatable.",
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option(
            "--people", metavar="FILE", show_default=False, help="The list of people whose keys to believe."
        ),
    ] = None,
    allow_unsealed: Annotated[
        bool, typer.Option("--allow-unsealed", help="Accept entries that no checkpoint covers yet.")
    ] = False,
    as_json: AsJson = False,
) -> Act:
    """Examine a bundle by itself, offline.

    The chain of entries, what follows from what, signatures and seals, and that the plan that ran is the
    approved one. Exit 0: it proves what it says. Exit 1: it does not.
    """
    from console.auditing import verify_bundle  # noqa: PLC0415  imported when it is asked for

    return partial(
        verify_bundle,
        file,
        sealers=tuple(sealer or ()),
        people=people,
        allow_unsealed=allow_unsealed,
        as_json=as_json,
    )


def _decide(choice: str, run: str, *, by: str, plan: str | None, comment: str, as_json: bool) -> Act:
    from console.deciding import decide  # noqa: PLC0415  imported when it is asked for

    return partial(decide, _order(choice, run, by=by, plan=plan, comment=comment, as_json=as_json))


def _order(
    choice: str, run: str, *, by: str, plan: str | None, comment: str, as_json: bool
) -> "DecisionOrder":
    from console.deciding import DecisionOrder  # noqa: PLC0415  imported when it is asked for
    from plangate.domain.decision import Choice  # noqa: PLC0415  as above

    return DecisionOrder(
        workflow_id=run, choice=Choice(choice), by=by, plan=plan, comment=comment, as_json=as_json
    )


def main() -> int:
    """Run the command that was typed and return its exit code."""
    fill_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return guarded(_parse_and_act)


def _parse_and_act() -> int:
    if any("\udc80" <= char <= "\udcff" for word in sys.argv[1:] for char in word):
        raise WrongUsage("What was typed is not UTF-8 text; use a UTF-8 terminal, or put it into a file.")
    try:
        act = app(prog_name=PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else PROGRAM
        message = error.format_message().rstrip(".")
        return told(f"{message}; see {command} --help.", Exit.USAGE)
    if act == Exit.INTERRUPTED:  # how Typer says that Ctrl-C came while it parsed
        raise KeyboardInterrupt
    if callable(act):
        return int(act())
    return act if isinstance(act, int) else Exit.DONE


if __name__ == "__main__":
    end_process(main())
