"""The page that says how to add a tool is run as it stands."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from activities.tools import registry as catalogue
from activities.tools.registry import build_tools, declarations
from plangate.domain.drafting import check_plan
from plangate.domain.errors import PlanInvalid
from plangate.settings import PROJECT, Settings
from plangate.tool import DidNotHappen, Happened, arguments_for

PAGE = (PROJECT / "docs" / "howto-add-a-tool.md").read_text()
KEY = "plan-1:3f9a12bc4d5e:1"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tools(monkeypatch) -> Any:
    """The page's file as a module, and its line run in the catalogue's place."""
    file, line = blocks("python")
    module = ModuleType("activities.tools.write_note")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(file, "howto-add-a-tool.md", "exec"), vars(module))
    registered = {**vars(catalogue), "WriteNote": vars(module)["WriteNote"]}
    exec(compile(line, "howto-add-a-tool.md", "exec"), registered)
    return registered["TOOLS"]


def note() -> Any:
    (plan,) = blocks("yaml")
    return yaml.safe_load(plan)


def test_the_pages_tool_is_one_more_than_the_catalogue_has(tools):
    assert set(declarations(tools)) - set(declarations()) == {"write_note"}


def test_the_pages_plan_is_checked_by_the_pages_arguments(tools):
    plan = check_plan(note(), declarations(tools), max_steps=5)
    assert plan.steps[0].tool == "write_note"

    wrong = note()
    wrong["steps"][0]["arguments"] = {"text": "", "to": "everybody"}
    with pytest.raises(PlanInvalid) as caught:
        check_plan(wrong, declarations(tools), max_steps=5)
    assert len(caught.value.faults) == 2


async def test_acting_twice_under_one_key_writes_one_note_and_the_look_up_finds_it(tools, tmp_path: Path):
    plan = check_plan(note(), declarations(tools), max_steps=5)
    tool = build_tools(Settings(var_dir=tmp_path), tools)["write_note"]
    arguments = arguments_for(tool.declaration, plan.steps[0].arguments)
    assert tool.objection(arguments) is None
    assert await tool.find_out(arguments, KEY) == DidNotHappen()

    first = await tool.act(arguments, KEY)
    second = await tool.act(arguments, KEY)

    (path,) = (tmp_path / "notes").iterdir()
    assert path.read_text() == "The invoices of May are paid."
    assert first == second
    assert await tool.find_out(arguments, KEY) == Happened(first)
