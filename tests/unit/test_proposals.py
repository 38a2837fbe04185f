"""The tools of a draft: they record steps, read or refuse, and never have an effect."""

import asyncio
import hashlib
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import pytest
from pydantic import BaseModel, JsonValue, field_validator

from activities.planners.limits import Limits
from activities.planners.proposals import MAX_BAD_CALLS, MAX_PROPOSALS_FACTOR, Proposals
from activities.planners.reading import Reader
from plangate.domain.errors import DraftUnusable, ToolRefused, ToolUnavailable
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.reads import MAX_READS, MAX_READS_BYTES
from plangate.domain.plans.tool import ToolArguments
from plangate.domain.runs.audit import ModelUse
from tests.support.stand_in_tools import HTTP, MAIL, TOOLS, declare

FIVE = Limits(seconds=5, max_steps=5)


class LookArguments(ToolArguments):
    place: str


LOOK = replace(declare("look", LookArguments), reads_only=True)


def readable(found: JsonValue, reader: Reader | None = None) -> tuple[Proposals, list[str]]:
    """Return the tools of a draft, including a reading tool, and a list of the places that it has read."""
    looked: list[str] = []

    async def look(arguments: Any) -> JsonValue:
        looked.append(arguments.place)
        return found

    return Proposals({**TOOLS, "look": LOOK}, FIVE, {"look": reader or look}), looked


class Node(BaseModel):
    name: str
    children: list["Node"] = []


class TreeArguments(ToolArguments):
    root: Node


class BrokenArguments(ToolArguments):
    text: str

    @field_validator("text")
    @classmethod
    def _break(cls, value: str) -> str:
        raise RecursionError(value)


def schema_of(name: str, proposals: Proposals | None = None) -> dict[str, Any]:
    (schema,) = [tool.schema for tool in proposals or Proposals(TOOLS, FIVE) if tool.name == name]
    return dict(schema)


async def test_each_tool_is_shown_with_its_arguments_and_a_required_reason():
    schema = schema_of("send_email")
    assert schema["type"] == "object"
    assert set(schema["properties"]) == {"why", "to", "cc", "subject", "body"}
    assert set(schema["required"]) == {"why", "to", "subject", "body"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["why"]["type"] == "string"


async def test_references_in_a_schema_are_replaced():
    schema = schema_of("order")
    assert "$" not in json.dumps(schema)
    line = schema["properties"]["lines"]["items"]
    assert line["properties"]["count"]["type"] == "integer"


async def test_a_recursive_model_has_a_finite_schema():
    proposals = Proposals({"grow": declare("grow", TreeArguments)}, FIVE)
    schema = schema_of("grow", proposals)
    assert "$" not in json.dumps(schema)
    assert schema["properties"]["root"]["properties"]["children"]["items"]["type"] == "object"
    result = await proposals.answer(
        "grow",
        {"why": "growth", "root": {"name": "a", "children": [{"name": "b", "children": [{"name": 1}]}]}},
    )
    assert result.is_error
    assert "root.children[0].children[0].name" in result.text


async def test_a_valid_call_becomes_a_step_with_all_its_arguments():
    proposals = Proposals(TOOLS, FIVE)
    result = await proposals.answer("send_email", MAIL)
    assert not result.is_error
    assert result.text.startswith("step 1 recorded: send_email. Nothing has been done yet")
    assert proposals.steps == (
        Step(
            tool="send_email",
            arguments={
                "to": ["kim@example.org"],
                "cc": [],
                "subject": "Your refund",
                "body": "It is on its way.",
            },
            reason="to tell Kim",
        ),
    )


async def test_calls_started_together_keep_their_order():
    proposals = Proposals(TOOLS, Limits(5, 50))
    await asyncio.gather(
        *(proposals.answer("send_email", {**MAIL, "subject": f"mail {number}"}) for number in range(50))
    )
    subjects = [step.arguments["subject"] for step in proposals.steps]
    assert subjects == [f"mail {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        (
            "send_fax",
            MAIL,
            "there is no tool called 'send_fax'; the tools are: http_request, order, send_email",
        ),
        ("send_email", {key: MAIL[key] for key in MAIL if key != "why"}, "why: is missing"),
        ("send_email", {**MAIL, "why": "  "}, "why: is missing"),
        ("send_email", {**MAIL, "why": 7}, "why: is missing"),
        ("send_email", {**MAIL, "why": "x" * 2001}, "why: has 2001 characters, more than the limit of 2000"),
        ("send_email", {**MAIL, "why": "\ud800"}, "half of a surrogate pair"),
        ("send_email", {**MAIL, "subject": 7}, "arguments.subject: must be text"),
        ("send_email", {**MAIL, "bcc": ["x@example.org"]}, "arguments.bcc: unknown field; remove it"),
        ("http_request", {**HTTP, "json_body": float("nan")}, "not a JSON number"),
        ("send_email", {}, "it has no arguments"),
        ("send_email", None, "it has no arguments"),
        ("send_email", ["not", "an", "object"], "not one readable JSON object"),
    ],
)
async def test_an_invalid_call_returns_its_errors(name, arguments, expected):
    proposals = Proposals(TOOLS, FIVE)
    result = await proposals.answer(name, arguments)
    assert result.is_error
    assert expected in result.text
    assert proposals.steps == ()
    assert proposals.failure is None


async def test_every_error_of_a_call_has_its_own_line():
    result = await Proposals(TOOLS, FIVE).answer("send_email", {"to": "kim", "subject": 1, "body": 2})
    lines = result.text.splitlines()
    assert len(lines) == 5
    assert [line.split(":")[0] for line in lines[1:]] == [
        "why",
        "arguments.to",
        "arguments.subject",
        "arguments.body",
    ]


async def test_the_response_to_a_call_with_many_errors_stays_short():
    arguments = {f"{'x' * 5000}{number}\n": number for number in range(500)}
    result = await Proposals(TOOLS, FIVE).answer("send_email", arguments)
    assert len(result.text) < 10_000
    assert len(result.text.splitlines()) == 22


async def test_a_step_beyond_the_limit_ends_the_draft():
    proposals = Proposals(TOOLS, Limits(5, 2))
    for number in range(2):
        await proposals.call("send_email", {**MAIL, "subject": f"mail {number}"})
    for _ in range(2):  # further calls by the planner also fail
        with pytest.raises(DraftUnusable, match="more steps than the limit of 2"):
            await proposals.call("send_email", MAIL)
    assert proposals.failed.is_set()
    assert len(proposals.steps) == 2


async def test_discarded_steps_count_against_the_limit_too():
    proposals = Proposals(TOOLS, Limits(5, 1))
    for _ in range(MAX_PROPOSALS_FACTOR):
        await proposals.call("send_email", MAIL)
        proposals.start_over()
        assert proposals.steps == ()
    with pytest.raises(DraftUnusable, match="repeatedly"):
        await proposals.call("send_email", MAIL)


MOMENT = {"not_before": "2026-11-30T09:00:00+01:00"}


async def test_starting_over_discards_the_earliest_start():
    proposals = Proposals(TOOLS, FIVE)
    assert not proposals.set_not_before(MOMENT).is_error
    assert proposals.not_before is not None
    proposals.start_over()
    assert proposals.not_before is None


async def test_no_earliest_start_is_accepted_after_the_draft():
    proposals = Proposals(TOOLS, FIVE)
    proposals.close()
    with pytest.raises(DraftUnusable, match="has ended"):
        proposals.set_not_before(MOMENT)
    assert proposals.not_before is None


async def test_repeatedly_invalid_earliest_starts_end_the_draft():
    proposals = Proposals(TOOLS, FIVE)
    for _ in range(MAX_BAD_CALLS):
        assert proposals.set_not_before({"not_before": "soon"}).is_error
    with pytest.raises(DraftUnusable):
        proposals.set_not_before({"not_before": "soon"})
    assert proposals.failed.is_set()


async def test_a_tool_that_breaks_ends_the_draft():
    proposals = Proposals({"break": declare("break", BrokenArguments)}, FIVE)
    with pytest.raises(DraftUnusable, match=r"break failed \(RecursionError\)"):
        await proposals.call("break", {"text": "x", "why": "y"})


async def test_a_call_after_the_draft_has_no_effect():
    proposals, read = readable({"found": 1})
    proposals.close()
    for name in ("look", "send_email"):
        with pytest.raises(DraftUnusable, match="has ended"):
            await proposals.call(name, MAIL)
    assert (read, proposals.steps, proposals.reads) == ([], (), ())


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        (Limits(5, 5, turns=3), "PLANGATE_DRAFT_TURNS"),
        (Limits(5, 5, tokens=330), "PLANGATE_DRAFT_TOKENS"),
        (Limits(5, 5, cost=Decimal("0.3")), "PLANGATE_DRAFT_COST"),
    ],
)
async def test_a_planners_reported_usage_is_limited(limits, setting):
    proposals = Proposals(TOOLS, limits)
    for _ in range(3):
        proposals.turn("m", prompt_tokens=100, completion_tokens=10, cost=Decimal("0.1"))
    assert proposals.usage("") == ModelUse(model="m", prompt_tokens=300, completion_tokens=30, cost="0.3")
    with pytest.raises(DraftUnusable, match=setting):
        proposals.turn("m", prompt_tokens=100, completion_tokens=10, cost=Decimal("0.1"))


async def test_a_planners_invalid_report_does_not_lower_its_usage():
    proposals = Proposals(TOOLS, FIVE)
    proposals.turn("m", prompt_tokens=-5, completion_tokens=-5, cost=Decimal("NaN"))
    proposals.turn("m", cost=Decimal("-Infinity"))
    assert proposals.usage("") == ModelUse(model="m")


async def test_a_read_runs_immediately_and_is_stored_as_the_planner_received_it():
    proposals, read = readable({"status": "open", "said": "line\n\u202e"})
    answer = await proposals.call("look", {"place": "office"})
    assert read == ["office"]
    (kept,) = proposals.reads
    assert json.loads(answer) == {"read": "look", "result": kept.result}
    assert json.loads(kept.result) == {"status": "open", "said": "line\n\u202e"}
    assert (kept.arguments, kept.size, kept.is_cut) == ({"place": "office"}, len(kept.result.encode()), False)
    assert proposals.steps == ()


async def test_a_planner_gets_no_more_of_a_read_than_is_stored():
    text = "\u00e4" * 5_000
    proposals, _ = readable(text)
    given = json.loads(await proposals.call("look", {"place": "office"}))
    (kept,) = proposals.reads
    assert given["result"] == kept.result == text[:2048]
    assert given["cut"] == "these are the first 4,096 of 10,000 bytes; read less at once"
    assert (kept.size, kept.sha256) == (10_000, hashlib.sha256(text.encode()).hexdigest())


async def test_all_reads_together_are_limited():
    proposals, read = readable("x" * 5_000)
    answers = [await proposals.call("look", {"place": f"{number}"}) for number in range(6)]
    assert len(read) == 4
    assert sum(one.kept for one in proposals.reads) == MAX_READS_BYTES
    assert all("no more can be read" in answer for answer in answers[4:])
    proposals, read = readable("x")
    await asyncio.gather(*(proposals.call("look", {"place": f"{number}"}) for number in range(25)))
    assert len(read) == len(proposals.reads) == MAX_READS


async def test_concurrent_reads_are_stored_in_the_order_of_their_calls():
    waits = {"slow": 0.02, "fast": 0.0}

    async def look(arguments: Any) -> JsonValue:
        await asyncio.sleep(waits[arguments.place])
        return str(arguments.place)

    proposals, _ = readable(None, look)
    await asyncio.gather(*(proposals.call("look", {"place": place}) for place in waits))
    assert [one.result for one in proposals.reads] == ["slow", "fast"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ToolUnavailable("The office is closed."), "Not read: The office is closed."),
        (ToolRefused("No such office."), "Not read: No such office."),
        (RuntimeError("secret"), "Not read: look failed (RuntimeError)."),
    ],
)
async def test_a_failed_read_is_stored_too(error, said):
    async def look(_arguments: Any) -> JsonValue:
        raise error

    proposals, _ = readable(None, look)
    assert json.loads(await proposals.call("look", {"place": "office"}))["result"] == said
    assert [one.result for one in proposals.reads] == [said]


async def test_a_read_result_that_is_not_json_is_marked_as_such():
    async def look(_arguments: Any) -> JsonValue:
        return cast("JsonValue", {"x": {1, 2}})

    proposals, _ = readable(None, look)
    assert "not JSON" in await proposals.call("look", {"place": "office"})


async def test_an_invalid_read_is_not_executed():
    proposals, read = readable("x")
    assert "arguments.place: is missing" in await proposals.call("look", {})
    assert "more than 1,000 bytes" in await proposals.call("look", {"place": "x" * 1_100})
    assert read == []
    for _ in range(MAX_BAD_CALLS - 2):
        await proposals.call("look", {})
    with pytest.raises(DraftUnusable, match="11 invalid calls"):
        await proposals.call("look", {})


async def test_a_read_in_progress_ends_with_the_draft():
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def look(_arguments: Any) -> JsonValue:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return None

    proposals, _ = readable(None, look)
    reading = asyncio.create_task(proposals.call("look", {"place": "office"}))
    await entered.wait()
    proposals.close()
    with pytest.raises(DraftUnusable, match="has ended"):
        await reading
    assert (cancelled.is_set(), proposals.reads) == (True, ())


async def test_a_tool_that_cancels_its_caller_reads_nothing():
    async def look(_arguments: Any) -> JsonValue:
        raise asyncio.CancelledError

    proposals, _ = readable(None, look)
    assert "look was cancelled" in await proposals.call("look", {"place": "office"})


async def test_an_unavailable_reading_tool_is_not_offered():
    assert [tool.name for tool in Proposals({"look": LOOK}, FIVE)] == []


async def test_the_longest_reason_fits_into_a_step():
    proposals = Proposals(TOOLS, FIVE)
    result = await proposals.answer("send_email", {**MAIL, "why": "x" * 2000})
    assert not result.is_error
    assert Plan(summary="s", steps=proposals.steps).steps[0].reason == "x" * 2000


async def test_a_call_repeated_within_one_response_is_questioned_and_recorded_if_confirmed():
    proposals = Proposals(TOOLS, FIVE)
    proposals.turn("m")
    answers = [await proposals.answer("send_email", {**MAIL, "why": f"why {n}"}) for n in range(3)]
    assert [answer.is_error for answer in answers] == [False, False, False]
    assert "Not recorded: it is the same as step 1." in answers[2].text
    assert len(proposals.steps) == 1
    proposals.turn("m")
    assert "step 2 recorded" in (await proposals.answer("send_email", MAIL)).text


async def test_a_repeated_call_does_not_count_against_the_limit():
    proposals = Proposals(TOOLS, Limits(5, 1))
    proposals.turn("m")
    for _ in range(3):
        await proposals.answer("send_email", MAIL)
    assert proposals.failure is None
