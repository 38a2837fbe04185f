"""With --json, the standard output is one JSON value or empty, in any state of the Temporal server."""

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from plangate.cli import app
from plangate.client import deciding, offline_status
from plangate.settings import PROJECT
from plangate.temporal import connection
from tests.support.grpc_stub import NOT_FOUND, OK, PERMISSION_DENIED, UNAUTHENTICATED, UNAVAILABLE, refusing
from tests.support.program import Ended, Home, Typed

PREFIX = ("--plan", "12345678" * 8)
BY = ("--by", "dana")
KEY = "ed25519:11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
PLAN = PROJECT / "examples" / "bank" / "no-approval.yaml"
WORDS = {
    "start": ("start", "hi", "--requester", "rita"),
    "status": ("status", "plan-1"),
    "pending": ("pending",),
    "approve": ("approve", "plan-1", *BY, *PREFIX),
    "reject": ("reject", "plan-1", *BY, *PREFIX),
    "withdraw-approval": ("withdraw-approval", "plan-1", *BY, *PREFIX),
    "request-changes": ("request-changes", "plan-1", *BY, *PREFIX, "--comment", "more"),
    "edit": ("edit", "plan-1", *BY, "--plan", str(PLAN), "--replaces", PREFIX[1]),
    "resolve": ("resolve", "plan-1", "abort", *BY, *PREFIX, "--step", "1"),
    "stop": ("stop", *BY, "--reason", "a leak"),
    "go": ("go", *BY, "--stop", "1"),
    "delegate": ("delegate", *BY, "--to", "erik", "--roles", "finance", "--until", "14d"),
    "away": ("away", *BY, "--until", "14d"),
    "withdraw": ("withdraw", "plan-1"),
    "sign": ("sign", "plan-1", "approve", *BY, *PREFIX),
    "watch": ("watch", "plan-1"),
}
"""A command line for each command that queries the server."""

OFFLINE = {
    "tools": ("tools",),
    "policy check": ("policy", "check", "/nosuch.toml"),
    "policy explain": ("policy", "explain", "--plan", "/nosuch.yaml"),
    "policy as-of": ("policy", "as-of", "2026-11-25"),
    "people as-of": ("people", "as-of", "2026-11-25"),
    "people confirm": ("people", "confirm", "gina", *BY, "--key", KEY, "--thumbprint", "x"),
    "people revoke-key": ("people", "revoke-key", "gina", *BY, "--key", KEY),
    "people check": ("people", "check", "/nosuch.toml"),
    "check-tool": ("check-tool", "nowhere:refund"),
    "notify test": ("notify", "test", "dana"),
    "notify failures": ("notify", "failures"),
    "keys new": ("keys", "new", "dana"),
    "keys list": ("keys", "list"),
    "keys seal": ("keys", "seal"),
    "keys web": ("keys", "web"),
    "people invite": ("people", "invite", "gina"),
    "audit show": ("audit", "show", "plan-1"),
    "audit list": ("audit", "list"),
    "audit deciders": ("audit", "deciders"),
    "audit verify": ("audit", "verify"),
    "audit checkpoint": ("audit", "checkpoint"),
    "audit export": ("audit", "export", "plan-1"),
    "verify-bundle": ("verify-bundle", "/nosuch.json"),
    "audit verify-bundle": ("audit", "verify-bundle", "/nosuch.json"),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(
        tmp_path / "var", {"TEMPORAL_CONFIG_FILE": "/dev/null", "PLANGATE_KEYS_DIR": str(tmp_path / "keys")}
    )


def shorten_timeouts(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Limit the wait for a server that never responds correctly."""
    short = timedelta(seconds=seconds)
    monkeypatch.setattr(connection, "_SECONDS", seconds)
    monkeypatch.setattr(deciding, "QUERY_TIMEOUT", short)
    monkeypatch.setattr(deciding, "DECIDE_TIMEOUT", short)
    monkeypatch.setattr(offline_status, "_DESCRIBE_TIMEOUT", short)


def answer_of(ended: Ended) -> Any:
    """Return the single JSON value that a command printed, or None if it printed nothing."""
    assert "Traceback" not in ended.err
    assert "unexpected error" not in ended.err
    return json.loads(ended.out) if ended.out else None


def is_error(answer: Any, code: int) -> bool:
    return (
        isinstance(answer, dict)
        and set(answer) <= {"error", "exit_code", "faults", "file"}
        and answer["exit_code"] == code
    )


def test_every_command_supports_json() -> None:
    known = dict(app.every_command())
    without = [
        name for name, command in known.items() if "--json" not in str([one.opts for one in command.params])
    ]
    assert without == ["serve"], "it answers over HTTP"
    assert set(known) == {*WORDS, *OFFLINE, "demo", "serve"}, "list each command in this file"


@pytest.mark.parametrize("name", OFFLINE)
def test_commands_without_a_server_print_json(name: str, home: Home, typing: Callable[[Home], Typed]) -> None:
    ended = typing(home)(*OFFLINE[name], "--json")
    answer = answer_of(ended)
    if ended.code == 0:
        assert answer is not None
        assert "error" not in answer
    else:
        assert is_error(answer, ended.code), ended


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize(
    "refusal",
    [
        ([UNAVAILABLE], "not ready"),
        ([OK, UNAVAILABLE], "did not respond"),
        ([PERMISSION_DENIED], "TEMPORAL_API_KEY"),
        ([OK, PERMISSION_DENIED], "denies access to the namespace default"),
        ([OK, OK, UNAUTHENTICATED], "TEMPORAL_API_KEY"),
        ([OK, NOT_FOUND], "has no namespace default"),
        ([None], "did not respond"),
    ],
)
def test_a_server_error_is_reported_as_json(
    name: str,
    refusal: tuple[list[int | None], str],
    home: Home,
    typing: Callable[[Home], Typed],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, message = refusal
    if answers[-1] in (UNAVAILABLE, None):  # waits forever; other commands may be slow
        shorten_timeouts(monkeypatch, 0.4 if message == "did not respond" else 0.8)
    typed = typing(home)
    typed("keys", "new", "dana")
    with refusing(*answers) as address:
        home.settings["TEMPORAL_ADDRESS"] = address
        ended = typed(*WORDS[name], "--json")

    assert is_error(answer_of(ended), 1), ended
    assert message in ended.json["error"]
    assert ended.err.splitlines()[-1] == ended.json["error"]


def test_the_librarys_retry_log_goes_to_stderr(home: Home) -> None:
    with refusing(OK, *([UNAVAILABLE] * 8), UNAUTHENTICATED) as address:
        home.settings["TEMPORAL_ADDRESS"] = address
        ended = home.starter("status", "plan-1", "--json")

    assert is_error(answer_of(ended), 1), ended
    logged = json.loads(ended.err.splitlines()[0])
    assert (logged["logger"], logged["level"]) == ("temporalio.core", "warning")


@pytest.mark.parametrize(
    "words",
    [
        *(
            tuple("" if word == "plan-1" else word for word in words)
            for words in WORDS.values()
            if "plan-1" in words
        ),
        ("start", "hi", "--requester", "rita", "--id", ""),
        ("start", "--from", ""),
        ("audit", "show", ""),
        ("audit", "verify", " "),
        ("audit", "export", ""),
    ],
)
def test_an_empty_id_is_a_usage_error(
    words: tuple[str, ...], home: Home, typing: Callable[[Home], Typed]
) -> None:
    ended = typing(home)(*words, "--json")
    assert is_error(answer_of(ended), 2), ended
    assert "the id is empty; see python starter.py" in ended.json["error"]


@pytest.mark.parametrize("name", ["", "  "])
def test_an_invitation_without_a_name_is_a_usage_error(
    name: str, home: Home, typing: Callable[[Home], Typed]
) -> None:
    ended = typing(home)("people", "invite", name, "--json")
    assert is_error(answer_of(ended), 2), ended
    assert "The name is empty" in ended.json["error"]


def test_a_person_can_be_invited_before_the_inbox_has_ever_run(home: Home) -> None:
    """Each module is loaded when it is first used, so no table may depend on the order."""
    ended = home.starter("people", "invite", "gina", "--json", changes={"PLANGATE_WEB_ADDRESS": None})
    assert ended.code == 0, ended
    assert "/invitation/" in ended.json["link"]


NOISY = """
import os, subprocess, sys, warnings
sys.path.insert(0, {project!r})
import starter
from plangate.cli import application

def noisy():
    print("printed")
    os.write(1, b"written past Python\\n")
    subprocess.run(["echo", "by a child"], check=True)
    warnings.warn("careful")
    return listed_tools()

listed_tools, application.listed_tools = application.listed_tools, noisy
sys.argv = ["starter.py", "tools", "--json"]
sys.exit(starter.main())
"""


def test_all_other_output_of_a_command_goes_to_stderr(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOISY.format(project=str(PROJECT))],
        capture_output=True,
        text=True,
        env=home.environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {tool["name"] for tool in json.loads(done.stdout)} >= {"send_email"}
    for noise in ("printed", "written past Python", "by a child", "careful"):
        assert noise in done.stderr


def test_no_client_uses_the_librarys_default_runtime() -> None:
    files = [
        path
        for folder in ("plangate", "workflows", "activities")
        for path in (PROJECT / folder).rglob("*.py")
    ]
    calls = [
        (path.name, [word.arg for word in node.keywords])
        for path in (*files, PROJECT / "worker.py", PROJECT / "starter.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Client.connect"
    ]
    assert calls
    assert [name for name, keywords in calls if "runtime" not in keywords] == []
