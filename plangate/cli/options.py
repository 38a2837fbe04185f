"""Arguments and options that several commands share. Imports few modules, because ``--help`` uses it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

PAGE: Final = 100
PATH: Final = click.Path(path_type=Path, readable=False)  # the code that opens the file reports its errors
PATH.name = "file"  # as the help shows it


class AtLeast(click.IntRange):
    """A whole number with a minimum. ``Any`` is the text that was typed, or the default."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number.

        Raises:
            BadParameter: it is not a whole number, or too small.
        """
        try:
            number = int(value)
        except ValueError:
            self.fail("it must be a whole number", param, ctx)
        if self.min is not None and number < self.min:
            self.fail(f"it must be at least {self.min}", param, ctx)
        return number


def not_empty(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the typed id; an empty id usually comes from a shell variable that is not set.

    Raises:
        BadParameter: it is empty.
    """
    if value is not None and not value.strip():
        raise click.BadParameter("the id is empty")
    return value


def optional_run_id(help_line: str) -> Callable[[Function], Function]:
    """Return the argument of a command that needs no run."""
    return click.argument("workflow_id", metavar="[ID]", required=False, callback=not_empty, help=help_line)


run_id = click.argument("workflow_id", metavar="ID", callback=not_empty, help="The run's workflow id.")
by = click.option(
    "--by",
    metavar="NAME",
    required=True,
    help="Your name. The requester may reject or request changes, but not approve.",
)
optional_by = click.option("--by", metavar="NAME", help="Your name for decisions; asked for if omitted.")
own_name = click.option("--by", metavar="NAME", help="Your own name.")
why = click.option("--reason", default="", help="The reason, which is recorded.")
requester = click.option(
    "--requester",
    metavar="NAME",
    show_default="the operating system's user",
    help="Who submits the request; they may not approve its plan.",
)
plan_prefix = click.option(
    "--plan",
    metavar="PREFIX",
    help="The fingerprint of the plan that you saw: at least its first 8 digits. "
    "If omitted on a terminal, the plan is shown and you are asked to confirm.",
)
replaces = click.option(
    "--replaces",
    metavar="PREFIX",
    help="The fingerprint of the plan that you replace: at least its first 8 digits. "
    "If omitted on a terminal, the changes are shown and you are asked to confirm.",
)
step_number = click.option("--step", type=AtLeast(1), help="The number of the held step.")
hold_number = click.option(
    "--hold",
    type=AtLeast(1),
    default=1,
    show_default=True,
    help="The number of the hold to resolve, as shown by the status command.",
)
comment = click.option(
    "--comment", default="", help="A comment; request-changes, skip and mark_done require one."
)
when = click.argument("when", metavar="TIME", help="A date or time (2026-05-03T12:00, UTC), or an age: 7d.")
optional_file = click.argument(
    "file", type=PATH, required=False, help="The file; default: PLANGATE_POLICY or PLANGATE_PEOPLE."
)
web_keys = click.option(
    "--web-key",
    metavar="KEY",
    multiple=True,
    help="A public key of a web server that may attest logins; repeatable.",
)
origins = click.option(
    "--origin",
    metavar="URL",
    multiple=True,
    help="An origin where passkeys may have been used, such as https://plangate.example.org; repeatable.",
)
since = click.option("--since", metavar="WHEN", help="A date (2026-05-03), or an age: 7d.")
key_owner = click.argument("name", help="The owner of the key, as named in the list of people.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON value.")


class Sorted(StrEnum):
    """The order of a list."""

    DEADLINE = "deadline"
    NEWEST = "newest"
    OLDEST = "oldest"
    ID = "id"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The page of a list, and its order; ``limit`` 0 means the whole list."""

    sort: Sorted
    limit: int
    skip: int


_limit = click.option(
    "--limit", type=AtLeast(0), default=PAGE, show_default=True, help="Show at most N; 0 for all."
)
_skip = click.option("--skip", type=AtLeast(0), default=0, show_default=True, help="Skip the first N.")


def paged(order: Sorted) -> Callable[[Function], Function]:
    """Return a decorator that adds the options ``sort``, by default ``order``, ``limit`` and ``skip``."""
    choice = click.Choice(Sorted, case_sensitive=False)
    sort = click.option(
        "--sort", type=choice, default=order.value, show_default=True, help="The order of the list."
    )
    return lambda function: sort(_limit(_skip(function)))
