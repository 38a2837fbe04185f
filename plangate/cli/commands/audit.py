"""`audit …`: read and verify the audit trail, without a worker or a Temporal server."""

from __future__ import annotations

import csv
import json
import secrets
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from plangate.audit import evidence, inspection, recorded_bundle, trust_anchors
from plangate.cli import console, moments, options, paging, period_files, progress, public_keys
from plangate.cli.exits import Exit, WrongUsage
from plangate.domain import errors, escaping, plurals
from plangate.domain.decisions import accesses
from plangate.domain.people import trusted_web
from plangate.domain.runs import audit as events
from plangate.domain.runs import checkpoint as checkpoints
from plangate.domain.runs import run, settlements
from plangate.files import durable_file
from plangate.policy import people_file
from plangate.presentation import audit_pages, bundle_pages, clock, trail_page
from plangate.records import accesses as recorded_accesses
from plangate.records import checkpoints as seals
from plangate.records import database as databases
from plangate.records import queries
from plangate.signing import checkpoints as signed_checkpoints
from plangate.signing import key_files, trusted_keys
from plangate.signing import public_keys as public

_PAUSE = 0.3  # seconds


@click.command()
@options.run_id
@options.as_json
def show(workflow_id: str, *, as_json: bool) -> int:
    """Print the audit trail of a run.

    Like all audit commands, it reads the records and does not need a worker or Temporal server.
    """
    here = console.open_console(as_json=as_json)
    with here.records() as database:
        entries = queries.trail_on_record(database, workflow_id)
    if here.screen.is_json:
        here.screen.print_json([entry.model_dump(mode="json") for entry in entries])
    else:
        here.screen.show(trail_page.trail_page(entries))
    return Exit.DONE


@click.command()
@options.since
@click.option("--by", metavar="NAME", help="Requested or decided by this person.")
@click.option("--state", metavar="STATE", help="For example executed or in_review.")
@click.option(
    "--settlement",
    type=click.Choice(settlements.SettlementState, case_sensitive=False),
    help="Only runs whose accepted effects have this result; the worst one counts.",
)
@options.as_json
@options.paged(options.Sorted.NEWEST)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
def list_runs(
    *,
    since: str | None,
    by: str | None,
    state: str | None,
    settlement: settlements.SettlementState | None,
    as_json: bool,
    sort: options.Sorted,
    limit: int,
    skip: int,
    as_csv: bool,
) -> int:
    """List the recorded runs, a page at a time."""
    states = (*run.Phase, *events.Outcome, queries.DAMAGED)
    if state is not None and state not in states:
        raise WrongUsage(f"{state!r} is not a state; use one of {', '.join(states)}.")
    if as_json and as_csv:
        raise WrongUsage("--json and --csv are mutually exclusive; leave one out.")
    here = console.open_console(as_json=as_json or as_csv)
    listed_page = options.PageOptions(sort, limit, skip)
    when = moments.moment_of(since) if since is not None else None
    wanted = paging.wanted_rows(listed_page, since=when, by=by, state=state, settlement=settlement)
    with here.records() as database:
        found = queries.runs_on_record(database, wanted)
    shown = paging.on_this_page(listed_page, found)
    out = here.screen.out
    if as_json:
        here.screen.print_json([summary.model_dump(mode="json") for summary in shown])
    elif as_csv:
        writer = csv.writer(out.stream, lineterminator="\n")
        writer.writerow(audit_pages.COLUMNS)
        writer.writerows(audit_pages.values_of(summary) for summary in shown)
    elif shown:
        out.print(audit_pages.runs_table(shown))
        paging.note_more_rows(here.screen, listed_page, len(found))
    else:
        is_filtered = any((since, by, state, settlement, skip))
        here.screen.say("No recorded run matches." if is_filtered else "No run is recorded yet.")
    return Exit.DONE


@click.command()
@options.optional_run_id("One run; default: everything.")
@click.option("--checkpoint", type=options.PATH, help="A checkpoint that was stored elsewhere.")
@options.web_keys
@options.origins
@options.as_json
def verify(
    workflow_id: str | None,
    *,
    checkpoint: Path | None,
    web_key: tuple[str, ...],
    origin: tuple[str, ...],
    as_json: bool,
) -> int:
    """Verify that no record was changed.

    Reports every edited, missing, moved or foreign entry and every missing run. Logins and passkeys are
    checked against PLANGATE_WEB_KEYS and PLANGATE_WEB_URL, plus --web-key and --origin.

    Exit 0: nothing was changed. Exit 1: there are findings, or the records could not be examined.
    """
    here = console.open_console(as_json=as_json)
    trust = _trust(here, checkpoint, _trusted_web(here, web_key, origin))
    with progress.Progress(here.screen.err) as shown, here.reading() as connection:
        if workflow_id is None:
            inspected = inspection.inspect_all(
                connection, trust, lambda done, of: shown.brief(f"run {done + 1} of {of}")
            )
        else:
            inspected = inspection.inspect_run(connection, workflow_id, trust)
    if workflow_id is not None and not inspected.is_known:
        raise errors.RunNotFound(
            f"{escaping.one_line(workflow_id)} is not recorded; `audit list` lists the recorded runs."
        )
    return _show_inspection(here, inspected, trust)


@click.command()
@options.as_json
def checkpoint(*, as_json: bool) -> int:
    """Print the newest checkpoint, to store on another system.

    The output is JSON; --json prints it on several lines. If the records are ever restored to an older state,
    `audit verify --checkpoint FILE` detects it.
    """
    here = console.open_console(as_json=as_json)
    with here.reading() as connection:
        newest = seals.last_checkpoint(connection)
    if newest is None:
        raise errors.RecordsMissing("Nothing is sealed yet; a worker seals new entries every few seconds.")
    if here.screen.is_json:
        here.screen.print_json(newest.model_dump(mode="json"))
    else:
        here.screen.out.stream.write(newest.model_dump_json() + "\n")
    return Exit.DONE


@click.command()
@options.optional_run_id("The run, unless a period is given.")
@click.option("--from", "since", metavar="TIME", help="All runs since this time, such as 2026-05-01.")
@click.option("--until", metavar="TIME", show_default="now", help="The end of the period (exclusive).")
@click.option("--output", "-o", type=options.PATH, show_default="standard output", help="The file to write.")
@click.option("--reason", "why", default="", help="Your reason, which is recorded.")
@options.as_json
def export(
    workflow_id: str | None,
    *,
    since: str | None,
    until: str | None,
    output: Path | None,
    why: str,
    as_json: bool,
) -> int:
    """Write the evidence of one run, or of a period, into one file.

    An auditor without access to these records verifies it with `verify-bundle`. The file for a run is JSON;
    for a period, it is JSON lines. With --output, --json prints what was written. May 2026 is --from
    2026-05-01 --until 2026-06-01 (UTC). The export is first recorded on the access trail.
    """
    here = console.open_console(as_json=as_json)
    if workflow_id is None and since is not None:
        return period_files.write_period(here, since, until, output, partial(_record_export, here, why=why))
    if workflow_id is None or since is not None or until is not None:
        raise WrongUsage("Give the id of one run, or a period with --from TIME and --until TIME.")
    with here.records() as database, progress.Progress(here.screen.err) as waiting:
        queries.trail_on_record(
            database, workflow_id
        )  # raises before anything is printed if the run is not recorded
        ends = time.monotonic() + seals.MAX_SEAL_WAIT * here.settings.seal_seconds
        while not _is_sealed(database, workflow_id) and time.monotonic() < ends:
            waiting.brief("waiting for the newest entries to be sealed")
            time.sleep(_PAUSE)
        _record_export(here, database, workflow_id, why=why)
        bundle = recorded_bundle.bundle_on_record(database, workflow_id)
    content = json.dumps(bundle.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"
    unsealed = len(bundle.entries) - evidence.sealed_up_to(bundle)
    if output is None:
        here.screen.out.stream.write(content)
    else:
        _write(output, content)
        entries = plurals.counted(len(bundle.entries), "entry", "entries")
        here.screen.write_line(escaping.one_line(f"{output} contains {workflow_id}: {entries}."))
    if here.screen.is_json and output is not None:
        written = {"workflow_id": workflow_id, "file": str(output), "entries": len(bundle.entries)}
        here.screen.print_json({**written, "unsealed": unsealed})
    if unsealed:
        words = bundle_pages.unsealed_words(unsealed, "export it again then")
        here.screen.say_on_stderr(words, "yellow")
    return Exit.DONE


def _record_export(here: console.Console, database: databases.Database, subject: str, *, why: str) -> None:
    """Record who exports which copy; if that fails, write nothing.

    Raises:
        WrongUsage: the reason is too long.
        RecordsUnavailable: the records cannot be written.
    """
    try:
        look = accesses.Access(what=accesses.AccessKind.EXPORTED, by=here.user, subject=subject, why=why)
    except ValueError:
        raise WrongUsage("Give a shorter reason with --reason: at most 1,000 characters.") from None
    with database.write() as connection:
        recorded_accesses.record_access(connection, f"export:{secrets.token_hex(16)}", look)


def _write(output: Path, content: str) -> None:
    try:
        durable_file.write_user_file(output, content.encode())
    except OSError as error:
        raise WrongUsage(
            f"{output} cannot be written: {error.strerror}; choose a new or regular file, or omit "
            "--output to write to stdout."
        ) from None


def _show_inspection(
    here: console.Console, inspected: inspection.Inspection, trust: trust_anchors.Trust
) -> int:
    screen = here.screen
    if screen.is_json:
        screen.print_json(inspected.model_dump(mode="json"))
    else:
        if inspected.findings:
            screen.show(bundle_pages.findings_page(inspected.findings, "The records were changed"))
        screen.show(audit_pages.inspection_page(inspected, is_trusted=bool(trust.sealers), web=trust.web))
        screen.show(bundle_pages.notes_page(inspected.notes, here.settings.people_file))
    return Exit.FAILED if inspected.findings else Exit.DONE


def _trusted_web(
    here: console.Console, keys: Sequence[str], origins: Sequence[str]
) -> trusted_web.TrustedWeb:
    """Return the web servers in the settings and the options; if there are none, trust all web servers."""
    settings = here.settings
    own_keys = [public.shown(key) for key in trusted_keys.trusted_web_keys(settings)]
    own = [settings.web_url] if "web_url" in settings.model_fields_set else []
    return public_keys.read_trusted_web([*own_keys, *keys], [*own, *origins])


def _trust(
    here: console.Console, checkpoint: Path | None, web: trusted_web.TrustedWeb
) -> trust_anchors.Trust:
    settings = here.settings
    own = key_files.public_key_in(settings.seal_key)
    return trust_anchors.Trust(
        sealers=trusted_keys.trusted_sealers(settings) | ({own} if own else frozenset()),
        people=people_file.read_people(settings.people_file) if settings.people_file else None,
        web=web,
        now=clock.now(),
        saved=_read_checkpoint(checkpoint) if checkpoint else _own_checkpoint(here),
        where=f"in {escaping.one_line(str(checkpoint or settings.last_checkpoint))}",
    )


def _read_checkpoint(path: Path) -> checkpoints.Checkpoint:
    try:
        found = signed_checkpoints.saved_checkpoint(path)
    except errors.SettingsInvalid as error:
        raise WrongUsage(str(error)) from None
    if found is None:
        raise WrongUsage(f"There is no file {path}; `audit checkpoint` prints a checkpoint to save there.")
    return found


def _own_checkpoint(here: console.Console) -> checkpoints.Checkpoint | None:
    """Return the checkpoint that a worker on this host saved, or None if this user cannot read it."""
    try:
        return signed_checkpoints.saved_checkpoint(here.settings.last_checkpoint)
    except errors.SettingsInvalid as error:
        here.screen.say_on_stderr(escaping.one_line(str(error)), "yellow")
        return None


def _is_sealed(database: databases.Database, workflow_id: str) -> bool:
    with database.read() as connection:
        return seals.is_sealed(connection, workflow_id)
