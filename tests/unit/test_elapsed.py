"""Ages include the time in which the machine is suspended; time limits on work suspended with it do not."""

import ast
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.testing import ActivityEnvironment

from activities import heartbeat
from activities.heartbeat import Heartbeats
from plangate import elapsed
from plangate.settings import PROJECT

PACKAGES = ("plangate", "activities", "workflows")
# Each module waits for or paces something that is suspended with this machine. The other workers of a queue
# may also be suspended, on the same machine; it is safe to wait longer before a worker is considered dead.
SUSPENDED_WITH_THE_MACHINE = {
    "activities/planners/function.py",
    "plangate/cli/commands/audit.py",
    "plangate/temporal/dev_server_files.py",
    "plangate/temporal/dev_server.py",
    "plangate/logs/setup.py",
    "plangate/policy/complete_file.py",
    "plangate/records/sqlite_file.py",
    "plangate/temporal/worker_agreement.py",
}


def test_the_clock_includes_suspended_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def clock_gettime(clock: int) -> float:
        asked.append(clock)
        return 0.0

    monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    elapsed.elapsed()
    assert asked == [time.CLOCK_BOOTTIME if sys.platform == "linux" else time.CLOCK_MONOTONIC]


def test_the_clock_is_monotonic() -> None:
    readings = [elapsed.elapsed() for _ in range(1_000)]
    assert readings == sorted(readings)
    assert elapsed.elapsed() - readings[0] < 10


def test_no_other_code_uses_a_clock_that_stops_during_suspend() -> None:
    """Scan the code: each module that uses such a clock must be listed above."""
    files = [
        PROJECT / "worker.py",
        PROJECT / "starter.py",
        *(f for name in PACKAGES for f in (PROJECT / name).rglob("*.py")),
    ]
    found = {str(path.relative_to(PROJECT)) for path in files if any(_clocks(ast.parse(path.read_text())))}
    assert found == SUSPENDED_WITH_THE_MACHINE


def _clocks(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        names = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
        match node:
            case ast.Attribute(attr=name) | ast.alias(name=name) if name in names:
                yield name
            case ast.Call(func=ast.Attribute(attr="time", value=ast.Name(id=of))) if of != "time":
                yield of  # for example, loop.time()
            case _:
                pass


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(heartbeat, "elapsed", clock)
    return clock


def heartbeats_of(heartbeat_timeout: timedelta | None) -> Heartbeats:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_timeout=heartbeat_timeout)
    made: Heartbeats = environment.run(Heartbeats)
    return made


def test_an_attempt_whose_heartbeats_come_in_time_is_not_lost(clock: Clock) -> None:
    one = heartbeats_of(timedelta(seconds=4))
    for _ in range(10):
        clock.now += 3.9
        assert not one.are_missed
        one.sent()


def test_an_attempt_that_missed_its_heartbeats_is_lost_permanently(clock: Clock) -> None:
    one = heartbeats_of(timedelta(seconds=4))
    clock.now += 4
    one.sent()  # the first one sent when the machine resumes
    clock.now += 1
    one.sent()
    assert one.are_missed


def test_an_attempt_without_a_heartbeat_timeout_is_never_lost(clock: Clock) -> None:
    one = heartbeats_of(None)
    clock.now += 1e6
    assert not one.are_missed
