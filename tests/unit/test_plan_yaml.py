"""A plan written for an editor is parsed back unchanged."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from plangate.cli.plan_tree import compose
from plangate.cli.plan_yaml import yaml_of
from plangate.cli.yaml_reader import yaml_parts
from plangate.domain.plans.plan import ProposedPlan
from tests.support.times import times

TRAPS = (
    *(
        "yes",
        "no",
        "null",
        "~",
        "1e5",
        "010",
        "0x1f",
        "2026-01-01",
        "<<",
        "=",
        "true",
        "1:30",
        "-",
        "?",
        ": ",
    ),
    *("*a", "&a", "!t", "%x", "@", "`", "{}", "[]", "1_000", ".5", "+1", "#", "a #b", "---", "...", "|", ">"),
    *("'", '"', "\\", "\u202e", "\ufeff", "\x85", "\u2028", "\x00", "é", "é", "שלום 7", "🙂", "⟨", "\t"),
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(TRAPS)
WORDS = TEXT | st.lists(TEXT | st.sampled_from(["", " ", "  x", "x  "]), max_size=5).map("\n".join)
PLAIN = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | WORDS
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


def read(text: str) -> Any:
    root, faults = compose(yaml_parts(text))
    assert not faults
    return root.value()


@settings(max_examples=times(100), deadline=None)
@given(WORDS.filter(bool), st.dictionaries(WORDS, VALUES, max_size=4), WORDS, WORDS)
@example(
    "two\n\nlines\n", {"body": "a\n b\n\n", "null": "\n", "": [[], {}, [[1]]]}, "why\n", "a note\nof two"
)
def test_any_plan_is_read_back_unchanged(
    summary: str, arguments: dict[str, Any], reason: str, note: str
) -> None:
    steps = [{"tool": "note", "arguments": arguments, "reason": reason}, {"tool": "null", "arguments": {}}]
    plan = ProposedPlan.model_validate({"summary": summary, "steps": steps})
    text = yaml_of(plan, header=[note, "below a note"], step_notes=[note, ""])
    assert read(text) == plan.model_dump(mode="json")


def test_a_multiline_text_is_written_line_by_line_with_hidden_characters_escaped() -> None:
    arguments = {"body": "Dear Ann,\n\n  it is done.\n", "subject": "yes\u202e", "count": 7}
    plan = ProposedPlan.model_validate(
        {"summary": "Tell Ann", "steps": [{"tool": "send_email", "arguments": arguments}]}
    )
    assert yaml_of(plan, header=["Change it."], step_notes=["Step 1"]).split("\n") == [
        "# Change it.",
        "",
        'summary: "Tell Ann"',
        "steps:",
        "  # Step 1",
        "  - tool: send_email",
        "    arguments:",
        "      body: |",
        "        Dear Ann,",
        "",
        "          it is done.",
        '      subject: "yes\\U0000202E"',
        "      count: 7",
        '    reason: ""',
        "",
    ]
