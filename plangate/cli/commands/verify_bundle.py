"""`verify-bundle`: verify a bundle offline; it needs only the file.

docs/howto-verify.md lists what it checks, and what it cannot check; `plangate.audit.evidence` checks one run,
`plangate.audit.period_check` a period. The base package suffices: nothing here imports Temporal, a database
or settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from plangate.audit import evidence, period, period_check
from plangate.cli import options, progress, public_keys, screen
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain.runs.findings import Finding
from plangate.policy import people_file
from plangate.presentation import bundle_pages, clock, period_page

_MAX_BYTES = 200_000_000
_LINES_BETWEEN = 20  # checked between two updates of the progress


@click.command()
@click.argument("file", type=options.PATH, help="A file written by audit export.")
@click.option("--sealer", metavar="KEY", multiple=True, help="A trusted public seal key; repeatable.")
@click.option("--people", type=options.PATH, help="The trusted list of people.")
@options.web_keys
@options.origins
@click.option("--allow-unsealed", is_flag=True, help="Accept entries that no checkpoint covers yet.")
@options.as_json
def verify_bundle(
    file: Path,
    *,
    sealer: tuple[str, ...],
    people: Path | None,
    web_key: tuple[str, ...],
    origin: tuple[str, ...],
    allow_unsealed: bool,
    as_json: bool,
) -> int:
    """Verify a bundle offline.

    Checks the chain of entries, the order of events, signatures and seals, and that each step began with the
    required approvals. For a period, also checks that no run was left out or added. It cannot check whether
    an effect happened, or whether the policy and the list of people were in effect. Exit 0: no findings. Exit
    1: findings, or the list of people cannot be used. Exit 2: FILE is not a bundle, or a key is malformed.
    """
    shown = screen.open_screen(as_json=as_json)
    trusted = public_keys.read_public_keys(sealer)
    web = public_keys.read_trusted_web(web_key, origin)
    known = people_file.read_people(people) if people else None
    with _opened(file) as (first, rest):
        if period_check.is_period(first):
            check = period_check.PeriodCheck(trusted=trusted, people=known, now=clock.now(), web=web)
            found = _findings_of(check, _lines(file, first, rest), shown, allow_unsealed=allow_unsealed)
            return _show_period(shown, check, found, people, is_trusted=bool(trusted))
        bundle = _bundle_in(file, first + rest.read(_MAX_BYTES + 1 - len(first)))
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


def _findings_of(
    check: period_check.PeriodCheck, lines: Iterator[bytes], shown: screen.Screen, *, allow_unsealed: bool
) -> list[Finding]:
    with progress.Progress(shown.err) as waiting:

        def noted() -> Iterator[bytes]:
            for number, line in enumerate(lines, start=1):
                if number % _LINES_BETWEEN == 0:
                    waiting.brief(f"line {number}")
                yield line

        return [one for one in check.findings(noted()) if not (allow_unsealed and one.is_unsealed)]


def _show_period(
    shown: screen.Screen,
    check: period_check.PeriodCheck,
    findings: list[Finding],
    people: Path | None,
    *,
    is_trusted: bool,
) -> int:
    if shown.is_json:
        opening = check.opening.model_dump(mode="json", include={"since", "until"}) if check.opening else {}
        lists = {"findings": findings, "notes": [] if findings else check.notes}
        shown.print_json(
            opening
            | {"totals": check.totals.model_dump(exclude={"line"})}
            | {name: [finding.model_dump() for finding in found] for name, found in lists.items()}
        )
    elif findings:
        shown.show(bundle_pages.findings_page(findings, "The evidence of this period is not valid"))
    else:
        shown.show(period_page.period_page(check, is_trusted=is_trusted))
        shown.show(bundle_pages.notes_page(check.notes, people))
    return Exit.FAILED if findings else Exit.DONE


@contextmanager
def _opened(path: Path) -> Iterator[tuple[bytes, BinaryIO]]:
    """Open a file for the duration of the block, and read its first line."""
    try:
        with path.open("rb") as file:
            yield file.readline(_MAX_BYTES + 1), file
    except OSError as error:
        raise WrongUsage(f"The bundle {path} cannot be opened: {error.strerror}.") from None


def _lines(path: Path, first: bytes, rest: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a period's file.

    Raises:
        WrongUsage: the file is larger than any that `audit export` writes.
    """
    size, line = 0, first
    while line:
        size += len(line)
        if size > period.MAX_BYTES or len(line) > period.MAX_LINE_BYTES:
            raise WrongUsage(
                f"The file {path} has more than {period.MAX_BYTES:,} bytes, or {period.MAX_LINE_BYTES:,} in "
                "one line; export the period in parts."
            )
        yield line
        line = rest.readline(period.MAX_LINE_BYTES + 1)


def _bundle_in(path: Path, content: bytes) -> evidence.Bundle:
    if len(content) > _MAX_BYTES:
        raise WrongUsage(f"The bundle {path} has more than {_MAX_BYTES:,} bytes.")
    try:
        return evidence.read_bundle(content)
    except (ValueError, RecursionError):
        raise WrongUsage(f"The file {path} is not a bundle that `audit export` wrote.") from None
