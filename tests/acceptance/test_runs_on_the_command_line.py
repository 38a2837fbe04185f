"""Whole runs on the command line, with real processes: start, read, decide, watch, audit."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import pytest

from tests.support.program import Home, Terminal, Typed, worker
from tests.support.screen import Screen
from tests.support.wait_limit import WAIT_LIMIT

TEMPORAL = str(Path(sys.executable).with_name("temporal"))
OpenTerminal = Callable[..., Terminal]


@pytest.fixture
def name() -> str:
    return f"run-{uuid4().hex[:8]}"


@pytest.fixture
def typed(plangate: Home, typing: Callable[[Home], Typed]) -> Typed:
    return typing(plangate)


@pytest.fixture
def terminal(plangate: Home) -> Iterator[OpenTerminal]:
    opened: list[Terminal] = []

    def open_terminal(*words: str) -> Terminal:
        opened.append(Terminal(plangate, *words))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def started(typed: Typed, plan: Path, name: str) -> str:
    """Start a run of a prepared plan and return the fingerprint of the plan in review."""
    ended = typed("start", "--plan", str(plan), "--id", name, "--requester", "rita", "--json")
    assert ended.code == 0, ended
    fingerprint: str = ended.json["fingerprint"]
    return fingerprint


def until(typed: Typed, state: str, name: str, *, decisions: int = 0) -> Any:
    """Return the status of a run once it has this state and this many decisions."""
    ends = monotonic() + WAIT_LIMIT
    while monotonic() < ends:
        ended = typed("status", name, "--json")
        if ended.code == 0 and ended.json["state"] == state and len(ended.json["decisions"]) >= decisions:
            return ended.json
        sleep(0.1)
    raise AssertionError(f"{name} did not become {state}: {ended}")


def test_a_request_is_drafted_and_shown_for_a_decision(plangate: Home, typed: Typed, name: str) -> None:
    ended = plangate.starter("start", "Customer 4711 was charged twice.", "--id", name, "--timeout", "2h")
    assert ended.code == 0
    for part in (
        f"Started {name}.",
        "Step 1 of 2: http_request",
        "Step 2 of 2: send_email",
        "│ thank you for telling us",
        "in 1 h 59 min",
        f"python starter.py approve {name} --by YOUR-NAME --plan ",
        f"/namespaces/default/workflows/{name}",
    ):
        assert part in ended.out
    assert "\x1b" not in ended.out + ended.err
    commands = [line.strip() for line in ended.out.splitlines()]
    (command,) = [line for line in commands if "temporal workflow signal" in line]
    placeholder = subprocess.run(
        shlex.split(command), env=plangate.environment(), check=True, capture_output=True
    )
    assert b"succeeded" in placeholder.stdout  # Temporal accepts any signal
    refused = until(typed, "in_review", name, decisions=1)["decisions"][0]
    assert (refused["accepted"], "only a placeholder" in refused["reason"]) == (False, True)
    rejecting = shlex.split(command.replace("--name approve", "--name reject").replace("YOUR-NAME", "dana"))
    environment = plangate.environment()
    subprocess.run([TEMPORAL, *rejecting[1:]], env=environment, check=True, capture_output=True)
    assert until(typed, "rejected", name)["decisions"][1]["by"] == "dana"
    assert typed("watch", name).code == 1


def test_a_plan_is_approved_executed_and_recorded(typed: Typed, mail_plan: Path, name: str) -> None:
    plan = started(typed, mail_plan, name)
    assert name in typed("pending").out
    own = typed("approve", name, "--by", "Rita", "--plan", plan)
    unknown = typed("approve", "nosuch", "--by", "dana")
    assert (unknown.code, "There is no run called nosuch" in unknown.sentence) == (1, True)
    unnamed = typed("approve", name, "--by", "dana")
    assert (unnamed.code, "Specify the plan that you reviewed, with --plan" in unnamed.sentence) == (2, True)
    assert (own.code, own.sentence) == (3, "Refused: Rita is the requester; another person must approve.")
    other = typed("approve", name, "--by", "dana", "--plan", "0" * 64, "--json")
    assert (other.code, other.json["accepted"]) == (3, False)
    accepted = typed("approve", name, "--by", "dana", "--plan", plan[:12].upper())
    assert (accepted.code, accepted.out) == (0, "Accepted: approved; the plan can run now.\n")
    watched = typed("watch", name)
    assert (watched.code, "approved by  dana" in watched.out) == (0, True)
    status = typed("watch", name, "--json").json
    assert (status["state"], [step["state"] for step in status["steps"]]) == ("executed", ["done"])
    assert [decision["accepted"] for decision in status["decisions"]] == [False, False, True]
    assert Path(status["steps"][0]["receipt"]["details"]["file"]).exists()
    late = typed("reject", name, "--by", "dana", "--plan", plan)
    assert (late.code, "the run has ended (executed)" in late.sentence) == (3, True)
    assert "ended" in typed("withdraw", name).sentence
    kinds = [entry["event"]["kind"] for entry in typed("audit", "show", name, "--json").json]
    assert kinds == ["requested", "drafted", *["decided"] * 3, "claimed", "done", "closed"]
    assert name not in typed("pending").out
    taken = typed("start", "again", "--id", name)
    assert (taken.code, taken.sentence.startswith(f"The id {name} is already in use")) == (3, True)


def test_watch_in_a_pipe_reports_events_and_asks_nothing(
    plangate: Home, typed: Typed, mail_plan: Path, name: str
) -> None:
    plan = started(typed, mail_plan, name)
    watcher = plangate.start("starter.py", "watch", name)
    assert typed("approve", name, "--by", "dana", "--plan", plan).code == 0
    assert watcher.wait(WAIT_LIMIT) == 0
    log = (plangate.var_dir / "programs.log").read_text()
    assert f"dana: approve {plan[:12]}, accepted" in log
    assert "Step 1 of 1, send_email: done" in log


def test_requested_changes_make_a_new_plan(typed: Typed, name: str) -> None:
    typed("start", "Help.", "--id", name, "--requester", "rita")
    before = until(typed, "in_review", name)["fingerprint"]
    words = ("--by", "dana", "--plan", before, "--comment", "Be kinder.")
    assert typed("request-changes", name, *words).code == 0
    after = until(typed, "in_review", name)
    assert (after["revision"], after["fingerprint"] != before) == (2, True)
    assert "Be kinder." in json.dumps(after["plan"]["steps"])
    stale = typed("approve", name, "--by", "dana", "--plan", before)
    assert (stale.code, "was replaced by revision 2" in stale.sentence) == (3, True)
    ended = typed("withdraw", name, "--by", "rita", "--comment", "no longer needed")
    assert (ended.code, ended.out) == (0, f"{name} is withdrawn by rita: no longer needed.\n")


def test_a_failed_draft_is_reported_with_the_reason(typed: Typed, name: str, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    step = {"tool": "http_request", "arguments": {"method": "GET", "url": "http://nosuch.example/"}}
    plan.write_text(json.dumps({"summary": "s", "steps": [step]}))
    ended = typed("start", "--plan", str(plan), "--id", name)
    assert (ended.code, "nosuch.example" in ended.out.partition("because")[2]) == (1, True)


def test_the_option_no_wait_returns_immediately(typed: Typed, name: str) -> None:
    ended = typed("start", "-", "--no-wait", "--json", "--id", name, stdin=b"Help.")
    assert (ended.code, ended.json["workflow_id"]) == (0, name)
    assert until(typed, "in_review", name)["request"] == "Help."
    assert typed("withdraw", name).code == 0


def test_watch_asks_for_the_decision_during_the_review(
    mail_plan: Path, name: str, terminal: OpenTerminal
) -> None:
    screen = terminal("start", "--plan", str(mail_plan), "--id", name, "--requester", "rita", "--watch")
    screen.types("a\n", at_once=True)  # typed before the question, so this is not an answer
    assert "│ Hello Ann," in screen.sees("or [l]ater? ")
    screen.types("maybe\n")
    screen.sees("or [l]ater? ")
    screen.types("a\n")
    screen.sees("Your name: ")
    screen.types("your-name\n")
    screen.sees("Type your own name, with 1 to 100 visible characters.")
    screen.types("rita\n")
    screen.sees("rita is the requester, so another person must approve.")
    screen.sees("Your name: ")
    screen.types("dana\n")
    screen.sees("Accepted: approved; the plan can run now.")
    screen.sees("approved by  dana")
    assert screen.ends() == 0


def test_a_prompt_is_withdrawn_when_another_decision_arrives(
    typed: Typed, mail_plan: Path, name: str, terminal: OpenTerminal
) -> None:
    plan = started(typed, mail_plan, name)
    screen = terminal("watch", name)
    screen.sees("or [l]ater? ")
    assert typed("reject", name, "--by", "dana", "--plan", plan).code == 0
    screen.sees("No decision is needed now: the run is rejected.")
    assert screen.ends() == 1


def test_without_the_plan_option_the_plan_is_shown_and_confirmed(
    typed: Typed, mail_plan: Path, name: str, terminal: OpenTerminal
) -> None:
    plan = started(typed, mail_plan, name)
    screen = terminal("approve", name, "--by", "dana")
    assert "│ it is done." in screen.sees(f"Approve plan {plan[:12]}? [y/N] ")
    screen.types("perhaps\n")
    screen.sees("Not understood; type y or n.")
    screen.types("\n")
    screen.sees("Nothing was sent.")
    assert screen.ends() == 1
    screen = terminal("approve", name, "--by", "dana")
    screen.sees("[y/N] ")
    screen.types("y\n")
    screen.sees("Accepted: approved")
    assert screen.ends() == 0
    assert until(typed, "executed", name)["decisions"][0]["plan"] == plan


def test_the_requester_learns_that_another_person_must_approve(
    typed: Typed, mail_plan: Path, name: str, terminal: OpenTerminal
) -> None:
    started(typed, mail_plan, name)
    screen = terminal("watch", name, "--by", "Rita")
    asked = screen.sees("or [l]ater? ")
    assert "you are the requester, so another person must approve" in " ".join(asked.split())
    assert "waits for you" not in asked
    assert "[a]pprove" not in asked
    for words in (("approve", name, "--by", "Rita"), ("withdraw-approval", name, "--by", "dana")):
        refused_command = terminal(*words)
        refused_command.sees("Refused: ")
        assert refused_command.ends() == 3
    screen.types("a\n")
    screen.sees("Not understood; type e, r, c or l.")
    screen.types("\x03")
    assert screen.ends() == 130
    assert "or [l]ater? ^C\nStopped watching; " in Screen(100).feed(screen.written).text
    screen = terminal("watch", name, "--by", "YOUR-NAME")
    assert "another person must approve" not in screen.sees("[a]pprove")
    screen.types("a\n")
    screen.sees("The name after --by must be your own")
    screen.sees("Your name: ")
    screen.types("rita\n")
    screen.sees("rita is the requester, so another person must approve.")
    screen.sees("Your name: ")
    screen.types("dana\n")
    screen.sees("Accepted: approved")
    assert screen.ends() == 0


def test_ctrl_c_leaves_the_run_unchanged(
    typed: Typed, mail_plan: Path, name: str, terminal: OpenTerminal
) -> None:
    started(typed, mail_plan, name)
    screen = terminal("watch", name)
    screen.sees("or [l]ater? ")
    screen.types("l\n")
    screen.sees("Not decided. Still watching")
    screen.types("\x03")
    screen.sees(f"Stopped watching; {name} continues.")
    assert screen.ends() == 130
    assert until(typed, "in_review", name)
    assert typed("withdraw", name).code == 0


def test_status_pending_and_decisions_work_while_no_worker_runs(
    plangate: Home, typing: Callable[[Home], Typed], mail_plan: Path, name: str
) -> None:
    alone = Home(plangate.var_dir, {**plangate.settings, "PLANGATE_TASK_QUEUE": f"alone-{name}"})
    typed = typing(alone)
    assert typed("start", "Help.", "--id", f"{name}-new", "--no-wait").code == 0
    unclaimed = typed("status", f"{name}-new")
    assert "drafting" in unclaimed.out
    assert "Source: the Temporal server (no worker answers)." in unclaimed.out
    with worker(alone) as process:
        plan = started(typed, mail_plan, name)
        process.kill()
        process.wait()
    status = typed("status", name)
    assert "in review" in status.out
    assert "Source: the records (no worker answers)." in status.out
    assert "for a worker" not in status.out
    assert name in typed("pending").out
    sent = typed("approve", name, "--by", "dana", "--plan", plan)
    assert (sent.code, "stored on the Temporal server" in sent.out) == (0, True)
    (command,) = [line.strip() for line in status.out.splitlines() if "temporal workflow signal" in line]
    misspelt = shlex.split(command.replace("--name approve", "--name aprove"))
    subprocess.run([TEMPORAL, *misspelt[1:]], env=alone.environment(), check=True, capture_output=True)
    status = typed("status", name)
    assert "  2 decisions wait for a worker\n" in status.out
    assert f"  approve plan {plan[:12]}, in the name of dana\n" in status.out
    assert "\nTo send another decision\n  Unread decisions may already answer this" in status.out
    unread = typed("status", name, "--json").json["unread"]
    assert [(one["decision"], one["by"], one["plan"]) for one in unread] == [
        ("approve", "dana", plan),
        ("aprove", None, None),
    ]
    with worker(alone):
        executed = until(typed, "executed", name)
        assert executed["approved_by"] == ["dana"]
        assert [decision["accepted"] for decision in executed["decisions"]] == [True, False]
        assert executed["unread"] == []


def test_an_unusable_model_is_reported_when_the_worker_starts(plangate: Home) -> None:
    process = plangate.start("worker.py", "--dev", changes={"PLANGATE_MODEL_CONFIG": "none.json"})
    assert process.wait(WAIT_LIMIT) == 1
    assert "The model component file none.json (PLANGATE_MODEL_CONFIG) cannot be used" in (
        plangate.var_dir / "programs.log"
    ).read_text(errors="replace")
