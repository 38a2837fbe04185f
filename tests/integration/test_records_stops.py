"""Concurrent claims and stops, on both databases, by processes that are killed: no claim misses a stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from time import monotonic, sleep

import pytest
from sqlalchemy import text

from plangate.audit.stops import StopHistory
from plangate.domain.errors import TrailDamaged
from plangate.domain.people.people import identify
from plangate.domain.runs.audit import STOPS_TRAIL, Claimed
from plangate.domain.runs.stops import (
    ActiveStops,
    StopAction,
    StopContext,
    StopRequest,
    StopRequestArrival,
    StopRules,
    judge,
)
from plangate.records.database import Database
from plangate.records.stops import StopsCache, active_stops, record_stop_request
from plangate.records.trail import read_trail
from tests.support.build import NOON
from tests.support.claimers import TOOLS, claim_until_killed
from tests.support.record_writer import in_processes, trail
from tests.support.wait_limit import WAIT_LIMIT

SECONDS = 1.5


def ordered(database: Database, number: int, action: str, tool: str | None, stop: int | None = None) -> bool:
    """Record a request without a list of people, and return whether it was accepted."""
    order = StopRequest(action=StopAction(action), by="dana", tool=tool, reason="r", stop=stop)
    arrival = StopRequestArrival(key=f"k{number}", received_at=NOON, order=order)
    rules = StopRules()
    by = StopContext(rules=rules, release=rules.release(None), tools=TOOLS, at=NOON)
    with database.write() as connection:
        sender = identify(None, "dana", NOON)
        decided, _ = record_stop_request(
            connection, arrival, sender, lambda stops, known: judge(stops, arrival, known, by)
        )
    return decided.verdict.accepted


@contextmanager
def claiming(url: str, count: int) -> Iterator[None]:
    """Make this many processes claim, and kill them with SIGKILL at any point."""
    processes = in_processes(count, claim_until_killed, url)
    try:
        yield
    finally:
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join(WAIT_LIMIT)


def claims_of(database: Database) -> dict[str, int]:
    """Return the number of recorded claims of each tool."""
    counts = dict.fromkeys(TOOLS, 0)
    for number in range(3):
        for entry in trail(database, f"plan-{number}"):
            if isinstance(entry.event, Claimed):
                counts[entry.event.idempotency_key] += 1
    return counts


def test_no_claim_is_recorded_between_a_stop_and_its_release_even_after_a_kill(
    database: Database, database_url: str
) -> None:
    rng, number, naive = Random(7), 0, dict[str | None, int]()
    accepted = 0
    ends = monotonic() + SECONDS
    while monotonic() < ends:
        with claiming(database_url, 3):
            for _ in range(rng.randint(8, 14)):
                sleep(0.03)
                number += 1
                tool = rng.choice((None, *TOOLS))
                if tool in naive:
                    assert ordered(database, number, "go", tool, naive.pop(tool))
                else:
                    assert ordered(database, number, "stop", tool)
                    accepted += 1
                    naive[tool] = accepted
                before = claims_of(database)
                sleep(0.03)
                after = claims_of(database)
                for name in TOOLS:
                    if None in naive or name in naive:
                        assert after[name] == before[name], (number, naive)
    assert sum(claims_of(database).values()) > 20
    _assert_that_the_auditor_agrees(database)
    with database.read() as connection:
        assert {one.tool: one.number for one in active_stops(connection).active} == naive


def _assert_that_the_auditor_agrees(database: Database) -> None:
    """Check that each claim read the newest change, and that its tool was not stopped."""
    with database.read() as connection:
        history = StopHistory(read_trail(connection, STOPS_TRAIL))
    for number in range(3):
        latest = 0
        for entry in trail(database, f"plan-{number}"):
            if isinstance(entry.event, Claimed):
                assert entry.event.stops >= latest
                latest = entry.event.stops
                assert history.objection(entry, entry.event, entry.event.idempotency_key) is None


@pytest.mark.parametrize("change", ["UPDATE stops SET number = 0, hash = 'x'", "DELETE FROM stops"])
def test_a_claim_fails_closed_if_the_stops_cannot_be_read(database: Database, change: str) -> None:
    assert ordered(database, 1, "stop", None)
    seen = StopsCache()
    with database.write() as connection:
        connection.execute(text(change))
    with pytest.raises(TrailDamaged), database.write() as connection:
        seen.read(connection)


def test_a_repeated_request_keeps_its_result(database: Database) -> None:
    assert ordered(database, 1, "stop", None)
    assert ordered(database, 2, "go", None, 1)
    assert ordered(database, 1, "stop", None)
    with database.read() as connection:
        assert active_stops(connection) == ActiveStops(accepted=1)
