"""Normalize a model server's response to the form of chat completion that AutoGen reads correctly.

AutoGen mishandles responses that are only nearly compatible: it does not notice truncation, sends duplicate
call ids back, and fails on token counts or contents of unexpected types. Each response is therefore parsed
here and rebuilt from the parsed parts. Unknown parts cause an error and are never dropped: if a call were
lost, an incomplete plan would look complete. Pure; may import the domain and `model_errors`.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from activities.planners.autogen.model_errors import error_in_answer
from activities.planners.limits import MAX_QUOTE
from plangate.domain.errors import DraftUnusable, ModelUnavailable
from plangate.domain.escaping import cut, one_line

# As spelled by OpenAI, Azure, Mistral, Groq, Gemini, DeepSeek, Anthropic, vLLM, SGLang, TGI and Ollama.
_COMPLETE: Final = frozenset(
    {"", "stop", "end_turn", "eos", "eos_token", "stop_sequence", "end_of_text", "complete"}
)
_CALLS: Final = frozenset({"tool_calls", "tool_call", "function_call", "function_calls", "tool_use"})
_TRUNCATED: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit", "incomplete"}
)
_WITHHELD: Final = frozenset(
    {"content_filter", "content_filtered", "safety", "recitation", "refusal", "blocklist", "spii"}
    | {"prohibited_content", "guardrail_intervened", "sensitive", "language"}
)
_ABORTED: Final = frozenset(
    {"error", "abort", "aborted", "cancelled", "canceled", "timeout", "network_error", "other"}
    | {"insufficient_system_resource", "malformed_function_call", "unexpected_tool_call"}
)
_TEXT_PARTS: Final = frozenset({"text", "output_text"})
_REASONING_PARTS: Final = frozenset({"thinking", "redacted_thinking", "reasoning", "reference"})
_REASON_WORD: Final = re.compile(r"[a-z0-9_]{1,40}")
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MAX_TOKENS: Final = 10**9


def normalized(answer: object) -> dict[str, Any]:
    """Return a completion with one choice and only the fields that AutoGen reads.

    Raises:
        ModelRefused, ModelUnavailable: the response is an error, or not a completion.
        DraftUnusable: the response was truncated or withheld, or part of it cannot be parsed.
    """
    match answer:
        case [Mapping() as single]:  # how Gemini wraps its errors
            answer = single
    if not isinstance(answer, Mapping):
        raise _no_completion()
    if answer.get("error") or answer.get("object") == "error":
        raise error_in_answer(answer.get("error") or answer)
    choice = _only_choice(answer.get("choices"))
    if choice.get("error"):
        raise error_in_answer(choice["error"])
    message = choice.get("message")
    calls = _calls(message) if isinstance(message, Mapping) else []
    check_finish_reason(_normalized_reason(choice.get("finish_reason")), has_calls=bool(calls))
    if not isinstance(message, Mapping):
        raise _no_completion()
    text = _text(message.get("content"))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        raise DraftUnusable(
            f"The model refused: '{cut(one_line(refusal), MAX_QUOTE)}'. Reword the request, or choose "
            "another model with PLANGATE_MODEL."
        )
    return {
        "id": _string(answer.get("id")),
        "object": "chat.completion",
        "created": 0,
        "model": _string(answer.get("model")),
        "choices": [
            {
                "index": 0,
                "finish_reason": "tool_calls" if calls else "stop",
                "logprobs": None,
                "message": {
                    "role": "assistant",
                    "content": _without_surrogates(text) or None,
                    **({"tool_calls": calls} if calls else {}),
                },
            }
        ],
        "usage": _usage(answer.get("usage")),
    }


def check_finish_reason(reason: str, *, has_calls: bool) -> None:
    """Raise an error unless the response is complete; a response without a finish reason counts as complete.

    Raises:
        DraftUnusable: the response was truncated, withheld, or ended for an unknown reason.
        ModelUnavailable: the service aborted the response; a retry may succeed.
    """
    if reason in _COMPLETE or (reason in _CALLS and has_calls):
        return
    if reason in _CALLS:
        raise DraftUnusable(
            "The model called a tool, but its server left the call out of the answer; check the server's "
            "tool-call parser (vLLM: --tool-call-parser), or choose another model with PLANGATE_MODEL."
        )
    if reason in _TRUNCATED:
        raise DraftUnusable(
            "The model's answer was cut at its length limit, so its plan would be incomplete; ask for less "
            "at once, or allow longer answers (max_tokens in PLANGATE_MODEL_CONFIG, num_ctx in Ollama, "
            "--max-model-len in vLLM)."
        )
    if reason in _WITHHELD:
        raise DraftUnusable(
            f"The model's service withheld its answer ({reason}), so its plan would be incomplete; reword "
            "the request, or choose another model with PLANGATE_MODEL."
        )
    if reason in _ABORTED:
        raise ModelUnavailable(f"The model's service aborted its answer ({reason}).")
    shown = f" ({reason})" if _REASON_WORD.fullmatch(reason) else ""
    raise DraftUnusable(
        f"The model's service ended its answer for an unknown reason{shown}, so its plan "
        "may be incomplete; choose another model with PLANGATE_MODEL, or another server with OPENAI_BASE_URL."
    )


def _no_completion() -> ModelUnavailable:
    return ModelUnavailable(
        "The model's service returned no completion; check OPENAI_BASE_URL, which ends in /v1 for most "
        "servers."
    )


def _only_choice(choices: object) -> Mapping[str, Any]:
    """Return the only choice with content; some proxies add an empty one.

    Raises:
        ModelUnavailable: there are no choices.
        DraftUnusable: several choices have content, for example from a proxy that separates text and calls.
    """
    if not isinstance(choices, list) or not choices or not all(isinstance(one, Mapping) for one in choices):
        raise _no_completion()
    with_content = [one for one in choices if _has_content(one.get("message"))]
    if len(with_content) > 1:
        raise DraftUnusable(
            "The model's service returned several answers at once, so it is unclear which one to use; choose "
            "another server with OPENAI_BASE_URL, or set n to 1 in PLANGATE_MODEL_CONFIG."
        )
    chosen: Mapping[str, Any] = (with_content or choices)[0]
    return chosen


def _has_content(message: object) -> bool:
    return isinstance(message, Mapping) and any(
        message.get(part) for part in ("content", "tool_calls", "function_call", "refusal")
    )


def _normalized_reason(reason: object) -> str:
    """Return a normalized finish reason: ``FinishReason.MAX_TOKENS`` becomes ``max_tokens``."""
    if reason is None:
        return ""
    if not isinstance(reason, str):
        return "?"
    return re.sub(r"[-\s]", "_", reason.strip().lower().removeprefix("finishreason."))


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of a message, in order; the older ``function_call`` is only a fallback."""
    calls = message.get("tool_calls")
    if isinstance(calls, Mapping):
        calls = [calls]
    if not calls and message.get("function_call"):
        calls = [{"function": message["function_call"]}]
    if not calls:
        return []
    if not isinstance(calls, list):
        raise _unreadable_part("tool_calls")
    return [_call(one) for one in calls]


def _call(call: object) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if (
        not isinstance(call, Mapping)
        or not isinstance(function, Mapping)
        or not isinstance(name, str)
        or not name
    ):
        raise _unreadable_part("tool call without a name")
    arguments = function.get("arguments")
    return {
        "id": _string(call.get("id")),
        "type": "function",
        "function": {
            "name": _without_surrogates(name),
            "arguments": _escaped(arguments) if isinstance(arguments, str) else _dumped(arguments),
        },
    }


def _text(content: object) -> str:
    """Return the text of a message's content (a string, or parts) without the model's reasoning."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    parts: Sequence[object] = content if isinstance(content, list) else [content]
    return "".join(_text_of_part(part) for part in parts)


def _text_of_part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise _unreadable_part("part of a content")
    kind = "text" if part.get("type") is None else part["type"]
    if not isinstance(kind, str):
        raise _unreadable_part("part of a content")
    if kind in _REASONING_PARTS:
        return ""
    text = part.get("text")
    if isinstance(text, Mapping):
        text = text.get("value")
    if kind not in _TEXT_PARTS or not isinstance(text, str | None):
        raise _unreadable_part("part of a content")
    return text or ""


def _unreadable_part(what: str) -> DraftUnusable:
    return DraftUnusable(
        f"The model's service returned a response that cannot be parsed ({what}), so the plan would be "
        "incomplete; check that PLANGATE_MODEL and its server call tools as OpenAI's chat completions do."
    )


def _usage(usage: object) -> dict[str, int]:
    counts = usage if isinstance(usage, Mapping) else {}
    prompt = _count(counts.get("prompt_tokens", counts.get("input_tokens")))
    completion = _count(counts.get("completion_tokens", counts.get("output_tokens")))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _count(value: object) -> int:
    """Return a token count as a number; 0 if it is invalid, because no plan depends on it."""
    if isinstance(value, str):
        try:
            value = float(value[:40])
        except ValueError:
            return 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    return max(0, min(int(value), _MAX_TOKENS))


def _string(value: object) -> str:
    return _without_surrogates(value) if isinstance(value, str) else ""


def _without_surrogates(text: str) -> str:
    """Replace lone surrogates, because a request cannot contain them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _escaped(arguments: str) -> str:
    """Return the same JSON with lone surrogates escaped."""
    return _LONE_SURROGATE.sub(lambda surrogate: f"\\u{ord(surrogate[0]):04x}", arguments)


def _dumped(value: object) -> str:
    return "" if value is None else json.dumps(value)
