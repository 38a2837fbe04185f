"""The commands, and `main`, which parses the command line and ends with the exit code.

To add a command, write a function in `plangate.cli.commands` and add a line to `_COMMANDS`. `main` runs
it in one error handler, which turns every error into one sentence.
"""

import gc
import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import Final, NoReturn

import click

from plangate import __version__
from plangate.cli.answer import detect_json_option
from plangate.cli.exits import Exit, WrongUsage, end_with, fill_closed_streams, guarded
from plangate.cli.lazy import LazyCommand
from plangate.own_python import ALLOCATIONS
from plangate.presentation.program_name import program, set_program
from plangate.process_end import end_process

_HERE: Final = "plangate.cli.commands"


def _command(name: str, function: str, help_line: str, *, needs_application: bool = False) -> LazyCommand:
    return LazyCommand(name, f"{_HERE}.{function}", help_line, needs_application=needs_application)


class _Group(click.Group):
    """A group whose help lists the commands in their own order."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  the order is always the same
        """Return the names of the commands."""
        return list(self.commands)


def _group(
    name: str, help_line: str, *commands: LazyCommand, alone: LazyCommand | None = None
) -> click.Group:
    """Return a group of commands; without a subcommand, it runs the command ``alone``."""

    @click.pass_context
    def run_alone(context: click.Context) -> int:
        if alone is None or context.invoked_subcommand:
            return Exit.DONE
        with alone.make_context(alone.name, [], context) as own:
            return int(own.command.invoke(own))

    return _Group(
        name,
        commands=commands,
        callback=run_alone,
        help=help_line,
        invoke_without_command=alone is not None,
        no_args_is_help=False,
    )


_VERIFY_BUNDLE: Final = _command("verify-bundle", "verify_bundle:verify_bundle", "Verify a bundle offline.")

_COMMANDS: Final = (
    _command("demo", "demo:demo", "Run an end-to-end demo (about ten seconds).", needs_application=True),
    _command("start", "start:start", "Start a run, and wait for its plan."),
    _command("status", "status:status", "Show a run: its state, plan and decisions."),
    _command(
        "pending", "pending:pending", "List the runs that need a decision: in review, or held at a step."
    ),
    _command("approve", "decide:approve", "Approve exactly one plan of a run."),
    _command("withdraw-approval", "decide:withdraw_approval", "Withdraw your approval of a plan."),
    _command("reject", "decide:reject", "Reject a plan, which ends its run."),
    _command("request-changes", "decide:request_changes", "Ask for another revision of a plan."),
    _command("edit", "edit:edit", "Replace the plan in review with your own version."),
    _command("resolve", "resolve:resolve", "Resolve a held run."),
    _command("withdraw", "withdraw:withdraw", "Withdraw a run."),
    _command("watch", "watch:watch", "Watch a run to its end; on a terminal, ask for the decision."),
    _command("stop", "stop:stop", "Stop every step, or every step of one tool, before it starts."),
    _command("go", "stop:go", "Release a stop, so that steps can start again."),
    _command("serve", "serve:serve", "Run the inbox until Ctrl-C or SIGTERM."),
    _command(
        "delegate", "delegate:delegate", "Delegate some of your roles to another person for a limited time."
    ),
    _command("away", "away:away", "Set the end of your absence; until then your messages go to others."),
    _command("tools", "tools:tools", "List the tools that plans can use.", needs_application=True),
    _command(
        "check-tool", "check_tool:check_tool", "Test a tool's declared retry safety by killing its process."
    ),
    _command("sign", "sign:sign", "Print a signed decision for the Web UI or Temporal's CLI."),
    _VERIFY_BUNDLE,
    _group(
        "policy",
        "Check a policy, and see what it requires of a plan.",
        _command("check", "policy:check", "Check a policy: print its rules, or every error (exit 2)."),
        _command("as-of", "policy:as_of", "Print the policy that was in effect at a given time."),
        _command("explain", "policy:explain", "Show what each rule of a policy requires of a plan."),
    ),
    _group(
        "people",
        "Check the list of people; confirm and revoke keys.",
        _command("as-of", "people:as_of", "Print the list of people that was in effect at a given time."),
        _command("check", "people:check", "Check a list of people: print it, or every error (exit 2)."),
        _command("confirm", "enrol:confirm", "Confirm that a proposed key belongs to a person."),
        _command("invite", "invite:invite", "Print a link that a person can use to propose a passkey."),
        _command(
            "revoke-key",
            "enrol:revoke_key",
            "Revoke a person's key now, for example after a device was lost.",
        ),
    ),
    _group(
        "notify",
        "Send and test notices; list undelivered ones.",
        _command("test", "notify:try_one", "Send one notice to a person now, and print the result."),
        _command("failures", "notify:failed", "List the notices that could not be delivered."),
        alone=_command("run", "notify:run", "Send notices until Ctrl-C or SIGTERM."),
    ),
    _group(
        "keys",
        "Manage the keys that sign decisions.",
        _command("new", "keys:new", "Generate a key pair, and print the public key for the list of people."),
        _command("list", "keys:list_all", "List the private keys on this machine."),
        _command("seal", "keys:seal", "Print the public key that verifies this host's seals."),
        _command("web", "keys:web", "Print the public key that verifies this host's login attestations."),
    ),
    _group(
        "audit",
        "Show, verify and export the audit trail.",
        _command("show", "audit:show", "Print the audit trail of a run."),
        _command("list", "audit:list_runs", "List the recorded runs, a page at a time."),
        _command("verify", "audit:verify", "Verify that no record was changed."),
        _command("deciders", "deciders:deciders", "Show how fast each person decided."),
        _command(
            "checkpoint", "audit:checkpoint", "Print the newest checkpoint, to store on another system."
        ),
        _command("export", "audit:export", "Write the evidence of one run, or of a period, into one file."),
        _VERIFY_BUNDLE,
    ),
)


@click.group(
    cls=_Group,
    commands=_COMMANDS,
    subcommand_metavar="COMMAND [ARGS]...",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused, 130 interrupted.",
)
@click.version_option(__version__, message="plangate %(version)s", help="Print the version and exit.")
@click.pass_context
def root(context: click.Context) -> None:
    """Plangate: human approval for AI agents.

    An agent proposes a plan; nothing runs until the right people have approved exactly that plan.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        context.exit(Exit.USAGE)


def every_command(
    group: click.Group = root, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Import every command, and yield each with the words that invoke it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, (*path, name))
        elif isinstance(command, LazyCommand):
            yield " ".join((*path, name)), command.load()


def main() -> int:
    """Run the command that was typed and return its exit code."""
    fill_closed_streams()
    detect_json_option(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    return guarded(_parse_and_act)


def _parse_and_act() -> int:
    if any("\udc80" <= char <= "\udcff" for word in sys.argv[1:] for char in word):
        raise WrongUsage("The command line is not UTF-8 text; use a UTF-8 terminal, or put it into a file.")
    try:
        with root.make_context(program(), sys.argv[1:]) as context:
            return int(root.invoke(context))
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else program()
        hint = f"see {command} --help"
        if isinstance(error, click.NoSuchOption):
            hint += f", or write an id that begins with - after --, as in {command} -- -ID"
        return end_with(f"{_what_is_wrong(error)}; {hint}.", Exit.USAGE)


def _what_is_wrong(error: click.UsageError) -> str:
    """Return Click's message without its punctuation, because a hint follows."""
    if isinstance(error, (click.NoSuchOption, click.exceptions.NoSuchCommand)) and error.possibilities:
        return f"{error.message.rstrip('.')} (did you mean {' or '.join(error.possibilities)}?)"
    return error.format_message().rstrip(".")


def installed() -> NoReturn:
    """Run the console script `plangate`."""
    gc.set_threshold(ALLOCATIONS)
    set_program("plangate")
    end_process(main())
