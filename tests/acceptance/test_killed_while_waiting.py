"""kill -9 of a worker while an approved plan waits for its start: the next worker starts it in time, once."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.acceptance.conftest import stop_server
from tests.support.program import Home, Typed, worker
from tests.support.wait_limit import WAIT_LIMIT

PEOPLE = """
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance"]
"""
POLICY = """
[[calendar]]
name = "every-day"
zone = "Europe/Berlin"
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
[default]
needs = [{ role = "finance" }]
window = "every-day"
"""
TOOL = """
import os
from pathlib import Path

from plangate.tool import tool


@tool
def jot(text: str) -> str:
    "Write a line."
    with (Path(os.environ["JOTS"]) / "lines").open("a") as file:
        file.write(text + "\\n")
    return text
"""
PLAN = """
summary: "Jot"
not_before: "{}"
steps:
  - tool: jot
    arguments:
      text: "now"
"""
START_DELAY = timedelta(seconds=10)


def test_a_worker_killed_while_a_plan_waits(
    tmp_path: Path, typing: Callable[[Home], Typed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_jots.py").write_text(TOOL)
    (folder / "people.toml").write_text(PEOPLE)
    (folder / "policy.toml").write_text(POLICY)
    settings: dict[str, str | None] = {
        "PLANGATE_TOOLS": "my_jots",
        "PLANGATE_PEOPLE": str(folder / "people.toml"),
        "PLANGATE_POLICY": str(folder / "policy.toml"),
        "JOTS": str(folder),
    }
    home = Home(tmp_path / "var", settings)
    monkeypatch.chdir(folder)
    typed = typing(home)

    def status() -> Any:
        return json.loads(typed("status", "jot-1", "--json").out)

    try:
        with worker(home, folder) as first:
            begins = datetime.now(UTC) + START_DELAY
            (folder / "plan.yaml").write_text(PLAN.format(begins.isoformat()))
            started = typed(
                "start", "--plan", str(folder / "plan.yaml"), "--id", "jot-1", "--requester", "rita"
            )
            assert started.code == 0, started.err
            shown = typed("status", "jot-1").out
            assert "as the plan specifies" in shown
            assert "steps begin Mon-Sun Europe/Berlin (every-day)" in shown
            assert "at the earliest" in typed("pending").out
            away = typed("away", "--by", "dana", "--until", "2d", "--reason", "ski")
            assert (away.code, "messages still go to dana" in away.out) == (0, True)
            assert "dana" in typed("away", "--list").out
            fingerprint = status()["short_fingerprint"]
            assert typed("approve", "jot-1", "--by", "dana", "--plan", fingerprint).code == 0
            assert "approved, waiting to begin" in typed("status", "jot-1").out
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
        assert datetime.now(UTC) < begins
        with worker(home, folder):
            assert typed("away", "--by", "dana", "--back").code == 0
            ends = monotonic() + WAIT_LIMIT
            while status()["state"] != "executed":
                assert monotonic() < ends, status()
                sleep(0.2)
        assert (folder / "lines").read_text() == "now\n"
        claimed = [
            one
            for one in json.loads(typed("audit", "show", "jot-1", "--json").out)
            if one["event"]["kind"] == "claimed"
        ]
        assert [datetime.fromisoformat(one["at"]) >= begins for one in claimed] == [True]
        assert typed("audit", "verify").code == 0
    finally:
        stop_server(home)
