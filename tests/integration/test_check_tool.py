"""`check-tool` passes correct tools, and reports each check that a tool fails."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest

from activities.effect_once import EarlierState, act_once
from plangate.cli import app
from plangate.domain.errors import EffectUnknown, OperatorError
from plangate.testing.promises import crashes
from plangate.testing.promises.check import Result
from plangate.testing.promises.examine import Examination
from plangate.testing.promises.messages import Setting
from tests.support import checked_tools
from tests.support.checked_tools import RefundArguments

HERE = Path(checked_tools.__file__).parent
KEY = "plan-1:3f9a12bc4d5e:1"
ARGUMENTS = '{"payment": "pay_1"}'


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def examination(sandbox: Path) -> Iterator[Examination]:
    """Two processes for all tests, which load one tool after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sandbox)
        started = Examination()
    with started:
        yield started


@pytest.fixture(autouse=True)
def _empty_sandbox(sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    rmtree(sandbox / "__pycache__", ignore_errors=True)  # Python stores bytecode next to the modules
    for path in sandbox.iterdir():
        path.unlink()


def setting_for(tool: str, *, counts: bool = True) -> Setting:
    return Setting(
        tool=f"checked_tools:{tool}",
        arguments={"payment": "pay_1"},
        count="checked_tools:count" if counts else "",
        path=(str(HERE),),
    )


@pytest.mark.parametrize(
    ("tool", "left"),
    [
        ("LooksUp", {"preview", "observation", "call without a network", "errors are ToolErrors"}),
        ("VendorKey", {"preview", "observation", "call without a network", "errors are ToolErrors"}),
        ("ObservesWhatItChanges", {"preview", "call without a network", "errors are ToolErrors"}),
        (
            "Unknowable",
            {
                *(
                    "preview",
                    "observation",
                    "call with the same key",
                    "call without a network",
                    "errors are ToolErrors",
                )
            },
        ),
        ("Complete", {"call without a network", "undo without a network", "errors are ToolErrors"}),
        (
            "UnknowableUndo",
            {
                *(
                    "call without a network",
                    "undo without a network",
                    "undo with the same key",
                    "errors are ToolErrors",
                )
            },
        ),
        ("Calls", {"preview", "observation"}),
        ("Accepts", {"preview", "observation", "call without a network", "errors are ToolErrors"}),
        (
            "AcceptsOnly",
            {
                *("preview", "observation", "call without a network", "errors are ToolErrors"),
                "settlement",
            },
        ),
    ],
)
def test_a_correct_tool_passes(examination: Examination, tool: str, left: set[str]) -> None:
    examination.load(setting_for(tool))
    checks = list(examination.checks())
    assert [one for one in checks if one.result is Result.FAILED] == []
    assert {one.name for one in checks if one.result is Result.NOT_CHECKED} == left


@pytest.mark.parametrize(
    ("tool", "check", "seen"),
    [
        ("ActsDuringLookUp", "settlement", "the look-up had an effect"),
        (
            "ReturnsTrueAsSettlement",
            "settlement",
            "must return Settled, Reversed or None, not {'value': True}",
        ),
        ("SettlesWithoutLimit", "settlement", "settles_within must be a timedelta of at most 400 days"),
        ("Forgets", "call killed during", "find_out reported that it did not happen, but it did"),
        ("WritesNoteFirst", "call killed during", "find_out reported that it happened, but it did not"),
        ("ReportsEveryEffect", "call killed before", "find_out reported that it happened, but it did not"),
        ("HashesKeys", "call with the same key", "it had a second effect"),
        ("Repeats", "call with the same key", "it had a second effect"),
        ("NewKeys", "call with the same key", "it had a second effect"),
        ("UsesPaymentAsKey", "call with a new key", "it had no separate effect"),
        ("Guesses", "call killed before", "'it did not happen', and its retry safety is UNKNOWABLE"),
        ("GivesNoReason", "call killed before", "without a reason that says where to look"),
        ("CannotLookUp", "call killed before", "'unknown', and its retry safety is LOOK_UP"),
        ("ReturnsNone", "call killed before", "find_out returned None, which is not a valid answer"),
        ("BlockedByItsEffect", "call killed after", "in doubt, because what it observes changed: attach a"),
        ("AllowsFour", "call killed during", "its precondition is no longer met, because of earlier checks"),
        ("UndoesTwice", "undo with the same key", "it had a second effect"),
        ("ForgetsUndo", "undo killed during", "it did not happen, but it did"),
        ("UndoMissing", "undo as declared", "has no undo()"),
        ("ActsDuringObservation", "observation", "observing had an effect"),
        ("ObservesTooMuch", "observation", "more than the limit of 16,384"),
        ("NeverHolds", "observation", "nothing happened in between, and still_holds() returned"),
        ("PreviewsInLines", "preview", "it is not one line of visible characters"),
        ("PreviewsDifferently", "preview", "it is not the same each time"),
        ("FillsInDifferently", "arguments as JSON", "two processes fill them in differently"),
        ("ReturnsNoReceipt", "call succeeds", "it must return a Receipt"),
        ("ReturnsAnObject", "call succeeds", "cannot be stored as JSON"),
        ("RaisesLibraryErrors", "call without a network", "it must raise ToolUnavailable, but: OSError"),
        ("RaisesLibraryErrors", "errors are ToolErrors", "OSError: [Errno 101] Network is unreachable"),
    ],
)
def test_a_failed_check_is_reported_by_name(
    examination: Examination, tool: str, check: str, seen: str
) -> None:
    examination.load(setting_for(tool))
    found = next(one for one in examination.checks() if one.name == check)
    assert found.result is Result.FAILED, found
    assert seen in found.seen


def test_without_a_count_the_report_says_what_was_not_checked(examination: Examination) -> None:
    examination.load(setting_for("Repeats", counts=False))
    checks = {one.name: one for one in examination.checks()}
    assert checks["call with the same key"].result is Result.NOT_CHECKED
    assert checks["call with a new key"].seen == "no --count"
    assert "whether it was done once was not checked" in checks["call killed during"].seen


def test_a_slow_call_is_also_killed_after_a_fixed_time(
    examination: Examination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crashes, "SLOW", 0.04)
    kept, slow = setting_for("LooksUp"), setting_for("Sleeps")
    examination.load(kept)
    kills = kills_of(examination)
    examination.load(slow)
    assert kills_of(examination) >= kills + 3


def kills_of(examination: Examination) -> int:
    during = next(one for one in examination.checks() if one.name == "call killed during")
    assert during.result is Result.PASSED
    return int(during.seen.split()[0])


@pytest.mark.parametrize(
    ("tool", "is_retried"), [("LooksUp", True), ("VendorKey", True), ("Unknowable", False)]
)
async def test_a_worker_retries_as_the_check_expects(tool: str, *, is_retried: bool) -> None:
    """`check-tool` expects the behaviour of `activities.effect_once` after a crash."""
    one, arguments = getattr(checked_tools, tool)(), RefundArguments(payment="pay_1")
    await one.act(arguments, KEY)
    if is_retried:
        assert (await act_once(one, arguments, KEY, EarlierState.BEGUN)).summary == "refunded pay_1"
    else:
        with pytest.raises(EffectUnknown):
            await act_once(one, arguments, KEY, EarlierState.BEGUN)
    assert checked_tools.count() == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "count", "sentence"),
    [
        ("nowhere:refund", {}, "", "There is no module nowhere here"),
        ("checked_tools:nothing", {}, "", "The module checked_tools has no nothing"),
        ("checked_tools:EFFECTS", {}, "", "This is not a tool"),
        ("checked_tools:LooksUp", {}, "", "payment: is missing"),
        ("checked_tools:LooksUp", {"payment": "unknown"}, "", "The payment is unknown."),
        ("checked_tools:LooksUp", {"payment": "pay_1"}, "nowhere:count", "There is no module nowhere"),
    ],
)
def test_an_invalid_call_is_reported_in_one_sentence(
    examination: Examination, tool: str, arguments: dict[str, str], count: str, sentence: str
) -> None:
    setting = Setting(tool=tool, arguments=arguments, count=count, path=(str(HERE),))
    with pytest.raises(OperatorError, match=sentence):
        examination.load(setting)


# ---- the command ----------------------------------------------------------------------------------


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["plangate", "check-tool", *words])
    return app.main()


def test_the_command_finds_the_tool_here_and_fails_if_a_check_fails(
    sandbox: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (sandbox / "mine.py").write_text(Path(checked_tools.__file__).read_text())
    code = typed(monkeypatch, "mine:UndoMissing", "--arguments", ARGUMENTS, "--json")
    answer = json.loads(capfd.readouterr().out)
    assert (code, answer["tool"], answer["passed"]) == (1, "refund", False)
    (broken,) = (one for one in answer["checks"] if one["result"] == "failed")
    assert broken["name"] == "undo as declared"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("refunds",), "'refunds' is not the name of a tool; write MODULE:NAME"),
        (("",), "'' is not the name of a tool; write MODULE:NAME"),
        (("nowhere:refund",), "There is no module nowhere here"),
        (("refunds:refund", "--arguments", "payment"), "--arguments is not JSON"),
        (("refunds:refund", "--arguments", "[]"), "must be one JSON object"),
    ],
)
def test_wrong_usage_is_reported_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert typed(monkeypatch, *words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert sentence in line
