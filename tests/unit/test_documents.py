"""The documents mention only what exists (files, targets, commands, settings, terms) and are consistent."""

import ast
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from activities.tools.registry import declarations
from plangate.cli import app
from plangate.domain.decisions.decision import Choice, Via, read_arrival
from plangate.domain.plans.drafting import check_plan
from plangate.settings import PROJECT, Settings, variable_of

DOCUMENTS = sorted(
    [
        *PROJECT.glob("*.md"),
        *(
            path
            for folder in ("bench", "deploy", "docs", "examples")
            for path in (PROJECT / folder).rglob("*.md")
        ),
    ]
)
DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("0*.md"))
STARTED = datetime(2026, 5, 3, tzinfo=UTC)
README = (PROJECT / "README.md").read_text()
QUICKSTART = (PROJECT / "docs" / "quickstart.md").read_text()
SETTINGS = (PROJECT / "docs" / "settings.md").read_text()
GLOSSARY = (PROJECT / "docs" / "glossary.md").read_text()
SOURCES = [
    path
    for folder in ("plangate", "workflows", "activities")
    for path in sorted((PROJECT / folder).rglob("*.py"))
] + [PROJECT / "worker.py", PROJECT / "starter.py"]
# Generated files, placeholders for names that the reader chooses, and files that do not exist here.
NOT_HERE = re.compile(
    r"var/.*|\.venv/.*|\.env|plan\.yaml|too-much\.yaml|conftest\.py|\.\./plangate|(?:test_)?refunds\.py|planners\.py|policy\.toml|people\.toml|records\.db|web(?:-lists)?\.db|outbox/|mcp/|demo/|temporal\.db|00\d\d_what_it_does\.py|uv\.lock"
)


def blocks(text: str) -> list[str]:
    """Return the fenced blocks, including those inside a list."""
    return [match[2] for match in re.finditer(r"^( *)```\w*\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)]


def code(text: str) -> str:
    """Return all code: fenced blocks and text in backticks, one piece per line."""
    fenced = "\n".join(blocks(text))
    rest = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return f"{fenced}\n" + "\n".join(re.findall(r"`([^`\n]+)`", rest))


def named(pattern: str) -> Iterator[tuple[str, re.Match[str]]]:
    for document in DOCUMENTS:
        for match in re.finditer(pattern, code(document.read_text()), re.MULTILINE):
            yield document.name, match


# ---- settings -------------------------------------------------------------------------------------


def shown_default(name: str) -> str:
    match Settings.model_fields[name].get_default(call_default_factory=True):
        case None:
            return "unset"
        case ():
            return "none"
        case Path() as path:
            return f"`{path.relative_to(PROJECT)}` next to the code"
        case value:
            return f"`{value}`"


def test_the_tables_of_settings_match_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \|$", SETTINGS, re.MULTILINE)
    assert rows == [(variable_of(name), shown_default(name)) for name in by_table_order(rows)]
    assert len(rows) == len(Settings.model_fields)


def by_table_order(rows: list[tuple[str, str]]) -> list[str]:
    order = [variable for variable, _ in rows]
    known = {variable_of(name): name for name in Settings.model_fields}
    assert set(order) == set(known)
    return [known[variable] for variable in order]


def test_every_plangate_variable_in_a_document_is_a_setting() -> None:
    known = {variable_of(name) for name in Settings.model_fields}
    test_settings = {"PLANGATE_TEST_TIMES"}
    assert {match[0] for _, match in named(r"\bPLANGATE_[A-Z_]+\b")} <= known | test_settings


# ---- commands --------------------------------------------------------------------------------------


def test_every_make_target_in_a_document_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    typed = {match[1] for _, match in named(r"(?:^|&& )make ([a-z]+)")}
    assert {"demo", "test"} <= typed <= targets


def test_every_command_and_option_in_a_document_exists() -> None:
    commands, groups = dict(app.every_command()), {"policy", "people", "keys", "audit", "notify"}
    seen = set()
    for document, match in named(r"(?:starter\.py|^plangate) ([a-z][a-z-]*)(.*)$"):
        name, rest = match.groups()
        if name in groups:
            word, rest = [*rest.split(maxsplit=1), "", ""][:2]
            name = f"{name} {word}".strip()
        if name == "notify":  # it runs without a subcommand
            continue
        assert name in commands, f"{document}: {match[0]}"
        known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
        typed = {word for word in shlex.split(rest, comments=True) if word.startswith("--")}
        assert typed <= known, f"{document}: {match[0]}"
        seen.add(name)
    assert {"start", "approve", "reject", "request-changes", "status", "pending", "audit verify"} <= seen


def test_the_decisions_to_paste_are_valid() -> None:
    found = list(
        named(r"temporal workflow (signal|update execute) .*?--name (\w+)(?: \\\n)? *--input '(.+?)'")
    )
    assert len(found) >= 2
    for document, match in found:
        kind, name, message = match.groups()
        arrival = read_arrival(
            key="1",
            via=Via.SIGNAL if kind == "signal" else Via.UPDATE,
            name=name,
            choice=Choice(name) if kind == "signal" else None,
            inputs=[json.loads(message)],
            received_at=STARTED,
        )
        assert not arrival.fault, f"{document}: {arrival.fault}"


def test_the_plan_of_the_quickstart_is_valid() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", QUICKSTART, re.MULTILINE | re.DOTALL)
    assert len(check_plan(yaml.safe_load(block), declarations(), max_steps=20).steps) == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_python_examples_in_documents_compile_and_import_existing_names(document: Path) -> None:
    text = document.read_text()
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        compile(block, document.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(ast.parse(block)):
            # A page may show a module that the reader writes, under its file name.
            if isinstance(node, ast.ImportFrom) and node.module and f"`{node.module}.py`" not in text:
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("name", ["README.md", "docs/howto-submit-from-code.md"])
def test_the_plans_that_a_program_submits_are_valid(name: str) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (PROJECT / name).read_text(), re.MULTILINE | re.DOTALL):
        for node in ast.parse(block).body:
            if isinstance(node, ast.Assign) and not any(
                isinstance(part, ast.Await) for part in ast.walk(node)
            ):
                exec(ast.unparse(node), names)
    plan = names.get("plan") or names.get("PLAN")
    assert len(check_plan(plan, declarations(), max_steps=20).steps) == 1


# ---- named files and commands exist ---------------------------------------------------------------


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_every_relative_link_has_a_target(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


def test_every_file_named_in_a_document_exists() -> None:
    pattern = r"^((?:[\w.-]+/)+[\w.-]*|[\w.-]+\.(?:py|md|yml|yaml|toml|lock|sh|db))(?:$|, )"
    for document, match in named(pattern):
        path = match[1]
        assert NOT_HERE.fullmatch(path) or (PROJECT / path).exists(), f"{document}: {path}"


def test_no_two_pages_use_the_same_workflow_id() -> None:
    pattern = r'--id ([\w-]+)|plan=\w+\), "([\w-]+)"\)|^ *id="([\w-]+)"'
    started = [
        next(filter(None, ids))
        for document in DOCUMENTS
        for ids in re.findall(pattern, document.read_text(), re.MULTILINE)
    ]
    assert {"refund-4711", "refund-1", "two"} <= set(started)
    assert [name for name, count in Counter(started).items() if count > 1] == []


def test_every_decision_is_in_the_index() -> None:
    folder = PROJECT / "docs" / "decisions"
    pages = {path.name: path.read_text().splitlines()[0] for path in folder.glob("0*.md")}
    index = dict(
        re.findall(r"^\| \[\d+\]\(([^)]+)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE)
    )
    assert {name: f"# {name[:4]} {title}" for name, title in index.items()} == pages


def terms() -> list[str]:
    return [
        term
        for term in re.findall(r"^\| ([a-z -]+) \|", GLOSSARY, re.MULTILINE)
        if term not in {"term", "---"}
    ]


def test_every_term_of_the_glossary_is_used_by_the_code() -> None:
    assert len(terms()) > 20
    text = "\n".join(path.read_text() for path in SOURCES).lower().replace("_", " ")
    assert [term for term in terms() if not re.search(rf"\b{term}", text)] == []


def test_no_term_of_the_glossary_is_defined_twice() -> None:
    assert [term for term, count in Counter(terms()).items() if count > 1] == []
    meanings = re.findall(r"^\| [a-z -]+ \| (.+) \|$", GLOSSARY, re.MULTILINE)
    assert [
        meaning for meaning, count in Counter(meanings).items() if count > 1 and meaning != "meaning"
    ] == []


def logged(path: Path) -> set[str]:
    """Each action that a source file writes to the log, by its name or by the name of a constant."""
    text = path.read_text()
    constants = dict(re.findall(r'^(_[A-Z]+)\b.* = "(\w+)"$', text, re.MULTILINE))
    words = re.findall(r'(?:\baction=|extra=\{"action": )"?(\w+)"?\s*[,)}]', text)
    return {constants.get(word, word) for word in words} - {
        "store_true",
        "action",
    }  # of argparse and of requests


def test_the_log_actions_in_the_operations_page_are_those_in_the_code() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    table = page[page.index("| `action` | when |") : page.index("## Files under")]
    actions = set(re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:] if row)))
    assert len(actions) > 10
    text = "\n".join(path.read_text() for path in SOURCES)
    assert {action for action in actions if f'"{action}"' not in text} == set()
    assert set().union(*map(logged, SOURCES)) - actions == set()


# ---- format ---------------------------------------------------------------------------------------


def test_the_readme_has_at_most_130_lines() -> None:
    assert len(README.splitlines()) <= 130


def test_the_badges_of_the_readme_match_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    pictures = PROJECT / "docs" / "pictures"
    python = project["requires-python"].removeprefix(">=")
    assert f"<title>python: {python}+</title>" in (pictures / "badge-python.svg").read_text()
    assert f"<title>licence: {project['license']}</title>" in (pictures / "badge-licence.svg").read_text()


def test_no_picture_loads_external_content() -> None:
    for picture in (PROJECT / "docs" / "pictures").glob("*.svg"):
        assert re.findall(r"(?:url\(|href=)[\"']?(?!#)[^)\"'>]+", picture.read_text()) == [], picture.name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_no_line_of_a_document_is_longer_than_120_characters(document: Path) -> None:
    lines = enumerate(document.read_text().splitlines(), start=1)
    assert [number for number, line in lines if len(line) > 120] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(PROJECT)))
def test_documents_avoid_impersonal_subjects(document: Path) -> None:
    impersonal = re.findall(
        r"\b(?:somebody|nobody|anybody|everybody|whoever)\b", document.read_text(), re.IGNORECASE
    )
    assert impersonal == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_record_has_all_sections(page: Path) -> None:
    text = page.read_text()
    status = r"(?:- Status: |\*\*Status\.\*\* )(?:[Aa]ccepted|[Ss]uperseded)"
    assert re.match(rf"# {page.stem[:4]} [A-Z].+\n\n{status}", text)
    assert re.search(r"^(?:- Date: |\*\*Date\.\*\* )20\d\d-\d\d-\d\d$", text, re.MULTILINE)
    parts = re.findall(r"^(?:## |\*\*)(Context|Options|Decision|Consequences)\b", text, re.MULTILINE)
    assert (parts[0], parts[-1]) == ("Context", "Consequences")
    assert "Options" in parts


def test_the_workflow_pins_its_actions_and_runs_the_make_targets() -> None:
    workflow = yaml.safe_load((PROJECT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    uses = [step["uses"] for step in job["steps"] if "uses" in step]
    assert len(uses) == 2
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in uses)
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


# ---- forbidden text --------------------------------------------------------------------------------


def test_no_tracked_file_contains_a_registry_address_or_a_local_path() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    registry = re.compile(r"p[y]pi\.org|pythonhos[t]ed|registry\.npm[j]s|deb\.deb[i]an|index-[u]rl [h]ttp")
    machine = re.compile(r"(?<![\w.])/(?:work|farm|root|home|Users)/\w")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = PROJECT / name
        if not path.is_file():
            continue
        text = path.read_bytes().decode(errors="replace")
        found += [f"{name}: {match[0]}" for match in (*registry.finditer(text), *machine.finditer(text))]
    assert found == []
