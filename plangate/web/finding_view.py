"""Show the findings of a verification, without naming runs that the auditor may not see."""

import asyncio
from dataclasses import dataclass

from plangate.audit.inspection import Inspection
from plangate.domain.runs.audit import OWN_TRAILS
from plangate.domain.runs.findings import Finding
from plangate.web.audited_runs import read_all
from plangate.web.run_lists import audited, indexed
from plangate.web.visitors import Visitor, Web

MOST: int = 200
"""The maximum number of findings on the page; the command line lists all."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """One finding: its run, its entry, and the error.

    Attributes:
        run: its id; empty for the records as a whole.
        has_page: whether the run has a page.
    """

    run: str
    entry: int | None
    what: str
    has_page: bool


@dataclass(frozen=True, slots=True)
class ShownFindings:
    """The findings of a verification.

    Attributes:
        shown: the findings that are listed.
        hidden: how many are about runs that this auditor may not see.
        more: how many more there are.
        notes: how many approvals have been revoked since they were used.
    """

    shown: tuple[ShownFinding, ...] = ()
    hidden: int = 0
    more: int = 0
    notes: tuple[ShownFinding, ...] = ()


async def shown_findings(web: Web, visitor: Visitor, inspection: Inspection | None) -> ShownFindings:
    """Return the findings of a verification that this auditor may see."""
    if inspection is None or not (inspection.findings or inspection.notes):
        return ShownFindings()
    await read_all(web)
    return await asyncio.to_thread(_shown, web, visitor, inspection)


def _shown(web: Web, visitor: Visitor, inspection: Inspection) -> ShownFindings:
    ids = list({one.workflow_id for one in (*inspection.findings, *inspection.notes)})
    known = indexed(web.index, ids)
    hidden = known - audited(web.index, visitor, ids)
    named = [one for one in inspection.findings if one.workflow_id not in hidden]
    notes = [one for one in inspection.notes if one.workflow_id not in hidden]
    return ShownFindings(
        shown=tuple(_one(one, known) for one in named[:MOST]),
        hidden=len(inspection.findings) - len(named),
        more=max(0, len(named) - MOST),
        notes=tuple(_one(one, known) for one in notes[:MOST]),
    )


def _one(finding: Finding, known: frozenset[str]) -> ShownFinding:
    run = finding.workflow_id
    return ShownFinding(run, finding.entry, finding.what, run in known and run not in OWN_TRAILS)
