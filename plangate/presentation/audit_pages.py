"""Pages of the audit: lists of runs, findings, and what a proof comes to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plangate.audit.evidence import Bundle, Story, seal_keys_of, sealed_up_to
from plangate.audit.inspection import Inspection
from plangate.domain.assurance import Assurance
from plangate.domain.findings import Finding
from plangate.domain.plan import short
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.run_page import spelled
from plangate.presentation.table import Column, Table
from plangate.records.queries import RunSummary
from plangate.signing.jws import PUBLIC_PREFIX

COLUMNS: Final = (
    "workflow_id", "state", "requester", "requested_at", "closed_at", "revision", "fingerprint",
    "approved_by", "unverified", "accepted", "refused", "entries", "last_hash",
)  # fmt: skip
_WIDTH: Final = 14
_SHOWN_NOTES: Final = 20
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def values_of(summary: RunSummary) -> list[str]:
    """Return one run as cells for a machine; none of them is taken for a formula by a spreadsheet."""
    plain = summary.model_dump(mode="json")
    cells = []
    for name in COLUMNS:
        value = plain[name]
        text = "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)
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
                spelled(one.state),
                one.requester,
                moment(one.requested_at),
                short(one.fingerprint or ""),
                ", ".join(
                    f"{name} (not verified)" if name in one.unverified else name for name in one.approved_by
                ),
                str(one.refused or ""),
            )
            for one in summaries
        ],
    )


def findings_page(findings: Sequence[Finding], what: str) -> Page:
    """Return all that was found, a line each."""
    page = Page()
    count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
    page.heading(f"{what}: {count}.", "bold red")
    for finding in findings:
        page.note(f"✗ {finding}", "red")
    return page


def notes_page(notes: Sequence[Finding], people: Path | None) -> Page:
    """Return which approvals would not count today; nothing is wrong with what followed from them.

    ``people`` is the list by which that was judged.
    """
    page = Page()
    if notes:
        revoked = f"Revoked since then, by the list of people {people}: {len(notes)}."
        page.heading(f"{revoked} What they approved was approved.", "yellow")
    for note in notes[:_SHOWN_NOTES]:
        page.note(f"· {note}", "yellow")
    if len(notes) > _SHOWN_NOTES:
        page.note(f"and {len(notes) - _SHOWN_NOTES} more; --json names them all", "yellow")
    return page


def inspection_page(inspection: Inspection, *, is_trusted: bool) -> Page:
    """Return what was examined, and by whose keys it is sealed."""
    page = Page()
    if not inspection.findings:
        page.heading("Verified: nothing was changed.", "bold green")
    counts = {"run": inspection.runs, "checkpoint": inspection.checkpoints}
    examined = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    entries = "1 entry" if inspection.entries == 1 else f"{inspection.entries:,} entries"
    page.field("examined", f"{examined}, {entries}", width=_WIDTH)
    page.copied("installation", inspection.installation, width=_WIDTH)
    if inspection.unsealed:
        words = unsealed_words(inspection.unsealed, "look again then")
        page.field("not sealed", words, "yellow", width=_WIDTH)
    _add_sealers(page, inspection.sealers, "add it to PLANGATE_SEALERS", is_trusted=is_trusted)
    return page


def bundle_page(bundle: Bundle, *, is_trusted: bool, has_people: bool) -> Page:
    """Return what a sound bundle proves."""
    story = Story.model_validate(bundle.story)
    page = Page()
    sealed = sealed_up_to(bundle)
    if is_trusted and sealed == len(bundle.entries):
        page.heading("This bundle proves what it says.", "bold green")
    elif is_trusted:
        page.heading("The file is consistent, but not all of it is sealed.", "bold yellow")
    else:
        page.heading(
            "The file is consistent. The signer is not verified yet: name its key with --sealer.",
            "bold yellow",
        )
    page.field("run", bundle.workflow_id, width=_WIDTH)
    page.field("outcome", spelled(story.state) + (f": {story.reason}" if story.reason else ""), width=_WIDTH)
    page.field("requester", story.requester, width=_WIDTH)
    if story.fingerprint:
        page.copied("plan", story.fingerprint, "", width=_WIDTH)
        page.field("revision", str(story.revision), width=_WIDTH)
    if story.requirement:
        page.field("needed", str(story.requirement), width=_WIDTH)
    for one in story.decisions:
        if one.accepted:
            proof = (
                f"signed with {one.key_id}"
                if one.assurance is Assurance.SIGNED
                else "not verified: only a typed name"
            )
            said = f"{one.by}, {moment(one.at, with_seconds=True)}, {proof}"
            page.field(spelled(one.decision), said, width=_WIDTH)
    for step in story.steps:
        receipt = f": {step.receipt.summary}" if step.receipt else ""
        page.field(f"step {step.number}", f"{step.tool}, {spelled(step.state)}{receipt}", width=_WIDTH)
        page.arguments(step.arguments)
    page.field("sealed", f"{sealed} of {len(bundle.entries)} entries", width=_WIDTH)
    _add_sealers(page, seal_keys_of(bundle), "name it with --sealer", is_trusted=is_trusted)
    if story.public_keys and not has_people:
        page.note(
            "The keys of the approvers are those that the bundle names; compare them with --people FILE.",
            "yellow",
        )
    return page


def unsealed_words(count: int, then: str) -> str:
    """Return what to say of entries that no checkpoint covers."""
    entries = "1 entry is" if count == 1 else f"{count} entries are"
    return f"{entries} not sealed yet; a worker does it within seconds, {then}."


def _add_sealers(page: Page, keys: Sequence[str], then: str, *, is_trusted: bool) -> None:
    for key in keys:
        page.copied("sealed by", PUBLIC_PREFIX + key, width=_WIDTH)
    if keys and not is_trusted:
        page.note(
            f"Compare that with what `starter.py keys seal` prints on the worker's host, then {then}.",
            "yellow",
        )
