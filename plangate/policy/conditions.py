"""The conditions of a policy, in CEL (Common Expression Language), see `plangate.policy.cel`.

A condition is evaluated with the variables of `plangate.policy.policy_input` and is true or false. If it is
neither (a missing field, a wrong type), `Condition.holds` raises `Unclear`, and the policy decides. When the
policy is read, the syntax tree shows which variables, fields, arguments and sums a condition uses.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.rolling_totals import Limit, UnknownSum
from plangate.policy.cel.evaluation import evaluate
from plangate.policy.cel.functions import FUNCTIONS
from plangate.policy.cel.parser import parse
from plangate.policy.cel.syntax import Call, Expression, Literal, Name, Select, paths, walk
from plangate.policy.cel.values import TYPES, EvaluationFailed, kind
from plangate.policy.policy_input import FIELDS, numeric_arguments, properties
from plangate.policy.recent_calls import RECENT, calls_in, faults_of_calls

_FUNCTIONS: Final = FUNCTIONS | {RECENT}
_BY_NAME: Final = {"totals": ("totals.TOOL.ARGUMENT", 2), "counts": ("counts.TOOL", 1)}
_LONGEST_REASON: Final = 300
_NAMES_OF_RECENT: Final = (3, 4)


# The tools that normalize URLs, hosts, addresses and headers.
_ONE_SPELLING: Final = frozenset({"http_request", "send_email"})
_ADDRESS: Final = re.compile(r"[^\s@]*@[^\s@]+")


RecentOf = Callable[[Limit], float]
"""Returns the value of `recent` for one step, or raises UnknownSum."""


class Unclear(Exception):
    """A condition is neither true nor false for a step; ``str()`` gives the reason."""


class Condition:
    """One condition that was read.

    Attributes:
        depends_on_step: whether its value may differ between the steps of a plan.

    Raises:
        ValueError: it is not valid CEL; the message shows the location, on several lines.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._tree = parse(unicodedata.normalize("NFC", source))
        self.limits, _ = calls_in(self._tree)
        self.depends_on_step = _uses_step(self._tree)

    def holds(self, variables: Mapping[str, Any], recent: RecentOf | None = None) -> bool:
        """Return whether the condition is true for these variables; ``Any`` represents JSON.

        ``recent`` returns the rolling totals; without it, they are unknown.

        Raises:
            Unclear: it is neither true nor false.
        """

        def total(*names: Any) -> float:
            # `unknown_words` reports other calls, but a policy may have been read without the tools.
            if len(names) not in _NAMES_OF_RECENT or not all(isinstance(name, str) for name in names):
                raise EvaluationFailed(f"{RECENT} is called with wrong arguments")
            limit = Limit(**dict(zip(Limit.model_fields, names, strict=False)))
            if recent is None:
                raise UnknownSum(f"{limit} is not known here")
            return float(recent(limit))

        try:
            answer = evaluate(self._tree, variables, {RECENT: total})
        except (EvaluationFailed, UnknownSum) as error:
            raise Unclear(cut(one_line(str(error)), _LONGEST_REASON)) from error
        if not isinstance(answer, bool):
            raise Unclear(f"it returns {kind(answer)}, not true or false")
        return answer

    def unknown_words(self, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
        """Yield a message for each unknown variable, field, argument or function."""
        yield from dict.fromkeys(self._unknown_words(tools))

    def _unknown_words(self, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
        used = list(paths(self._tree))
        for name, fields in used:
            if name in _BY_NAME and len(fields) < _BY_NAME[name][1]:
                yield f"uses {name} without a name; write {_BY_NAME[name][0]}"
            if name not in FIELDS and name not in TYPES:
                yield f"there is no variable called {name}; the variables are: {_listed(FIELDS)}"
        for node, _ in walk(self._tree):
            match node:
                case Call(function) if (name := function.lstrip(".")).isidentifier() and name != "in":
                    if name not in _FUNCTIONS:
                        yield f"there is no function called {name}; the functions are: {_listed(_FUNCTIONS)}"
        yield from faults_of_calls(self._tree, tools)
        yield from _misspelled(self._tree)
        for name, fields in used:
            yield from _unknown_fields(name, fields, tools)

    def numbers(self) -> Mapping[str, frozenset[str]]:
        """Return the tools in ``totals`` and ``counts``, each with the arguments that are summed.

        If the policy was read with the tools, `unknown_words` has checked that the arguments are numeric.
        """
        found: dict[str, frozenset[str]] = {}
        for name, fields in paths(self._tree):
            match name, fields:
                case (("totals" | "counts"), (tool, *rest)):
                    found[tool] = found.get(tool, frozenset()) | frozenset(rest[:1])
        return found


def _uses_step(tree: Expression) -> bool:
    return any(
        (isinstance(node, Name) and node.name == "step")
        or (isinstance(node, Call) and node.function.lstrip(".") == RECENT)
        for node, _ in walk(tree)
    )


class ConditionsOfPlan:
    """Evaluates conditions for the steps of one plan: those that do not depend on the step only once."""

    def __init__(self) -> None:
        self._results: dict[Condition, bool | Unclear] = {}

    def holds(self, condition: Condition, variables: Mapping[str, Any], recent: RecentOf) -> bool:
        """Return whether a condition is true for a step, see `Condition.holds`.

        Raises:
            Unclear: it is neither true nor false.
        """
        if condition.depends_on_step:
            return condition.holds(variables, recent)
        if condition not in self._results:
            try:
                self._results[condition] = condition.holds(variables, recent)
            except Unclear as error:
                self._results[condition] = error
        found = self._results[condition]
        if isinstance(found, Unclear):
            raise Unclear(str(found))
        return found


def _misspelled(tree: Expression) -> Iterator[str]:
    """Yield a message for each URL, address and header that never matches, because plans normalize it."""
    nodes = [node for node, _ in walk(tree)]
    texts = [node.value for node in nodes if isinstance(node, Literal) and isinstance(node.value, str)]
    if not _ONE_SPELLING & set(texts):
        return  # this condition is about other tools, whose arguments may have any form
    instead = "write it as it is in plans: in lower case, with A-labels (xn--…), without a default port"
    for text in texts:
        scheme, separator, rest = text.partition("://")
        place = f"{scheme}://{rest.partition('/')[0]}" if separator else text
        is_place = bool(separator) or bool(_ADDRESS.fullmatch(text))
        if is_place and not text.startswith("(?i)"):
            is_default = place.startswith("http") and place.endswith((":80", ":443"))
            if place != place.lower() or not place.isascii() or is_default:
                yield f"{cut(one_line(text), 60)!r} never matches; {instead}"
    for node in nodes:
        match node:
            case (
                Select(headers, str(name))
                | Call("[]", (headers, Literal(str(name))))
                | Call("in", (Literal(str(name)), headers))
            ) if _are_headers(headers) and (name != name.lower() or "_" in name):
                yield f"the header {cut(one_line(name), 60)!r} never matches; {instead}"


def _are_headers(node: Expression) -> bool:
    match node:
        case Select(_, "headers") | Name("headers") | Call("[]", (_, Literal("headers"))):
            return True
    return False


def _unknown_fields(root: str, path: tuple[str, ...], tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    match root, path:
        case (("totals" | "counts"), [tool, *_]) if tool not in tools:
            yield f"there is no tool called {tool}; the tools are: {_listed(tools)}"
        case "totals", [tool, field, *_] if field not in numeric_arguments(tools[tool].arguments):
            yield f"{tool} has no numeric argument {field}"
        case "step", ["arguments", argument, *_]:
            known = {name for one in tools.values() for name in properties(one.schema())}
            if argument not in known:
                yield f"no tool has an argument {argument}"
        case _, [field, *_] if FIELDS.get(root) and field not in FIELDS[root]:
            yield f"{root} has no field {field}; it has: {_listed(FIELDS[root])}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
