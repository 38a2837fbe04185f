"""A value is shown completely, in the most readable form, without ambiguity."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from plangate.web.values import Form, Note, values_of

TEXT = st.text(st.characters(), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def only(value: Any, known: frozenset[str] | None = None, name: str = "value") -> Any:
    (found,) = values_of("s1-", {name: value}, known)
    return found


@pytest.mark.parametrize(
    ("value", "form", "items"),
    [
        ("kim@example.org", Form.TEXT, ("kim@example.org",)),
        ("two\nlines", Form.BLOCK, ("two\nlines",)),
        (["a", "b"], Form.LIST, ("a", "b")),
        ([], Form.NONE, ("",)),
        ({}, Form.NONE, ("",)),
        (None, Form.NONE, ("",)),
        ("", Form.JSON, ('""',)),
        ("007", Form.JSON, ('"007"',)),
        (7, Form.JSON, ("7",)),
        ("7", Form.JSON, ('"7"',)),
        ("true", Form.JSON, ('"true"',)),
        (True, Form.JSON, ("true",)),
        (" blank", Form.JSON, ('" blank"',)),
        ([1, 2], Form.JSON, ("[1, 2]",)),
        (["1", " a"], Form.LIST, ('"1"', '" a"')),
        ({"from_step": 1, "field": "number"}, Form.JSON, ("the number of step 1",)),
    ],
)
def test_a_value_has_a_readable_form(value: Any, form: Form, items: tuple[str, ...]) -> None:
    shown = only(value)
    assert (shown.form, shown.items) == (form, items)


@given(JSON)
def test_two_values_that_look_alike_are_equal(value: Any) -> None:
    for shown in values_of("", {"value": value}):
        match shown.form:
            case Form.TEXT:
                with pytest.raises(ValueError, match=r".*"):
                    json.loads(shown.text)
            case Form.JSON if not shown.text.startswith("the "):
                json.loads(shown.text)
            case _:
                pass


def test_a_long_text_is_a_collapsed_section_that_states_its_length() -> None:
    shown = only("\n".join(f"line {number}" for number in range(30)))
    assert shown.fold == "s1-1"
    assert (shown.lines, shown.characters) == (30, 229)
    assert only("short").fold == ""
    assert only("x" * 401).fold
    assert only([f"{number}@example.org" for number in range(20)]).fold


def test_every_collapsed_section_of_a_step_has_a_unique_name() -> None:
    long = "x" * 500
    folds = [one.fold for one in values_of("s1-", {"a": {"b": long, "c": [long, {"d": long}]}, "e": long})]
    assert len(set(folds)) == 4


def test_a_new_recipient_is_marked() -> None:
    to = ["kim@example.org", "Eve@example.net"]
    assert only(to, frozenset({"kim@example.org"}), "to").notes == (Note("new", "eve@example.net"),)
    assert only("https://API.example.org:8080/x", frozenset(), "url").notes == (
        Note("new", "api.example.org:8080"),
    )
    assert only(to, None, "to").notes == ()
    assert only("Eve", frozenset(), "subject").notes == ()


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (42.5, "EUR", "42.50"),
        (189.0, "eur", "189.00"),
        (189, "EUR", "189"),  # it may be in cents; only its tool knows
        (42.125, "EUR", "42.125"),
        (1e300, "EUR", None),
        (42.5, "JPY", "42.5"),
        (42.5, "Ann", "42.5"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_currency(
    value: float, currency: str, expected: str | None
) -> None:
    flat: dict[str, JsonValue] = {"amount": value, "currency": currency}
    nested: dict[str, JsonValue] = {"body": flat}
    for values in (flat, nested):
        shown = values_of("s1-", values)[0]
        assert json.loads(shown.text) == value
        assert expected in (None, shown.text)


def test_a_trailing_line_break_adds_no_line() -> None:
    assert [only(text).lines for text in ("a\nb", "a\nb\n", "a\nb\n\n")] == [2, 2, 3]
