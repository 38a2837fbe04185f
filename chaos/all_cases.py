"""Run all the generated cases and faults of which the test suite runs a sample.

The modules of `tests.support` generate and judge them. Each difference from the expected result is an error.
Everything under test runs in this process, on real records.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random

import structlog

from activities.planners.autogen.model_client import model_client_factory
from chaos.installation import Installation
from chaos.report import Report
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.escaping import one_line
from plangate.logs.setup import configure_logs
from plangate.records.database import Database
from plangate.settings import Settings
from tests.support import (
    calendars,
    compared_limits,
    compared_runs,
    forged_delegations,
    notice_faults,
    notice_services,
    notice_trials,
    proof_trials,
    stale_objects,
    start_cases,
    ticket_faults,
    time_cases,
    tricked_views,
)
from tests.support.gate import build_gate
from tests.support.injected_runs import InjectionRunner
from tests.support.injections import Obedient, corpus
from tests.support.openai_server import OpenAIServer
from tests.support.period_forgeries import ForgerFiles, forged
from tests.support.postgres import PostgresServer
from tests.support.random_delegations import RandomDelegations
from tests.support.visual_tricks import tricks

_PROOFS_PER_DATABASE = 500
_OBJECTS_PER_GATE = 500


async def reviews_over_time(installation: Installation, report: Report, size: tuple[int, int]) -> None:
    """Compare random reviews, and separate calendars, windows and freezes, with a simple model.

    No plan may be approved merely because time passes.
    """
    reviews, singles = size
    first = seed = _first_seed(installation)
    count = 0
    while count < reviews:
        found = time_cases.differences(seed)
        seed += 1
        if found is not None:
            count += 1
            report.progress(count, reviews)
            report.record_errors(found)
    for seed in range(first, first + singles):
        for compare in (calendars.difference, start_cases.difference, start_cases.late_difference):
            report.record_errors(filter(None, [compare(seed)]))
    report.figure("reviews", reviews)
    report.figure("calendars", singles)


async def delegations(installation: Installation, report: Report, size: tuple[int, int]) -> None:
    """Send random requests, and forged passkey tokens: only roles actually delegated may be accepted.

    The tokens are also written to the records as accepted, for the auditor's checks and for lists of people.
    """
    cases, forgeries = size
    first = _first_seed(installation)
    with _records(installation, "judged") as judging, _records(installation, "examined") as examining:
        judged = await forged_delegations.Admission(judging).judge(Random(first), forgeries)
        examined = await asyncio.to_thread(
            forged_delegations.examine, examining, Random(first + 1), forgeries
        )
    report.record_errors([*judged.faults, *examined.faults])
    kinds = len(judged.kinds)
    report.figure("forged passkey tokens", f"{forgeries} of {kinds} kinds, by a worker and an auditor")
    counts: Counter[str] = Counter()
    for seed in range(first, first + cases):
        case = RandomDelegations(seed)
        report.record_errors(f"seed {seed}: {difference}" for difference in case.differences(orders=12))
        events = [one.event for one in case.entries if isinstance(one.event, DelegationDecided)]
        counts["accepted"] += sum(one.verdict.accepted and one.verdict.reason != "so" for one in events)
        counts["refused"] += sum(not one.verdict.accepted for one in events)
        counts["forged"] += sum(one.verdict.reason == "so" for one in events)
    report.figure("cases", cases)
    report.figure("requests", ", ".join(f"{count} {name}" for name, count in counts.items()))


async def injections(installation: Installation, report: Report, one_in: int) -> None:
    """Send prompt injections to a model that obeys them; only the plan's effects may happen."""
    model, cases = Obedient(), corpus()[::one_in]
    folder = installation.folder / "injections"
    folder.mkdir()
    configure_logs(Settings(log_level="error"))
    gate = build_gate(installation.client, folder, "injections")
    with OpenAIServer(model, distinct=True) as server:
        settings = Settings(openai_base_url=server.base_url, openai_api_key="k", model_config_file=None)
        runner = InjectionRunner(gate, corpus(), model_client_factory(settings), folder)
        async with gate.worker():
            for case in cases:  # one after the other, because the effects of each are counted
                report.record_errors(await runner.examine(case))
    gate.database.close()
    missed = [str(case) for case in cases if case.number not in model.obeyed]
    report.expect(not missed, f"these injections never reached the model: {missed[:5]}")
    report.figure("cases", _of_kinds([case.kind for case in cases]))
    report.figure("without a valid call", runner.without_plan)
    report.figure("obeyed by the model", len(model.obeyed))
    report.figure("requests to the model", len(server.requests))


async def limits(
    installation: Installation, report: Report, cases: int, *, database: PostgresServer | None = None
) -> None:
    """Compare concurrent runs under a limit over time with a simple model."""
    first, effects = _first_seed(installation), 0
    with _records(installation, "limits", database) as records:
        for number in range(cases):
            report.progress(number, cases)
            wrong, happened = await compared_limits.faults(records, first + number)
            effects += happened
            report.record_errors(wrong)
    report.figure("cases", cases)
    report.figure("effects", effects)


async def faults_of_channels(installation: Installation, report: Report, services: tuple[str, ...]) -> None:
    """Test every fault of a mail server and of these services, with one notice."""
    folder = installation.folder / "notices"
    folder.mkdir()
    with notice_services.running_services(folder) as running:
        checks = notice_faults.all_checks(running, services, folder)
        for name, check in checks.items():
            with report.checking(name):
                await check()
    report.figure("faults", f"{len(checks)}, at mail and {len(services)} services")


async def texts_of_notices(installation: Installation, report: Report, one_in: int) -> None:
    """Send hostile texts in every field of a notice, over every channel, to services with real protocols."""
    cases = notice_trials.cases(_first_seed(installation))[::one_in]
    folder = installation.folder / "notices"
    folder.mkdir()
    with notice_services.running_services(folder) as running:
        trials = notice_trials.TextTrials(running, folder)
        for case in cases:
            where = f"{case.channel}, {'+'.join(case.kinds)}, {case.trick.kind}"
            with report.checking(f"{where}, {one_line(case.trick.text)[:60]}"):
                await trials.check(case)
    report.figure("hostile texts", f"{len(cases)}, by {len({case.channel for case in cases})} channels")
    kinds = Counter(case.trick.kind for case in cases)
    report.figure("kinds", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))


async def periods(installation: Installation, report: Report, forgeries: int) -> None:
    """Check forged evidence for a period: runs removed, added, swapped, re-dated, resealed, or miscounted."""
    first, files = _first_seed(installation), ForgerFiles(installation.folder)
    kinds: list[str] = []
    for seed in range(first, first + forgeries):
        case = forged(files, seed)
        kinds.append(case.kind)
        report.record_errors(f"seed {seed}: {missed}" for missed in filter(None, [case.missed()]))
    report.figure("forgeries", _of_kinds(kinds))


async def proofs(installation: Installation, report: Report, forgeries: int) -> None:
    """Send forged proofs to a worker's admission, and write them into a database for an auditor."""
    kinds: set[str] = set()
    for tried in range(0, forgeries, _PROOFS_PER_DATABASE):
        count = min(_PROOFS_PER_DATABASE, forgeries - tried)
        rng = Random(installation.rng.randrange(10**9))
        with (
            _records(installation, f"judged-{tried}") as judging,
            _records(installation, f"examined-{tried}") as examining,
        ):
            admission = proof_trials.Admission(judging, rng)
            judged = await admission.judge(count)
            examined = await asyncio.to_thread(proof_trials.examine, examining, rng, count)
            report.record_errors([*judged.faults, *examined.faults, *await admission.accept_all()])
        kinds |= {*judged.kinds, *examined.kinds}
        report.say(f"{tried + count} of {forgeries} forgeries, by a worker and by an auditor")
    report.figure("forgeries", f"{forgeries}, of {len(kinds)} kinds")


async def runs(installation: Installation, report: Report, cases: int) -> None:
    """Compare edits, failures, resolutions, undos and kills with a simple model."""
    first = _first_seed(installation)
    with _records(installation, "cases") as records:
        for number in range(cases):
            report.progress(number, cases)
            report.record_errors(await compared_runs.differences(records, first + number))
    report.figure("cases", cases)


async def stale_observations(installation: Installation, report: Report, objects: int) -> None:
    """Run plans on objects that may change between a plan's draft and its steps.

    A step must be held, without an effect, if and only if its precondition is no longer met.
    """
    _log_nothing()
    steps = 0
    for begin in range(0, objects, _OBJECTS_PER_GATE):
        folder = installation.folder / f"stale-{begin}"
        folder.mkdir()
        gate = build_gate(installation.client, folder, f"stale-{begin}")
        count = min(_OBJECTS_PER_GATE, objects - begin)
        try:
            performed, faults = await stale_objects.perform(gate, Random(installation.rng.random()), count)
        finally:
            gate.database.close()
        steps += performed
        report.record_errors(faults)
        report.figure("steps", steps)


async def faults_of_trackers(_installation: Installation, report: Report, vendors: Sequence[str]) -> None:
    """Test every fault of a ticket service, with one call to each tool."""
    cases = [
        (vendor, tool, fault)
        for vendor in vendors
        for tool in ticket_faults.TOOLS
        for fault in ticket_faults.FAULTS
    ]
    for case in cases:
        with report.checking(", ".join(case)):
            await ticket_faults.check(*case)
    report.figure("faults", len(cases))


async def misleading_texts(_installation: Installation, report: Report, one_in: int) -> None:
    """Render texts in the terminal, in Temporal's Web UI and in the inbox, and compare with the original."""
    tried = list(tricks())[::one_in]
    for trick in tried:
        with report.checking(f"{trick.kind}, {one_line(trick.text)[:80]}"):
            tricked_views.check_shown(trick.text)
    report.figure("tricks", _of_kinds([trick.kind for trick in tried]))


def _first_seed(installation: Installation) -> int:
    return installation.rng.randrange(10**6)


def _of_kinds(kinds: Sequence[str]) -> str:
    return f"{len(kinds)}, of {len(set(kinds))} kinds"


@contextmanager
def _records(
    installation: Installation, name: str, server: PostgresServer | None = None
) -> Iterator[Database]:
    """Provide new records, in SQLite or on this server, and log nothing about what happens to them."""
    _log_nothing()
    database = Database(server.new_database() if server else f"sqlite:///{installation.folder / name}.db")
    database.migrate()
    try:
        yield database
    finally:
        database.close()


def _log_nothing() -> None:
    """Do not log, for example, each held step with its traceback."""
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
