"""Workflow code and the rules it calls use no clocks, randomness or files, so that runs can be replayed.

The replay tests cover the recorded paths; this test scans the source, and so covers all paths.
"""

import ast
from collections.abc import Iterator

import pytest

from plangate.settings import PROJECT

_OF_RUNS = ("plan_approval", "recording", "decision_inbox", "options")
REPLAYED = [
    *(PROJECT / "workflows" / f"{name}.py" for name in _OF_RUNS),
    PROJECT / "plangate" / "presentation" / "markdown.py",
    *sorted((PROJECT / "plangate" / "domain").glob("*.py")),
]
NONDETERMINISTIC = {
    "os",
    "io",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "threading",
    "time",
    "uuid",
}
CLOCKS = {"now", "utcnow", "today"}


def nondeterminism_in(source: str) -> Iterator[str]:
    """Yield each nondeterministic import, clock or call of this source."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in NONDETERMINISTIC)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in NONDETERMINISTIC:
                yield module
            case ast.Attribute(value=ast.Name(id="workflow"), attr="now"):
                pass
            case ast.Attribute(attr=name) if name in CLOCKS:
                yield ast.unparse(node)
            case ast.Call(func=ast.Name(id="open" | "__import__" | "eval" | "exec" as name)):
                yield name


@pytest.mark.parametrize("path", REPLAYED, ids=lambda path: path.stem)
def test_replayed_code_is_deterministic(path) -> None:
    assert list(nondeterminism_in(path.read_text())) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    from time import time", "time"),
        ("import os.path", "os.path"),
        ("at = datetime.now(UTC)", "datetime.now"),
        ("day = datetime.date.today()", "datetime.date.today"),
        ("text = open('x').read()", "open"),
    ],
)
def test_a_nondeterministic_import_clock_or_call_is_detected(source: str, found: str) -> None:
    assert list(nondeterminism_in(source)) == [found]
