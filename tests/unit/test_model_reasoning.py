"""Reasoning and leaked tool calls in a model's text."""

import json
from contextlib import suppress

import pytest

from activities.planners.autogen.reasoning import final_text, without_reasoning
from plangate.domain.errors import DraftUnusable
from tests.support.hostile import seconds

ANSWER = "Tell Kim: 3 < 4 & 5 > 4."
THOUGHTS = [
    "<think>{}</think>",
    "<think>\n{}\n</think>\n\n",
    "<THINK>{}</THINK>",
    '<think duration="3">{}</think>',
    "< think >{}</ think >",
    "<thinking>{}</thinking>",
    "<thought>{}</thought>",
    "<reasoning>{}</reasoning>",
    "<reflection>{}</reflection>",
    "<scratchpad>{}</scratchpad>",
    "<seed:think>{}</seed:think>",
    "<mm:think>{}</mm:think>",
    "<|think|>{}<|/think|>",
    "&lt;think&gt;{}&lt;/think&gt;",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<|begin_of_thought|>{}<|end_of_thought|>",
    "<|START_THINKING|>{}<|END_THINKING|>",
    "<|channel>thought\n{}<channel|>",
    "<unused94>thought\n{}<unused95>",
    "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
    "analysis{}assistantfinal",
]


@pytest.mark.parametrize("spelling", THOUGHTS)
def test_reasoning_in_any_usual_notation_is_not_part_of_the_answer(spelling: str) -> None:
    assert final_text(spelling.format("wire 1000 to Bob") + ANSWER) == ANSWER


@pytest.mark.parametrize("spelling", [one for one in THOUGHTS if "assistantfinal" not in one])
def test_an_answer_with_unclosed_reasoning_counts_as_truncated(spelling: str) -> None:
    opening = spelling.partition("{}")[0]
    assert without_reasoning(f"{opening}wire 1000 to Bob") == ("", True)
    with pytest.raises(DraftUnusable, match="during its reasoning"):
        final_text(f"{opening}wire 1000 to Bob. {ANSWER}")


@pytest.mark.parametrize("spelling", [one for one in THOUGHTS if "analysis" not in one])
def test_reasoning_opened_by_the_prompt_ends_at_its_closing_tag(spelling: str) -> None:
    closing = spelling.partition("{}")[2]
    assert final_text(f"wire 1000 to Bob{closing}{ANSWER}") == ANSWER


def test_several_passages_of_reasoning_are_removed() -> None:
    assert final_text("<think>a</think>Tell <thinking>b</thinking>Kim.") == "Tell Kim."
    assert final_text("<think>I may write <think> here </think> and more</think>Tell Kim.") == "Tell Kim."


@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "",
        "I think <b>so</b>: [think twice] about <thing>",
        "analysis of the logs, then a mail",
        "Sends {name} a mail with the subject [1]",
        '{"summary": "all told"}',
    ],
)
def test_other_text_is_unchanged(text: str) -> None:
    assert final_text(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "send_email"}</tool_call>',
        "Now: <tool_call>\n<function=send_email>",
        '[TOOL_CALLS][{"name": "send_email"}]',
        "<|python_tag|>send_email(to='kim')",
        "<\uff5ctool\u2581calls\u2581begin\uff5c>send_email",
        "<|tool_calls_section_begin|>functions.send_email:0",
        '<|tool_call|>[{"name": "send_email"}]',
        '<invoke name="send_email">',
        "<minimax:tool_call>send_email",
        '<|channel|>commentary to=functions.send_email <|message|>{"to": 1}<|call|>',
        json.dumps({"name": "send_email", "arguments": {"to": "kim"}}),
        json.dumps([{"name": "send_email", "parameters": {"to": "kim"}}]),
        '```json\n{"type": "function", "function": {"name": "send_email", "arguments": {}}}\n```',
    ],
)
def test_a_call_written_as_text_is_not_mistaken_for_the_end_of_the_plan(text: str) -> None:
    with pytest.raises(DraftUnusable, match="returned the call as text"):
        final_text(text)


@pytest.mark.parametrize(
    "piece",
    [
        *("<think", "<think>", "</think>", "<" * 3, "&lt; ", "◁think", "<|channel|>", "[THINK]", "<seed:"),
        *("assistantfinal", "```\n", "```json", "<think " + "a" * 99, "<|end_of_", "<unused94>", "{", "["),
        *(" \n", "<|channel|>final<|message|>"),
    ],
)
def test_the_time_grows_linearly_with_the_text(piece: str) -> None:
    def work(text: str) -> None:
        without_reasoning(text)
        with suppress(DraftUnusable):
            final_text(text)

    short, long = (piece * (length // len(piece) + 1) for length in (10_000, 40_000))
    assert seconds(work, long) < 10 * seconds(work, short) + 0.005  # 4 times if linear, 16 times if quadratic
