"""The output and exit codes of the command line while neither a worker nor a Temporal server runs."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plangate import __version__
from plangate.cli.app import every_command, root
from plangate.cli.exits import Exit, guarded
from plangate.domain.errors import IdInUse, NotAnswered, Refused
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import Drafted, Requested, RunRef
from plangate.records.rule_texts import What, record_rules
from plangate.records.trail import Note, open_trail
from plangate.settings import PROJECT
from tests.support.fakes import AUDIENCE
from tests.support.fresh_records import fresh_records
from tests.support.grpc_stub import NOT_FOUND, OK, PERMISSION_DENIED, UNAUTHENTICATED, refusing
from tests.support.program import Home, Typed

UNREACHABLE = {"TEMPORAL_ADDRESS": "127.0.0.1:1"}
COMMANDS = (
    "demo",
    "start",
    "status",
    "pending",
    "away",
    "approve",
    "withdraw-approval",
    "reject",
    "request-changes",
    "edit",
    "resolve",
    "withdraw",
    "watch",
    "tools",
    "sign",
    "verify-bundle",
    "audit",
    "policy",
    "people",
    "keys",
)
UNEXPECTED = "An unexpected error occurred"
HINT = "run it again with PLANGATE_LOG_LEVEL=debug to see where, and report that."
SLOW = {
    "temporalio",
    "sqlalchemy",
    "alembic",
    "rich",
    "autogen_core",
    "autogen_agentchat",
    "yaml",
    "structlog",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "var", dict(UNREACHABLE))


@pytest.fixture
def typed(home: Home, typing: Callable[[Home], Typed]) -> Typed:
    return typing(home)


@pytest.fixture
def recorded(home: Home) -> Drafted:
    """A run that waits for a decision, in the records of this home."""
    home.var_dir.mkdir()
    plan = Plan(summary="Write \x1b[31mred", steps=(Step(tool="note", arguments={"text": "hi"}),))
    now = datetime.now(UTC)
    requested = Requested(request="help", requester="rita", timeout_seconds=60, requested_at=now)
    drafted = Drafted(
        revision=1,
        plan=plan,
        fingerprint=fingerprint_of(plan, 1, "plan-1", AUDIENCE),
        audience=AUDIENCE,
        requirement=ONE_APPROVAL,
        drafted_at=now,
        deadline=now + timedelta(hours=3),
    )
    database = fresh_records(home.var_dir / "records.db")
    with database.write() as connection:
        run = RunRef(workflow_id="plan-1", chain_id="c", requested=requested)
        open_trail(connection, run).append(Note(key="drafted:1", at=now, actor="w", event=drafted))
    database.close()
    return drafted


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["start", "--help"],
        ["approve", "-h"],
        ["audit", "verify", "--help"],
        ["policy", "explain", "-h"],
        ["people", "check", "-h"],
        ["keys", "new", "-h"],
        ["verify-bundle", "-h"],
        ["--version"],
        ["nosuch"],
    ],
)
def test_help_imports_no_slow_modules(home: Home, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(PROJECT / "starter.py"), *words],
        capture_output=True,
        text=True,
        env=home.environment(),
        check=False,
    )
    imported = {
        line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line
    }
    assert "click" in imported
    assert imported & SLOW == set()


def test_every_command_has_help(typed: Typed) -> None:
    listed = typed("--help")
    assert listed.code == 0
    assert listed.out.index("  start ") < listed.out.index("  approve ")  # not by the alphabet
    for command in COMMANDS:
        assert f"  {command} " in listed.out
        assert "..." not in listed.out.partition("Commands:")[2]
        ended = typed(command, "--help")
        assert (ended.code, ended.err) == (0, "")
        assert "Usage: python starter.py" in ended.out
        assert "..." not in ended.out.partition("Commands:")[2]


def test_the_summary_of_a_command_is_the_first_sentence_of_its_help() -> None:
    for words, command in every_command():
        lazy: Any = root
        for word in words.split():
            lazy = lazy.commands[word]
        assert (command.help or "").replace("\n", " ").startswith(lazy.short_help), words


def test_the_version_is_that_of_the_project(typed: Typed) -> None:
    assert typed("--version").out == f"plangate {__version__}\n"


def test_running_without_a_command_prints_the_help(typed: Typed) -> None:
    ended = typed()
    assert (ended.code, ended.err) == (2, "")
    assert "Commands:" in ended.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch"], "No such command 'nosuch'"),
        (
            ["stauts", "x"],
            "No such command 'stauts' (did you mean status or start?); see python starter.py --help",
        ),
        (["start", "--nosuch"], "No such option '--nosuch'"),
        (
            ["pending", "--limt", "1"],
            "No such option '--limt' (did you mean --limit?); see python starter.py pend",
        ),
        (["start", "--timeout"], "requires an argument; see python starter.py start --help"),
        (["pending", "--limit", "x"], "'--limit': it must be a whole number; see"),
        (["pending", "--limit", "-1"], "'--limit': it must be at least 0; see"),
        (["pending", "--sort", "x"], "'x' is not one of 'deadline', 'newest', 'oldest', 'id'; see"),
        (
            ["status", "-plan"],
            "write an id that begins with - after --, as in python starter.py status -- -ID",
        ),
        (["start"], "Say what you want done"),
        (["start", "-", "--plan", "-"], "is the request or the plan, not both"),
        (["start", "  \n "], "Say what you want done"),
        (["start", "-"], "Say what you want done"),
        (["start", "a", "b"], "unexpected extra argument"),
        (["start", "hi", "--timeout", "soon"], "use a form such as 72h, 30m, 45s, 7d or 1h30m"),
        (["start", "hi", "--timeout", "0s"], "not between 1 second and 365 days"),
        (["start", "hi", "--watch", "--no-wait"], "are mutually exclusive; leave one out"),
        (["start", "hi", "--requester", " "], "--requester must have 1 to 100 visible characters"),
        (["start", "hi", "--requester", "d\u202eana"], "--requester must have 1 to 100 visible characters"),
        (["start", "x" * 20_001], "longer than 20,000 characters"),
        (["start", "--plan", "/nosuch.yaml"], "/nosuch.yaml cannot be opened: No such file or directory"),
        (["start", "--plan", "/"], "cannot be opened"),
        (["status"], "Missing argument 'ID'"),
        (["approve", "x"], "Missing option '--by'"),
        (["approve", "x", "--by", "dana"], "Specify the plan that you reviewed, with --plan"),
        (["reject", "x", "--by", "", "--plan", "12345678"], "--by must be your own, with 1 to 100 visible"),
        (["approve", "x", "--by", "dana", "--plan", "not hex!"], "digits 0-9 and a-f"),
        (["approve", "x", "--by", "dana", "--plan", "1234567"], "8 or more of the digits"),
        (["approve", "x", "--by", "your-name", "--plan", "12345678"], "--by must be your own"),
        (["approve", "x", "--by", "dana", "--plan", "1" * 65], "digits 0-9 and a-f"),
        (["request-changes", "x", "--by", "dana", "--plan", "12345678"], "Describe the changes with"),
        (["reject", "x", "--by", "d", "--plan", "12345678", "--comment", "y" * 4_001], "longer than 4,000"),
        (["pending", "--sort", "x"], "Invalid value for '--sort': 'x' is not one of 'deadline', "),
        (["pending", "--limit", "-1"], "'--limit': it must be at least 0; see python starter.py pending"),
        (["audit", "list", "--skip", "a"], "it must be a whole number; see python starter.py audit list --"),
        (["approve", "x", "--by"], "requires an argument; see python starter.py approve --help"),
        (["audit", "list", "--by"], "requires an argument; see python starter.py audit list --help"),
        (["demo", "--interactive"], "needs a terminal, and this is not one"),
        (["start", "caf\udce9"], "not UTF-8"),
    ],
)
def test_wrong_usage_is_reported_in_one_sentence(typed: Typed, words: list[str], message: str) -> None:
    ended = typed(*words)
    assert message in ended.sentence
    assert (ended.code, ended.out) == (2, "")


def test_a_request_on_stdin_must_be_text(typed: Typed) -> None:
    assert "not UTF-8" in typed("start", "-", stdin=b"caf\xe9").sentence
    assert "longer than" in typed("start", "-", stdin=b"x" * 100_000).sentence
    assert "longer than" in typed("start", "-", stdin="é".encode() * 100_000).sentence


def test_a_plan_on_stdin_is_read_like_a_file(typed: Typed) -> None:
    for plan in (b"summary: s\nsteps:\n  - tool: nosuch\n    arguments: {}\n", b'{"steps": [{"tool": 7}]}'):
        ended = typed("start", "--plan", "-", stdin=plan)
        assert ended.code == 2
        assert "The plan file on the standard input cannot be used" in ended.err
        assert "line " in ended.err
    good = (PROJECT / "examples" / "bank" / "one-approver.yaml").read_bytes()
    assert "nothing is listening there" in typed("start", "--plan", "-", stdin=good).sentence
    explained = typed("policy", "explain", "--plan", "-", "--json", stdin=good)
    assert explained.json["requirement"]["needs"]


@pytest.mark.parametrize(
    "words",
    [
        ["start", "hi"],
        ["status", "x"],
        ["pending"],
        ["approve", "x", "--by", "dana", "--plan", "12345678"],
        ["withdraw", "x"],
        ["watch", "x"],
    ],
)
def test_without_a_server_the_error_says_what_to_start(typed: Typed, words: list[str]) -> None:
    ended = typed(*words)
    assert (
        "127.0.0.1:1 cannot be used: nothing is listening there; start one with make worker" in ended.sentence
    )
    assert (ended.code, ended.out) == (1, "")


def test_without_records_the_trail_command_reports_an_error(typed: Typed) -> None:
    ended = typed("audit", "show", "plan-1")
    assert "start a worker first" in ended.sentence
    assert ended.code == 1


def test_an_invalid_setting_is_reported_by_name(home: Home) -> None:
    ended = home.starter("tools", changes={"PLANGATE_MAX_STEPS": "many"})
    assert "PLANGATE_MAX_STEPS" in ended.sentence
    assert ended.code == 1


def test_the_tools_command_needs_no_server_or_records(typed: Typed) -> None:
    assert "send_email" in typed("tools").out
    tools = {tool["name"]: tool for tool in typed("tools", "--json").json}
    assert "to" in tools["send_email"]["arguments"]["properties"]


def test_status_pending_and_audit_work_from_the_records_alone(typed: Typed, recorded: Drafted) -> None:
    shown = typed("status", "plan-1")
    assert shown.code == 0
    assert "Write ⟨U+001B⟩[31mred" in shown.out
    assert "Source: the records (the Temporal server does not answer)." in shown.out
    status = typed("status", "plan-1", "--json").json
    assert status["fingerprint"] == recorded.fingerprint
    assert status["state"] == "in_review"
    assert {
        "workflow_id",
        "request",
        "plan",
        "revision",
        "requirement",
        "decisions",
        "deadline",
        "steps",
    } <= set(status)
    waiting = typed("pending")
    assert "plan-1" in waiting.out
    assert "in 2 h 59 min" in waiting.out
    assert "does not answer" in waiting.out
    assert [run["workflow_id"] for run in typed("pending", "--json").json] == ["plan-1"]
    trail = typed("audit", "show", "plan-1")
    assert "2 entries" in trail.out
    assert "\x1b" not in trail.out + shown.out + waiting.out
    assert [entry["event"]["kind"] for entry in typed("audit", "show", "plan-1", "--json").json] == [
        "requested",
        "drafted",
    ]


@pytest.mark.parametrize(
    "words", [["policy", "check"], ["policy", "explain", "--plan", "PLAN"], ["people", "check"]]
)
def test_output_from_a_file_names_the_file_and_warns_that_a_worker_may_use_another(
    home: Home, typed: Typed, words: list[str]
) -> None:
    bank = PROJECT / "examples" / "bank"
    words = [str(bank / "two-from-finance.yaml") if word == "PLAN" else word for word in words]
    files = {"policy": bank / "policy.toml", "people": bank / "people.toml"}
    home.settings |= {f"PLANGATE_{name.upper()}": str(path) for name, path in files.items()}
    path, variable = files[words[0]], f"PLANGATE_{words[0].upper()}"
    shown = typed(*words).out
    assert f"  file         {path}\n" in shown
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"  hash         {own}\n" in shown
    assert f"Read from this machine. A worker uses the file in its own {variable};" in shown
    assert typed(*words, "--json").json["workers"] == "unknown"
    home.var_dir.mkdir()
    database = fresh_records(home.var_dir / "records.db")
    for content, message in (
        (b"x", f" used another one, with the hash {hashlib.sha256(b'x').hexdigest()}"),
        (path.read_bytes(), "The workers have used the same content since "),
        (b"", " used none"),
    ):
        content_hash = hashlib.sha256(content).hexdigest() if content else ""
        what: What = "policy" if words[0] == "policy" else "people"
        record_rules(database, what, content.decode(), content_hash, "w")
        lines = typed(*words).out.splitlines()
        sentences = [line for line in lines if line and not line.startswith("  ")]
        assert [one for one in sentences if not one.startswith("A run whose step fails is held")] == lines[:1]
        shown = " ".join(" ".join(lines).split())
        assert message in shown
        not_read = "The workers have not read this content yet. They read the file at the next decision"
        assert (not_read in shown) == (what == "people" and own != content_hash)
        assert ("takes effect when" in shown) == (what == "policy" and own != content_hash)
        report = typed(*words, "--json").json
        assert (report["file"], report["workers"]) == (str(path), "same" if own == content_hash else "other")
    database.close()


def test_without_a_policy_here_the_output_mentions_the_policy_of_a_worker(typed: Typed) -> None:
    plan = PROJECT / "examples" / "bank" / "no-approval.yaml"
    shown = typed("policy", "explain", "--plan", str(plan)).out
    assert "No policy is set here (PLANGATE_POLICY)" in shown
    assert "A worker uses the file in its own PLANGATE_POLICY, which may be set." in shown


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([OK, NOT_FOUND], "has no namespace default; set TEMPORAL_NAMESPACE"),
        ([UNAUTHENTICATED], "it rejects the credentials; check TEMPORAL_API_KEY"),
        ([OK, OK, PERMISSION_DENIED], "denied the request"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_a_server_that_rejects_the_client_is_reported_even_if_the_records_could_answer(
    home: Home, typed: Typed, answers: list[int], message: str
) -> None:
    for words in (["status", "plan-1"], ["pending"], ["watch", "plan-1"]):
        with refusing(*answers) as address:
            home.settings["TEMPORAL_ADDRESS"] = address
            ended = typed(*words)
        assert message in ended.sentence
        assert (ended.code, ended.out) == (1, "")


@pytest.mark.usefixtures("recorded")
def test_an_unrecorded_id_has_no_trail(typed: Typed) -> None:
    ended = typed("audit", "show", "pl\u202ean")
    assert "pl⟨U+202E⟩an is not recorded" in ended.sentence
    assert ended.code == 1


@pytest.mark.parametrize("shell", [">/dev/full", ">&-", ">&- 2>&-", ">/dev/full 2>/dev/full", "2>&- <&-"])
@pytest.mark.usefixtures("recorded")
def test_an_unwritable_output_causes_no_traceback(home: Home, shell: str) -> None:
    for words in (["status", "plan-1"], ["--help"]):
        ended = home.starter(*words, shell_suffix=shell)
        assert ended.code == (0 if shell.startswith("2") or (words == ["--help"] and ">&-" in shell) else 1)
        assert "Traceback" not in ended.err
        assert len(ended.err.splitlines()) <= 1


@pytest.mark.usefixtures("recorded")
def test_a_closed_pipe_is_not_an_error(home: Home) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [sys.executable, str(PROJECT / "starter.py"), "audit", "show", "plan-1"],
            stdout=output,
            stderr=subprocess.PIPE,
            env=home.environment(),
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.usefixtures("recorded")
def test_every_terminal_encoding_works(home: Home, encoding: str) -> None:
    ended = home.starter("status", "plan-1", changes={"PYTHONIOENCODING": encoding})
    assert ended.code == 0
    assert ended.err == ""


def test_every_error_in_a_plan_file_has_its_own_line(typed: Typed, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(
        "summary: s\nsteps:\n  - tool: nosuch\n    arguments: {}\n"
        "  - tool: send_email\n    arguments: {to: 7}\n"
    )
    ended = typed("start", "--plan", str(path))
    assert (ended.code, ended.out) == (2, "")
    first, *rest = ended.err.splitlines()
    assert first == f"The plan file {path} cannot be used (4 errors); fix it and try again."
    assert rest[0].startswith(f"  {path}:3:11: step 1, tool: there is no tool called 'nosuch'")
    assert len(rest) == 5
    assert rest[-1] == "  PLANGATE_TOOLS is not set here; it lists the modules with your tools."
    as_json = typed("start", "--plan", str(path), "--json")
    assert as_json.code == 2
    assert [(fault["line"], fault["column"], fault["path"]) for fault in as_json.json["faults"]] == [
        (3, 11, "steps[0].tool"),
        (6, 16, "steps[1].arguments.subject"),
        (6, 16, "steps[1].arguments.body"),
        (6, 21, "steps[1].arguments.to"),
    ]


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (NotAnswered("No answer."), Exit.FAILED, "No answer."),
        (Refused("No\nway."), Exit.REFUSED, "No⏎way."),
        (IdInUse("In use."), Exit.REFUSED, "In use."),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "Interrupted."),
        (
            ZeroDivisionError("by \x1b"),
            Exit.FAILED,
            f"{UNEXPECTED} (ZeroDivisionError: by ⟨U+001B⟩); {HINT}",
        ),
        (RecursionError(), Exit.FAILED, f"{UNEXPECTED} (RecursionError); {HINT}"),
    ],
)
def test_each_exception_becomes_one_sentence_and_an_exit_code(
    error: BaseException, code: Exit, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def act() -> int:
        raise error

    assert guarded(act) == code
    assert capsys.readouterr().err == sentence + "\n"


def test_a_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLANGATE_LOG_LEVEL", "debug")
    assert guarded(lambda: 1 // 0) == Exit.FAILED
    assert "Traceback" in capsys.readouterr().err


WORD = st.sampled_from(
    [
        *COMMANDS,
        "--json",
        "--plan",
        "--by",
        "--id",
        "--comment",
        "--timeout",
        "--requester",
        "--no-wait",
        "-",
        "--",
        "-h",
        "12345678",
        "dana",
        "72h",
        "/dev/null",
        "/nosuch",
        "",
    ]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(WORD, max_size=7))
def test_each_command_ends_with_an_exit_code_and_at_most_one_sentence(words: list[str], typed: Typed) -> None:
    if "demo" in words:
        return
    ended = typed(*words)
    assert ended.code in (0, 1, 2, 3)
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) <= 1 or "The plan file" in ended.err
    assert ended.code == 0 or ended.err or "Usage:" in ended.out or "--json" in words
    if ended.code == 0 and "--json" in words and "Usage" not in ended.out:
        json.loads(ended.out)
