"""The proposing twins of the tools: they record, they refuse, they never act."""

import asyncio
import json
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from activities.planners.autogen.workbench import ProposingWorkbench
from plangate.domain.plan import Plan, Step
from plangate.domain.tool import ToolArguments
from tests.support.stand_in_tools import HTTP, MAIL, TOOLS, declare


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


class ClashingArguments(ToolArguments):
    why: str


async def schema_of(name: str, workbench: ProposingWorkbench | None = None) -> dict[str, Any]:
    tools = await (workbench or ProposingWorkbench(TOOLS, 5)).list_tools()
    (parameters,) = [tool["parameters"] for tool in tools if tool["name"] == name]
    return dict(parameters)


async def test_each_tool_is_shown_with_its_arguments_and_a_required_why():
    schema = await schema_of("send_email")
    assert schema["type"] == "object"
    assert set(schema["properties"]) == {"why", "to", "cc", "subject", "body"}
    assert set(schema["required"]) == {"why", "to", "subject", "body"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["why"]["type"] == "string"


async def test_references_in_a_schema_are_replaced():
    schema = await schema_of("order")
    assert "$" not in json.dumps(schema)
    line = schema["properties"]["lines"]["items"]
    assert line["properties"]["count"]["type"] == "integer"


async def test_a_model_that_contains_itself_has_a_finite_schema():
    workbench = ProposingWorkbench({"grow": declare("grow", TreeArguments)}, 5)
    schema = await schema_of("grow", workbench)
    assert "$" not in json.dumps(schema)
    assert schema["properties"]["root"]["properties"]["children"]["items"]["type"] == "object"
    result = await workbench.call_tool(
        "grow",
        {"why": "growth", "root": {"name": "a", "children": [{"name": "b", "children": [{"name": 1}]}]}},
    )
    assert result.is_error
    assert "root.children[0].children[0].name" in result.to_text()


async def test_a_good_call_becomes_a_step_with_all_its_arguments():
    workbench = ProposingWorkbench(TOOLS, 5)
    result = await workbench.call_tool("send_email", MAIL)
    assert not result.is_error
    assert result.to_text().startswith("step 1 recorded: send_email. Nothing has been done yet")
    assert workbench.steps == (
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
    workbench = ProposingWorkbench(TOOLS, 50)
    await asyncio.gather(
        *(workbench.call_tool("send_email", {**MAIL, "subject": f"mail {number}"}) for number in range(50))
    )
    subjects = [step.arguments["subject"] for step in workbench.steps]
    assert subjects == [f"mail {number}" for number in range(50)]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("send_fax", MAIL, "no tool is called 'send_fax'; there are: http_request, order, send_email"),
        ("send_email", {key: MAIL[key] for key in MAIL if key != "why"}, "why: is missing"),
        ("send_email", {**MAIL, "why": "  "}, "why: is missing"),
        ("send_email", {**MAIL, "why": 7}, "why: is missing"),
        ("send_email", {**MAIL, "why": "x" * 2001}, "why: 2001 characters are more than the limit of 2000"),
        ("send_email", {**MAIL, "why": "\ud800"}, "half of a surrogate pair"),
        (
            "send_email",
            {**MAIL, "subject": 7},
            "send_email.arguments.subject: Input should be a valid string",
        ),
        ("send_email", {**MAIL, "bcc": ["x@example.org"]}, "send_email.arguments.bcc: is not known here"),
        ("http_request", {**HTTP, "json_body": float("nan")}, "not a JSON number"),
        ("send_email", {}, "the arguments are empty"),
        ("send_email", None, "the arguments are empty"),
        ("send_email", ["not", "an", "object"], "not a readable JSON object"),
    ],
)
async def test_a_bad_call_is_answered_with_what_is_wrong(name, arguments, expected):
    workbench = ProposingWorkbench(TOOLS, 5)
    result = await workbench.call_tool(name, arguments)
    assert result.is_error
    assert expected in result.to_text()
    assert workbench.steps == ()
    assert workbench.broken_by is None


async def test_every_fault_of_a_call_has_its_own_line():
    result = await ProposingWorkbench(TOOLS, 5).call_tool(
        "send_email", {"to": "kim", "subject": 1, "body": 2}
    )
    lines = result.to_text().splitlines()
    assert len(lines) == 5
    assert [line.split(":")[0] for line in lines[1:]] == [
        "why",
        "send_email.arguments.to",
        "send_email.arguments.subject",
        "send_email.arguments.body",
    ]


async def test_the_answer_to_a_call_with_many_faults_stays_short():
    arguments = {f"{'x' * 5000}{number}\n": number for number in range(500)}
    result = await ProposingWorkbench(TOOLS, 5).call_tool("send_email", arguments)
    assert len(result.to_text()) < 10_000
    assert len(result.to_text().splitlines()) == 22


async def test_a_step_beyond_the_limit_is_refused_and_remembered():
    workbench = ProposingWorkbench(TOOLS, 2)
    mails = [{**MAIL, "subject": f"mail {number}"} for number in range(3)]
    answers = [await workbench.call_tool("send_email", mail) for mail in mails]
    assert [answer.is_error for answer in answers] == [False, False, True]
    assert "at most 2 steps" in answers[2].to_text()
    assert workbench.over_limit
    assert len(workbench.steps) == 2


async def test_a_tool_that_breaks_is_kept_and_not_raised():
    workbench = ProposingWorkbench({"break": declare("break", BrokenArguments)}, 5)
    result = await workbench.call_tool("break", {"text": "x", "why": "y"})
    assert result.is_error
    assert isinstance(workbench.broken_by, RecursionError)


def test_a_tool_with_an_argument_called_why_is_a_mistake():
    with pytest.raises(ValueError, match="rename it"):
        ProposingWorkbench({"clash": declare("clash", ClashingArguments)}, 5)


async def test_the_longest_why_fits_into_a_step():
    workbench = ProposingWorkbench(TOOLS, 5)
    result = await workbench.call_tool("send_email", {**MAIL, "why": "x" * 2000})
    assert not result.is_error
    assert Plan(summary="s", steps=workbench.steps).steps[0].reason == "x" * 2000


async def test_state_is_saved_loaded_and_reset():
    first, second = ProposingWorkbench(TOOLS, 5), ProposingWorkbench(TOOLS, 5)
    await first.call_tool("send_email", MAIL)
    await second.load_state(await first.save_state())
    assert second.steps == first.steps
    await second.reset()
    assert second.steps == ()


async def test_the_same_call_twice_in_one_answer_is_asked_back_and_recorded_when_it_is_meant():
    workbench = ProposingWorkbench(TOOLS, 5)
    workbench.begin_answer()
    answers = [await workbench.call_tool("send_email", {**MAIL, "why": f"why {n}"}) for n in range(3)]
    assert [answer.is_error for answer in answers] == [False, False, False]
    assert "Not recorded: it is the same as step 1." in answers[2].to_text()
    assert len(workbench.steps) == 1
    workbench.begin_answer()
    assert "step 2 recorded" in (await workbench.call_tool("send_email", MAIL)).to_text()


async def test_a_repeated_call_does_not_count_against_the_limit():
    workbench = ProposingWorkbench(TOOLS, 1)
    workbench.begin_answer()
    for _ in range(3):
        await workbench.call_tool("send_email", MAIL)
    assert not workbench.over_limit
