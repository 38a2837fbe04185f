"""`verify-bundle`: verify a bundle offline; it needs only the file.

The base package can do it: nothing here imports Temporal, a database or settings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from plangate.audit import evidence
from plangate.cli import public_keys, screen
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.options import AsJson, Origins, WebKeys
from plangate.policy import people_file
from plangate.presentation import bundle_pages, clock

_MAX_BYTES = 200_000_000


def verify_bundle(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="A file that audit export wrote.")
    ],
    *,
    sealer: Annotated[
        list[str] | None,
        typer.Option(
            "--sealer",
            metavar="KEY",
            show_default=False,
            help="A trusted public seal key; repeatable.",
        ),
    ] = None,
    people: Annotated[
        Path | None,
        typer.Option("--people", metavar="FILE", show_default=False, help="The trusted list of people."),
    ] = None,
    web_key: WebKeys = None,
    origin: Origins = None,
    allow_unsealed: Annotated[
        bool, typer.Option("--allow-unsealed", help="Accept entries that no checkpoint covers yet.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Verify a bundle offline.

    Checks the chain of entries, the order of events, signatures and seals, and that the plan that ran is the
    approved one. Exit 0: no findings. Exit 1: findings, or the list of people cannot be used. Exit 2: FILE is
    not a bundle, or a key is malformed.
    """
    shown = screen.open_screen(as_json=as_json)
    trusted = public_keys.read_public_keys(tuple(sealer or ()))
    web = public_keys.read_trusted_web(web_key or (), origin or ())
    bundle = _read(file)
    known = people_file.read_people(people) if people else None
    findings = [
        finding
        for finding in evidence.bundle_findings(bundle, trusted=trusted, people=known, web=web)
        if not (allow_unsealed and finding.is_unsealed)
    ]
    keys = evidence.with_keys_of(bundle, known, web) if known else None
    notes = evidence.bundle_notes(bundle, keys, clock.now()) if keys and not findings else ()
    if shown.is_json:
        lists = {"findings": findings, "notes": notes}
        shown.print_json(
            {"workflow_id": bundle.workflow_id}
            | {name: [finding.model_dump() for finding in found] for name, found in lists.items()}
        )
    elif findings:
        shown.show(bundle_pages.findings_page(findings, "The bundle is not valid"))
    else:
        shown.show(
            bundle_pages.bundle_page(bundle, is_trusted=bool(trusted), has_people=known is not None, web=web)
        )
        shown.show(bundle_pages.notes_page(notes, people))
    return Exit.FAILED if findings else Exit.DONE


def _read(path: Path) -> evidence.Bundle:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WrongUsage(f"The bundle {path} cannot be opened: {error.strerror}.") from None
    if len(content) > _MAX_BYTES:
        raise WrongUsage(f"The bundle {path} has more than {_MAX_BYTES:,} bytes.")
    try:
        return evidence.read_bundle(content)
    except (ValueError, RecursionError):
        raise WrongUsage(f"The file {path} is not a bundle that `audit export` wrote.") from None
