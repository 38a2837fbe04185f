"""Arguments and options that commands of several groups share. Light: ``--help`` imports it."""

from pathlib import Path
from typing import Annotated

import typer

RunId = Annotated[str, typer.Argument(metavar="ID", show_default=False, help="The run's workflow id.")]
MaybeFile = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", show_default=False, help="The file; else as set.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value, for machines.")]
