"""The product has no import cycles, and uses no private names of Temporal's library."""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import grimp
import pytest

from plangate.settings import PROJECT

PACKAGES = ("plangate", "workflows", "activities")
# docs/decisions/0040 explains why there is no public alternative.
OVERRIDDEN = {
    "InlineDataConverter._decode_reference_payload_sequence",
    "InlineDataConverter._external_retrieve_payload_sequence",
}


def cycles(imports: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Return the strongly connected components with more than one module (Tarjan)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for imported in sorted(imports.get(module, ())):
            if imported not in numbers:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], numbers[imported])
        if lowest[module] == numbers[module]:
            members = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(members) > 1:
                found.append(tuple(sorted(members)))

    for module in sorted(imports):
        if module not in numbers:
            visit(module)
    return found


def graph() -> dict[str, set[str]]:
    """Return the imports between modules, including those in functions and under TYPE_CHECKING."""
    built = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: built.find_modules_directly_imported_by(module) for module in built.modules}


def test_no_module_imports_itself_indirectly_even_inside_functions() -> None:
    assert cycles(graph()) == []


def test_a_cycle_hidden_in_a_function_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "circular"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "one.py").write_text("from circular.two import x\n")
    (package / "two.py").write_text("x = 1\ndef later():\n    from circular.one import x\n")
    monkeypatch.syspath_prepend(tmp_path)
    built = grimp.build_graph("circular", cache_dir=None)
    imports = {module: built.find_modules_directly_imported_by(module) for module in built.modules}
    assert cycles(imports) == [("circular.one", "circular.two")]


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        yield from (PROJECT / package).rglob("*.py")
    yield from (PROJECT / "worker.py", PROJECT / "starter.py")


def is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def private_imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "temporalio":
            yield from (f"{node.module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] == "temporalio")
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("temporalio."):
            yield ast.unparse(node)


def test_nothing_private_is_imported_from_temporalio() -> None:
    """SLF001 finds private attributes of objects."""
    found = {name for path in sources() for name in private_imports(ast.parse(path.read_text()))}
    assert {name for name in found if is_private(name)} == set()


def test_only_two_private_methods_of_temporalio_are_overridden() -> None:
    """Both still exist and are called: tests/workflow/test_p7 sends their payloads."""
    overridden = set()
    for module in sorted(graph()):
        source = (PROJECT / f"{module.replace('.', '/')}.py").with_suffix(".py")
        if not source.exists() or "temporalio" not in source.read_text():
            continue
        for owner in vars(importlib.import_module(module)).values():
            if not inspect.isclass(owner) or owner.__module__ != module:
                continue
            theirs = [base for base in owner.__mro__ if base.__module__.split(".")[0] == "temporalio"]
            overridden |= {
                f"{owner.__name__}.{name}"
                for name in vars(owner)
                if is_private(name) and any(inspect.isfunction(vars(base).get(name)) for base in theirs)
            }
    assert overridden == OVERRIDDEN
