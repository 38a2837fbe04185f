"""The conditions of a policy: CEL, the Common Expression Language, by ``common-expression-language``.

A condition sees the request, the plan and one step as data, and says true or false. Where it can say neither
(a field that the step has not, a wrong type) it raises `Unclear`, and the policy decides what follows.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.escaping import cut, one_line
from plangate.domain.plan import Plan, Step
from plangate.domain.tool import ToolArguments, ToolDeclaration

_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "request": frozenset({"text", "requester"}),
    "plan": frozenset({"summary", "steps"}),
    "step": frozenset({"tool", "number", "reason", "arguments"}),
}
_VARIABLES: Final = frozenset({*_FIELDS, "totals", "counts"})
# CEL's standard functions (cel-spec, langdef.md) as far as the library has them; its macros are no functions.
_FUNCTIONS: Final = frozenset(
    {
        *("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"),
        *("contains", "endsWith", "matches", "size", "startsWith"),
        *("getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"),
        *("getMilliseconds", "getMinutes", "getMonth", "getSeconds"),
    }
)
# Strings and comments. A string that is left open ends with the text, so that no quote is tried twice.
_STRING: Final = re.compile(
    r"""[rR]?('''.*?(?:'''|\Z)|\"\"\".*?(?:\"\"\"|\Z)|'(?:\\.|[^'\\\n])*+'?|"(?:\\.|[^"\\\n])*+"?)|//[^\n]*""",
    re.DOTALL,
)
_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
_PATH: Final = re.compile(r"(?<![\w.])(\w++)((?:\s*+\.\s*+\w++(?!\s*+\())++)")
_WORD: Final = re.compile(r"\w+")
# What a sum or a count is read by: totals.refund.amount, totals['refund'].amount.
_NAMED: Final = re.compile(
    r"""(?<![\w.])(totals|counts)((?:\s*+\.\s*+\w++(?!\s*+\()|\s*+\[\s*+(?:'[^'\\\n]*+'|"[^"\\\n]*+")\s*+\])++)"""
)
_USE: Final = re.compile(r"(?<![\w.])(totals|counts)(?!\w)")
_NAME: Final = re.compile(r"""'([^']*)'|"([^"]*)"|(\w+)""")
_BY_NAME: Final = {"totals": ("totals.TOOL.ARGUMENT", 2), "counts": ("counts.TOOL", 1)}
_OPERATOR: Final = re.compile(r"[^A-Za-z]")
_LONGEST_REASON: Final = 300


# The tools whose URLs, hosts, addresses and headers have one spelling.
_ONE_SPELLING: Final = frozenset({"http_request", "send_email"})
_HEADER: Final = re.compile(r"\bheaders\s*\[\s*['\"]([^'\"]*)['\"]")
_ADDRESS: Final = re.compile(r"[^\s@]*@[^\s@]+")


class Unclear(Exception):
    """A condition is neither true nor false of a step; ``str()`` says why."""


class Condition:
    """One compiled condition.

    Raises:
        ValueError: it is not CEL; the message points at the place, on several lines.
    """

    def __init__(self, source: str) -> None:
        import cel  # noqa: PLC0415  its own command line comes along: 0.2 s

        self.source = source
        try:
            self._program = cel.compile(unicodedata.normalize("NFC", source))
        except ValueError as error:
            raise ValueError(str(error).partition("ERROR: <input>:")[2] or str(error)) from None
        self._names = frozenset(self._program.variables())

    def holds(self, variables: Mapping[str, Any]) -> bool:
        """Return whether it is true of these variables; ``Any`` stands for JSON.

        Raises:
            Unclear: it is neither true nor false.
        """
        try:
            # Only what it names is handed over: each value is copied, and the plan may be large.
            answer = self._program.execute({name: variables[name] for name in self._names & variables.keys()})
        except KeyError as error:
            raise Unclear(f"there is no {error.args[0] if error.args else error}") from None
        except Exception as error:
            raise Unclear(_first_sentence(error)) from error
        if not isinstance(answer, bool):
            raise Unclear(f"it gives {type(answer).__name__}, not true or false")
        return answer

    def unknown_words(self, tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
        """Yield a sentence for every variable, field, argument or function in it that there is not."""
        plain = _STRING.sub("''", self.source)
        yield from _not_by_name(plain)
        bound = set(_BOUND.findall(plain))
        for name in self._program.variables():
            if name not in _VARIABLES | bound:
                yield f"there is no variable {name}; there are {_listed(_VARIABLES)}"
        for name in self._program.functions():
            if not _OPERATOR.match(name) and name not in _FUNCTIONS:
                yield f"there is no function {name}; there are {_listed(_FUNCTIONS)}"
        yield from _misspelled(self.source)
        for root, dotted in _PATH.findall(plain):
            if root not in bound:
                yield from _unknown_fields(root, _WORD.findall(dotted), tools)
        for root, path in _NAMED.findall(self.source):
            if "[" in path:
                yield from _unknown_fields(root, ["".join(name) for name in _NAME.findall(path)], tools)

    def numbers(self) -> Mapping[str, frozenset[str]]:
        """Return the tools whose steps it sums up or counts, each with the arguments that it sums up.

        Where it was read with the tools' declarations, each of them was the number that it says.
        """
        found: dict[str, frozenset[str]] = {}
        for _, path in _NAMED.findall(self.source):
            tool, *rest = ("".join(name) for name in _NAME.findall(path))
            found[tool] = found.get(tool, frozenset()) | frozenset(rest[:1])
        return found


def _not_by_name(plain: str) -> Iterator[str]:
    """Yield a sentence where sums or counts are read by no names: they could not be derived again from it."""
    for name in dict.fromkeys(root for root, path in _uses(plain) if len(path) < _BY_NAME[root][1]):
        yield f"reads {name} without a name; write {_BY_NAME[name][0]}"


def _uses(plain: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each use of ``totals`` and ``counts``, with the names behind it; texts are left out already."""
    for use in _USE.finditer(plain):
        named = _NAMED.match(plain, use.start())
        yield use[1], ["".join(name) for name in _NAME.findall(named[2])] if named else []


def _misspelled(source: str) -> Iterator[str]:
    """Yield a sentence for each URL, address and header that no plan can hold: it would never match."""
    texts = [quoted.strip("'\"") for quoted in _STRING.findall(source)]
    if not _ONE_SPELLING & set(texts):
        return  # it speaks of other tools, whose arguments may be spelled in any way
    instead = "plans spell it in lower case, with A-labels (xn--…) and without a default port; write it so"
    for text in texts:
        scheme, separator, rest = text.partition("://")
        place = f"{scheme}://{rest.partition('/')[0]}" if separator else text
        is_place = bool(separator) or bool(_ADDRESS.fullmatch(text))
        if is_place and not text.startswith("(?i)"):
            is_default = place.startswith("http") and place.endswith((":80", ":443"))
            if place != place.lower() or not place.isascii() or is_default:
                yield f"speaks of {cut(one_line(text), 60)!r}; {instead}"
    for name in _HEADER.findall(source):
        if name != name.lower() or "_" in name:
            yield f"speaks of the header {cut(one_line(name), 60)!r}; {instead}"


def variables_of(
    plan: Plan, step: int, numbers: Mapping[str, Collection[str]], *, request: str, requester: str
) -> dict[str, Any]:
    """Return what a condition sees of step ``step`` (from 1) of a plan; ``Any`` stands for JSON.

    ``numbers`` are the tools, each with its arguments that are numbers: their sum is 0 where no step has one.

    Texts are in Unicode's normal form C, as the conditions are: one text to a reader is one to a rule.
    """
    steps = [_step(number, one) for number, one in enumerate(plan.steps, start=1)]
    used = Counter(one.tool for one in plan.steps)
    return {
        "request": {"text": _one_text(request), "requester": _one_text(requester)},
        "plan": {"summary": _one_text(plan.summary), "steps": steps},
        "step": steps[step - 1],
        "totals": {name: _totals(plan.steps, name, numbers.get(name, ())) for name in {*numbers, *used}},
        "counts": {name: used[name] for name in {*numbers, *used}},
    }


def sample_steps(tools: Mapping[str, ToolDeclaration]) -> Iterator[Step]:
    """Yield a step of each tool with arguments of the right types: what a condition is tried on."""
    for name, declaration in tools.items():
        schema = declaration.schema()
        arguments = {
            argument: _sample(described, schema) for argument, described in _properties(schema).items()
        }
        yield Step(tool=name, arguments=arguments)


def _step(number: int, step: Step) -> dict[str, Any]:
    arguments = _one_text(step.arguments)
    return {"number": number, "tool": step.tool, "reason": _one_text(step.reason), "arguments": arguments}


def _one_text(value: JsonValue) -> Any:
    """Return JSON with each text in Unicode's normal form C; names stay, for two must not become one."""
    match value:
        case str():
            return unicodedata.normalize("NFC", value)
        case list():
            return [_one_text(item) for item in value]
        case dict():
            return {name: _one_text(item) for name, item in value.items()}
        case _:
            return value


def _totals(steps: Sequence[Step], tool: str, numeric: Collection[str]) -> dict[str, int | float]:
    """Sum up every numeric argument over all steps of one tool; 0 where none of them has it."""
    found: dict[str, list[int | float]] = {name: [] for name in numeric}
    for step in steps:
        if step.tool == tool:
            for name, value in step.arguments.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    found.setdefault(name, []).append(value)
    return {
        name: sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)
        for name, values in found.items()
    }


def numbers_of(tools: Mapping[str, ToolDeclaration]) -> dict[str, tuple[str, ...]]:
    """Return all tools, each with its arguments that are numbers."""
    return {name: _numeric_fields(declaration.arguments) for name, declaration in tools.items()}


@cache
def _numeric_fields(arguments: type[ToolArguments]) -> tuple[str, ...]:
    """Return the arguments that are numbers; kept, for making a schema takes longer than all the rest."""
    schema = arguments.model_json_schema()
    properties = _properties(schema).items()
    return tuple(name for name, one in properties if _types(one, schema) & {"integer", "number"})


def _unknown_fields(root: str, path: Sequence[str], tools: Mapping[str, ToolDeclaration]) -> Iterator[str]:
    match root, list(path):
        case (("totals" | "counts"), [tool, *_]) if tool not in tools:
            yield f"there is no tool {tool}; there are {_listed(tools)}"
        case "totals", [tool, field, *_] if field not in _numeric_fields(tools[tool].arguments):
            yield f"{tool} has no numeric argument {field}, hence no total of it"
        case "step", ["arguments", argument, *_]:
            known = {name for one in tools.values() for name in _properties(one.schema())}
            if argument not in known:
                yield f"no tool has an argument {argument}"
        case _, [field, *_] if root in _FIELDS and field not in _FIELDS[root]:
            yield f"{root} has no {field}; it has {_listed(_FIELDS[root])}"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties


def _resolved(described: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the alternatives that a JSON schema allows, references followed."""
    if "$ref" in described:
        yield from _resolved(schema.get("$defs", {}).get(described["$ref"].rpartition("/")[2], {}), schema)
    elif "anyOf" in described:
        for one in described["anyOf"]:
            yield from _resolved(one, schema)
    else:
        yield described


def _types(described: Mapping[str, Any], schema: Mapping[str, Any]) -> set[str]:
    return {one.get("type", "") for one in _resolved(described, schema)}


def _sample(described: Mapping[str, Any], schema: Mapping[str, Any]) -> JsonValue:
    one = next(_resolved(described, schema))
    if "const" in one:
        const: JsonValue = one["const"]
        return const
    if "enum" in one:
        first: JsonValue = one["enum"][0]
        return first
    match one.get("type"):
        case "integer":
            return 1
        case "number":
            return 1.5
        case "boolean":
            return True
        case "array":
            return [_sample(one.get("items", {}), schema)]
        case "object":
            return {name: _sample(field, schema) for name, field in _properties(one).items()}
        case "null":
            return None
        case _:
            return "x"


def _first_sentence(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return cut(one_line(said[0].partition(". ")[0]), _LONGEST_REASON) if said else type(error).__name__


def _listed(names: "Mapping[str, Any] | frozenset[str]") -> str:
    return ", ".join(sorted(names)) or "none"
