"""Find the calls to `recent` in a condition; their arguments are string literals, so no plan is needed."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.rolling_totals import REQUESTER, Limit, wrong_window
from plangate.policy.policy_input import numeric_arguments, single_arguments

RECENT: Final = "recent"
HOW_TO_CALL: Final = (
    "write recent('TOOL', 'ARGUMENT', '24h') or recent('TOOL', 'ARGUMENT', '24h', 'BY'), "
    "each as a string literal"
)
_TEXT: Final = r"""\s*+('[^'\\\n]*+'|"[^"\\\n]*+")\s*+"""
_CALL: Final = re.compile(rf"\s*+\({_TEXT},{_TEXT},{_TEXT}(?:,{_TEXT})?+\)")
_OPENS: Final = re.compile(r"\s*+\(")
# A string or a comment, in which calls are ignored; or the word ``recent``, which is a field after a dot.
_WORD: Final = re.compile(
    r"""(?P<text>'{3}.*?(?:'{3}|\Z)|"{3}.*?(?:"{3}|\Z)|'(?:\\.|[^'\\\n])*+'?|"(?:\\.|[^"\\\n])*+"?|//[^\n]*)"""
    r"""|(?P<point>\.\s*+)?(?<!\w)recent(?!\w)""",
    re.DOTALL,
)


def calls_in(source: str) -> tuple[tuple[Limit, ...], bool]:
    """Return the distinct calls, and whether every use of the name ``recent`` is such a call."""
    limits: dict[Limit, None] = {}
    is_plain = True
    for found in _WORD.finditer(source):
        if found["text"] is not None:
            continue
        call = _CALL.match(source, found.end())
        if found["point"]:
            is_plain = is_plain and _OPENS.match(source, found.end()) is None
        elif call is None:
            is_plain = False
        else:
            tool, argument, window, by = (text[1:-1] if text else "" for text in call.groups())
            limits[Limit(tool=tool, argument=argument, window=window, by=by)] = None
    return tuple(limits), is_plain


def faults_of_calls(source: str, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    """Yield a message for each call that can never return a sum."""
    limits, is_plain = calls_in(source)
    if not is_plain:
        yield f"uses recent in a way that cannot be checked; {HOW_TO_CALL}"
    for limit in limits:
        wrong = _wrong(limit, tools)
        if wrong:
            yield f"{limit}: {wrong}"


def _wrong(limit: Limit, tools: Mapping[str, ToolDeclaration]) -> str | None:
    declaration = tools.get(limit.tool)
    if declaration is None:
        return f"there is no tool called {limit.tool}; the tools are: {', '.join(sorted(tools)) or 'none'}"
    if limit.argument not in numeric_arguments(declaration.arguments):
        return f"{limit.tool} has no numeric argument {limit.argument}"
    window = wrong_window(limit.window)
    if window:
        return window
    single = single_arguments(declaration.arguments)
    if limit.by and limit.by != REQUESTER and limit.by not in single:
        return (
            f"sums by {limit.by}, neither '{REQUESTER}' nor an argument of {limit.tool} that has one "
            f"value; possible arguments: {', '.join(sorted(single)) or 'none'}"
        )
    return None
