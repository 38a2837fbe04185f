"""A tool acts at most once, regardless of the result of an earlier attempt."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from activities.effect_once import (
    EarlierState,
    Interpret,
    ObserveAgain,
    act_once,
    interpret_untimed,
    unobserved,
)
from activities.execution import WAIT_LIMIT
from plangate.domain.errors import EffectUnknown, OutcomePending, PlangateError, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import (
    FIND_OUT_SECONDS,
    LONGEST_ACTION,
    Receipt,
    RetrySafety,
    ToolArguments,
    ToolDeclaration,
)
from plangate.logs.setup import configure_logs
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Happened, NotFound, Repeatable, Unknown
from workflows.options import STEP

FRESH, OLD = Receipt(summary="now"), Receipt(summary="before")


@dataclass
class ScriptedTool:
    """Returns scripted results, and records the order of its calls."""

    acts: Exception | None = None
    finds: EffectStatus | Exception = field(default_factory=DidNotHappen)
    objects: str | None = None
    asked: list[str] = field(default_factory=list)
    declaration: ToolDeclaration = field(
        default_factory=lambda: ToolDeclaration("t", "t", ToolArguments, RetrySafety.BY_CALL)
    )

    def objection(self, arguments: object) -> str | None:
        del arguments
        return self.objects

    async def act(self, arguments: object, idempotency_key: str) -> Receipt:
        del arguments
        assert idempotency_key == "key"
        self.asked.append("act")
        if self.acts:
            raise self.acts
        return FRESH

    async def find_out(self, arguments: object, idempotency_key: str) -> EffectStatus:
        del arguments
        assert idempotency_key == "key"
        self.asked.append("find_out")
        if isinstance(self.finds, Exception):
            raise self.finds
        return self.finds


async def outcome(
    tool: ScriptedTool, *, begun_before: bool, observe_again: ObserveAgain = unobserved
) -> Receipt | type[Exception]:
    try:
        earlier = EarlierState.BEGUN if begun_before else EarlierState.NOTHING
        return await act_once(tool, ToolArguments(), "key", earlier, observe_again=observe_again)
    except PlangateError as error:
        return type(error)


def scripted_observation(tool: ScriptedTool, sees: Receipt | Exception | None) -> ObserveAgain:
    async def observe_again() -> Receipt | None:
        tool.asked.append("observe")
        if isinstance(sees, Exception):
            raise sees
        return sees

    return observe_again


BUG, LATER, NEVER, LOST = (
    ZeroDivisionError("oops"),
    ToolUnavailable("l"),
    ToolRefused("n"),
    EffectUnknown("e"),
)


@pytest.mark.parametrize(
    ("acts", "finds", "expected"),
    [
        (None, DidNotHappen(), FRESH),
        (LATER, Happened(OLD), ToolUnavailable),
        (NEVER, Happened(OLD), ToolRefused),
        (LOST, Happened(OLD), OLD),
        (LOST, DidNotHappen(), ToolUnavailable),
        (LOST, DidNotHappen("it failed"), ToolRefused),
        (LOST, Repeatable(), OutcomePending),
        (LOST, Unknown("?"), EffectUnknown),
        (LOST, LATER, OutcomePending),
        (LOST, BUG, OutcomePending),
        (BUG, Happened(OLD), OLD),
        (BUG, Unknown("?"), EffectUnknown),
        (TimeoutError(), Repeatable(), OutcomePending),
    ],
)
async def test_a_first_attempt_reports_what_is_known_about_its_effect(
    acts: Exception | None, finds: EffectStatus | Exception, expected: object
) -> None:
    assert await outcome(ScriptedTool(acts, finds), begun_before=False) == expected


@pytest.mark.parametrize(
    ("finds", "acts", "expected", "asked"),
    [
        (Happened(OLD), None, OLD, ["find_out"]),
        (Unknown("?"), None, EffectUnknown, ["find_out"]),
        (LATER, None, OutcomePending, ["find_out"]),
        (BUG, None, OutcomePending, ["find_out"]),
        (DidNotHappen(), None, ToolUnavailable, ["find_out"]),
        (DidNotHappen("it failed"), None, ToolRefused, ["find_out"]),
        (Repeatable(), None, FRESH, ["find_out", "act"]),
        (Repeatable(), LATER, OutcomePending, ["find_out", "act"]),
        (Repeatable(), NEVER, EffectUnknown, ["find_out", "act"]),
        (Repeatable(), LOST, OutcomePending, ["find_out", "act", "find_out"]),
    ],
)
async def test_an_attempt_after_an_unfinished_one_looks_up_the_effect_first(
    finds: EffectStatus | Exception, acts: Exception | None, expected: object, asked: list[str]
) -> None:
    tool = ScriptedTool(acts, finds)
    assert await outcome(tool, begun_before=True) == expected
    assert tool.asked == asked


@pytest.mark.parametrize(
    ("finds", "said"),
    [
        (None, "NoneType instead of the status of the effect"),
        (False, "bool instead of the status of the effect"),
        (DidNotHappen, "type instead of the status of the effect"),
        (OLD, "Receipt instead of the status of the effect"),
        (Happened("paid"), "Happened with str instead of a Receipt"),  # type: ignore[arg-type]
    ],
)
@pytest.mark.parametrize("earlier", [EarlierState.NOTHING, EarlierState.BEGUN])
async def test_a_look_up_that_returns_no_status_leaves_the_effect_in_doubt(
    finds: Any, said: str, earlier: EarlierState
) -> None:
    tool = ScriptedTool(acts=LOST, finds=finds)
    with pytest.raises(EffectUnknown, match=f"The look-up of t returned {said}; check by hand."):
        await act_once(tool, ToolArguments(), "key", earlier)


@pytest.mark.parametrize(
    ("sees", "expected", "asked"),
    [
        (None, FRESH, ["find_out", "observe", "act"]),
        (OLD, OLD, ["find_out", "observe"]),
        (LATER, OutcomePending, ["find_out", "observe"]),
        (NEVER, EffectUnknown, ["find_out", "observe"]),
        (LOST, EffectUnknown, ["find_out", "observe"]),
    ],
)
async def test_a_repeat_is_preceded_by_an_observation(
    sees: Receipt | Exception | None, expected: object, asked: list[str]
) -> None:
    tool = ScriptedTool(finds=Repeatable())
    assert await outcome(tool, begun_before=True, observe_again=scripted_observation(tool, sees)) == expected
    assert tool.asked == asked


@pytest.mark.parametrize("earlier", EarlierState)
@pytest.mark.parametrize("finds", [Happened(OLD), DidNotHappen(), NotFound(None, "?"), Unknown("?"), LATER])
async def test_without_a_repeat_nothing_is_observed(
    earlier: EarlierState, finds: EffectStatus | Exception
) -> None:
    tool = ScriptedTool(finds=finds)
    with suppress(PlangateError):
        await act_once(tool, ToolArguments(), "key", earlier, observe_again=scripted_observation(tool, NEVER))
    assert "observe" not in tool.asked


async def test_an_observation_with_retry_after_waits() -> None:
    tool = ScriptedTool(finds=Repeatable())
    observe_again = scripted_observation(tool, ToolUnavailable("l", timedelta(seconds=40)))
    with pytest.raises(OutcomePending) as caught:
        await act_once(tool, ToolArguments(), "key", EarlierState.BEGUN, observe_again=observe_again)
    assert caught.value.again == timedelta(seconds=40)


NOT_FOUND = NotFound(since=None, reason="Look there.")


def may_still_happen(_found: NotFound | Repeatable) -> NotFound | Repeatable | Unknown:
    raise OutcomePending("later", timedelta(seconds=9))


def did_not_happen(found: NotFound | Repeatable) -> NotFound | Repeatable | Unknown:
    return found


@pytest.mark.parametrize("acts", [None, LOST])
@pytest.mark.parametrize(
    ("interpret", "expected"),
    [
        (may_still_happen, OutcomePending),
        (interpret_untimed, EffectUnknown),
        (did_not_happen, ToolUnavailable),
    ],
)
async def test_an_effect_that_is_not_found_is_not_repeated_in_the_same_attempt(
    acts: Exception | None, interpret: Interpret, expected: type[Exception]
) -> None:
    """A later attempt has its own claim, whose time determines when the next request can no longer arrive."""
    tool = ScriptedTool(acts, NOT_FOUND)
    earlier = EarlierState.NOTHING if acts else EarlierState.BEGUN
    with pytest.raises(expected):
        await act_once(tool, ToolArguments(), "key", earlier, interpret=interpret)
    assert tool.asked == (["act", "find_out"] if acts else ["find_out"])


async def test_an_effect_that_did_not_happen_is_retried_immediately() -> None:
    tool = ScriptedTool(None, NOT_FOUND)
    with pytest.raises(ToolUnavailable) as caught:
        await act_once(tool, ToolArguments(), "key", EarlierState.BEGUN, interpret=did_not_happen)
    assert caught.value.after == timedelta()


async def test_an_effect_that_is_not_found_is_executed_if_a_person_has_ruled_it_out() -> None:
    tool = ScriptedTool(None, NOT_FOUND)
    assert (
        await act_once(tool, ToolArguments(), "key", EarlierState.RULED_OUT, interpret=may_still_happen)
        == FRESH
    )


@pytest.mark.parametrize("unmet", [None, "The balance has changed."])
async def test_an_accepted_effect_that_failed_is_refused_with_the_reason(unmet: str | None) -> None:
    """A retry does not help: for the same key, the remote system repeats its first response."""
    tool = ScriptedTool(None, DidNotHappen("The bank sent it back."))
    with pytest.raises(ToolRefused, match="The bank sent it back"):
        await act_once(tool, ToolArguments(), "key", EarlierState.RULED_OUT, unmet=unmet)
    assert tool.asked == ["find_out"]


@pytest.mark.parametrize("earlier", [EarlierState.BEGUN, EarlierState.NOTHING])
async def test_a_lookup_with_retry_after_waits(earlier: EarlierState) -> None:
    tool = ScriptedTool(LOST, ToolUnavailable("l", timedelta(seconds=40)))
    with pytest.raises(OutcomePending) as caught:
        await act_once(tool, ToolArguments(), "key", earlier)
    assert caught.value.again == timedelta(seconds=40)


async def test_an_effect_that_the_settings_no_longer_allow_is_not_executed() -> None:
    tool = ScriptedTool(objects="not here")
    assert await outcome(tool, begun_before=False) is ToolRefused
    assert tool.asked == []


async def test_an_effect_that_may_have_happened_and_is_no_longer_allowed_is_in_doubt() -> None:
    tool = ScriptedTool(finds=Repeatable(), objects="not here")
    assert await outcome(tool, begun_before=True) is EffectUnknown
    assert tool.asked == ["find_out"]


@pytest.mark.parametrize("finds", [Unknown("?"), DidNotHappen(), Repeatable()])
async def test_the_text_of_a_tools_own_error_is_not_recorded(finds: EffectStatus) -> None:
    bug = ValueError("POST https://h/x?api_key=hunter2\nwith \x1b[2J" + "body " * 5_000)
    with pytest.raises(PlangateError) as raised:
        await act_once(ScriptedTool(bug, finds), ToolArguments(), "key", EarlierState.NOTHING)

    said = str(raised.value).removesuffix(" ?")
    assert said == "The tool failed unexpectedly (ValueError); see the worker's log."


async def test_the_text_of_a_tools_own_error_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings())
    with pytest.raises(ToolUnavailable):
        await act_once(
            ScriptedTool(ValueError("body was X-17")), ToolArguments(), "key", EarlierState.NOTHING
        )
    assert "body was X-17" in capsys.readouterr().err


async def test_a_tool_that_cannot_check_a_call_does_not_make_it() -> None:
    class Broken(ScriptedTool):
        def objection(self, arguments: object) -> str | None:
            del arguments
            raise KeyError("secret")

    tool = Broken()
    with pytest.raises(ToolUnavailable, match=r"could not check this call \(KeyError\)"):
        await act_once(tool, ToolArguments(), "key", EarlierState.NOTHING)
    assert tool.asked == []


@pytest.mark.parametrize(("seconds", "end"), [(2, Receipt), (1, EffectUnknown)])
async def test_a_tool_may_run_for_as_long_as_it_declares(
    seconds: int, end: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After that, the call is cancelled, and the tool looks up the result."""
    begun, passed = asyncio.Event(), 0.0

    class Slow(ScriptedTool):
        async def act(self, arguments: object, idempotency_key: str) -> Receipt:
            begun.set()
            await asyncio.sleep(1.5)
            return await super().act(arguments, idempotency_key)

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: time.monotonic() + passed)
    declared = ToolDeclaration("t", "t", ToolArguments, RetrySafety.BY_CALL, seconds=seconds)
    tool = Slow(finds=Unknown("?"), declaration=declared)
    acting = asyncio.create_task(act_once(tool, ToolArguments(), "key", EarlierState.NOTHING))
    await begun.wait()
    passed = 1.6 if seconds > 1 else 1.1
    (ended,) = await asyncio.gather(acting, return_exceptions=True)
    assert isinstance(ended, end)


def test_no_tool_may_declare_more_time_than_the_workflow_allows() -> None:
    with pytest.raises(ValueError, match="1 to 3600 seconds"):
        ToolDeclaration("t", "t", ToolArguments, RetrySafety.BY_CALL, seconds=LONGEST_ACTION + 1)
    waited_for = LONGEST_ACTION + FIND_OUT_SECONDS + sum(WAIT_LIMIT) + 60
    assert STEP["start_to_close_timeout"].total_seconds() > waited_for
