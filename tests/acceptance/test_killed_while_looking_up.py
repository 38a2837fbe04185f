"""kill -9 of a worker during a look-up: the next worker repeats it, and records the result once."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.acceptance.conftest import stop_server
from tests.support.program import Home, Typed, worker
from tests.support.wait_limit import WAIT_LIMIT

TOOL = """
import os
from datetime import timedelta
from pathlib import Path
from time import sleep

from plangate.tool import Accepted, Reversed, tool

HERE = Path(os.environ["BANK"])


@tool
def transfer(to: str) -> Accepted[str]:
    "Transfer money."
    with (HERE / "transfers").open("a") as file:
        file.write(to + "\\n")
    return Accepted("accepted by the bank")


@transfer.find_settlement(settles_within=timedelta(days=10))
def end(to: str):
    (HERE / "asked").touch()
    while (HERE / "slow").exists():
        sleep(0.05)
    return Reversed("account closed")
"""
PLAN = {"summary": "Pay Ann", "steps": [{"tool": "transfer", "arguments": {"to": "ann"}, "reason": "owed"}]}


def test_a_worker_killed_during_a_lookup(
    tmp_path: Path, typing: Callable[[Home], Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_transfers.py").write_text(TOOL)
    (folder / "plan.json").write_text(json.dumps(PLAN))
    (folder / "slow").touch()
    home = Home(tmp_path / "var", {"PLANGATE_TOOLS": "my_transfers", "BANK": str(folder)})
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("BANK", str(folder))
    typed = typing(home)

    def status() -> Any:
        return json.loads(typed("status", "pay-1", "--json").out)

    def until(condition: Callable[[], bool]) -> None:
        ends = monotonic() + WAIT_LIMIT
        while not condition():
            assert monotonic() < ends, status()
            sleep(0.1)

    try:
        with worker(home, folder) as first:
            assert typed("start", "--plan", str(folder / "plan.json"), "--id", "pay-1").code == 0
            plan = status()["short_fingerprint"]
            assert typed("approve", "pay-1", "--by", "dana", "--plan", plan).code == 0
            until((folder / "asked").exists)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        assert status()["steps"][0]["settlement"]["state"] == "open"
        (folder / "slow").unlink()
        with worker(home, folder):
            until(lambda: status()["steps"][0]["settlement"]["state"] == "reversed")
        assert (folder / "transfers").read_text() == "ann\n"
        kinds = [
            entry["event"]["kind"] for entry in json.loads(typed("audit", "show", "pay-1", "--json").out)
        ]
        assert kinds[-2:] == ["closed", "reversed"]
        assert typed("status", "pay-1").out.startswith("pay-1  executed, but step 1 was reversed")
        assert "executed, reversed" in typed("audit", "list", "--settlement", "reversed").out
        assert typed("audit", "list", "--settlement", "open").out == "No recorded run matches.\n"
        assert typed("audit", "verify").code == 0
        bundle = folder / "pay-1.json"
        assert typed("audit", "export", "pay-1", "-o", str(bundle)).code == 0
        shown = typed("verify-bundle", str(bundle))
        assert shown.code == 0
        assert "account closed" in shown.out
        assert "an accepted call is looked up for 10 days" in typed("tools").out
    finally:
        stop_server(home)
