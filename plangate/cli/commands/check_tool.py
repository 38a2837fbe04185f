"""`check-tool`: test whether a tool's declarations are correct."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from plangate.cli import exits, options
from plangate.cli import screen as screens
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors, plurals
from plangate.presentation import table
from plangate.testing.promises import check, examine, messages


@click.command()
@click.argument("tool", metavar="MODULE:NAME", help="The tool: its class or function.")
@click.option(
    "--arguments", metavar="JSON", default="{}", show_default="{}", help="The arguments of every call."
)
@click.option(
    "--count",
    metavar="MODULE:NAME",
    default="",
    help="A function that returns how many effects there are so far.",
)
@options.as_json
def check_tool(tool: str, *, arguments: str, count: str, as_json: bool) -> int:
    """Test a tool's declared retry safety by killing its process.

    The process is killed before, during and after the call, and another process takes over. The checks have
    about twenty real effects: run them against a sandbox. Without --count, effects are not counted, and
    checks that need the count are skipped.
    """
    setting = messages.Setting(
        tool=_named(tool),
        arguments=_arguments(arguments),
        count=_named(count) if count else "",
        path=(str(Path.cwd()),),
    )
    screen = screens.open_screen(as_json=as_json)
    with examine.Examination() as examination:
        try:
            found = examination.load(setting)
        except errors.OperatorError as error:
            raise WrongUsage(str(error)) from error
        checks = list(examination.checks())
    broken = [one for one in checks if one.result is check.Result.FAILED]
    if screen.is_json:
        screen.print_json(
            {
                "tool": found.name,
                "retry_safety": found.retry_safety.value,
                "passed": not broken,
                "checks": [one.model_dump(mode="json") for one in checks],
            }
        )
    else:
        _show(screen, found, checks)
    return Exit.FAILED if broken else Exit.DONE


def _show(screen: screens.Screen, tool: messages.LoadResult, checks: list[check.Check]) -> None:
    rows = [(one.name, _word(one.result), one.seen) for one in checks]
    seen = table.Column("seen", is_text=True)
    screen.out.print(table.Table((table.Column("check", is_text=True), "result", seen), rows))
    broken = sum(one.result is check.Result.FAILED for one in checks)
    left = sum(one.result is check.Result.NOT_CHECKED for one in checks)
    made = plurals.counted(len(checks) - left, "check")
    verdict = f"failed {broken} of {made}" if broken else f"passed {made}"
    rest = f"; {plurals.counted(left, 'check')} could not be run" if left else ""
    screen.say("")
    screen.say(f"{tool.name} {verdict}{rest}. Retry safety: {tool.retry_safety}.")


def _word(result: check.Result) -> str:
    return "FAILED" if result is check.Result.FAILED else result.value


def _named(where: str) -> str:
    module, colon, name = where.partition(":")
    if not (module and colon and name):
        raise WrongUsage(
            f"'{exits.fit(where)}' is not the name of a tool; write MODULE:NAME, as in refunds:refund."
        )
    return where


def _arguments(text: str) -> dict[str, Any]:
    """Return the arguments; ``Any`` is a JSON value."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WrongUsage(f"--arguments is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise WrongUsage('--arguments must be one JSON object, as in \'{"payment": "pay_1"}\'.')
    return found
