"""Run the scenarios one after the other, show a table, and exit with 1 if one failed."""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos import (
    all_cases,
    api,
    burst,
    flood,
    freeze_a_worker,
    fuzz,
    hold,
    inbox,
    kill_the_server,
    kill_the_worker,
    lose_the_database,
    mcp,
    notices,
    outage,
    payments,
    restart_latency,
    tickets,
)
from chaos.flood import recorded_model
from chaos.installation import installation
from chaos.report import Report
from chaos.server import EmbeddedServer, ShortHistoryServer
from plangate.presentation.console import Console
from plangate.presentation.table import Column, Table
from plangate.process_end import end_process
from tests.support.notice_services import ADDRESSES
from tests.support.period_forgeries import FORGERIES
from tests.support.postgres import PostgresServer
from tests.support.tickets import VENDORS

_COLUMNS = (
    "scenario",
    "passed",
    "duration",
    Column("figures", is_text=True),
    Column("errors", is_text=True),
)


@dataclass(frozen=True)
class Scenario:
    """One scenario and its sizes.

    Attributes:
        full: its size, such as a number of cases, or `1` for every case.
        quick: its size with ``--quick``; `23` for one of 23 cases.
        in_suite: whether the test suite runs it in its quick size.
        uses_model: whether a recorded model drafts the plans.
        on_postgres: whether the records are in a separate PostgreSQL, which ``run_scenario`` also gets.
        by_default: whether it runs if no scenario is named; hour-long scenarios do not.
    """

    run_scenario: Callable[..., Awaitable[None]]
    full: object
    quick: object
    in_suite: bool = True
    uses_model: bool = False
    on_postgres: bool = False
    by_default: bool = True


_SAMPLED = partial(Scenario, in_suite=False)
"""A scenario of which the suite has its own sample."""

SCENARIOS = {
    "api": _SAMPLED(api.run_scenario, api.FULL, api.QUICK),
    "worker": Scenario(kill_the_worker.run_scenario, kill_the_worker.FULL, kill_the_worker.QUICK),
    "server": Scenario(kill_the_server.run_scenario, kill_the_server.FULL, kill_the_server.QUICK),
    "flood": Scenario(flood.run_scenario, flood.FULL, flood.QUICK, uses_model=True),
    "fuzz": Scenario(fuzz.run_scenario, fuzz.FULL, fuzz.QUICK),
    "burst": Scenario(burst.run_scenario, burst.FULL, burst.QUICK),
    "hold": Scenario(hold.run_scenario, hold.FULL, hold.QUICK),
    "inbox": Scenario(inbox.run_scenario, inbox.FULL, inbox.QUICK),
    "injections": _SAMPLED(all_cases.injections, full=1, quick=23),
    "mcp": Scenario(mcp.run_scenario, mcp.FULL, mcp.QUICK),
    "notices": Scenario(notices.sqlite, notices.FULL, notices.QUICK),
    "notices-postgres": Scenario(
        notices.postgres, notices.FULL, notices.QUICK, in_suite=False, on_postgres=True
    ),
    "notice-faults": _SAMPLED(
        all_cases.faults_of_channels, full=tuple(ADDRESSES), quick=("slack hook", "webhook")
    ),
    "notice-texts": _SAMPLED(all_cases.texts_of_notices, full=1, quick=37),
    "payments": Scenario(payments.run_scenario, payments.FULL, payments.QUICK),
    "calendars": _SAMPLED(all_cases.reviews_over_time, full=(5_000, 1_000), quick=(20, 20)),
    "delegations": _SAMPLED(all_cases.delegations, full=(1_000, 1_500), quick=(25, 100)),
    "periods": _SAMPLED(all_cases.periods, full=1_000, quick=len(FORGERIES)),
    "runs": _SAMPLED(all_cases.runs, full=6_000, quick=30),
    "proofs": _SAMPLED(all_cases.proofs, full=2_500, quick=150),
    "limits": _SAMPLED(all_cases.limits, full=2_000, quick=20),
    "limits-postgres": _SAMPLED(all_cases.limits, full=400, quick=20, on_postgres=True),
    "restart": Scenario(restart_latency.run_scenario, restart_latency.FULL, restart_latency.QUICK),
    "freeze": Scenario(
        freeze_a_worker.run_scenario, freeze_a_worker.FULL, freeze_a_worker.QUICK, in_suite=False
    ),
    "sqlite": Scenario(lose_the_database.sqlite, lose_the_database.FULL, lose_the_database.QUICK),
    "postgres": Scenario(
        lose_the_database.postgres, lose_the_database.MANY_TIMES, lose_the_database.ONCE, on_postgres=True
    ),
    "stale": _SAMPLED(all_cases.stale_observations, full=3_000, quick=100),
    "tickets": Scenario(tickets.run_scenario, tickets.FULL, tickets.QUICK),
    "ticket-faults": _SAMPLED(all_cases.faults_of_trackers, full=VENDORS, quick=VENDORS[:1]),
    "tricks": _SAMPLED(all_cases.misleading_texts, full=1, quick=7),
    "outage": Scenario(outage.sqlite, outage.FULL, outage.QUICK),
    "outage-postgres": Scenario(outage.postgres, outage.FULL, outage.QUICK, in_suite=False, on_postgres=True),
    "month": Scenario(outage.sqlite, outage.MONTH, outage.QUICK, in_suite=False, by_default=False),
    "month-postgres": Scenario(
        outage.postgres, outage.MONTH, outage.QUICK, in_suite=False, on_postgres=True, by_default=False
    ),
}


async def perform(name: str, folder: Path, *, quick: bool, seed: int, say: Callable[[str], None]) -> Report:
    """Run one scenario; an exception becomes an error in its report."""
    scenario, report = SCENARIOS[name], Report(say)
    try:
        model = recorded_model(folder / "model.json") if scenario.uses_model else None
        # A small flood makes a run continue as new only on a server with a low limit on history length.
        is_short = scenario.uses_model and quick
        server = (
            ShortHistoryServer(folder / "server", events=300)
            if is_short
            else EmbeddedServer(folder / "server")
        )
        size = scenario.quick if quick else scenario.full
        with _records(scenario) as database:
            url = database.new_database() if database else None
            run_scenario = (
                partial(scenario.run_scenario, database=database) if database else scenario.run_scenario
            )
            async with installation(
                folder, server, seed=seed, records_url=url, model=model, forks=quick
            ) as installed:
                await run_scenario(installed, report, size)
    except Exception as error:  # noqa: BLE001  the other scenarios must still run
        report.record_error(f"{type(error).__name__}: {error}")
    return report


@contextmanager
def _records(scenario: Scenario) -> Iterator[PostgresServer | None]:
    """Provide the scenario's PostgreSQL; None if its records are in SQLite."""
    if not scenario.on_postgres:
        yield None
        return
    database = PostgresServer()
    try:
        database.start()
        yield database
    finally:
        database.remove()


async def run(names: list[str], *, quick: bool, seed: int) -> bool:
    """Run the scenarios, show the results, and return whether all passed."""
    rows = []
    passed = True
    for name in names:
        print(f"{name} (seed {seed})", flush=True)
        with tempfile.TemporaryDirectory(prefix=f"chaos-{name}-") as folder:
            report = await perform(
                name, Path(folder), quick=quick, seed=seed, say=lambda line: print(f"  {line}", flush=True)
            )
        passed = passed and not report.faults
        figures = ", ".join(f"{figure}: {value}" for figure, value in report.figures.items())
        faults = "; ".join(report.faults[:10])
        rows.append((name, "no" if report.faults else "yes", f"{report.seconds:.0f} s", figures, faults))
    Console(sys.stdout).print(Table(_COLUMNS, rows))
    return passed


def main() -> int:
    """Run the requested scenarios."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(SCENARIOS)}; default: all except the month-long ones",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--seed", type=int, default=None, help="repeat a random sequence")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in SCENARIOS]
    if unknown:
        parser.error(f"unknown scenario {unknown[0]}; choose from: {', '.join(SCENARIOS)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    names = options.names or [name for name, scenario in SCENARIOS.items() if scenario.by_default]
    return 0 if asyncio.run(run(names, quick=options.quick, seed=seed)) else 1


if __name__ == "__main__":
    end_process(main())
