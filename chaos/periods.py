"""Check forged evidence for a period: runs removed, added, swapped, re-dated, resealed, or miscounted."""

from collections import Counter
from dataclasses import dataclass

from chaos.installation import Installation
from chaos.report import Report
from tests.support.period_forgeries import FORGERIES, ForgerFiles, forged


@dataclass(frozen=True)
class Size:
    """The number of forgeries."""

    forgeries: int


FULL = Size(forgeries=1_000)
QUICK = Size(forgeries=len(FORGERIES))


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Check all forgeries; each forgery that is not reported is an error."""
    first, files = installation.rng.randrange(10**6), ForgerFiles(installation.folder)
    kinds: Counter[str] = Counter()
    for seed in range(first, first + size.forgeries):
        case = forged(files, seed)
        kinds[case.kind] += 1
        missed = case.missed()
        if missed:
            report.record_error(f"seed {seed}: {missed}")
    report.figure("forgeries", f"{size.forgeries}, of {len(kinds)} kinds")
