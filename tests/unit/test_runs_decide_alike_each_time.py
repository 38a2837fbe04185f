"""What a run decides with has no clock, no chance and no world of its own, so that it replays alike.

The replay tests find what breaks a recorded path; this holds for the paths that no history has, too.
"""

import ast
from collections.abc import Iterator

import pytest

from plangate.settings import PROJECT

_OF_RUNS = ("plan_approval", "recording", "decision_inbox", "options")
DECIDING = [
    *(PROJECT / "workflows" / f"{name}.py" for name in _OF_RUNS),
    PROJECT / "plangate" / "presentation" / "markdown.py",
    *sorted((PROJECT / "plangate" / "domain").glob("*.py")),
]
FOREIGN = {"os", "io", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time", "uuid"}
CLOCKS = {"now", "utcnow", "today"}


def foreign_to_replay(source: str) -> Iterator[str]:
    """Yield what this source takes from outside, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (one.name for one in names if one.name.partition(".")[0] in FOREIGN)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in FOREIGN:
                yield module
            case ast.Attribute(value=ast.Name(id="workflow"), attr="now"):
                pass
            case ast.Attribute(attr=name) if name in CLOCKS:
                yield ast.unparse(node)
            case ast.Call(func=ast.Name(id="open" | "__import__" | "eval" | "exec" as name)):
                yield name


@pytest.mark.parametrize("path", DECIDING, ids=lambda path: path.stem)
def test_it_takes_nothing_from_outside(path) -> None:
    assert list(foreign_to_replay(path.read_text())) == []


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
def test_it_would_be_found(source: str, found: str) -> None:
    assert list(foreign_to_replay(source)) == [found]
