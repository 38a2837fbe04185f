"""Test each misleading text of the corpus in the terminal, in Temporal's Web UI and in the inbox."""

from collections import Counter
from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from plangate.domain.escaping import one_line
from tests.support.tricked_views import check_shown
from tests.support.visual_tricks import tricks


@dataclass(frozen=True)
class Size:
    """The share of the texts: one in every ``step``."""

    step: int


FULL = Size(step=1)
QUICK = Size(step=7)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Render each misleading text in every view, and compare the result with the original."""
    del installation
    tried = list(tricks())[:: size.step]
    for trick in tried:
        try:
            check_shown(trick.text)
        except AssertionError as error:
            report.record_error(f"{trick.kind}, {one_line(trick.text)[:80]}: {str(error)[:200]}")
    kinds = Counter(trick.kind for trick in tried)
    report.figure("tricks", f"{len(tried)}, of {len(kinds)} kinds")
