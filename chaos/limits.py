"""Compare thousands of random cases of concurrent runs under a limit over time with a simple model.

No server is needed: Plangate's own activities execute them on real records (`tests.support.compared_limits`).
"""

from dataclasses import dataclass

import structlog

from chaos.installation import Installation
from chaos.report import Report
from plangate.records.database import Database
from tests.support.compared_limits import faults
from tests.support.postgres import PostgresServer


@dataclass(frozen=True)
class Size:
    """The number of cases."""

    cases: int


FULL = Size(cases=2_000)
FEWER = Size(cases=400)
QUICK = Size(cases=20)


async def sqlite(installation: Installation, report: Report, size: Size) -> None:
    """Run the cases on SQLite."""
    await _run_cases(f"sqlite:///{installation.folder / 'limits.db'}", installation, report, size)


async def postgres(
    installation: Installation, report: Report, size: Size, *, database: PostgresServer
) -> None:
    """Run some of the cases on PostgreSQL."""
    await _run_cases(database.new_database(), installation, report, size)


async def _run_cases(url: str, installation: Installation, report: Report, size: Size) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    first, effects = installation.rng.randrange(10**6), 0
    database = Database(url)
    database.migrate()
    for number in range(size.cases):
        if number % 500 == 0:
            report.say(f"{number} of {size.cases} cases")
        wrong, happened = await faults(database, first + number)
        effects += happened
        for fault in wrong:
            report.record_error(fault)
    database.close()
    report.figure("cases", size.cases)
    report.figure("effects", effects)
