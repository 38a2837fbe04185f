"""A Plangate instance in real processes for acceptance tests: embedded server, worker, records, outbox."""

import re
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

import starter
from plangate.settings import PROJECT
from tests.support.browser import launched_browser
from tests.support.http_service import ADDRESS
from tests.support.installed import build_wheel
from tests.support.program import Ended, Home, Typed, worker

RECORDED = {
    "PLANGATE_MODEL_CONFIG": str(PROJECT / "examples" / "demo" / "model.json"),
    "PLANGATE_HTTP_ALLOWED_HOSTS": f"127.0.0.1:8099,{ADDRESS}",
    "PLANGATE_HTTP_PRIVATE_HOSTS": f"127.0.0.1:8099,{ADDRESS}",
    "PLANGATE_SEAL_SECONDS": "1",
    "PLANGATE_LATE_EFFECT_SECONDS": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """A headless browser, for the tests of one module."""
    async with launched_browser() as launched:
        yield launched


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """The directory of a Plangate instance whose embedded server is stopped after the tests."""
    home = Home(tmp_path_factory.mktemp("home") / "var", dict(RECORDED))
    try:
        yield home
    finally:
        stop_server(home)


@pytest.fixture(scope="session")
def plangate(home: Home) -> Iterator[Home]:
    """The same instance with a worker, for tests that do not stop it."""
    with worker(home):
        yield home


def stop_server(home: Home) -> None:
    """Stop the embedded server of this home, if it is running."""
    home.forked("stop", program="plangate/temporal/dev_server.py")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built as users install it."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[Home], Typed]:
    """Run commands in this process, with the same `main`, which saves the second that a new process takes."""

    def at(home: Home) -> Typed:
        def typed(*words: str, stdin: bytes = b"") -> Ended:
            with monkeypatch.context() as patch:
                for name, value in home.environment().items():
                    patch.setenv(name, value)
                patch.setattr(sys, "argv", ["starter.py", *words])
                patch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
                code = starter.main()
            output = capfd.readouterr()
            return Ended(code, output.out, _without_earlier_reports(output.err))

        return typed

    return at


def _without_earlier_reports(err: str) -> str:
    """Drop output that a thread of Temporal's core wrote after an earlier test.

    No command has a worker, so a report about local activities is never the command's own.
    """
    err = _REPORT.sub("", err)
    before, end, output = err.rpartition("for a verbose backtrace.\n")
    return err if "panicked" in before else output if end else err


_REPORT = re.compile(
    r"\n?thread '[^']*' \(\d+\) panicked at [^\n]*local_activities\.rs.*?for a verbose backtrace\.\n",
    re.DOTALL,
)


@pytest.fixture(scope="session")
def mail_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared plan that sends one mail."""
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    path.write_text(
        "summary: Tell Ann\n"
        "steps:\n"
        "  - tool: send_email\n"
        "    reason: she asked for it\n"
        "    arguments:\n"
        "      to: [ann@example.org]\n"
        "      subject: Done\n"
        "      body: |\n"
        "        Hello Ann,\n"
        "        it is done.\n"
    )
    return path
