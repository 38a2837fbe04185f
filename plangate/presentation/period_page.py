"""Show the verified evidence of a period, without a database, because the base package has none."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from plangate.audit.period import Totals
from plangate.audit.period_check import PeriodCheck
from plangate.domain.plurals import counted
from plangate.presentation.bundle_pages import LABEL_WIDTH, add_sealers
from plangate.presentation.page import Page

_NONE: Final = "none"


def spanned(since: datetime, until: datetime) -> str:
    """Return a period as text, in UTC."""
    return f"from {_written(since)} until {_written(until)}"


def others_in_words(others: int) -> str:
    """Return a sentence about runs in the file that are outside its period; empty if there are none."""
    more = counted(others, "run", "runs") + (" was" if others == 1 else " were")
    return f" ({more} recorded outside it, and sealed together with them)" if others else ""


def period_page(check: PeriodCheck, *, is_trusted: bool) -> Page:
    """Return what the intact evidence of a period proves."""
    page, opening, checkpoints = Page(), check.opening, check.checkpoints
    assert opening is not None
    assert checkpoints is not None
    if not is_trusted:
        page.heading(
            "The file is consistent. The signer is not verified yet: give its key with --sealer.",
            "bold yellow",
        )
    elif checkpoints.is_closed:
        page.heading("Verified: the file contains every run of the period, unchanged.", "bold green")
    else:
        page.heading("The file is consistent, but the period is not sealed at its end.", "bold yellow")
    page.field("period", spanned(opening.since, opening.until), width=LABEL_WIDTH)
    page.copied("installation", opening.installation, width=LABEL_WIDTH)
    _add_totals(page, check.totals)
    last = checkpoints.last.number if checkpoints.last else 0
    before = f"checkpoint {opening.before}" if opening.before else "the beginning of the records"
    after = f"checkpoint {last}" if checkpoints.is_closed else "nothing yet"
    page.field("enclosed by", f"{before} and {after}", width=LABEL_WIDTH)
    add_sealers(page, tuple(checkpoints.sealers), "give it with --sealer", is_trusted=is_trusted)
    return page


def _add_totals(page: Page, totals: Totals) -> None:
    requested = f"{totals.opened} requested in the period"
    runs = f"{totals.runs}; {requested}, {totals.still_open} open at its end"
    page.field("runs", f"{runs}{others_in_words(totals.others)}", width=LABEL_WIDTH)
    decided = f"{counted(totals.accepted, 'accepted decision')}, {totals.refused} refused"
    page.field("decided", decided, width=LABEL_WIDTH)
    page.field("ended", _counts(totals.outcomes), width=LABEL_WIDTH)
    page.field("steps done", _counts(totals.tools), width=LABEL_WIDTH)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or _NONE


def _written(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}".removesuffix(" 00:00:00") + " UTC"
