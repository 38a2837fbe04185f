"""Responses from real servers, over real HTTP, become exactly the proposed plan, or a one-sentence error.

Each deviation has been reported for a real server: Azure, DeepSeek, Gemini, Groq, LM Studio, Mistral, Ollama,
OpenRouter, SGLang, TGI, vLLM, xAI, or a proxy in front of one of them. `tests/support/openai_server.py`
refuses what strict servers refuse. A seeded sample of generated conversations runs in the suite; for more,
use `PLANGATE_TEST_TIMES=80 make test ARGS="-k generated_answers tests/integration -s --timeout=0"`.
"""

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from activities.planner import Brief, Draft
from activities.planners.autogen.model_client import model_client_factory
from activities.planners.autogen.planner import AutoGenPlanner
from activities.planners.limits import Limits
from plangate.domain.errors import DraftUnusable, ModelRefused, ModelUnavailable, PlannerError
from plangate.settings import Settings
from tests.support.openai_server import (
    LEFT_OUT,
    PROMPT_TOKENS,
    Calls,
    OpenAIServer,
    Reply,
    Says,
    Script,
    Status,
    UnusualReply,
    call,
    completion,
    unusual_reply,
)
from tests.support.stand_in_tools import MAIL, TOOLS
from tests.support.times import times

SECRET = "sk-live-0123456789"
WORDS = "Tell Kim."
MAIL_CALL = call("send_email", MAIL)
DONE = Says(WORDS)


def planner_at(server: OpenAIServer, **options: Any) -> AutoGenPlanner:
    settings = Settings(openai_base_url=server.base_url, openai_api_key=SECRET, model_config_file=None)
    seconds, max_steps = options.pop("seconds", 10), options.pop("max_steps", 5)
    return AutoGenPlanner(model_client_factory(settings), TOOLS, Limits(seconds, max_steps))


async def draft_of(script: Script, max_steps: int = 5) -> Draft:
    with OpenAIServer(script) as server:
        return await planner_at(server, max_steps=max_steps).draft(Brief(request="Tell Kim."))


async def refusal_of(script: Script, kind: type[PlannerError] = DraftUnusable) -> str:
    with pytest.raises(kind) as caught:
        await draft_of(script)
    assert type(caught.value) is kind
    message = str(caught.value)
    assert_is_a_sentence(message)
    return message


def assert_is_a_sentence(message: str) -> None:
    assert message.startswith(("The model", "A tool"))
    assert message.endswith((".", ".'"))
    assert "\n" not in message
    assert len(message) < 600
    for trace in (SECRET, "Traceback", "NoneType", "ValidationError", "TypeError", "object is not"):
        assert trace not in message


def mail(number: int) -> tuple[str, Any]:
    return "send_email", {**MAIL, "subject": f"mail {number}"}


def mails(*numbers: int) -> Calls:
    return Calls(tuple(mail(number) for number in numbers))


def subjects(draft: Draft) -> list[Any]:
    return [step.arguments["subject"] for step in draft.plan.steps]


# ---- incomplete answers ----------------------------------------------------------------------------

CUT = [
    "length",
    "LENGTH",
    "max_tokens",
    "MAX_TOKENS",
    "FinishReason.MAX_TOKENS",
    "model_length",
    "max-tokens",
]
WITHHELD = ["content_filter", "SAFETY", "RECITATION", "refusal", "PROHIBITED_CONTENT"]


@pytest.mark.parametrize("reason", CUT)
@pytest.mark.parametrize("reply", [mails(1, 2), DONE], ids=["in its calls", "in its summary"])
async def test_a_truncated_answer_is_never_mistaken_for_a_complete_plan(
    reply: Calls | Says, reason: str
) -> None:
    said = await refusal_of([MAIL_CALL, UnusualReply(reply, finish_reason=reason), DONE])
    assert "cut at its length limit" in said
    assert "max_tokens in PLANGATE_MODEL_CONFIG" in said


@pytest.mark.parametrize("code", [201, 203, 299])
async def test_an_answer_with_another_success_status_is_checked_as_strictly(code: int) -> None:
    odd = UnusualReply(Says(None), message={"refusal": "I must not tell Kim."})
    assert "I must not tell Kim" in await refusal_of([Status(code, unusual_reply(odd, "gpt-4o"))])


@pytest.mark.parametrize("reason", WITHHELD)
@pytest.mark.parametrize("reply", [mails(1, 2), Says(None)], ids=["calls", "nothing"])
async def test_a_filtered_answer_is_reported_as_withheld(reply: Calls | Says, reason: str) -> None:
    said = await refusal_of([MAIL_CALL, UnusualReply(reply, finish_reason=reason), DONE])
    assert "withheld its answer" in said
    assert "reword the request" in said


@pytest.mark.parametrize(
    "reason", ["error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL", "abort"]
)
async def test_an_answer_that_the_service_aborted_is_retried(reason: str) -> None:
    said = await refusal_of([UnusualReply(MAIL_CALL, finish_reason=reason)], ModelUnavailable)
    assert f"aborted its answer ({reason.lower()})" in said


async def test_an_unknown_finish_reason_is_an_error_and_shown_only_if_it_is_a_word() -> None:
    assert "an unknown reason (pause_turn)" in await refusal_of(
        [MAIL_CALL, UnusualReply(DONE, finish_reason="pause_turn")]
    )
    assert "an unknown reason," in await refusal_of(
        [MAIL_CALL, UnusualReply(DONE, finish_reason=f"no {SECRET}!")]
    )
    assert "an unknown reason," in await refusal_of([MAIL_CALL, UnusualReply(DONE, finish_reason=["stop"])])


@pytest.mark.parametrize(
    "reason", ["stop", "STOP", "", "eos", "eos_token", "stop_sequence", "end_turn", LEFT_OUT]
)
async def test_finish_reasons_of_other_vendors_for_complete_answers_are_accepted(reason: Any) -> None:
    draft = await draft_of(
        [UnusualReply(MAIL_CALL, finish_reason=reason), UnusualReply(DONE, finish_reason=reason)]
    )
    assert (len(draft.plan.steps), draft.plan.summary) == (1, WORDS)


async def test_a_call_that_the_server_dropped_does_not_complete_a_plan() -> None:
    lost = UnusualReply(Says(None), finish_reason="tool_calls", message={"tool_calls": []})
    assert "--tool-call-parser" in await refusal_of([MAIL_CALL, lost])


async def test_a_refusal_by_the_model_is_quoted() -> None:
    refusing = UnusualReply(Says(None), message={"refusal": "I cannot\nhelp with that."})
    assert "The model refused: 'I cannot⏎help with that.'" in await refusal_of([MAIL_CALL, refusing])


# ---- ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [
        ("a", "a", "a"),
        ("", "", ""),
        (None, None, None),
        (LEFT_OUT,) * 3,
        (0, 1, 1),
        ("a", "", "a"),
        (" ", "b", {}),
    ],
    ids=str,
)
async def test_each_call_of_an_answer_has_its_own_id(ids: tuple[Any, ...]) -> None:
    with OpenAIServer([UnusualReply(mails(1, 2, 3), ids=ids), DONE]) as server:
        draft = await planner_at(server).draft(Brief(request="r"))
    assert subjects(draft) == ["mail 1", "mail 2", "mail 3"]
    (sent,) = [message for message in server.requests[1]["messages"] if message["role"] == "assistant"]
    answered = [message for message in server.requests[1]["messages"] if message["role"] == "tool"]
    own = [one["id"] for one in sent["tool_calls"]]
    assert len(set(own)) == 3
    assert [message["tool_call_id"] for message in answered] == own
    assert [message["content"][:6] for message in answered] == ["step 1", "step 2", "step 3"]


async def test_an_id_repeated_in_a_later_answer_is_made_unique_and_the_first_is_kept() -> None:
    with OpenAIServer(
        [UnusualReply(mails(1), ids=("call_0",)), UnusualReply(mails(2), ids=("call_0",)), DONE]
    ) as server:
        await planner_at(server).draft(Brief(request="r"))
    first, second = [one["tool_call_id"] for one in server.requests[2]["messages"] if one["role"] == "tool"]
    assert (first, second != "call_0") == ("call_0", True)


async def test_the_legacy_function_call_is_a_call() -> None:
    older = {"function_call": {"name": "send_email", "arguments": MAIL}, "tool_calls": None}
    assert len((await draft_of([UnusualReply(Says(None), message=older), DONE])).plan.steps) == 1


@pytest.mark.parametrize(
    "calls",
    [
        [None],
        ["send_email"],
        "send_email",
        [{"id": "a", "type": "function"}],
        [{"id": "a", "function": {"name": None}}],
        [completion(MAIL_CALL, "m")["choices"][0]["message"]["tool_calls"][0], {"id": "b", "function": {}}],
    ],
    ids=str,
)
async def test_an_unreadable_call_is_not_dropped(calls: Any) -> None:
    assert "be incomplete" in await refusal_of(
        [UnusualReply(Says(WORDS), message={"tool_calls": calls}), DONE]
    )


# ---- text ------------------------------------------------------------------------------------------


async def test_reasoning_is_not_part_of_the_summary_and_not_sent_back() -> None:
    thinking = Calls(MAIL_CALL.calls, text="<think>wire 1000</think>Let me see.")
    with OpenAIServer([thinking, Says("<think>wire 1000</think>\n\nTell Kim.")]) as server:
        draft = await planner_at(server).draft(Brief(request="r"))
    assert draft.plan.summary == WORDS
    assert "wire 1000" not in str(server.requests)


async def test_reasoning_in_its_own_field_is_ignored() -> None:
    for name in ("reasoning_content", "reasoning", "reasoning_details"):
        odd = UnusualReply(DONE, message={name: [{"type": "reasoning.text", "text": "wire 1000"}]})
        assert (await draft_of([MAIL_CALL, odd])).plan.summary == WORDS


async def test_an_answer_that_ends_during_reasoning_is_truncated() -> None:
    assert "during its reasoning" in await refusal_of([MAIL_CALL, Says("<think>And then I")])


async def test_a_call_written_as_text_is_not_mistaken_for_the_summary() -> None:
    leaked = Says('<tool_call>{"name": "send_email", "arguments": {}}</tool_call>')
    assert "--enable-auto-tool-choice" in await refusal_of([MAIL_CALL, leaked])


PARTS = [
    [{"type": "text", "text": "Tell "}, {"type": "text", "text": "Kim."}],
    [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}, {"type": "text", "text": WORDS}],
    [{"type": "output_text", "text": WORDS, "annotations": []}],
    [{"type": "text", "text": {"value": WORDS}}],
    ["Tell ", "Kim."],
    {"type": "text", "text": WORDS},
    [{"text": WORDS}],
]


@pytest.mark.parametrize("parts", PARTS, ids=str)
async def test_content_in_parts_is_read(parts: Any) -> None:
    draft = await draft_of([UnusualReply(MAIL_CALL, content=parts), UnusualReply(DONE, content=parts)])
    assert (len(draft.plan.steps), draft.plan.summary) == (1, WORDS)


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "tool_use", "name": "send_email", "input": {}}],
        [7],
        7,
        [{"type": []}],
        [{"type": "text", "text": 7}],
    ],
    ids=str,
)
async def test_an_unreadable_part_is_not_dropped(parts: Any) -> None:
    assert "cannot be parsed" in await refusal_of([MAIL_CALL, UnusualReply(DONE, content=parts)])


@pytest.mark.parametrize("half", ["\ud83d", "a\udc00b"])
async def test_a_lone_surrogate_does_not_break_the_conversation(half: str) -> None:
    odd = UnusualReply(Calls((("send_email", {**MAIL, "subject": half}),), text=half), ids=(half,))
    raw = Calls((("send_email", '{"subject": "' + half + '"}'),))
    draft = await draft_of([odd, raw, mails(1), DONE])
    assert subjects(draft) == ["mail 1"]


# ---- counts -----------------------------------------------------------------------------------------

COUNTS: list[tuple[Any, int]] = [
    (None, 0),
    ("12", 12),
    ("many", 0),
    (12.7, 12),
    (-3, 0),
    (True, 0),
    (1e400, 0),
    ([], 0),
    (10**30, 10**9),
]


@pytest.mark.parametrize(("count", "counted"), COUNTS, ids=str)
async def test_any_token_count_becomes_a_number(count: Any, counted: int) -> None:
    odd = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    draft = await draft_of([MAIL_CALL, UnusualReply(DONE, usage=odd)])
    assert draft.planner.prompt_tokens == PROMPT_TOKENS + counted


@pytest.mark.parametrize("usage", [LEFT_OUT, {}, [], "none", {"input_tokens": 0}], ids=str)
async def test_the_form_of_the_usage_does_not_affect_the_plan(usage: Any) -> None:
    draft = await draft_of([MAIL_CALL, UnusualReply(DONE, usage=usage)])
    assert (draft.plan.summary, draft.planner.prompt_tokens) == (WORDS, PROMPT_TOKENS)


# ---- errors with status 200 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "hint"),
    [
        ({"error": {"message": SECRET, "code": 429}, "choices": None}, ModelUnavailable, "limits the rate"),
        ({"error": {"message": SECRET, "code": "401"}}, ModelRefused, "OPENAI_API_KEY"),
        ({"error": {"message": SECRET, "type": "overloaded_error"}}, ModelUnavailable, "failed (503"),
        ({"error": {"code": "model_not_found"}}, ModelRefused, "PLANGATE_MODEL"),
        ({"error": {"code": "context_length_exceeded"}}, ModelRefused, "too large"),
        (
            [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": SECRET}}],
            ModelRefused,
            "malformed",
        ),
        ({"error": f"no {SECRET}"}, ModelUnavailable, "answered with an error"),
        ({"error": {"code": SECRET}}, ModelUnavailable, "without a code"),
        ({"object": "error", "message": SECRET, "code": 404}, ModelRefused, "does not recognize the model"),
        ({"error": {"code": True, "type": []}}, ModelUnavailable, "without a code"),
        ({"choices": None, "id": None}, ModelUnavailable, "returned no completion"),
        ({"choices": [None]}, ModelUnavailable, "returned no completion"),
        (
            {"choices": [{"message": None, "finish_reason": "stop"}]},
            ModelUnavailable,
            "returned no completion",
        ),
        ({"choices": [{"message": None, "finish_reason": "content_filter"}]}, DraftUnusable, "withheld"),
        ({"detail": SECRET}, ModelUnavailable, "returned no completion"),
        ("[" * 100_000, ModelUnavailable, "returned no completion"),
        ("1" * 10_000, ModelUnavailable, "returned no completion"),
        ("", ModelUnavailable, "returned no completion"),
        ("x" * 9_000_000, ModelUnavailable, "more than 8,000,000 bytes"),
    ],
    ids=range(19),
)
async def test_an_error_with_status_200_is_an_error(body: Any, kind: type[PlannerError], hint: str) -> None:
    assert hint in await refusal_of([MAIL_CALL, Status(200, body)], kind)


async def test_an_error_in_a_choice_is_always_an_error() -> None:
    odd = UnusualReply(DONE, finish_reason="stop", choice={"error": {"code": 502, "message": SECRET}})
    assert "failed (502)" in await refusal_of([MAIL_CALL, odd], ModelUnavailable)


async def test_the_only_choice_with_content_is_used_and_two_are_refused() -> None:
    empty = {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": None}}
    with_call = completion(MAIL_CALL, "m")["choices"][0]
    draft = await draft_of([Status(200, {"choices": [empty, with_call]}), DONE])
    assert len(draft.plan.steps) == 1
    words = completion(DONE, "m")["choices"][0]
    assert "several answers at once" in await refusal_of(
        [MAIL_CALL, Status(200, {"choices": [words, with_call]})]
    )


# ---- strict servers, repeated calls -----------------------------------------------------------------


async def test_no_message_has_a_name() -> None:
    with OpenAIServer([MAIL_CALL, DONE]) as server:
        await planner_at(server).draft(Brief(request="r"))
    assert all("name" not in message for request in server.requests for message in request["messages"])


async def test_a_server_gets_back_the_extra_fields_of_its_calls() -> None:
    signed = completion(mails(1, 2), "m")["choices"][0]["message"]["tool_calls"]
    signed[0]["extra_content"] = {"google": {"thought_signature": "c2lnbmVk"}}
    odd = UnusualReply(Says(None), message={"tool_calls": signed, "reasoning_content": "Two mails. \ud83d"})
    with OpenAIServer([odd, UnusualReply(mails(3), ids=("a",)), DONE]) as server:
        draft = await planner_at(server).draft(Brief(request="r"))
    assert subjects(draft) == ["mail 1", "mail 2", "mail 3"]
    for request in server.requests[1:]:
        first = next(message for message in request["messages"] if message["role"] == "assistant")
        assert first["reasoning_content"] == "Two mails. \ud83d"
        assert [call.get("extra_content") for call in first["tool_calls"]] == [
            signed[0]["extra_content"],
            None,
        ]
    last = [message for message in server.requests[2]["messages"] if message["role"] == "assistant"][-1]
    assert "reasoning_content" not in last


async def test_a_call_repeated_within_one_answer_is_questioned_and_is_one_step() -> None:
    with OpenAIServer([mails(1, 2, 1, 1), DONE]) as server:
        draft = await planner_at(server).draft(Brief(request="r"))
    assert subjects(draft) == ["mail 1", "mail 2"]
    answers = [one["content"] for one in server.requests[1]["messages"] if one["role"] == "tool"]
    assert [answer[:22] for answer in answers[2:]] == ["Not recorded: it is th"] * 2


async def test_a_call_repeated_in_a_later_answer_is_a_second_step() -> None:
    assert subjects(await draft_of([mails(1, 1), mails(1), DONE])) == ["mail 1", "mail 1"]


# ---- generated answers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Turn:
    """One generated answer, its proposals if it is valid, and whether it may lead to a plan."""

    reply: Reply
    proposes: tuple[int, ...]
    is_valid: bool
    summary: str | None = None


def turn(rng: random.Random) -> Turn:
    """Return an answer made of valid and invalid parts."""
    pick = rng.choice
    calls = tuple(rng.randrange(4) for _ in range(pick((0, 1, 1, 2, 3))))
    whole = ["stop", "STOP", "", LEFT_OUT, "eos", *(["tool_calls", "function_call"] if calls else [])]
    invalid = [*CUT, *WITHHELD, "error", "pause_turn", "?", 7, *([] if calls else ["tool_calls"])]
    reason, reason_is_valid = _one_of(rng, whole, invalid)
    valid_contents: list[tuple[Any, str]] = [
        (WORDS, WORDS),
        (f"<think>pay</think>{WORDS}", WORDS),
        (f"pay</think>\n{WORDS}", WORDS),
        *((parts, WORDS) for parts in PARTS),
        *([(None, "")] if calls else []),
    ]
    odd_contents = [([{"type": "tool_use"}], ""), (7, ""), ([None], "")]
    if not calls:
        odd_contents += [("<think>pay", ""), ("[TOOL_CALLS]x", ""), ('{"name": "a", "arguments": {}}', "")]
    (content, words), content_is_valid = _one_of(rng, valid_contents, odd_contents)
    extra, extra_is_valid = _one_of(
        rng,
        [{}, {"id": None}, {"object": None, "model": None}, {"error": None}],
        [
            {"error": {"code": pick((429, "500", None)), "message": SECRET}},
            {"choices": pick(([], None, "x"))},
        ],
    )
    reply = UnusualReply(
        Calls(tuple(mail(number) for number in calls)) if calls else Says(None),
        finish_reason=reason,
        ids=tuple(pick(("a", "b", "", None, LEFT_OUT, 3)) for _ in calls),
        content=content,
        usage=pick(
            (None, LEFT_OUT, {}, {"prompt_tokens": None}, {"prompt_tokens": 1.5, "completion_tokens": "2"})
        ),
        top=extra,
    )
    is_valid = reason_is_valid and content_is_valid and extra_is_valid
    return Turn(reply, tuple(dict.fromkeys(calls)), is_valid, None if calls else words)


def _one_of(rng: random.Random, valid: Sequence[Any], invalid: Sequence[Any]) -> tuple[Any, bool]:
    is_valid = rng.random() < 0.93
    return rng.choice(valid if is_valid else invalid), is_valid


def expected_of(turns: Sequence[Turn]) -> tuple[list[str], str] | None:
    """Return the subjects and the summary of the only valid plan from these answers."""
    proposed: list[int] = []
    for one in turns:
        if not one.is_valid:
            return None
        if one.summary is not None:
            return ([f"mail {number}" for number in proposed], one.summary) if proposed else None
        proposed.extend(one.proposes)
    raise AssertionError("a conversation ends")


async def outcome_of(turns: Sequence[Turn]) -> Draft | str:
    with OpenAIServer([one.reply for one in turns]) as server:
        try:
            return await planner_at(server, max_steps=20).draft(Brief(request="r"))
        except PlannerError as error:
            return str(error)


async def test_generated_answers_yield_exactly_the_proposals_or_an_error() -> None:
    plans = refusals = 0
    for seed in range(times(60)):
        rng = random.Random(seed)
        turns = [*(turn(rng) for _ in range(3)), Turn(DONE, (), is_valid=True, summary=WORDS)]
        outcome, expected = await outcome_of(turns), expected_of(turns)
        if isinstance(outcome, str):
            assert expected is None, (seed, outcome)
            assert_is_a_sentence(outcome)
            refusals += 1
        else:
            assert (subjects(outcome), outcome.plan.summary) == expected, seed
            plans += 1
    sys.stdout.write(f"{plans} plans exactly as proposed, {refusals} refusals in a sentence\n")
    assert min(plans, refusals) > 0
