"""Pages of findings and of a verified bundle, without a database, because the base package has none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plangate.audit.evidence import Bundle, RunOverview, seal_keys_of, sealed_up_to
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.trusted_web import ANY_WEB, TrustedWeb
from plangate.domain.plurals import counted
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.settlements import SettlementState
from plangate.presentation.changes import add_changes
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.reads_page import add_reads
from plangate.presentation.settlement_words import add_settlements
from plangate.presentation.step_page import add_observation, step_words
from plangate.presentation.words import how_proven, spelled
from plangate.signing.jws import PUBLIC_PREFIX

LABEL_WIDTH: Final = 14
_SHOWN_NOTES: Final = 20


def findings_page(findings: Sequence[Finding], what: str) -> Page:
    """Return all findings, one per line."""
    page = Page()
    page.heading(f"{what}: {counted(len(findings), 'finding')}.", "bold red")
    for finding in findings:
        page.note(f"✗ {finding}", "red")
    return page


def notes_page(notes: Sequence[Finding], people: Path | None) -> Page:
    """Return the approvals that are no longer valid; they were valid when they were used.

    ``people`` is the list of people against which they were checked.
    """
    page = Page()
    if notes:
        revoked = f"Approvals revoked since then, according to the list of people {people}: {len(notes)}."
        page.heading(f"{revoked} They were valid when they were used.", "yellow")
    for note in notes[:_SHOWN_NOTES]:
        page.note(f"· {note}", "yellow")
    if len(notes) > _SHOWN_NOTES:
        page.note(f"and {len(notes) - _SHOWN_NOTES} more; --json lists them all", "yellow")
    return page


def bundle_page(bundle: Bundle, *, is_trusted: bool, has_people: bool, web: TrustedWeb = ANY_WEB) -> Page:
    """Return what a valid bundle proves, and what could not be checked."""
    overview = RunOverview.model_validate(bundle.story)
    page = Page()
    sealed = sealed_up_to(bundle)
    if is_trusted and sealed == len(bundle.entries):
        page.heading("Verified: the bundle is authentic.", "bold green")
    elif is_trusted:
        page.heading("The file is consistent, but not all of it is sealed.", "bold yellow")
    else:
        page.heading(
            "The file is consistent. The signer is not verified yet: give its key with --sealer.",
            "bold yellow",
        )
    page.field("run", bundle.workflow_id, width=LABEL_WIDTH)
    add_settlements(page, overview.state, overview.steps, LABEL_WIDTH)
    page.field(
        "outcome",
        spelled(overview.state) + (f": {overview.reason}" if overview.reason else ""),
        width=LABEL_WIDTH,
    )
    page.field("requester", overview.requester, width=LABEL_WIDTH)
    if overview.fingerprint:
        page.copied("plan", overview.fingerprint, "", width=LABEL_WIDTH)
        page.field("revision", str(overview.revision), width=LABEL_WIDTH)
    if overview.requirement:
        page.field("needed", str(overview.requirement), width=LABEL_WIDTH)
    if overview.author:
        page.field("edited by", overview.author, width=LABEL_WIDTH)
    add_changes(page, overview.previous, overview.plan, "--json")
    for one in overview.decisions:
        if one.accepted:
            is_typed = one.assurance is Assurance.TYPED
            proof = how_proven(one.assurance, one.key_id, one.origin, one.batch) + (
                ": only a typed name" if is_typed else ""
            )
            details = f"{one.by}, {moment(one.at, with_seconds=True)}, {proof}"
            what = f"{spelled(one.resolution)} step {one.step}" if one.resolution else spelled(one.decision)
            page.field(what, details, width=LABEL_WIDTH)
    for step in overview.steps:
        page.field(f"step {step.number}", f"{step.tool}, {step_words(step)}", width=LABEL_WIDTH)
        if step.preview:
            page.field("preview", step.preview, indent=4)
        page.arguments(step.arguments, has_references=True)
        add_observation(page, step)
    if any(step.settlement and step.settlement.state is SettlementState.OPEN for step in overview.steps):
        page.note("This bundle does not show how an accepted effect ended; a later bundle may.", "yellow")
    add_reads(page, overview.plan)
    page.field("sealed", f"{sealed} of {len(bundle.entries)} entries", width=LABEL_WIDTH)
    add_sealers(page, seal_keys_of(bundle), "give it with --sealer", is_trusted=is_trusted)
    if overview.public_keys and not has_people:
        page.note(
            "The keys of the approvers come from the bundle; compare them with --people FILE.",
            "yellow",
        )
    origins = sorted({one.origin for one in overview.decisions if one.origin})
    has_logins = any(one.assurance is Assurance.LOGIN for one in overview.decisions)
    add_unchecked_web(page, origins, web, has_logins=has_logins)
    return page


def add_unchecked_web(page: Page, origins: Sequence[str], web: TrustedWeb, *, has_logins: bool) -> None:
    """Add a note on the web servers in the records, if the auditor listed no trusted web servers.

    Args:
        page: the page to add to.
        origins: where passkeys were used.
        web: the web servers that the auditor trusts.
        has_logins: whether a login is the only proof of any decision.
    """
    if origins and web.origins is None:
        places = " and ".join(origins)
        page.note(f"Not checked: that {places}, where passkeys were used, is yours (--origin URL).", "yellow")
    if has_logins and web.keys is None:
        page.note(
            "Not checked: that the web server that attests the logins is yours (--web-key KEY).", "yellow"
        )


def unsealed_words(count: int, then: str) -> str:
    """Return a sentence about the entries that no checkpoint covers."""
    entries = counted(count, "entry is", "entries are")
    return f"{entries} not sealed yet. Sealing takes a few seconds; {then}."


def add_sealers(page: Page, keys: Sequence[str], then: str, *, is_trusted: bool) -> None:
    """Add the seal keys and, if they are not trusted yet, the instruction ``then``."""
    for key in keys:
        page.copied("sealed by", PUBLIC_PREFIX + key, width=LABEL_WIDTH)
    if keys and not is_trusted:
        page.note(
            f"Compare it with the key that `starter.py keys seal` prints on the worker's host, then {then}.",
            "yellow",
        )
