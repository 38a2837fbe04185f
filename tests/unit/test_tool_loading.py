"""Tools from other packages are found through a setting or an entry point, or refused in one sentence."""

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from uuid import uuid4

import pytest

from activities.plan_check import PlanCheck
from activities.tools.registry import all_declarations, build_tools, declarations, listed_tools
from plangate.domain.errors import OperatorError, PlanInvalid, ToolInvalid
from plangate.domain.escaping import one_line
from plangate.presentation.lists import tool_as_json, tools_page
from plangate.settings import Settings
from plangate.tool import loading, tool
from plangate.tool.loading import named_tools

REFUND = '''
from decimal import Decimal
from plangate.tool import tool

@tool
def refund(payment: str, amount: Decimal):
    """Pay back."""
'''
NOTE = """
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import Repeatable

class Nothing(ToolArguments):
    pass

class Note:
    declaration = ToolDeclaration("note_of_others", "Note.", Nothing, RetrySafety.VENDOR_KEY)
    def objection(self, arguments): return None
    async def act(self, arguments, idempotency_key): return Receipt(summary="noted")
    async def find_out(self, arguments, idempotency_key): return Repeatable()

note = Note()
same = note
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Write a module into the working directory; return its name, which no other test uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    made: list[str] = []

    def written(text: str) -> str:
        name = f"tools_{uuid4().hex[:8]}"
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        return name

    yield written
    for name in made:
        sys.modules.pop(name, None)


def names(modules: Sequence[str]) -> list[str]:
    return [found.tool.declaration.name for found in named_tools(modules)]


def test_a_module_in_the_working_directory_provides_its_tools(write) -> None:
    refund, note = write(REFUND), write(NOTE)
    assert names([refund, note]) == ["refund", "note_of_others"]
    assert names([f"{refund}:refund"]) == ["refund"]
    assert [found.origin for found in named_tools([refund, note])] == [f"{refund}.py:5", f"{note}.py"]


def test_a_tool_that_is_loaded_twice_counts_as_one(write, monkeypatch) -> None:
    refund = write(REFUND)
    points = [EntryPoint("refunds", refund, "plangate.tools")]
    monkeypatch.setattr(loading, "entry_points", lambda group: points if group == "plangate.tools" else [])
    settings = Settings(tools=(refund, f"{refund}:refund"))
    sys.path.append(str(Path.cwd()))
    assert list(all_declarations(settings)) == [*declarations(), "refund"]
    assert list(build_tools(settings)) == [*declarations(), "refund"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "x = 1",
            "PLANGATE_TOOLS refers to NAME, which has no tool (NAME.py); decorate a function with @tool",
        ),
        (
            "def f(:",
            "NAME.py:1: PLANGATE_TOOLS refers to NAME, which cannot be imported (SyntaxError: invalid synt",
        ),
        (
            "\nimport stripeee",
            "NAME.py:2: PLANGATE_TOOLS refers to NAME, which cannot be imported (Mod",
        ),
        (
            "raise SystemExit(3)",
            "NAME.py:1: PLANGATE_TOOLS refers to NAME, which cannot be imported (Sys",
        ),
        ("raise OSError('a\\nb\\x1b')", "(OSError: a⏎b⟨U+001B⟩); fix it."),
        (
            REFUND.replace("payment: str", "payment"),
            "NAME.py:5: the tool refund cannot be used: the ",
        ),
        (
            REFUND.replace("@tool", "@tool(retry_safety='look_up')"),
            "NAME.py:5: the tool refund cannot be used: its retry safety needs a look-up",
        ),
        (
            REFUND.replace("refund", "send_email"),
            "Two tools are called send_email (built in; NAME.py:5)",
        ),
        (
            NOTE.replace("def act", "def acted"),
            "the tool note_of_others cannot be used: it does not have objection, act or find_out; add them.",
        ),
    ],
)
def test_an_unusable_module_is_refused_in_one_sentence(write, text: str, said: str) -> None:
    name = write(text)
    with pytest.raises(OperatorError) as refused:
        build_tools(Settings(tools=(name,)))
    assert said.replace("NAME", name) in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_name_that_does_not_exist_is_refused(write) -> None:
    refund = write(REFUND)
    with pytest.raises(ToolInvalid, match=f"there is no such module; put nowhere.py into {Path.cwd()}"):
        named_tools(["nowhere"])
    with pytest.raises(ToolInvalid, match=f"{refund} has no pay; correct the name"):
        named_tools([f"{refund}:pay"])


# ---- missing settings -----------------------------------------------------------------------------


@tool
def charge(amount: int) -> None:
    """Charge."""


@charge.lacks
def missing() -> str:
    return "BANK_URL is not set."


@tool
def broken(amount: int) -> None:
    """Break."""


@broken.lacks
def breaks() -> str:
    raise KeyError("BANK")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (charge, "charge is not set up on this worker: BANK_URL is not set."),
        (broken, "broken is not set up on this worker: the check of its settings failed (KeyError: 'BANK')"),
    ],
)
def test_the_refusal_of_a_plan_states_the_missing_setting_of_its_tool(made, said: str) -> None:
    name = made.declaration.name
    plan = {"summary": "x", "steps": [{"tool": name, "arguments": {"amount": 1}}]}
    with pytest.raises(PlanInvalid) as refused:
        PlanCheck({name: made.from_settings()}, 5).check(plan)
    assert said in str(refused.value)


@tool
def picky(amount: int) -> None:
    """Be picky."""


@picky.objection
def objection(amount: int) -> str | None:
    raise KeyError(f"secret of the vendor: {amount}")


def test_a_plan_whose_tool_cannot_check_it_is_refused_without_the_errors_text() -> None:
    plan = {"summary": "x", "steps": [{"tool": "picky", "arguments": {"amount": 1}}]}
    with pytest.raises(PlanInvalid, match=r"picky could not check this call \(KeyError\)") as refused:
        PlanCheck({"picky": picky.from_settings()}, 5).check(plan)
    assert "secret" not in str(refused.value)


def test_the_list_shows_the_source_and_the_capabilities_of_each_tool(write) -> None:
    name = write(
        REFUND
        + "\n@refund.observe\ndef left(payment): return 1\n@refund.undo\ndef back(payment): ...\n"
        + "@refund.lacks\ndef lacks(): return 'BANK_URL is not set.'\n"
    )
    listed = listed_tools(Settings(tools=(name,)))[-1]
    as_json = tool_as_json(listed)
    expected = {"origin": f"{name}.py:5", "lacks": "BANK_URL is not set.", "undo": True, "precondition": True}
    assert as_json.items() >= expected.items()
    shown = "\n".join(row.margin + row.text for row in tools_page([listed]).rows)
    assert "not offered    BANK_URL is not set." in shown
    assert "precondition   yes" in shown


@tool
def publish(text: str) -> dict[str, str]:
    """Publish a text."""
    return {"text": text}


@tool
def post(text: str) -> None:
    """Publish a text, with its own preview."""


@post.preview
def says(text: str) -> str:
    return f"Publish {text}"


@pytest.mark.parametrize(
    ("made", "shown"),
    [(publish, 'publish: text "a↵\u2039U+202E\u203ab"'), (post, "Publish a↵\u2039U+202E\u203ab")],
)
async def test_a_page_shows_the_marks_of_a_preview_as_they_are(made, shown: str) -> None:
    name = made.from_settings().declaration.name
    check = PlanCheck({name: made.from_settings()}, 5)
    steps = [{"tool": name, "arguments": {"text": "a\n\u202eb"}}]
    preview = (await check.with_previews(check.check({"summary": "x", "steps": steps}))).steps[0].preview
    assert preview == one_line(preview) == shown


async def test_a_page_shows_the_marks_of_a_receipt_as_they_are() -> None:
    one = publish.from_settings()
    receipt = await one.act(one.declaration.arguments.model_validate({"text": "a\nb"}), "key")
    assert receipt.summary == one_line(receipt.summary) == 'text "a↵b"'
