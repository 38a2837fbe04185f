"""One real Temporal server for all tests; a new Plangate instance for each."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
import structlog
from hypothesis import settings
from structlog.dev import ConsoleRenderer, plain_traceback
from temporalio.testing import WorkflowEnvironment

from plangate.policy import complete_file
from plangate.testing.server import start_temporal
from tests.support.gate import Gate, build_gate
from tests.support.postgres import PostgresServer
from tests.support.shared_statements import shared_statements

# Temporal servers are written in Go, which collects garbage each time such a small heap doubles, and takes
# 10% more processor time if its threads look for work on every core while other tests use the cores.
os.environ.setdefault("GOGC", "400")
os.environ.setdefault("GOMAXPROCS", "1")
_LONGEST = "test_linear_time.py"
# The time of an example depends mostly on the load on the machine.
settings.register_profile("plangate", deadline=None)
settings.load_profile("plangate")


def _is_whole_suite(config: pytest.Config) -> bool:
    return {Path(one).name for one in config.args} == {Path(one).name for one in config.getini("testpaths")}


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Exclude the modules and the tests from garbage collection: they are all in use until the end.

    In the whole suite, each of several processes begins with another folder: if all began with the same one,
    each would compile every module that has no bytecode yet.
    """
    config = session.config
    if _is_whole_suite(config):
        turn = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % len(config.args)
        config.args = [*config.args[turn:], *config.args[:turn]]
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)  # by default, garbage collection takes 4% of the time
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that need no server: the unit tests and recorded histories, a minute in total.

    Put all tests into the same order in each process.
    """
    if _is_whole_suite(config):
        folders = [Path(path).name for path in config.getini("testpaths")]
        items.sort(key=lambda item: folders.index(item.path.parent.name))
    for item in items:
        if item.path.parent.name in ("unit", "replay"):
            item.add_marker(pytest.mark.quick)
    # Unit tests run last, except the longest module, so that no process has to wait for it at the end.
    items.sort(key=lambda item: item.path.parent.name == "unit" and item.path.name != _LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _files_are_accepted_immediately() -> Iterator[None]:
    """Accept files as soon as they are written; tests of the wait turn it on again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(complete_file, "UNCHANGED_SECONDS", 0.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tracebacks_are_plain() -> None:
    """Make structlog write tracebacks as Python does, because rich takes up to a second for each."""
    renderer = structlog.get_config()["processors"][-1]
    assert isinstance(renderer, ConsoleRenderer)
    renderer.exception_formatter = plain_traceback


@pytest.fixture(scope="session", autouse=True)
def _statements_are_compiled_once() -> Iterator[None]:
    """Compile each statement once in each process, not once for each test's database."""
    with shared_statements():
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def env() -> AsyncIterator[WorkflowEnvironment]:
    """The server, in which tests can skip time."""
    environment = await start_temporal()
    yield environment
    await environment.shutdown()
    await asyncio.sleep(0.5)  # the SDK's core may crash an interpreter that exits right after it


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real PostgreSQL, started for the first test that needs it."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def idle_gate(env: WorkflowEnvironment, tmp_path: Path) -> Gate:
    """A Plangate instance with no worker running yet."""
    return build_gate(env, tmp_path, f"test-{uuid4().hex[:12]}")


@pytest_asyncio.fixture(loop_scope="session")
async def gate(idle_gate: Gate) -> AsyncIterator[Gate]:
    """A Plangate instance with one running worker."""
    async with idle_gate.worker():
        yield idle_gate
    idle_gate.database.close()
