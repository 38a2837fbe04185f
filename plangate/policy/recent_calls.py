"""Find the calls to `recent` in a condition; their arguments are string literals, so no plan is needed."""

from collections.abc import Iterator, Mapping
from typing import Final

from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.rolling_totals import REQUESTER, Limit, wrong_window
from plangate.policy.cel.syntax import Call, Expression, Literal, walk
from plangate.policy.policy_input import numeric_arguments, single_arguments

RECENT: Final = "recent"
HOW_TO_CALL: Final = (
    "write recent('TOOL', 'ARGUMENT', '24h') or recent('TOOL', 'ARGUMENT', '24h', 'BY'), "
    "each as a string literal"
)


def calls_in(tree: Expression) -> tuple[tuple[Limit, ...], bool]:
    """Return the distinct calls, and whether every call of ``recent`` has literal arguments."""
    limits: dict[Limit, None] = {}
    is_plain = True
    for node, _ in walk(tree):
        match node:
            case Call("recent", [Literal(str(tool)), Literal(str(argument)), Literal(str(window))]):
                limits[Limit(tool=tool, argument=argument, window=window)] = None
            case Call(
                "recent", [Literal(str(tool)), Literal(str(argument)), Literal(str(window)), Literal(str(by))]
            ):
                limits[Limit(tool=tool, argument=argument, window=window, by=by)] = None
            case Call("recent" | ".recent"):
                is_plain = False
    return tuple(limits), is_plain


def faults_of_calls(tree: Expression, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    """Yield a message for each call that can never return a sum."""
    limits, is_plain = calls_in(tree)
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
