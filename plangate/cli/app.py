"""The command line. Thin: it parses, hands over to `console`, and ends with the exit code that comes back.

Each command returns what is to be done; `main` does it, under the one guard that turns every error into one
sentence. Nothing slow is imported before a command is known, so that ``--help`` answers at once.
"""

import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from plangate import __version__
from plangate.cli.answer import expect_answer, only_the_answer
from plangate.cli.application import require_application
from plangate.cli.audit_commands import audit_app, audit_verify_bundle
from plangate.cli.exits import Act, Exit, WrongUsage, fill_closed_streams, guarded, told, usage_words
from plangate.cli.options import PAGE, AsJson, LimitOption, PageOptions, RunId, SkipOption, Sorted, SortOption
from plangate.cli.rule_commands import keys_app, people_app, policy_app
from plangate.presentation.program import call_it, program
from plangate.process_end import end_process

if TYPE_CHECKING:
    from plangate.cli.deciding import DecisionOrder

_DECISIONS: Final = "approve, withdraw-approval, reject or request-changes"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # rich's own help costs a tenth of a second
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 interrupted.",
)

for _name, _group in {
    "policy": policy_app,
    "people": people_app,
    "keys": keys_app,
    "audit": audit_app,
}.items():
    app.add_typer(_group, name=_name)

By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        show_default=False,
        help="Your name. The requester may reject or request changes, not approve.",
    ),
]
MaybeBy = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", show_default=False, help="Your name for decisions; asked for if left out."
    ),
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
Comment = Annotated[
    str,
    typer.Option(
        "--comment", metavar="TEXT", show_default=False, help="A comment; request-changes requires one."
    ),
]


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
    as_json: AsJson = False,
) -> Act:
    """Run an end-to-end demo (about ten seconds).

    Exit 0 means that every effect happened exactly once; 1 that something did not hold.
    """
    require_application()
    from plangate.cli.demo.story import tell  # noqa: PLC0415  imported when it is asked for

    return partial(tell, interactive=interactive, as_json=as_json)


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
        typer.Option(
            "--plan",
            metavar="FILE",
            show_default=False,
            help="A ready plan, JSON or YAML; - reads standard input.",
        ),
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
    """Start a run, and wait for its plan.

    Exit 0: the plan is there (with --watch: it was executed). Exit 1: it could not be drafted (with --watch:
    or was not executed). Exit 2: the request or the plan file is wrong. Exit 3: the id is taken.
    """
    from plangate.cli import starting  # noqa: PLC0415  imported when it is asked for

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
    from plangate.cli.looking import show_status  # noqa: PLC0415  imported when it is asked for

    return partial(show_status, run, as_json=as_json)


@app.command()
def pending(
    *,
    requester: Annotated[
        str | None,
        typer.Option("--requester", metavar="NAME", show_default=False, help="Only those of that requester."),
    ] = None,
    sort: SortOption = Sorted.DEADLINE,
    limit: LimitOption = PAGE,
    skip: SkipOption = 0,
    as_json: AsJson = False,
) -> Act:
    """List the runs that wait for a decision."""
    from plangate.cli.looking import show_pending  # noqa: PLC0415  imported when it is asked for

    page = PageOptions(sort, limit, skip)
    return partial(show_pending, page, requester=requester, as_json=as_json)


@app.command()
def approve(
    run: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
) -> Act:
    """Approve exactly one plan of a run.

    Exit 0: accepted, or sent durably where no worker runs to judge it now. Exit 3: refused, and why.
    """
    return _decide("approve", run, by=by, plan=plan, comment=comment, as_json=as_json)


@app.command()
def withdraw_approval(
    run: RunId, *, by: By, plan: PlanPrefix = None, comment: Comment = "", as_json: AsJson = False
) -> Act:
    """Take your own approval back.

    It can be taken back until the first step begins. Exit codes as for approve.
    """
    return _decide("withdraw_approval", run, by=by, plan=plan, comment=comment, as_json=as_json)


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
    """Withdraw a run. A step that is running is finished first. Exit 3: the run has ended already."""
    from plangate.cli.deciding import withdraw as act  # noqa: PLC0415  imported when it is asked for

    return partial(act, run, by=by, comment=comment, as_json=as_json)


@app.command()
def watch(run: RunId, *, by: MaybeBy = None, as_json: AsJson = False) -> Act:
    """Watch a run to its end; on a terminal, ask at the gate.

    Exit 0: the plan was executed. Exit 1: it failed, expired, was rejected or withdrawn.
    """
    from plangate.cli.watching import watch as act  # noqa: PLC0415  imported when it is asked for

    return partial(act, run, by=by, as_json=as_json)


@app.command()
def tools(*, as_json: AsJson = False) -> Act:
    """List what the steps of a plan can do."""
    from plangate.cli.looking import show_tools  # noqa: PLC0415  imported when it is asked for

    return partial(show_tools, as_json=as_json)


@app.command(short_help="Print a signed decision for the Web UI or Temporal's CLI.")
def sign(
    run: RunId,
    choice: Annotated[
        str,
        typer.Argument(
            metavar="DECISION",
            show_default=False,
            help=f"{_DECISIONS}.",
        ),
    ],
    *,
    by: By,
    plan: PlanPrefix = None,
    comment: Comment = "",
    as_json: AsJson = False,
) -> Act:
    """Print a signed decision for the Web UI or Temporal's CLI.

    It is signed with the key that `keys new` made for that name, and fits into the Web UI's Send a Signal and
    Temporal's command line. Only the JSON goes to standard output; --json leaves out the words beside it.
    """
    from plangate.cli.deciding import print_signed  # noqa: PLC0415  imported when it is asked for

    word = choice.replace("-", "_")
    if word not in ("approve", "withdraw_approval", "reject", "request_changes"):
        raise WrongUsage(f"No decision is called {choice!r}; type {_DECISIONS}.")
    return partial(print_signed, _order(word, run, by=by, plan=plan, comment=comment, as_json=as_json))


app.command("verify-bundle")(audit_verify_bundle)  # the short name; `audit verify-bundle` is the same


def _decide(choice: str, run: str, *, by: str, plan: str | None, comment: str, as_json: bool) -> Act:
    from plangate.cli.deciding import decide  # noqa: PLC0415  imported when it is asked for

    return partial(decide, _order(choice, run, by=by, plan=plan, comment=comment, as_json=as_json))


def _order(
    choice: str, run: str, *, by: str, plan: str | None, comment: str, as_json: bool
) -> "DecisionOrder":
    from plangate.cli.deciding import DecisionOrder  # noqa: PLC0415  imported when it is asked for
    from plangate.domain.decision import Choice  # noqa: PLC0415  as above

    return DecisionOrder(
        workflow_id=run, choice=Choice(choice), by=by, plan=plan, comment=comment, as_json=as_json
    )


def main() -> int:
    """Run the command that was typed and return its exit code."""
    fill_closed_streams()
    expect_answer(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return guarded(_parse_and_act)


def _typed_command() -> str:
    """Return the program and the command that was typed, for errors that do not say which it was."""
    groups = {group.name for group in app.registered_groups}
    typed = sys.argv[1:3] if sys.argv[1] in groups else sys.argv[1:2]
    return " ".join([program(), *(word for word in typed if not word.startswith("-"))])


def _parse_and_act() -> int:
    if any("\udc80" <= char <= "\udcff" for word in sys.argv[1:] for char in word):
        raise WrongUsage("What was typed is not UTF-8 text; use a UTF-8 terminal, or put it into a file.")
    try:
        act = app(prog_name=program(), standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else _typed_command()
        message = usage_words(error.format_message().rstrip("."))
        hint = f"see {command} --help"
        if message.startswith("No such option"):
            hint += f", or write an id that begins with - behind --, as in {command} -- -ID"
        return told(f"{message}; {hint}.", Exit.USAGE)
    if act == Exit.INTERRUPTED:  # how Typer says that Ctrl-C came while it parsed
        raise KeyboardInterrupt
    if callable(act):
        with only_the_answer():
            return int(act())
    return act if isinstance(act, int) else Exit.DONE


def installed() -> NoReturn:
    """Run the console script `plangate`."""
    call_it("plangate")
    end_process(main())
