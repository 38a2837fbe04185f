"""Arguments and options that commands of several groups share. Light: ``--help`` imports it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

RunId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The run's workflow id.")]
MaybeFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]", show_default=False, help="The file; default: PLANGATE_POLICY or PLANGATE_PEOPLE."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for machines.")]


class Sorted(StrEnum):
    """The order of a list."""

    DEADLINE = "deadline"
    NEWEST = "newest"
    OLDEST = "oldest"
    ID = "id"


@dataclass(frozen=True, slots=True)
class PageOptions:
    """Which page of a list, in which order; ``limit`` 0 is all of it."""

    sort: Sorted
    limit: int
    skip: int


PAGE: Final = 100
SortOption = Annotated[Sorted, typer.Option("--sort", help="The order of the list.")]
LimitOption = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="Show at most N; 0 for all.")]
SkipOption = Annotated[int, typer.Option("--skip", min=0, metavar="N", help="Skip the first N.")]
