"""Send random and forged delegation requests: only roles that were actually delegated may be accepted.

Forged passkey tokens are also sent to a worker, and written to the records as accepted, for the auditor's
checks and for lists of people.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random

import structlog

from chaos.installation import Installation
from chaos.report import Report
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.records.database import Database
from tests.support.forged_delegations import Admission, examine
from tests.support.random_delegations import RandomDelegations


@dataclass(frozen=True)
class Size:
    """The number of cases, with twelve requests each, and of forged tokens."""

    cases: int
    forgeries: int


FULL = Size(cases=1_000, forgeries=1_500)
QUICK = Size(cases=25, forgeries=100)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Run all cases and try all tokens; each difference and each accepted token is an error."""
    await _forge(installation, report, size.forgeries)
    first = installation.rng.randrange(10**6)
    counts: Counter[str] = Counter()
    for seed in range(first, first + size.cases):
        case = RandomDelegations(seed)
        for difference in case.differences(orders=12):
            report.record_error(f"seed {seed}: {difference}")
        events = [one.event for one in case.entries if isinstance(one.event, DelegationDecided)]
        counts["accepted"] += sum(one.verdict.accepted and one.verdict.reason != "so" for one in events)
        counts["refused"] += sum(not one.verdict.accepted for one in events)
        counts["forged"] += sum(one.verdict.reason == "so" for one in events)
    report.figure("cases", size.cases)
    report.figure("requests", ", ".join(f"{count} {name}" for name, count in counts.items()))


async def _forge(installation: Installation, report: Report, count: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    first = installation.rng.randrange(10**6)
    judged = await Admission(_database(installation, "judged")).judge(Random(first), count)
    examined = await asyncio.to_thread(examine, _database(installation, "examined"), Random(first + 1), count)
    for fault in (*judged.faults, *examined.faults):
        report.record_error(fault)
    report.figure(
        "forged passkey tokens", f"{count} of {len(judged.kinds)} kinds, by a worker and an auditor"
    )


def _database(installation: Installation, name: str) -> Database:
    database = Database(f"sqlite:///{installation.folder / name}.db")
    database.migrate()
    return database
