"""Send thousands of forged proofs to a worker's admission, and write them into a database for an auditor.

No server is needed (`tests.support.proof_trials`). All forgeries must be refused and reported.
"""

import asyncio
from dataclasses import dataclass
from random import Random

import structlog

from chaos.installation import Installation
from chaos.report import Report
from plangate.records.database import Database
from tests.support.proof_trials import Admission, examine


@dataclass(frozen=True)
class Size:
    """The number of forgeries, in total and per database."""

    forgeries: int
    in_one: int = 500


FULL = Size(forgeries=2_500)
QUICK = Size(forgeries=150)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Test all forgeries; each one that is accepted or not reported is an error."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    tried, kinds = 0, set[str]()
    while tried < size.forgeries:
        count = min(size.in_one, size.forgeries - tried)
        rng = Random(installation.rng.randrange(10**9))
        admission = Admission(_database(installation, f"judged-{tried}"), rng)
        judged = await admission.judge(count)
        examined = await asyncio.to_thread(examine, _database(installation, f"examined-{tried}"), rng, count)
        for fault in (*judged.faults, *examined.faults, *await admission.accept_all()):
            report.record_error(fault)
        tried += count
        kinds |= {*judged.kinds, *examined.kinds}
        report.say(f"{tried} of {size.forgeries} forgeries, by a worker and by an auditor")
    report.figure("forgeries", f"{tried}, none accepted" if not report.faults else tried)
    report.figure("kinds", len(kinds))


def _database(installation: Installation, name: str) -> Database:
    database = Database(f"sqlite:///{installation.folder / name}.db")
    database.migrate()
    return database
