"""`audit …`: what is on the record, whether it is what was written, and how it leaves the house as evidence.

All of it is read from the records; neither a worker nor a Temporal server is needed.
"""

import csv
import json
import time
from pathlib import Path
from typing import Final

from rich.text import Text

from plangate.audit.evidence import Bundle, bundle_of, sealed_up_to
from plangate.audit.inspection import Inspection, Trust, inspect_all, inspect_run
from plangate.audit.judged_by import rules_named
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.moments import moment_of
from plangate.cli.options import PageOptions
from plangate.cli.paging import on_this_page, say_that_there_are_more, wanted_on
from plangate.cli.progress import Progress
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import opened_records, settings_for_people
from plangate.cli.verifying import public_keys
from plangate.domain.audit import Outcome
from plangate.domain.checkpoint import Checkpoint
from plangate.domain.errors import RecordsMissing, RunNotFound, SettingsInvalid
from plangate.domain.escaping import one_line
from plangate.domain.people import People
from plangate.domain.run import Phase
from plangate.files.durable_file import write_for_a_person
from plangate.policy.people_file import read_people
from plangate.presentation.audit_pages import COLUMNS, inspection_page, runs_table, values_of
from plangate.presentation.bundle_pages import findings_page, notes_page, unsealed_words
from plangate.presentation.clock import now
from plangate.presentation.trail_page import trail_page
from plangate.records.checkpoints import is_sealed, last_checkpoint, newest_seal
from plangate.records.database import Database
from plangate.records.queries import DAMAGED, runs_on_record, trail_on_record
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from plangate.settings import Settings
from plangate.signing.checkpoints import kept_checkpoint
from plangate.signing.key_files import public_half

_STATES: Final = (*Phase, *Outcome, DAMAGED)
_SEALED_SOON: Final = 2.5  # times the pause between two seals: so long an export waits for the next one


def show_trail(workflow_id: str, *, as_json: bool) -> int:
    """Print the audit trail of a run."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    with opened_records(settings) as database:
        entries = trail_on_record(database, workflow_id)
    if screen.is_json:
        screen.print_json([entry.model_dump(mode="json") for entry in entries])
    else:
        screen.show(trail_page(entries))
    return Exit.DONE


def list_runs(
    page: PageOptions, *, since: str | None, by: str | None, state: str | None, as_json: bool, as_csv: bool
) -> int:
    """Print a line for each run of one page of all that were ever on the record."""
    if state is not None and state not in _STATES:
        raise WrongUsage(f"No run can be {state!r}; there are {', '.join(_STATES)}.")
    if as_json and as_csv:
        raise WrongUsage("Say --json or --csv, not both.")
    settings, screen = settings_for_people(), open_screen(as_json=as_json or as_csv)
    wanted = wanted_on(page, since=moment_of(since) if since else None, by=by, state=state)
    with opened_records(settings) as database:
        found = runs_on_record(database, wanted)
    shown = on_this_page(page, found)
    if as_json:
        screen.print_json([summary.model_dump(mode="json") for summary in shown])
    elif as_csv:
        writer = csv.writer(screen.out.file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(values_of(summary) for summary in shown)
    elif shown:
        screen.out.print(runs_table(shown), crop=False)
        say_that_there_are_more(screen, page, found)
    else:
        screen.out.print(Text(_nothing_listed(page, is_filtered=any((since, by, state)))))
    return Exit.DONE


def _nothing_listed(page: PageOptions, *, is_filtered: bool) -> str:
    """Return why a list is empty, as far as that is known."""
    if is_filtered or page.skip:
        return "No run on the record matches."
    return "Nothing is on the record yet."


def verify(workflow_id: str | None, *, checkpoint: Path | None, as_json: bool) -> int:
    """Examine one run, or all of the records; name all that is not as it was written."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    trust = _trust(settings, screen, checkpoint)
    with (
        opened_records(settings) as database,
        Progress(screen.err) as progress,
        database.read() as connection,
    ):
        if workflow_id is None:
            inspection = inspect_all(
                connection, trust, lambda done, of: progress.brief(f"run {done + 1} of {of}")
            )
        else:
            inspection = inspect_run(connection, workflow_id, trust)
    if workflow_id is not None and not inspection.is_known:
        raise RunNotFound(f"{one_line(workflow_id)} is not on the record; `audit list` shows what is.")
    return _print_inspection(screen, inspection, settings.people_file, is_trusted=bool(trust.sealers))


def print_checkpoint(*, as_json: bool) -> int:
    """Print the newest checkpoint, to be kept elsewhere; it is JSON in any case."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    with opened_records(settings) as database, database.read() as connection:
        newest = last_checkpoint(connection)
    if newest is None:
        raise RecordsMissing("Nothing is sealed yet; a worker seals what moves every few seconds.")
    if screen.is_json:
        screen.print_json(newest.model_dump(mode="json"))
    else:
        screen.out.file.write(newest.model_dump_json() + "\n")
    return Exit.DONE


def export(workflow_id: str, *, output: Path | None, as_json: bool) -> int:
    """Write the evidence of one run into one file, as soon as all of it is sealed."""
    settings, screen = settings_for_people(), open_screen(as_json=as_json)
    with opened_records(settings) as database, Progress(screen.err) as progress:
        trail_on_record(database, workflow_id)  # or say at once that there is none
        ends = time.monotonic() + _SEALED_SOON * settings.seal_seconds
        while not _is_sealed(database, workflow_id) and time.monotonic() < ends:
            progress.brief("waiting for the newest entries to be sealed")
            time.sleep(0.3)
        bundle = _bundle(database, workflow_id)
    content = json.dumps(bundle.model_dump(mode="json"), indent=2, ensure_ascii=True) + "\n"
    if output is None:
        screen.out.file.write(content)
    else:
        try:
            write_for_a_person(output, content.encode())
        except OSError as error:
            raise WrongUsage(
                f"{output} cannot be written: {error.strerror}; name a new or a plain file, or leave "
                "--output out to have it on stdout."
            ) from None
        count = len(bundle.entries)
        entries = "1 entry" if count == 1 else f"{count} entries"
        screen.out.print(Text(one_line(f"{output} holds {workflow_id}: {entries}.")), soft_wrap=True)
    unsealed = len(bundle.entries) - sealed_up_to(bundle)
    if screen.is_json and output is not None:
        written = {"workflow_id": workflow_id, "file": str(output), "entries": len(bundle.entries)}
        screen.print_json({**written, "unsealed": unsealed})
    if unsealed:
        screen.err.print(Text(unsealed_words(unsealed, "export it again then"), style="yellow"))
    return Exit.DONE


def _print_inspection(
    screen: Screen, inspection: Inspection, people: Path | None, *, is_trusted: bool
) -> int:
    if screen.is_json:
        screen.print_json(inspection.model_dump(mode="json"))
    else:
        if inspection.findings:
            screen.show(findings_page(inspection.findings, "The records are not what was written"))
        screen.show(inspection_page(inspection, is_trusted=is_trusted))
        screen.show(notes_page(inspection.notes, people))
    return Exit.FAILED if inspection.findings else Exit.DONE


def _trust(settings: Settings, screen: Screen, checkpoint: Path | None) -> Trust:
    own = public_half(settings.seal_key)
    return Trust(
        sealers=public_keys(settings.sealers) | ({own} if own else frozenset()),
        people=_people(settings),
        now=now(),
        remembered=_read_checkpoint(checkpoint) if checkpoint else _own_checkpoint(settings, screen),
        where=f"in {one_line(str(checkpoint or settings.last_checkpoint))}",
    )


def _people(settings: Settings) -> People | None:
    return read_people(settings.people_file) if settings.people_file else None


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        found = kept_checkpoint(path)
    except SettingsInvalid as error:
        raise WrongUsage(str(error)) from None
    if found is None:
        raise WrongUsage(f"There is no file {path}; `audit checkpoint` prints what belongs into it.")
    return found


def _own_checkpoint(settings: Settings, screen: Screen) -> Checkpoint | None:
    """Return what a worker of this host kept, as far as it can be read by whoever asks."""
    try:
        return kept_checkpoint(settings.last_checkpoint)
    except SettingsInvalid as error:
        screen.err.print(Text(one_line(str(error)), style="yellow"))
        return None


def _is_sealed(database: Database, workflow_id: str) -> bool:
    with database.read() as connection:
        return is_sealed(connection, workflow_id)


def _bundle(database: Database, workflow_id: str) -> Bundle:
    with database.read() as connection:
        seal = newest_seal(connection, workflow_id)
        entries = read_trail(connection, workflow_id)
        texts = texts_of(connection, rules_named(entries))
        return bundle_of(workflow_id, entries, (seal,) if seal else (), texts)
