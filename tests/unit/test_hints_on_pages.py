"""Refusals on a page refer to its buttons, not to commands of the command line."""

import ast
from pathlib import Path

import pytest

import plangate
from plangate.web.language import languages
from plangate.web.page_refusals import on_a_page

FOLDER = Path(plangate.__file__).parent
ENGLISH = languages()["en"]
FOR_OPERATORS = ("audit verify", "keys` printed", "keys seal")
"""Commands without a button: operators verify the records, and edit lists of keys."""


def _text(node: ast.AST) -> str:
    """Return the text of a literal, with one word for each inserted value."""
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "filled" for part in parts)
        case _:
            return ""


def said() -> list[str]:
    """Return every text of the rules, records and signatures that contains a command."""
    found = []
    for folder in ("domain", "signing", "records", "client"):
        for path in sorted((FOLDER / folder).rglob("*.py")):
            code = path.read_text(encoding="utf-8")
            if "starter.py" not in code:  # parsing all of it takes 0.3 s in each process that collects tests
                continue
            tree = ast.parse(code)
            inner = {
                part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
            }
            texts = [_text(node) for node in ast.walk(tree) if node not in inner]
            found += [text for text in texts if "starter.py " in text]
    return [text for text in found if not any(one in text for one in FOR_OPERATORS)]


@pytest.mark.parametrize("text", said())
@pytest.mark.parametrize("code", ["en", "de"])
def test_no_refusal_on_a_page_contains_a_command(text: str, code: str) -> None:
    shown = on_a_page(languages()[code], text)
    assert "starter.py" not in shown
    assert "`" not in shown


def test_some_refusals_contain_commands() -> None:
    assert len(said()) >= 5


def test_the_button_has_the_same_label_as_on_the_page() -> None:
    reason = "step 1 has begun; to stop the remaining steps, withdraw the run: starter.py withdraw plan-1"
    german = languages()["de"]
    for language in (ENGLISH, german):
        assert on_a_page(language, reason).endswith(
            f"the run's requester can withdraw it by '{language('deciding.withdraw')}' on its page; "
            "otherwise an operator can stop the tool"
        )


def test_a_text_without_a_command_stays_unchanged() -> None:
    for text in ("approved; the plan can run now", "", r"a \1 of `python starter.py`"):
        assert on_a_page(ENGLISH, text) == text
