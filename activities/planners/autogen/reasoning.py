"""Separate a model's answer from its reasoning, and detect a tool call that the server returned as text.

Models mark reasoning and calls in different ways; servers that do not support a model's format return both as
text. Pure; time is linear in the length of the text.
"""

import json
import re
from collections import deque
from typing import Final

from plangate.domain.errors import DraftUnusable

_NAME: Final = r"(?:[a-z]{1,12}:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad)"
# Each alternative begins with a fixed string and has a bounded length, so that a search is linear.
_TAG: Final = re.compile(
    rf"""
      (?:<|&lt;) \s{{0,3}} \|? (?P<end1>/?) \s{{0,3}} {_NAME}
      (?:\s[^<>&]{{0,100}})? \s{{0,3}} \|? (?:>|&gt;)
    | \[ (?P<end2>/?) THINK \]
    | ◁ (?P<end3>/?) think ▷
    | <\| (?:begin | (?P<end4>end)) _of_ (?:thought|thinking|reasoning) \|>
    | <\| (?:start | (?P<end5>end)) _ (?:thinking|thought|reasoning) \|>
    | <\|channel>thought\b | (?P<end6><channel\|>)
    | <unused94>(?:thought\b)? | (?P<end7><unused95>)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# The channels of gpt-oss; the tags are missing if a server drops special tokens.
_FINAL: Final = re.compile(r"<\|channel\|>\s{0,3}final\b[^<>]{0,60}<\|message\|>|(?<=\S)assistantfinal")
_OTHER_CHANNEL: Final = re.compile(r"<\|channel\|>\s{0,3}(?:analysis|commentary)\b")
_END_OF_CHANNEL: Final = re.compile(r"<\|(?:end|return|call)\|>")
_CALL_MARKS: Final = re.compile(
    r"""
      <\|? (?:[a-z]{1,12}:)? (?:tool_calls?|function_calls?|toolcall) \b | <function= | <invoke\s{1,3}name=
    | <[|\uff5c]tool\u2581call | <\|tool_calls?_ | <\|python_tag\|> | \[TOOL_CALLS\] | \[TOOL_REQUEST\]
    | <\|channel\|> \s{0,3} commentary \s{1,3} to=
    """,
    re.VERBOSE | re.IGNORECASE,
)
_FENCE: Final = re.compile(r"\A```\w{0,20}[ \t]{0,20}\n(?P<inside>.*)\n```\Z", re.DOTALL)
_CALL_KEYS: Final = frozenset({"name", "tool", "tool_name", "function", "function_name"})
_ARGUMENT_KEYS: Final = frozenset({"arguments", "parameters", "args", "input", "tool_input", "function"})


def without_reasoning(text: str) -> tuple[str, bool]:
    """Return the text without its reasoning, and whether it ends within reasoning.

    Text before an unmatched closing tag is also reasoning, because many templates put the opening tag into
    the prompt.
    """
    final = deque(_FINAL.finditer(text), maxlen=1)
    if final and (final[0].group().startswith("<") or text.startswith("analysis")):
        text = _END_OF_CHANNEL.split(text[final[0].end() :], maxsplit=1)[0]
    elif _OTHER_CHANNEL.search(text):
        return "", True
    kept: list[str] = []
    position, thinking = 0, False
    for tag in _TAG.finditer(text):
        closes = any(tag.groupdict().values())
        if closes and not thinking:
            kept.clear()
        elif not thinking:
            kept.append(text[position : tag.start()])
        thinking = not closes
        position = tag.end()
    if not thinking:
        kept.append(text[position:])
    return "".join(kept).strip(), thinking


def final_text(text: str) -> str:
    """Return the summary at the end of a model's plan.

    Raises:
        DraftUnusable: the text ends within reasoning, or contains a call: the plan would be incomplete.
    """
    answer, thinking = without_reasoning(text)
    if _CALL_MARKS.search(text if thinking else answer) or _is_call(answer):
        raise DraftUnusable(
            "The model called a tool, but its server returned the call as text; enable the server's "
            "tool-call parser (vLLM: --enable-auto-tool-choice, --tool-call-parser), or choose another model "
            "with PLANGATE_MODEL."
        )
    if thinking:
        raise DraftUnusable(
            "The model's answer ended during its reasoning, so its plan would be incomplete; "
            "allow longer answers (max_tokens in PLANGATE_MODEL_CONFIG, num_ctx in Ollama), or choose "
            "another model with PLANGATE_MODEL."
        )
    return answer


def _is_call(text: str) -> bool:
    fenced = _FENCE.match(text)
    bare = fenced["inside"].strip() if fenced else text
    if not bare.startswith(("{", "[")):
        return False
    try:
        value = json.loads(bare)
    except (ValueError, RecursionError):
        return False
    first = value[0] if isinstance(value, list) and value else value
    return isinstance(first, dict) and not (_CALL_KEYS.isdisjoint(first) or _ARGUMENT_KEYS.isdisjoint(first))
