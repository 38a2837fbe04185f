"""The page on how to add a tool works as printed, in an empty folder, with the bank in a real process."""

import json
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.settings import PROJECT
from plangate.tool.loading import tools_of
from tests.acceptance.conftest import stop_server
from tests.support.gate import Gate
from tests.support.program import Home, Typed, worker
from tests.support.wait_limit import WAIT_LIMIT

PAGE = (PROJECT / "docs" / "howto-add-a-tool.md").read_text()
BANK = PROJECT / "examples" / "refunds" / "bank.py"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


FUNCTION, WITH_UNDO_AND_PRECONDITION, LOOK_UP, COUNT, ACCEPTED = blocks("python")
PLAN, TOO_MUCH = blocks("yaml")
_, _, COMMANDS, _, AGAIN, UNDO, CHECK = blocks("sh")
NEW_PREVIEW, UNDONE = blocks("text")


@dataclass
class Bank:
    """The bank from the page, in a separate process."""

    url: str

    def refunds(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = httpx.get(f"{self.url}/refunds", timeout=5).json()
        return found

    def left(self, payment: str) -> str:
        return str(httpx.get(f"{self.url}/payments/{payment}", timeout=5).json()["refundable"])

    def refund(self, payment: str, amount: str) -> None:
        """Refund without Plangate, as a colleague could."""
        form = {"payment": payment, "amount": amount}
        httpx.post(f"{self.url}/refunds", data=form, timeout=5).raise_for_status()


@contextmanager
def opened() -> Iterator[Bank]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(BANK), str(port)], stdout=subprocess.DEVNULL)
    try:
        ends = monotonic() + WAIT_LIMIT
        while monotonic() < ends:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            sleep(0.05)
        yield Bank(f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bank() -> Iterator[Bank]:
    with opened() as bank:
        yield bank


def test_the_functions_in_the_howto_are_short() -> None:
    assert len(FUNCTION.splitlines()) <= 20
    assert len(WITH_UNDO_AND_PRECONDITION.splitlines()) <= 40
    assert max(map(len, PAGE.splitlines())) <= 120


def test_the_steps_of_the_howto_work(
    bank: Bank, tmp_path: Path, typing: Callable[[Home], Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "refunds.py").write_text(FUNCTION)
    (folder / "plan.yaml").write_text(PLAN)
    home = Home(tmp_path / "var", {"PLANGATE_TOOLS": "refunds", "BANK_URL": bank.url})
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "refunds", raising=False)
    plan = ""

    def typed(line: str) -> str:
        """Run one command from the page; without a terminal, a decision must specify the printed plan."""
        words = line.split()
        assert words[:2] == ["python", "~/plangate/starter.py"]
        named = {"approve": ("--plan", plan), "resolve": ("--plan", plan, "--step", "2")}
        ended = typing(home)(*words[2:], *named.get(words[2], ()))
        assert ended.code == 0, ended
        return ended.out

    def shows(status: str, text: str) -> str:
        """Repeat the command until its output, joined to one line, contains this text."""
        ends = monotonic() + WAIT_LIMIT
        while text not in (shown := " ".join(typed(status).split())) and monotonic() < ends:
            sleep(0.2)
        assert text in shown
        return shown

    _, tools, start, approve, status = COMMANDS.splitlines()
    try:
        with worker(home, folder):
            assert "refunds.py:6" in typed(tools)
            started = typed(start)
            (plan,) = set(re.findall(r"\b[0-9a-f]{12}\b", started))
            (step,) = json.loads(typed(f"{status} --json"))["steps"]
            assert step["preview"] == "refund: payment P-1, amount 42.50"
            assert bank.refunds() == []
            typed(approve)
            shown = shows(status, "executed")
            assert "number R-1, payment P-1, amount 42.50" in shown
        assert bank.refunds() == [{"number": "R-1", "payment": "P-1", "amount": "42.50"}]
        (folder / "refunds.py").write_text(WITH_UNDO_AND_PRECONDITION)
        (folder / "too-much.yaml").write_text(TOO_MUCH)
        start, approve, held, undo, status = UNDO.splitlines()
        with worker(home, folder):
            assert " ".join(NEW_PREVIEW.split()) in " ".join(typed(AGAIN.strip()).split())
            (plan,) = set(re.findall(r"\b[0-9a-f]{12}\b", typed(start)))
            typed(approve)
            shows(held, "stopped at step 2 of 2, refund; failed: it had no effect")
            assert "are being undone now" in typed(undo)
            shows(status, " ".join(UNDONE.split()))
    finally:
        stop_server(home)
    assert [one.get("status") for one in bank.refunds()] == [None, "canceled"]


# ---- undo and precondition, in one process --------------------------------------------------------


@pytest.fixture
def refunds(bank: Bank, idle_gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    (tmp_path / "page_refunds.py").write_text(WITH_UNDO_AND_PRECONDITION)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("BANK_URL", bank.url)
    monkeypatch.delitem(sys.modules, "page_refunds", raising=False)
    (found,) = tools_of("page_refunds", "the page")
    idle_gate.tools["refund"] = found.tool.from_settings(idle_gate.settings)
    return idle_gate


async def planned(refunds: Gate, *amounts: float) -> Status:
    """Start a run of these refunds, and wait until it is in review."""
    steps = [{"tool": "refund", "arguments": {"payment": "P-1", "amount": amount}} for amount in amounts]
    request = PlanRequest(requester="rita", plan={"summary": "Refund", "steps": steps}, timeout_seconds=3_600)
    return await refunds.until("in_review", await refunds.api.submit(request))


async def test_two_refunds_of_one_payment_do_not_conflict(refunds: Gate, bank: Bank) -> None:
    async with refunds.worker():
        run = await planned(refunds, 30, 20.5)
        assert run.plan is not None
        assert [step.observation for step in run.plan.steps] == [{"left": "100.00"}, {"left": "100.00"}]
        assert run.plan.steps[0].preview == "Refund 30.00 EUR of payment P-1, which has 100.00 EUR left"
        await refunds.decide(run)
        assert (await refunds.result(run.workflow_id)).outcome == "executed"
    assert bank.left("P-1") == "49.50"


async def test_a_refund_is_held_if_the_money_was_refunded_meanwhile(refunds: Gate, bank: Bank) -> None:
    async with refunds.worker():
        run = await planned(refunds, 42.5)
        bank.refund("P-1", "60.00")
        await refunds.decide(run)
        held = await refunds.held(run.workflow_id)
        assert held.held is not None
        assert 'left was "100.00", is now "40.00" (payment P-1, amount 42.5).' in held.held.why
        await refunds.resolve(run.workflow_id, "abort")
        await refunds.result(run.workflow_id)
    assert [refund["amount"] for refund in bank.refunds()] == ["60.00"]


async def test_a_refund_is_undone_when_a_later_step_fails(refunds: Gate, bank: Bank) -> None:
    async with refunds.worker():
        run = await planned(refunds, 60, 50)
        await refunds.decide(run)
        await refunds.resolve(run.workflow_id, "undo")
        assert (await refunds.result(run.workflow_id)).outcome == "failed"
    assert [refund.get("status") for refund in bank.refunds()] == ["canceled"]
    assert bank.left("P-1") == "100.00"


async def test_a_refund_that_the_bank_returned_is_shown_as_reversed(
    refunds: Gate, bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports, functions = ACCEPTED.split("\n\n\n", 1)
    before, after = WITH_UNDO_AND_PRECONDITION.split("@tool", 1)
    rest = after[after.index("@refund.undo") :]
    (tmp_path / "page_accepted.py").write_text(f"{imports}\n{before}{functions}\n\n{rest}")
    monkeypatch.delitem(sys.modules, "page_accepted", raising=False)
    (found,) = tools_of("page_accepted", "the page")
    refunds.tools["refund"] = found.tool.from_settings(refunds.settings)
    async with refunds.worker():
        run = await planned(refunds, 60)
        await refunds.decide(run)
        await refunds.result(run.workflow_id)
        httpx.post(f"{bank.url}/refunds/R-1/return", timeout=5).raise_for_status()
        await refunds.env.fast_forward(refunds.handle(f"{run.workflow_id}:settlement"), timedelta(minutes=2))
        (step,) = (await refunds.api.status(run.workflow_id)).steps
    assert step.settlement is not None
    assert (step.settlement.state, step.settlement.summary) == (
        "reversed", "the customer's bank sent it back",
    )  # fmt: skip


# ---- check-tool, on the finished tool from the page ------------------------------------------------


def test_the_tool_of_the_howto_passes_its_checks(bank: Bank, tmp_path: Path) -> None:
    (tmp_path / "refunds.py").write_text(f"{WITH_UNDO_AND_PRECONDITION}\n\n{LOOK_UP}\n\n{COUNT}")
    command = shlex.split(CHECK.replace("~/plangate", str(PROJECT)))[1:]
    home = Home(tmp_path / "var", {"BANK_URL": bank.url})
    checked = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=home.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "refund passed" in checked.stdout
