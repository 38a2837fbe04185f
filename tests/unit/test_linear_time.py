"""Twice as much text from outside takes less than three times as long to process, for any text.

All patterns of the product are found by reading its code and by importing it, and each is tested with texts
made from its own parts. Code without a pattern (parsers, normal forms, comparisons) is tested with known
texts.
"""

import ast
import importlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from activities.tools.registry import declarations
from plangate.cli.exits import fit
from plangate.cli.json_reader import json_parts
from plangate.cli.plan_file import PlanFileFaults, read_plan_file
from plangate.cli.plan_tree import Unreadable, compose
from plangate.cli.yaml_reader import yaml_parts
from plangate.domain.decisions.decision import Choice, Via, read_arrival
from plangate.domain.errors import FileInvalid, PlanInvalid, RequestInvalid
from plangate.domain.escaping import many_lines, markdown_code, one_line
from plangate.domain.people.people import identity
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.runs.request import read_request
from plangate.domain.times.durations import read_seconds
from plangate.logs.redaction import redact, redact_text
from plangate.policy.conditions import Condition
from plangate.policy.policy_input import variables_of_steps
from plangate.policy.toml_file import parse_toml, places
from plangate.presentation.page import Page
from plangate.settings import PROJECT
from plangate.signing.jws import kid_of
from tests.support.fakes import AUDIENCE
from tests.support.hostile import growth, hostile_texts, seconds, slowest

FOLDERS = ("plangate", "activities", "workflows")
MAX_GROWTH = 3.0
WHOLE = {"match", "fullmatch"}
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Found(NamedTuple):
    """A pattern, with its module, its place, and the methods that use it."""

    module: str
    place: str
    pattern: str
    flags: int
    methods: frozenset[str]

    def work(self) -> Callable[[str], object]:
        compiled = re.compile(self.pattern, self.flags)
        if self.methods and self.methods <= WHOLE:
            return compiled.match if "match" in self.methods else compiled.fullmatch
        return lambda text: deque(compiled.finditer(text), maxlen=0)  # finds all matches without keeping them


@cache
def texts() -> dict[str, str]:
    """The code of the product, by the name of its module."""
    files = [path for folder in FOLDERS for path in (PROJECT / folder).rglob("*.py")]
    files += [PROJECT / "starter.py", PROJECT / "worker.py"]
    return {
        ".".join(path.relative_to(PROJECT).with_suffix("").parts): path.read_text()
        for path in sorted(files)
        if "versions" not in path.parts
    }


@cache
def nodes() -> dict[str, list[ast.AST]]:
    """All nodes of the code, by the name of its module."""
    return {name: list(ast.walk(ast.parse(text))) for name, text in texts().items()}


@pytest.fixture(scope="module", autouse=True)
def _nodes_are_freed() -> Iterator[None]:
    """Free the nodes after the last test: with so many objects, each garbage collection takes a second."""
    yield
    nodes.cache_clear()


# The modules that may contain patterns. The search takes seconds in each process that collects the tests.
MODULES = [name for name, text in texts().items() if re.search(r"\bre\b|\bpattern=", text)]


def calls_of_re(module: Sequence[ast.AST]) -> Iterator[tuple[str, ast.Call]]:
    for node in module:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr != "escape"
        ):
            yield node.func.attr, node


def pydantic_patterns(module: Sequence[ast.AST]) -> Iterator[ast.expr]:
    """Yield each pattern except those for Rust's engine, which always takes linear time."""
    for node in module:
        if isinstance(node, ast.Call):
            named = {one.arg: one.value for one in node.keywords}
            engine = named.get("regex_engine")
            is_linear = isinstance(engine, ast.Constant) and engine.value == "rust-regex"
            if "pattern" in named and not is_linear:
                yield named["pattern"]


def methods_by_name() -> dict[str, set[str]]:
    """The methods that use each name; a private name belongs to its own module (``module:_NAME``)."""
    used: dict[str, set[str]] = {}
    for module, all_nodes in nodes().items():
        for node in all_nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = node.value.id
                used.setdefault(f"{module}:{name}" if name.startswith("_") else name, set()).add(node.attr)
    return used


def compiled_in(value: object) -> Iterator[re.Pattern[Any]]:
    match value:
        case re.Pattern():
            yield value
        case tuple() | list() | frozenset() | set():
            for inner in value:
                yield from compiled_in(inner)
        case dict():
            for inner in (*value, *value.values()):
                yield from compiled_in(inner)


@cache
def all_patterns() -> list[Found]:
    used = methods_by_name()
    found: dict[tuple[str, int], Found] = {}
    for name, module in nodes().items():
        for method, call in calls_of_re(module):
            if method != "compile" and isinstance(call.args[0], ast.Constant):
                text = str(call.args[0].value)
                found[text, 0] = Found(name, f"{name}:{call.lineno}", text, 0, frozenset({method}))
        for node in pydantic_patterns(module):
            if isinstance(node, ast.Constant):
                text = str(node.value)
                found[text, 0] = Found(name, f"{name}:{node.lineno}", text, 0, frozenset({"search"}))
        compiles = any(method == "compile" for method, _ in calls_of_re(module))
        for variable, value in vars(importlib.import_module(name)).items() if compiles else ():
            for one in compiled_in(value):
                full = f"{name}:{variable}" if variable.startswith("_") else variable
                methods = frozenset(used.get(full, ()) if isinstance(value, re.Pattern) else ())
                text = one.pattern if isinstance(one.pattern, str) else one.pattern.decode("latin-1")
                known = found.get((text, one.flags))
                methods |= known.methods if known else frozenset()
                where = known[:2] if known else (name, f"{name}.{variable}")
                found[text, one.flags] = Found(*where, text, one.flags, methods)
    return sorted(found.values())


def test_every_pattern_is_in_a_place_known_to_this_test() -> None:
    hidden = []
    seen = {one.pattern for one in all_patterns()}
    for name, module in nodes().items():
        if not re.search(r"\bre\b|\bregex\b", texts()[name]):
            continue
        inside = {
            call
            for function in module
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
            for call in ast.walk(function)
        }
        for method, call in calls_of_re(module):
            pattern = call.args[0]
            if method == "compile" and call in inside:
                hidden.append(
                    f"{name}:{call.lineno} compiles in a function; make it a constant of the module"
                )
            elif method != "compile" and not (isinstance(pattern, ast.Constant) and pattern.value in seen):
                hidden.append(
                    f"{name}:{call.lineno} builds a pattern at run time; make it a constant of the module"
                )
        hidden += [
            f"{name}:{node.lineno} passes a pattern by name; write it as a literal"
            for node in pydantic_patterns(module)
            if not isinstance(node, ast.Constant)
        ]
        assert "import regex" not in texts()[name], name
    assert hidden == []
    assert len(seen) > 30
    assert {one.module for one in all_patterns()} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_every_pattern_takes_linear_time(module: str) -> None:
    for found in all_patterns():
        if found.module == module:
            work = found.work()
            worst = slowest(work, hostile_texts(found.pattern, found.flags & ~re.UNICODE))
            assert growth(work, worst) < MAX_GROWTH, f"{found.place} {found.pattern!r} on {worst}"


def repeated(*pieces: str) -> tuple[Callable[[int], str], ...]:
    return tuple(lambda length, piece=piece: piece * (length // len(piece) + 1) for piece in pieces)


TEXTS = repeated(
    "a", " ", "\n", "\t", "?key", "&token=", "://", "@", "input_value=", "-eyJ", "`", "` ", "⟨", "\u202e",
    "\u0301\u0316", "\u0316\u0301\u0302", "\ufdfa", "\u0130", "\u200c", "\ud800", '"', '\\"', "'\\", "{", "[",
    "]}", "a.", "a: ", "- ", "# ", "&a ", "*a ", "!!x ", "%", "|\n ", ">", "? ", "\\u0000", "=?", "⟨U+", "0",
)  # fmt: skip


def tolerant(act: Callable[[Any], object]) -> Callable[[Any], object]:
    """Call the function; a refusal is a valid result."""

    def work(value: Any) -> object:
        try:
            return act(value)
        except (ValueError, Unreadable, PlanInvalid, PlanFileFaults, FileInvalid, RequestInvalid) as error:
            return error

    return work


def shown(text: str) -> None:
    page = Page()
    page.words("comment", text)
    page.arguments({"text": text, "texts": [text]})
    list(page.lines(80))


READERS: dict[str, Callable[[str], object]] = {
    "redact_text": redact_text,
    "redact": lambda text: redact(text, {text: [text]}),
    "one_line": one_line,
    "many_lines": many_lines,
    "markdown_code": markdown_code,
    "identity": identity,
    "fit": fit,
    "a page": shown,
    "read_seconds": read_seconds,
    "JSON": tolerant(lambda text: compose(json_parts(text))),
    "YAML": tolerant(lambda text: compose(yaml_parts(text))),
    "parse_toml": tolerant(lambda text: parse_toml(Path("x"), text.encode(errors="replace"))),
    "places": lambda text: places(text.encode(errors="replace"), "rule"),
    "kid_of": tolerant(kid_of),
    "a decision": lambda text: read_arrival(
        key="k", via=Via.SIGNAL, name=text, choice=Choice.APPROVE, received_at=NOW,
        inputs=[{"by": text, "plan": text, "comment": text, "signature": text, text: text}],
    ),
    "a request": tolerant(lambda text: read_request([{"requester": text, "request": text, "plan": text}])),
    "a mail": tolerant(
        lambda text: check_plan(
            {"summary": text[:2_000], "steps": [
                {"tool": "send_email", "arguments": {"to": [text], "subject": text, "body": text}},
                {"tool": "http_request", "arguments": {"method": "PUT", "url": text, "headers": {text: ""}}},
            ]},
            declarations(), 20,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_every_parser_takes_linear_time(name: str) -> None:
    read = READERS[name]
    texts = [(seconds(read, make(3_000)), make) for make in TEXTS]
    worst = max(texts, key=lambda one: one[0])[1]
    assert growth(read, worst) < MAX_GROWTH, f"{name} on {worst(10)!r}"


def plan_of(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"summary": "s", "steps": [{"tool": "note", "arguments": arguments}]}


PLANS: dict[str, Callable[[int], dict[str, Any]]] = {
    "a long name over many values": lambda size: plan_of({"k" * size: [2**60] * (size // 20)}),
    "nested names": lambda size: plan_of(
        {"k" * 90: {f"n{n}": {"x" * 400: [1] * 20} for n in range(size // 100)}}
    ),
    "many faults": lambda size: plan_of({f"n{n}": 2**60 for n in range(size // 30)}),
    "depth": lambda size: json.loads('{"a":' * 60 + "[" + "1," * (size // 2) + "1]" + "}" * 60),
    "many steps": lambda size: {"summary": "s", "steps": [{"tool": "x", "arguments": {}}] * (size // 40)},
    "many unknown fields": lambda size: {f"f{n}": n for n in range(size // 10)},
}


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("source", ["worker", "json file", "yaml file"])
def test_the_checks_of_a_plan_take_linear_time(kind: str, source: str, tmp_path: Path) -> None:
    file = tmp_path / ("plan.json" if source == "json file" else "plan.yaml")
    tools = declarations()

    def check(plan: dict[str, Any]) -> None:
        if source != "worker":
            file.write_text(json.dumps(plan))
        with pytest.raises((PlanInvalid, PlanFileFaults)):
            check_plan(plan, tools, 20) if source == "worker" else read_plan_file(file, tools, 20)

    assert growth(check, PLANS[kind]) < MAX_GROWTH


@pytest.mark.parametrize(
    "condition",
    [
        "step.reason.contains('aaaab')",
        "step.reason.matches('(a+)+b')",
        "step.arguments.texts.exists(t, t == 'b')",
    ],
)
def test_a_condition_takes_linear_time(condition: str) -> None:
    judged = Condition(condition)

    def judge(size: int) -> None:
        step = Step(tool="x", arguments={"texts": ["a" * 10] * (size // 10)}, reason="a" * 2_000)
        steps = (step, *(Step(tool="x", arguments={"text": "a" * 1_000}) for _ in range(size // 1_000)))
        plan = Plan(summary="s", steps=steps)
        judged.holds(next(variables_of_steps(plan, {}, request="a" * size, requester="a")))
        fingerprint_of(plan, 1, "w", AUDIENCE)

    assert growth(judge, lambda size: size) < MAX_GROWTH
