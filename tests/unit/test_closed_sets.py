"""Product code matches our enums and events exhaustively, so that mypy reports each missing member."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from plangate.domain.runs.audit import Event

ROOT = Path(__file__).parents[2]
EVENTS = {event.__name__ for event in get_args(get_args(Event)[0])}


@cache
def trees() -> dict[str, ast.Module]:
    """The syntax trees of the code, by path."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text())
        for folder in ("plangate", "activities", "workflows")
        for path in (ROOT / folder).rglob("*.py")
    }


@cache
def enumerations() -> dict[str, set[str]]:
    """The names of our enums, each with the names of its members."""
    return {
        node.name: {
            target.id
            for line in node.body
            if isinstance(line, ast.Assign)
            for target in line.targets
            if isinstance(target, ast.Name)
        }
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id.endswith("Enum") for base in node.bases)
    }


@pytest.fixture(scope="module", autouse=True)
def _trees_are_freed() -> Iterator[None]:
    """Free the trees after the last test: with so many objects, each garbage collection takes a second."""
    yield
    trees.cache_clear()


def open_matches(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each match on an enum or an event for which mypy would not report a new member."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Match) and any(map(_names_a_member, node.cases)):
            *ahead, last = node.cases
            if any(_takes_anything(case) for case in ahead) or not _asserts_never(last):
                yield node.lineno


def partial_tables(tree: ast.Module) -> Iterator[tuple[int, set[str]]]:
    """Yield the line of each table keyed by an enum, with the members that are missing."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        keys = [_member(key) for key in node.keys]
        enums = {key[0] for key in keys if key}
        if len(enums) == 1 and all(keys):
            missing = enumerations()[enums.pop()] - {key[1] for key in keys if key}
            if missing:
                yield node.lineno, missing


def _names_a_member(case: ast.match_case) -> bool:
    return any(
        (isinstance(part, ast.MatchValue) and _member(part.value) is not None)
        or (isinstance(part, ast.MatchClass) and isinstance(part.cls, ast.Name) and part.cls.id in EVENTS)
        for part in ast.walk(case.pattern)
    )


def _member(value: ast.expr | None) -> tuple[str, str] | None:
    if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name):
        return (value.value.id, value.attr) if value.value.id in enumerations() else None
    return None


def _takes_anything(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None


def _asserts_never(case: ast.match_case) -> bool:
    asserts = ast.unparse(case.body[0]).startswith("assert_never(")
    return asserts and _takes_anything(case) and case.guard is None


def test_a_match_on_an_enum_or_an_event_covers_every_member() -> None:
    assert {name: lines for name, tree in trees().items() if (lines := list(open_matches(tree)))} == {}


def test_a_table_keyed_by_an_enum_has_every_member() -> None:
    assert {name: lines for name, tree in trees().items() if (lines := list(partial_tables(tree)))} == {}


@pytest.mark.parametrize(
    "cases",
    [
        "case Phase.DRAFTING: pass\n case _: pass",
        "case Phase.DRAFTING, 1: pass\n case _: pass",
        "case Decided(): pass\n case other: print(other)",
        "case Decided() | None: pass\n case _ if True: pass\n case _: assert_never(x)",
        "case StepDone(): pass",
    ],
)
def test_a_match_without_a_new_member_is_detected(cases: str) -> None:
    assert list(open_matches(ast.parse(f"match x:\n {cases}"))) == [1]


def test_a_table_without_a_member_is_detected() -> None:
    tree = ast.parse("{Choice.APPROVE: 1, Choice.REJECT: 2, Choice.REQUEST_CHANGES: 3}")
    assert list(partial_tables(tree)) == [(1, {"WITHDRAW_APPROVAL", "EDIT", "RESOLVE"})]
