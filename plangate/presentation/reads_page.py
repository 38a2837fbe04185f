"""Show what the planner read while it drafted the plan, so that approvers see the same."""

from plangate.domain.plans.plan import Plan
from plangate.domain.plans.reads import Read
from plangate.domain.plurals import counted
from plangate.presentation.page import EXACT, Page


def reads_words(plan: Plan) -> str:
    """Return in one line how much was read; empty if nothing was."""
    if not plan.reads:
        return ""
    tools = ", ".join(dict.fromkeys(read.tool for read in plan.reads))
    return f"{counted(len(plan.reads), 'result')} of {tools} while drafting; shown below the steps"


def add_reads(page: Page, plan: Plan | None, exact: str = EXACT) -> None:
    """Add each read with its whole result: untrusted text, which may have misled the planner.

    The command ``exact`` prints the reads unchanged.
    """
    if plan is None or not plan.reads:
        return
    page.gap()
    page.note("Read while drafting. This untrusted text is all that the planner saw:", "bold")
    for number, read in enumerate(plan.reads, start=1):
        page.note(f"Read {number} of {len(plan.reads)}: {read.tool}", "", indent=4)
        page.arguments(read.arguments, indent=6, exact=exact)
        page.words("returned", read.result, indent=6, exact=exact)
        if read.is_cut:
            page.note(cut_words(read), "yellow", indent=6)


def cut_words(read: Read) -> str:
    """State that a result is truncated, and how to identify the whole result."""
    return (
        f"The planner got only the first {read.kept:,} of {read.size:,} bytes; SHA-256 of all: {read.sha256}"
    )
