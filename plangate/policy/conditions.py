"""The conditions of a policy: CEL (Common Expression Language), using ``common-expression-language``.

A condition is evaluated with the variables of `plangate.policy.policy_input` and is true or false. If it is
neither (a missing field, a wrong type), `Condition.holds` raises `Unclear`, and the policy decides.

The library reports which variables and functions a condition uses, but not which fields of the variables, and
provides no syntax tree. Regular expressions that need linear time therefore find the fields (decision 0041).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.rolling_totals import Limit, UnknownSum
from plangate.policy.policy_input import FIELDS, numeric_arguments, properties
from plangate.policy.recent_calls import RECENT, calls_in, faults_of_calls

# CEL's standard functions (cel-spec, langdef.md) that the library provides. Macros are not functions.
_FUNCTIONS: Final = frozenset(
    {
        *("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"),
        *("contains", "endsWith", "matches", "size", "startsWith"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"),
        *("getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
        RECENT,  # Plangate's own function: rolling totals
    }
)
# Strings and comments. An unclosed string extends to the end of the text, so no quote is scanned twice.
_STRING: Final = re.compile(
    r"""[rR]?('''.*?(?:'''|\Z)|\"\"\".*?(?:\"\"\"|\Z)|'(?:\\.|[^'\\\n])*+'?|"(?:\\.|[^"\\\n])*+"?)|//[^\n]*""",
    re.DOTALL,
)
_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
_PATH: Final = re.compile(r"(?<![\w.])(\w++)((?:\s*+\.\s*+\w++(?!\s*+\())++)")
_WORD: Final = re.compile(r"\w+")
# The names of sums and counts: totals.refund.amount, totals['refund'].amount.
_NAMED: Final = re.compile(
    r"""(?<![\w.])(totals|counts)((?:\s*+\.\s*+\w++(?!\s*+\()|\s*+\[\s*+(?:'[^'\\\n]*+'|"[^"\\\n]*+")\s*+\])++)"""
)
_USE: Final = re.compile(r"(?<![\w.])(totals|counts)(?!\w)")
_NAME: Final = re.compile(r"""'([^']*)'|"([^"]*)"|(\w+)""")
_BY_NAME: Final = {"totals": ("totals.TOOL.ARGUMENT", 2), "counts": ("counts.TOOL", 1)}
_OPERATOR: Final = re.compile(r"[^A-Za-z]")
_LONGEST_REASON: Final = 300


# The tools that normalize URLs, hosts, addresses and headers.
_ONE_SPELLING: Final = frozenset({"http_request", "send_email"})
_HEADER: Final = re.compile(r"\bheaders\s*\[\s*['\"]([^'\"]*)['\"]")
_ADDRESS: Final = re.compile(r"[^\s@]*@[^\s@]+")


RecentOf = Callable[[Limit], float]
"""Returns the value of `recent` for one step, or raises UnknownSum."""


class Unclear(Exception):
    """A condition is neither true nor false for a step; ``str()`` gives the reason."""


class _Sums:
    """The function `recent` for one evaluation; keeps the reason why a sum is unknown.

    It must not raise, because the library would log the exception. If a sum is unknown, the result of the
    evaluation is not used.
    """

    def __init__(self, recent: RecentOf | None) -> None:
        self._recent = recent
        self.unknown = ""

    def with_variables(self, variables: Mapping[str, Any]) -> Any:
        """Return the context of the library."""
        import cel  # noqa: PLC0415  as in `Condition`

        return cel.Context(variables=dict(variables), functions={RECENT: self._call})

    def _call(self, tool: str, argument: str, window: str, by: str = "") -> float:
        limit = Limit(tool=tool, argument=argument, window=window, by=by)
        if self._recent is None:
            self.unknown = f"{limit} is not known here"
            return 0.0
        try:
            return self._recent(limit)
        except UnknownSum as error:
            self.unknown = str(error)
            return 0.0


class Condition:
    """One compiled condition.

    Raises:
        ValueError: it is not valid CEL; the message shows the location, on several lines.
    """

    def __init__(self, source: str) -> None:
        import cel  # noqa: PLC0415  also imports its own command line, which takes 0.2 s

        self.source = source
        try:
            self._program = cel.compile(unicodedata.normalize("NFC", source))
        except ValueError as error:
            raise ValueError(str(error).partition("ERROR: <input>:")[2] or str(error)) from None
        self._names = frozenset(self._program.variables())
        self.limits, _ = calls_in(source) if RECENT in self._program.functions() else ((), True)

    def holds(self, variables: Mapping[str, Any], recent: RecentOf | None = None) -> bool:
        """Return whether the condition is true for these variables; ``Any`` represents JSON.

        ``recent`` returns the rolling totals; without it, they are unknown.

        Raises:
            Unclear: it is neither true nor false.
        """
        # Pass only the variables that it uses: each is copied, and the plan may be large.
        named: Any = {name: variables[name] for name in self._names & variables.keys()}
        sums = _Sums(recent)
        try:
            answer = self._program.execute(sums.with_variables(named) if self.limits else named)
        except KeyError as error:
            raise Unclear(f"there is no {error.args[0] if error.args else error}") from None
        except Exception as error:
            raise Unclear(sums.unknown or _first_sentence(error)) from error
        if sums.unknown:
            raise Unclear(sums.unknown)
        if not isinstance(answer, bool):
            raise Unclear(f"it returns {type(answer).__name__}, not true or false")
        return answer

    def unknown_words(self, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
        """Yield a message for each unknown variable, field, argument or function."""
        plain = _STRING.sub("''", self.source)
        yield from _not_by_name(plain)
        bound = set(_BOUND.findall(plain))
        for name in self._program.variables():
            if name not in {*FIELDS, *bound}:
                yield f"there is no variable called {name}; the variables are: {_listed(FIELDS)}"
        for name in self._program.functions():
            if not _OPERATOR.match(name) and name not in _FUNCTIONS:
                yield f"there is no function called {name}; the functions are: {_listed(_FUNCTIONS)}"
        if RECENT in self._program.functions():
            yield from faults_of_calls(self.source, tools)
        yield from _misspelled(self.source)
        for root, dotted in _PATH.findall(plain):
            if root not in bound:
                yield from _unknown_fields(root, _WORD.findall(dotted), tools)
        for root, path in _NAMED.findall(self.source):
            if "[" in path:
                yield from _unknown_fields(root, ["".join(name) for name in _NAME.findall(path)], tools)

    def numbers(self) -> Mapping[str, frozenset[str]]:
        """Return the tools in ``totals`` and ``counts``, each with the arguments that are summed.

        If the policy was read with the tools, `unknown_words` has checked that the arguments are numeric.
        """
        found: dict[str, frozenset[str]] = {}
        for _, path in _NAMED.findall(self.source):
            tool, *rest = ("".join(name) for name in _NAME.findall(path))
            found[tool] = found.get(tool, frozenset()) | frozenset(rest[:1])
        return found


def _not_by_name(plain: str) -> Iterator[str]:
    """Yield a message for ``totals`` or ``counts`` without a name, because `numbers` could not find it."""
    for name in dict.fromkeys(root for root, path in _uses(plain) if len(path) < _BY_NAME[root][1]):
        yield f"uses {name} without a name; write {_BY_NAME[name][0]}"


def _uses(plain: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each use of ``totals`` and ``counts`` with the names after it; ``plain`` contains no strings."""
    for use in _USE.finditer(plain):
        named = _NAMED.match(plain, use.start())
        yield use[1], ["".join(name) for name in _NAME.findall(named[2])] if named else []


def _misspelled(source: str) -> Iterator[str]:
    """Yield a message for each URL, address and header that never matches, because plans normalize it."""
    texts = [quoted.strip("'\"") for quoted in _STRING.findall(source)]
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
    for name in _HEADER.findall(source):
        if name != name.lower() or "_" in name:
            yield f"the header {cut(one_line(name), 60)!r} never matches; {instead}"


def _unknown_fields(root: str, path: Sequence[str], tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    match root, list(path):
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


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return cut(one_line(lines[0].partition(". ")[0]), _LONGEST_REASON) if lines else type(error).__name__


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
