"""Edit plans and resolve held runs on the command line, with a real editor and a real service."""

import base64
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import pytest

from tests.support.faulty_server import Answer, Dropped, FaultyServer, Says
from tests.support.http_service import http_service
from tests.support.program import Home, Terminal, Typed
from tests.support.screen import Screen
from tests.support.wait_limit import WAIT_LIMIT

EDITOR = """\
import json, sys
from pathlib import Path
changes, path = Path(sys.argv[1]), Path(sys.argv[2])
first, *rest = json.loads(changes.read_text())
changes.write_text(json.dumps(rest))
text = path.read_text()
lines = text.split("\\n")
for old, new in first.get("replace", {}).items():
    at = next(n for n, line in enumerate(lines) if old in line and not line.strip().startswith("#"))
    lines[at] = lines[at].replace(old, new)
path.write_text(first.get("write", "\\n".join(lines)))
Path(str(changes) + ".seen").write_text(text)
input("Editing, Enter closes") if first.get("wait") else None
sys.exit(first.get("exit", 0))
"""
OpenTerminal = Callable[..., Terminal]


@pytest.fixture
def service() -> Iterator[FaultyServer]:
    with http_service() as service:
        for path in ("/refuses", "/accepts-later"):
            service.plan(Says(answer=Answer(422)), path=path, times=None)
        service.plan(Dropped(), path="/breaks-off", times=None)
        yield service


@pytest.fixture
def name() -> str:
    return f"run-{uuid4().hex[:8]}"


@pytest.fixture
def typed(plangate: Home, typing: Callable[[Home], Typed]) -> Typed:
    return typing(plangate)


@pytest.fixture
def edits(tmp_path: Path) -> Path:
    """The folder in which a test sets the editor's behaviour for each time it is opened."""
    (tmp_path / "editor.py").write_text(EDITOR)
    return tmp_path / "changes.json"


@pytest.fixture
def terminal(plangate: Home, edits: Path) -> Iterator[OpenTerminal]:
    opened: list[Terminal] = []
    editor = shlex.join([sys.executable, str(edits.with_name("editor.py")), str(edits)])
    home = Home(
        plangate.var_dir,
        {**plangate.settings, "VISUAL": None, "EDITOR": editor, "TMPDIR": str(edits.parent)},
    )

    def open_terminal(*words: str, width: int = 100) -> Terminal:
        opened.append(Terminal(home, *words, width=width))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def set_changes(edits: Path, *rounds: dict[str, Any]) -> None:
    edits.write_text(json.dumps(rounds))


def mail(subject: str, to: str = "ann@example.org") -> dict[str, Any]:
    return {
        "tool": "send_email",
        "arguments": {"to": [to], "subject": subject, "body": "Hello,\nit is done."},
    }


def call(service: FaultyServer, path: str) -> dict[str, Any]:
    return {
        "tool": "http_request",
        "arguments": {"method": "POST", "url": service.url + path, "json_body": {"n": 1}},
        "reason": "to track it",
    }


def started(typed: Typed, name: str, *steps: dict[str, Any]) -> str:
    """Start a run of these steps and return the fingerprint of its plan."""
    plan = json.dumps({"summary": "Tell Ann", "steps": steps}).encode()
    ended = typed("start", "--plan", "-", "--id", name, "--requester", "rita", "--json", stdin=plan)
    assert ended.code == 0, ended
    fingerprint: str = ended.json["fingerprint"]
    return fingerprint


def until(typed: Typed, name: str, state: str, revision: int = 1, hold: int = 0) -> Any:
    ends = monotonic() + WAIT_LIMIT
    while monotonic() < ends:
        ended = typed("status", name, "--json")
        is_there = ended.code == 0 and (ended.json["state"], ended.json["revision"]) == (state, revision)
        if is_there and (not hold or ended.json["held"]["number"] == hold):
            return ended.json
        sleep(0.1)
    raise AssertionError(f"{name} did not become {state}: {ended}")


def held(typed: Typed, name: str, *steps: dict[str, Any]) -> Any:
    """Start a run of these steps, approve it, and return its status once it is held."""
    plan = started(typed, name, *steps)
    assert typed("approve", name, "--by", "dana", "--plan", plan).code == 0
    return until(typed, name, "held")


def test_a_plan_is_edited_shown_and_sent_and_its_author_cannot_approve_it(
    typed: Typed, name: str, terminal: OpenTerminal, edits: Path
) -> None:
    plan = started(typed, name, mail("Done"), mail("Bye"))
    set_changes(edits, {"replace": {'"Done"': '"Refund"', "it is done.": "it is done.\n        Yours"}})
    screen = terminal("edit", name, "--by", "dana", "--comment", "wrong subject")
    asked = " ".join(screen.sees(f"Replace plan {plan[:12]} with this one? [y/N] ").split())
    for part in ('was "Done"', 'is "Refund"', "+ Yours", "another person must approve it"):
        assert part in asked, asked
    assert "Bye" not in asked
    screen.types("y\n")
    screen.sees("Accepted: a new revision is being drafted.")
    assert screen.ends() == 0
    text = Path(f"{edits}.seen").read_text()
    assert text.startswith(f"# Plan {plan[:12]}, revision 1, of {name}.\n")
    status = until(typed, name, "in_review", revision=2)
    assert (status["author"], status["plan"]["steps"][0]["arguments"]["subject"]) == ("dana", "Refund")
    assert status["plan"]["steps"][1]["arguments"]["subject"] == "Bye"
    assert status["decisions"][0]["comment"] == "wrong subject"
    own = typed("approve", name, "--by", "dana", "--plan", status["fingerprint"])
    assert (own.code, "another person must approve" in own.sentence) == (3, True)
    assert not list(edits.parent.glob("plangate-edit-*"))


def test_invalid_input_is_kept_and_can_be_edited_again(
    typed: Typed, name: str, terminal: OpenTerminal, edits: Path
) -> None:
    plan = started(typed, name, mail("Done"))
    set_changes(
        edits,
        {"replace": {"to:": "too:", '"Done"': '"Corrected"'}},
        {"replace": {"too:": "to:"}},
        {"replace": {"Corrected": "Corrected twice"}},
    )
    screen = terminal("edit", name, "--by", "dana")
    faults = "".join(screen.sees("[e]dit again, or [l]eave? ").split())  # a long path can be wrapped anywhere
    for part in ("cannotbeused(", ".yaml:", "too"):
        assert part in faults
    screen.types("e\n")
    screen.sees("with this one? [y/N] ")
    screen.types("n\n")
    screen.sees("[e]dit again, or [l]eave? ")
    screen.types("e\n")
    screen.sees("Corrected twice")
    screen.sees("with this one? [y/N] ")
    screen.types("\x03")
    screen.sees("Your text is saved in ")
    assert screen.ends() == 130
    (kept,) = edits.parent.glob("plangate-edit-*")
    assert kept.stat().st_mode & 0o077 == 0
    unnamed = typed("edit", name, "--by", "dana", "--plan", str(kept))
    assert (unnamed.code, "with --replaces and its fingerprint" in unnamed.sentence) == (2, True)
    sent = typed("edit", name, "--by", "dana", "--plan", str(kept), "--replaces", plan[:12], "--json")
    assert (sent.code, sent.json["accepted"]) == (0, True)
    status = until(typed, name, "in_review", revision=2)
    assert status["plan"]["steps"][0]["arguments"]["subject"] == "Corrected twice"
    again = typed("edit", name, "--by", "dana", "--plan", str(kept), "--replaces", plan[:12])
    assert (again.code, "was replaced by revision 2" in again.sentence) == (3, True)


def test_an_unchanged_or_empty_plan_is_not_sent(
    typed: Typed, name: str, terminal: OpenTerminal, edits: Path
) -> None:
    started(typed, name, mail("Done"))
    unchanged = "The plan was not changed; nothing was sent."
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "unchanged": ({}, unchanged),
        "emptied": ({"write": "# only this\n\n"}, unchanged),
        "the same": ({"replace": {'"Done"': "Done"}}, "The new plan is the same as the plan in review"),
        "a broken editor": ({"exit": 3}, "exited with 3. Nothing was sent."),
    }
    set_changes(edits, *(change for change, _ in cases.values()))
    screen = terminal("watch", name, "--by", "dana")
    for _, message in cases.values():
        screen.sees("or [l]ater? ")
        screen.types("e\n")
        screen.sees("(may be empty) ")
        screen.types("\n")
        screen.sees(message)
    screen.types("\x03")
    assert screen.ends() == 130
    assert typed("status", name, "--json").json["decisions"] == []
    assert not list(edits.parent.glob("plangate-edit-*"))


def test_an_edit_of_a_plan_that_was_replaced_meanwhile_is_refused_and_kept(
    typed: Typed, name: str, terminal: OpenTerminal, edits: Path
) -> None:
    plan = started(typed, name, mail("Done"))
    set_changes(edits, {"replace": {'"Done"': '"Mine"'}, "wait": True})
    screen = terminal("watch", name, "--by", "dana")
    screen.sees("[e]dit, ")
    screen.types("e\n")
    screen.sees("Why is it edited? (may be empty) ")
    screen.types("\n")
    screen.sees("Editing, Enter closes")
    screen.types("\x03")  # the signal is for the editor, which exits
    screen.sees("or [l]ater? ")
    set_changes(edits, {"replace": {'"Done"': '"Mine"'}, "wait": True})
    screen.types("e\n")
    screen.sees("(may be empty) ")
    screen.types("\n")
    screen.sees("Editing, Enter closes")
    other = edits.with_name("other.json")
    other.write_text(json.dumps({"summary": "Tell Ann", "steps": [mail("Theirs")]}))
    assert typed("edit", name, "--by", "erik", "--plan", str(other), "--replaces", plan).code == 0
    until(typed, name, "in_review", revision=2)
    sleep(1)  # the run is checked while the editor stays open
    screen.types("\n")
    screen.sees("with this one? [y/N] ")
    screen.types("y\n")
    screen.sees("Your text is saved in ")
    warned = " ".join(screen.sees("To continue editing it:").split())
    assert "it reverts what revision 2 by erik has changed since: step 1 changed." in warned
    screen.sees("Refused: plan")
    screen.sees("No decision is needed now")
    screen.sees("Theirs")
    screen.types("\x03")
    assert screen.ends() == 130


def test_a_held_run_is_resolved_at_the_terminal(
    typed: Typed, name: str, terminal: OpenTerminal, service: FaultyServer
) -> None:
    status = held(typed, name, mail("Done"), call(service, "/refuses"), mail("Bye"))
    assert status["held"]["step"] == 2
    assert "held at step 2 of 3" in " ".join(typed("pending").out.split())
    assert [one["held"]["step"] for one in typed("pending", "--json").json if one["workflow_id"] == name] == [
        2
    ]
    screen = terminal("resolve", name, "--by", "dana", width=60)
    asked = " ".join(screen.sees("[a]bort, or [l]ater? ").split())
    assert "What each choice will do" in asked
    assert "Then the run continues with step 3 of 3: Email 1 recipient" in asked
    assert "mark" not in asked.split("Held at step 2:")[1]
    screen.types("s\n")
    screen.sees("Why is it skipped? ")
    screen.types("\n")
    screen.sees("It is recorded, so it cannot be empty")
    screen.types("y\n")
    screen.sees("so it cannot be yes or no")
    screen.types("opened by hand\n")
    screen.sees("Skip step 2, in plan")
    assert "Needs a reason" not in " ".join(screen.written.split("opened by hand")[1].split())
    screen.types("y\n")
    screen.sees("Accepted: step 2 is skipped.")
    assert screen.ends() == 0
    assert all(" " not in line.strip() for line in Screen(60).feed(screen.written).wrapped)
    ended = until(typed, name, "executed")
    assert [step["state"] for step in ended["steps"]] == ["done", "skipped", "done"]
    assert "opened by hand" in ended["reason"]


def test_a_withdrawal_lists_the_steps_that_stay_done_and_asks(
    typed: Typed, name: str, terminal: OpenTerminal, service: FaultyServer
) -> None:
    held(typed, name, mail("Done"), call(service, "/refuses"))
    screen = terminal("withdraw", name, "--by", "rita")
    asked = " ".join(screen.sees(f"Withdraw {name}? [y/N] ").split())
    assert "stays done step 1, send_email: " in asked
    assert "Plangate cannot undo completed steps once the run has ended." in asked
    screen.types("n\n")
    screen.sees("Nothing was sent.")
    assert screen.ends() == 1
    assert typed("status", name, "--json").json["state"] == "held"
    ended = terminal("withdraw", name, "--by", "rita", "--yes")
    ended.sees("is withdrawn by rita")
    assert ended.ends() == 0


def test_a_resolution_without_a_terminal_needs_plan_and_step_and_errors_list_the_choices(
    typed: Typed, name: str, service: FaultyServer
) -> None:
    plan = held(typed, name, call(service, "/accepts-later"))["fingerprint"]

    def resolve(*words: str) -> Any:
        return typed("resolve", name, *words)

    named = ("--by", "dana", "--plan", plan[:12])
    assert "There is no resolution 'again'; type retry, skip" in resolve("again", *named).sentence
    assert "Name the held step with --step" in resolve("retry", *named).sentence
    assert "Give the reason for skipping" in resolve("skip", "--step", "1", *named).sentence
    unnamed = resolve("retry", "--step", "1", "--by", "dana")
    assert (unnamed.code, "with --plan and its fingerprint" in unnamed.sentence) == (2, True)
    impossible = resolve("undo", "--step", "1", *named)
    assert (impossible.code, impossible.sentence) == (
        3,
        "Refused: 'undo' is not possible here; possible resolutions: retry, skip, abort.",
    )
    own = resolve("retry", "--step", "1", "--by", "rita", "--plan", plan)
    assert (own.code, "another person must resolve it" in own.sentence) == (3, True)
    assert resolve("retry", "--step", "1", *named).code == 0
    again = until(typed, name, "held", hold=2)
    assert again["steps"][0]["state"] == "failed"
    late = resolve("retry", "--step", "1", *named)
    assert (late.code, "it is for hold 1 of this run, and this is hold 2" in late.sentence) == (3, True)
    shown = " ".join(typed("status", name).out.split())
    assert f"resolve {name} retry --by YOUR-NAME --plan {plan[:12]} --step 1 --hold 2" in shown
    assert "hold 2 of this run" in shown
    service.clear_faults()
    accepted = resolve("retry", "--step", "1", "--hold", "2", *named, "--json")
    assert (accepted.code, accepted.json["accepted"]) == (0, True)
    assert until(typed, name, "executed")
    late = resolve("retry", "--step", "1", *named)
    assert (late.code, "the run has ended" in late.sentence) == (3, True)


def test_watch_asks_for_a_resolution_and_ctrl_c_leaves_the_run_held(
    typed: Typed, name: str, terminal: OpenTerminal, service: FaultyServer
) -> None:
    started(typed, name, call(service, "/breaks-off"), mail("Bye"))
    screen = terminal("watch", name, "--by", "dana", width=80)
    screen.sees("[a]pprove")
    screen.types("a\n")
    screen.sees("is held at step 1")
    asked = " ".join(screen.sees("[a]bort, or [l]ater? ").split())
    assert "You state that step 1 (http_request) did not happen." in asked
    screen.types("l\n")
    screen.sees("Not decided. Still watching; Ctrl-C exits, and the run stays held.")
    assert not Screen(80).feed(screen.written).wrapped
    screen.types("\x03")
    screen.sees(f"{name} is held at step 1. Resolve it with: python starter.py resolve {name}")
    assert screen.ends() == 130
    screen = terminal("watch", name, "--by", "dana")
    screen.sees("[l]ater? ")
    screen.types("m\n")
    screen.sees("How do you know that it happened? ")
    screen.types("the ticket is there\n")
    screen.sees("Mark step 1 as done, in plan")
    screen.types("y\n")
    screen.sees("Accepted: step 1 is marked as done.")
    screen.sees("executed")
    assert screen.ends() == 0
    rita = terminal("watch", name, "--by", "rita")
    assert rita.ends() == 0


def test_an_edit_and_a_resolution_are_signed_for_exactly_what_was_chosen(
    typed: Typed, name: str, tmp_path: Path, service: FaultyServer
) -> None:
    signer = f"sam-{name}"
    assert typed("keys", "new", signer).code == 0
    plan = started(typed, name, call(service, "/refuses"))
    file = tmp_path / "new.json"
    file.write_text(json.dumps({"summary": "Tell Ann", "steps": [call(service, "/refuses"), mail("Bye")]}))
    without_plan = typed("sign", name, "edit", "--by", signer, "--plan", plan)
    assert (without_plan.code, "--new-plan FILE" in without_plan.sentence) == (2, True)
    words = ("--by", signer, "--plan", plan, "--json")
    signed = typed("sign", name, "edit", "--new-plan", str(file), *words)
    assert signed.code == 0, signed
    assert signed.json["new_plan"]["steps"][1]["arguments"]["subject"] == "Bye"
    assert len(claims(signed.json["signature"])["new_plan_sha256"]) == 64
    assert typed("approve", name, "--by", "dana", "--plan", plan).code == 0
    until(typed, name, "held")
    signed = typed("sign", name, "resolve", "--step", "1", "--resolution", "retry", *words)
    assert signed.code == 0, signed
    assert (signed.json["step"], signed.json["hold"], signed.json["resolution"]) == (1, 1, "retry")
    read = claims(signed.json["signature"])
    assert (read["step"], read["hold"], read["resolution"], read["fingerprint"]) == (1, 1, "retry", plan)
    assert "new_plan_sha256" not in read
    again = ("start", "--from", name, "--requester", "hugo")
    open_run = typed(*again)
    assert (open_run.code, "is held, so it cannot be continued" in open_run.sentence) == (3, True)
    assert typed("resolve", name, "abort", "--step", "1", "--by", "dana", "--plan", plan).code == 0
    until(typed, name, "failed")
    continued = typed(*again, "--json")
    assert continued.code == 0, continued
    assert continued.json["requester"] == "hugo"
    assert f"Continue {name}, plan {plan[:12]}" in continued.json["request"]
    assert [step["tool"] for step in continued.json["steps"]] == ["http_request"]
    assert continued.json["workflow_id"] == f"{name}-rest"
    twice = typed(*again)
    assert (twice.code, f"{name} was already continued as {name}-rest" in twice.sentence) == (3, True)
    named = typed(*again, "--id", f"{name}-2")
    assert (named.code, "leave out --id" in named.sentence) == (2, True)
    assert typed("withdraw", f"{name}-rest").code == 0
    until(typed, f"{name}-rest", "withdrawn")
    assert typed(*again).code == 3
    third = typed("start", "--from", f"{name}-rest", "--requester", "hugo", "--json")
    assert (third.code, third.json["workflow_id"]) == (0, f"{name}-rest-2")


def claims(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
