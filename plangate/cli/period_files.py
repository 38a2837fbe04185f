"""Write the evidence of a period from the records into a file, one line at a time."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from plangate.audit.period import MAX_BYTES, MAX_LINE_BYTES
from plangate.audit.period_export import PeriodExport
from plangate.cli.console import Console
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.moments import moment_of
from plangate.cli.progress import Progress
from plangate.domain.escaping import one_line
from plangate.domain.plurals import counted
from plangate.elapsed import elapsed
from plangate.files.durable_file import write_user_file_parts
from plangate.presentation.clock import now
from plangate.presentation.period_page import others_in_words, spanned
from plangate.records.checkpoints import MAX_SEAL_WAIT
from plangate.records.database import Database

_PAUSE: Final = 0.3  # seconds


def write_period(
    here: Console,
    since: str,
    until: str | None,
    output: Path | None,
    record: Callable[[Database, str], None],
) -> int:
    """Write every run of a period, and return the exit code.

    Args:
        here: the console of the command.
        since: the beginning, as typed.
        until: the end, as typed; None for now.
        output: the file; required.
        record: records the export of this copy; called before anything is written.

    Raises:
        WrongUsage: the period cannot be parsed, or is too long for one file.
    """
    begin, end = _period(since, until)
    if output is None:
        raise WrongUsage("A period is written into a file; give it with --output.")
    with here.records() as database, Progress(here.screen.err) as waiting:
        record(database, f"all runs {spanned(begin, end)}")
        _wait_for_seal(here, database, begin, end, waiting)
        with database.read() as connection:
            export = PeriodExport(connection, begin, end)
            lines = export.lines(lambda done, of: waiting.brief(f"run {done + 1} of {of}"))
            _write(output, _within_limits(lines, begin, end))
    totals = export.totals
    runs = f"{counted(totals.runs, 'run')}{others_in_words(totals.others)}"
    here.screen.write_line(one_line(f"{output} contains the period {spanned(begin, end)}: {runs}."))
    if here.screen.is_json:
        period = {"from": begin.isoformat(), "until": end.isoformat(), "sealed": export.is_closed}
        found = {"file": str(output), "runs": totals.runs, "others": totals.others}
        here.screen.print_json({**found, **period})
    if not export.is_closed:
        here.screen.say_on_stderr(
            "The end of the period is not sealed yet: no worker has sealed the newest entries. Start a "
            "worker, then export the period again.",
            "yellow",
        )
    return Exit.DONE


def _period(since: str, until: str | None) -> tuple[datetime, datetime]:
    # Checkpoints have whole seconds: one that is made within this second closes the period.
    begin, end = moment_of(since), moment_of(until) if until is not None else now().replace(microsecond=0)
    if end > now():
        raise WrongUsage("The period ends in the future; leave out --until to end it now.")
    if begin >= end:
        raise WrongUsage("The period ends before it begins; correct --from or --until.")
    return begin, end


def _wait_for_seal(
    here: Console, database: Database, since: datetime, until: datetime, waiting: Progress
) -> None:
    """Wait for the checkpoint that closes the period, which seals the export that was just recorded."""
    ends = elapsed() + MAX_SEAL_WAIT * here.settings.seal_seconds
    while elapsed() < ends:
        with database.read() as connection:
            if PeriodExport(connection, since, until).is_closed:
                return
        waiting.brief("waiting for the newest entries to be sealed")
        time.sleep(_PAUSE)


def _within_limits(lines: Iterable[bytes], since: datetime, until: datetime) -> Iterator[bytes]:
    """Yield the lines, and stop at the limits of `verify-bundle`."""
    size = 0
    for line in lines:
        size += len(line)
        if size > MAX_BYTES or len(line) > MAX_LINE_BYTES:
            middle = (since + (until - since) / 2).replace(microsecond=0).isoformat()
            raise WrongUsage(
                f"The period is too large for one file (at most {MAX_BYTES:,} bytes, {MAX_LINE_BYTES:,} in "
                f"a line), so nothing was written; export it in parts, such as --until {middle} and --from "
                f"{middle}."
            )
        yield line


def _write(output: Path, lines: Iterable[bytes]) -> None:
    try:
        write_user_file_parts(output, lines)
    except OSError as error:
        raise WrongUsage(
            f"{output} cannot be written: {error.strerror}; choose a new or regular file."
        ) from None
