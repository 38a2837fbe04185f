"""The group `audit` of the command line: as thin as `starter.py`, which adds it."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from plangate.cli.exits import Act
from plangate.cli.options import PAGE, AsJson, LimitOption, PageOptions, RunId, SkipOption, Sorted, SortOption

audit_app = typer.Typer(help="What is on the record, and proof of it.")


@audit_app.command("show")
def audit_show(run: RunId, *, as_json: AsJson = False) -> Act:
    """Print the audit trail of a run.

    Like all of audit, it is read from the records; neither a worker nor a Temporal server is needed.
    """
    from plangate.cli.auditing import show_trail  # noqa: PLC0415  imported when it is asked for

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
    sort: SortOption = Sorted.NEWEST,
    limit: LimitOption = PAGE,
    skip: SkipOption = 0,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> Act:
    """List the runs on the record, a page at a time."""
    from plangate.cli.auditing import list_runs  # noqa: PLC0415  imported when it is asked for

    page = PageOptions(sort, limit, skip)
    return partial(list_runs, page, since=since, by=by, state=state, as_json=as_json, as_csv=as_csv)


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

    It finds and names every edit, gap, swap, foreign entry and missing run. Exit 0: nothing was changed.
    Exit 1: there are findings, or the records could not be examined.
    """
    from plangate.cli.auditing import verify  # noqa: PLC0415  imported when it is asked for

    return partial(verify, run, checkpoint=checkpoint, as_json=as_json)


@audit_app.command("checkpoint")
def audit_checkpoint(*, as_json: AsJson = False) -> Act:
    """Print the newest checkpoint, to be kept elsewhere.

    It is JSON in any case, with --json on several lines. Where the records are put back to an older state
    later, `audit verify --checkpoint FILE` finds out.
    """
    from plangate.cli.auditing import print_checkpoint  # noqa: PLC0415  imported when it is asked for

    return partial(print_checkpoint, as_json=as_json)


@audit_app.command("export")
def audit_export(
    run: RunId,
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False, help="Else standard output."),
    ] = None,
    as_json: AsJson = False,
) -> Act:
    """Write the evidence of one run into one file.

    It is for somebody without access to these records, who examines it by `audit verify-bundle`. The file is
    JSON in any case; with --output, --json prints what was written.
    """
    from plangate.cli.auditing import export  # noqa: PLC0415  imported when it is asked for

    return partial(export, run, output=output, as_json=as_json)


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
    approved one. Exit 0: no findings. Exit 1: findings, or the list of people cannot be used. Exit 2: FILE
    cannot be read as a bundle, or a key is malformed.
    """
    from plangate.cli.verifying import verify_bundle  # noqa: PLC0415  imported when it is asked for

    return partial(
        verify_bundle,
        file,
        sealers=tuple(sealer or ()),
        people=people,
        allow_unsealed=allow_unsealed,
        as_json=as_json,
    )
