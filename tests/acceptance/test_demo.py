"""The demo, as a new user runs it: everything works, and only the embedded server keeps running."""

import os
import re
import signal
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from pathlib import Path
from time import monotonic, sleep

import pytest

from plangate.settings import PROJECT
from tests.acceptance.conftest import stop_server
from tests.support.program import Ended, Home, Terminal
from tests.support.wait_limit import WAIT_LIMIT


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An empty directory, and an environment whose variables the demo must ignore."""
    ignored = {
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "TEMPORAL_NAMESPACE": "nosuch",
        "PLANGATE_SMTP_URL": "smtp://127.0.0.1:1",
        "PLANGATE_TASK_QUEUE": "elsewhere",
        "PLANGATE_WORKER_BUILD_ID": "7",
    }
    home = Home(tmp_path / "var", dict(ignored))
    yield home
    stop_server(home)


def demo(home: Home, changes: Mapping[str, str | None] | None = None) -> Ended:
    log = home.var_dir / "programs.log"
    code = home.start("starter.py", "demo", changes=changes).wait(WAIT_LIMIT * 2)
    return Ended(code, log.read_text(), "")


def test_the_demo_completes(home: Home) -> None:
    ended = demo(home, {"PATH": os.defpath})
    assert ended.code == 0, ended.out
    for part in (
        "a recorded model conversation, since neither OPENAI_API_KEY nor OPENAI_BASE_URL is set",
        "Step 2 of 2: send_email",
        "Source: the running workflow.",
        "kill -9 ",
        "source       the records (no worker answers)",
        "Signal workflow succeeded",
        "✓ tickets opened in the ticket service: 1 (planned: 1)",
        "✓ calls that the ticket service received: 1 (planned: 1)",
        "✓ mails in the outbox: 1 (planned: 1)",
        "closed: executed",
        "make stop",
    ):
        assert part in ended.out
    assert re.search(r"Web UI +http://127\.0\.0\.1:\d+/namespaces/default/workflows/plan-\w{8}\n", ended.out)
    assert "\x1b" not in ended.out
    shown = re.search(r"^    (.+) workflow signal -w plan-\w{8} ", ended.out, re.MULTILINE)
    assert shown
    assert os.access(PROJECT / shown[1], os.X_OK)  # where `temporal` alone would not be found
    (mail,) = (home.var_dir / "outbox").glob("*.eml")
    assert message_from_bytes(mail.read_bytes())["To"] == "customer-4711@example.com"
    assert workers_of(home) == []
    assert (home.var_dir / "demo" / "worker-2.log").exists()


def test_an_interrupted_demo_leaves_no_worker_running(home: Home) -> None:
    process = home.start("starter.py", "demo")
    log = home.var_dir / "programs.log"
    ends = monotonic() + WAIT_LIMIT
    while "A worker starts" not in log.read_text() and monotonic() < ends:
        sleep(0.1)
    second = home.forked("demo")  # immediately, because the first one ends some seconds later
    assert (second.code, second.sentence) == (1, "Another demo is running here; wait until it ends.")
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_LIMIT) == 130
    assert "The demo was interrupted and its workers were stopped" in log.read_text()
    assert workers_of(home) == []


def test_a_demo_interrupted_during_the_review_leaves_no_run_waiting(home: Home) -> None:
    screen = Terminal(home, "demo", "--interactive")
    try:
        (workflow_id,) = set(re.findall(r"plan-\w{8}", screen.sees("or [l]ater? ")))
        screen.types("\x03")
        screen.sees("The demo was interrupted and its workers were stopped")
        assert screen.ends() == 130
    finally:
        screen.close()
    assert "closed: withdrawn" in home.forked("audit", "show", workflow_id).out
    assert workers_of(home) == []


def test_a_person_may_decide_in_the_demo(home: Home) -> None:
    screen = Terminal(home, "demo", "--interactive")
    try:
        assert "kill -9 " in screen.sees("or [l]ater? ")
        screen.types("c\n")
        screen.sees("Your name: ")
        screen.types("dana\n")
        screen.sees("What should change?")
        screen.types("low priority is enough\n")
        revised = screen.sees("or [l]ater? ")
        assert "Please note: low priority is enough" in revised.partition("Step 1 of 2")[2]
        screen.types("r\n")
        screen.sees("Your name: ")
        screen.types("dana\n")
        screen.sees("Why? (may be empty) ")
        screen.types("not today\n")
        screen.sees("rejected by dana: not today")
        screen.sees("✓ tickets opened in the ticket service: 0 (planned: 0)")
        screen.sees("✓ mails in the outbox: 0 (planned: 0)")
        assert screen.ends() == 0
    finally:
        screen.close()


def workers_of(home: Home) -> list[str]:
    """Return the processes that run worker.py with this home, according to the kernel."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if str(PROJECT / "worker.py").encode() in command and str(home.var_dir).encode() in environment:
            found.append(process.name)
    return found
