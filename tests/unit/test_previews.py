"""A preview made from a tool's name and arguments is plain English, and hides nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.plans.plan import MAX_PREVIEW, uncanonical
from plangate.domain.plans.previews import default_preview

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"amount": "42.50", "currency": "EUR"}, "amount 42.50, currency EUR"),
        ({"amount": 42.5, "due_date": "2026-05-03"}, "amount 42.5, due date 2026-05-03"),
        ({}, ""),
        ({"note": "", "to": [], "cc": None, "amount": 0, "urgent": False}, "amount 0, urgent no"),
        ({"to": ["ana@example.org"]}, "to ana@example.org"),
        ({"to": ["ana@example.org", "bob@example.org"]}, "to ana@example.org and bob@example.org"),
        ({"of": list(range(1, 13))}, "of 1, 2, 3, 4, 5 and 7 more (12 in all)"),
        ({"subject": 'Your "refund", Ann'}, 'subject "Your \\"refund\\", Ann"'),
        ({"answer": "yes", "is_final": True}, 'answer "yes", is final yes'),
        ({"x": "1, currency USD"}, 'x "1, currency USD"'),
        ({"x": "a\\", "y": "b"}, 'x "a\\\\", y b'),
        ({"body": "line\n" * 40}, f'body "{"line⏎" * 16}…" (200 characters in 40 lines)'),
        ({"to": "a\u202eb"}, 'to "a⟨U+202E⟩b"'),
        ({"line": {"article": "pen", "count": 2}}, "line (article pen, count 2)"),
        ({"lines": [{"a": [1, {"b": {"c": 1}}]}]}, 'lines (a 1 and {"b": {"c": 1}})'),
        ({"number": {"from_step": 2, "field": "ticket_number"}}, "number the ticket number of step 2"),
    ],
)
def test_a_preview_reads_as_plain_english(arguments: dict[str, Any], shown: str) -> None:
    assert default_preview("refund", arguments) == (f"refund: {shown}" if shown else "refund")


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=9), JSON, max_size=3))
def test_a_preview_of_any_value_is_one_line_of_limited_length(arguments: dict[str, Any]) -> None:
    if any(uncanonical(arguments)):
        return
    preview = default_preview("refund", arguments)
    assert preview.isprintable()
    assert len(preview) <= MAX_PREVIEW


@given(st.text(max_size=60), st.text(max_size=60))
def test_two_texts_never_look_the_same(one: str, other: str) -> None:
    if one and other and one != other:
        assert default_preview("t", {"x": one}) != default_preview("t", {"x": other})
