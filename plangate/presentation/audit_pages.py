"""Pages of the audit: lists of runs, and the result of a verification."""

from collections.abc import Sequence
from typing import Final

from plangate.audit.inspection import Inspection
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.plans.plan import short
from plangate.domain.plurals import counted
from plangate.presentation.bundle_pages import LABEL_WIDTH, add_sealers, add_unchecked_web, unsealed_words
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.table import Column, Table
from plangate.presentation.words import proof_words, spelled
from plangate.records.queries import RunSummary

COLUMNS: Final = (
    "workflow_id", "state", "requester", "requested_at", "closed_at", "revision", "fingerprint",
    "approved_by", "unverified", "accepted", "refused", "entries", "last_hash",
    "settlement",
)  # fmt: skip
_FORMULA: Final = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")  # the last four are full-width = + - @


def values_of(summary: RunSummary) -> list[str]:
    """Return one run as CSV cells, escaped so that spreadsheets do not interpret them as formulas."""
    plain = summary.model_dump(mode="json")
    cells = []
    for name in COLUMNS:
        value = plain[name]
        text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
        text = text.replace("\r", "\n")  # csv does not quote a carriage return, which ends the line
        cells.append(f"'{text}" if text.startswith(_FORMULA) else text)
    return cells


def runs_table(summaries: Sequence[RunSummary]) -> Table:
    """Return one row for each run."""
    requested, approved_by = Column("requested", is_text=True), Column("approved by", is_text=True)
    return Table(
        ("id", "state", "requester", requested, "plan", approved_by, "refused"),
        [
            (
                one.workflow_id,
                spelled(one.state) + (f", {one.settlement}" if one.settlement else ""),
                one.requester,
                moment(one.requested_at),
                short(one.fingerprint or ""),
                ", ".join(
                    name + proof_words(verified=name not in one.unverified) for name in one.approved_by
                ),
                str(one.refused or ""),
            )
            for one in summaries
        ],
    )


def inspection_page(inspection: Inspection, *, is_trusted: bool, web: TrustedWeb = ANY_WEB) -> Page:
    """Return the result of a verification, the seal keys, and the parts that could not be checked."""
    page = Page()
    if not inspection.findings and is_trusted:
        page.heading("Verified: nothing was changed.", "bold green")
    elif not inspection.findings:
        page.heading("Consistent. Who sealed the records is not verified yet.", "bold yellow")
    examined = (
        counted(inspection.runs, "run"),
        counted(inspection.checkpoints, "checkpoint"),
        counted(inspection.entries, "entry", "entries"),
    )
    page.field("examined", ", ".join(examined), width=LABEL_WIDTH)
    page.copied("installation", inspection.installation, width=LABEL_WIDTH)
    if inspection.unsealed:
        words = unsealed_words(inspection.unsealed, "verify again then")
        page.field("not sealed", words, "yellow", width=LABEL_WIDTH)
    add_sealers(page, inspection.sealers, "add it to PLANGATE_SEALERS", is_trusted=is_trusted)
    add_unchecked_web(page, inspection.origins, web, has_logins=bool(inspection.web_keys))
    return page
