"""Compare thousands of random cases of edits, failures, resolutions, undos and kills with a simple model.

No server is needed: Plangate's own activities execute them on real records (`tests.support.compared_runs`).
"""

from dataclasses import dataclass

import structlog

from chaos.installation import Installation
from chaos.report import Report
from plangate.records.database import Database
from tests.support.compared_runs import differences


@dataclass(frozen=True)
class Size:
    """The number of cases."""

    cases: int


FULL = Size(cases=6_000)
QUICK = Size(cases=30)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Run all cases; each difference is an error."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    first = installation.rng.randrange(10**6)
    database = Database(f"sqlite:///{installation.folder / 'cases.db'}")
    database.migrate()
    for number in range(size.cases):
        if number % 1_000 == 0:
            report.say(f"{number} of {size.cases} cases")
        for difference in await differences(database, first + number):
            report.record_error(difference)
    database.close()
    report.figure("cases", size.cases)
