"""Arguments and options that several commands share. Imports few modules, because ``--help`` uses it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer


def not_empty(value: str | None) -> str | None:
    """Return the typed id; an empty id usually comes from a shell variable that is not set.

    Raises:
        BadParameter: it is empty.
    """
    if value is not None and not value.strip():
        raise typer.BadParameter("the id is empty")
    return value


RunId = Annotated[
    str,
    typer.Argument(metavar="ID", show_default=False, help="The run's workflow id.", callback=not_empty),
]
By = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="NAME",
        show_default=False,
        help="Your name. The requester may reject or request changes, but not approve.",
    ),
]
OptionalBy = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", show_default=False, help="Your name for decisions; asked for if omitted."
    ),
]
OwnName = Annotated[
    str | None, typer.Option("--by", metavar="NAME", show_default=False, help="Your own name.")
]
Why = Annotated[
    str, typer.Option("--reason", metavar="TEXT", show_default=False, help="The reason, which is recorded.")
]
Requester = Annotated[
    str | None,
    typer.Option(
        "--requester",
        metavar="NAME",
        show_default="the operating system's user",
        help="Who submits the request; they may not approve its plan.",
    ),
]
PlanPrefix = Annotated[
    str | None,
    typer.Option(
        "--plan",
        metavar="PREFIX",
        show_default=False,
        help="The fingerprint of the plan that you saw: at least its first 8 digits. "
        "If omitted on a terminal, the plan is shown and you are asked to confirm.",
    ),
]
Replaces = Annotated[
    str | None,
    typer.Option(
        "--replaces",
        metavar="PREFIX",
        show_default=False,
        help="The fingerprint of the plan that you replace: at least its first 8 digits. "
        "If omitted on a terminal, the changes are shown and you are asked to confirm.",
    ),
]
StepNumber = Annotated[
    int | None,
    typer.Option("--step", metavar="N", min=1, show_default=False, help="The number of the held step."),
]
HoldNumber = Annotated[
    int,
    typer.Option(
        "--hold",
        metavar="N",
        min=1,
        help="The number of the hold to resolve, as shown by the status command.",
    ),
]
Comment = Annotated[
    str,
    typer.Option(
        "--comment",
        metavar="TEXT",
        show_default=False,
        help="A comment; request-changes, skip and mark_done require one.",
    ),
]
When = Annotated[
    str,
    typer.Argument(
        metavar="TIME", show_default=False, help="A date or time (2026-05-03T12:00, UTC), or an age: 7d."
    ),
]
OptionalFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]", show_default=False, help="The file; default: PLANGATE_POLICY or PLANGATE_PEOPLE."
    ),
]
WebKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--web-key",
        metavar="KEY",
        show_default=False,
        help="A public key of a web server that may attest logins; repeatable.",
    ),
]
Origins = Annotated[
    list[str] | None,
    typer.Option(
        "--origin",
        metavar="URL",
        show_default=False,
        help="An origin where passkeys may have been used, such as https://plangate.example.org; repeatable.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", show_default=False, help="A date (2026-05-03), or an age: 7d."),
]
KeyOwner = Annotated[
    str, typer.Argument(show_default=False, help="The owner of the key, as named in the list of people.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON value.")]


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


PAGE: Final = 100
SortOption = Annotated[Sorted, typer.Option("--sort", help="The order of the list.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Show at most N; 0 for all.")]
SkipOption = Annotated[int, typer.Option("--skip", min=0, metavar="N", help="Skip the first N.")]
