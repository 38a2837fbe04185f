"""The pytest plugin with the fixture ``plangate``, with few imports, because pytest loads it everywhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from plangate.testing.application import BuildWorker
    from plangate.testing.gate import Gate
    from plangate.testing.server import Server

_APPLICATION: Final = "plangate_application"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting for the application's folder."""
    parser.addini(_APPLICATION, "the folder of Plangate's worker.py, relative to this file", type="paths")


@pytest.fixture(scope="session")
def plangate_application(request: pytest.FixtureRequest) -> "BuildWorker":
    """Load the application whose folder is in pytest's settings."""
    from plangate.domain.errors import OperatorError  # noqa: PLC0415  slow, and most tests do not need it
    from plangate.testing.application import load_application  # noqa: PLC0415  as above

    folders: list[Path] = request.config.getini(_APPLICATION)
    try:
        return load_application(folders[0] if folders else None)
    except OperatorError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def plangate_server() -> "Iterator[Server]":
    """Start one Temporal server for all tests."""
    from plangate.testing.server import Server  # noqa: PLC0415  as above

    with Server() as server:
        yield server


@pytest.fixture
def plangate(
    plangate_application: "BuildWorker",
    plangate_server: "Server",
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[Callable[..., Gate]]":
    """Return a function that starts Plangate: ``plangate(refund, policy=…, people=…, planner=…)``.

    Its positional arguments are tools. Each installation has its own worker and records until the test ends.
    """
    from plangate.testing.gate import Gate  # noqa: PLC0415  as above

    with ExitStack() as gates:

        def opened(*tools: Any, policy: str = "", people: str = "", planner: Any = None) -> Gate:
            folder = tmp_path_factory.mktemp("plangate")
            gate = Gate(
                plangate_server,
                plangate_application,
                folder,
                tools=tools,
                policy=policy,
                people=people,
                planner=planner,
            )
            return gates.enter_context(gate)

        yield opened
