"""Text typed in a form comes back unchanged, even after an error in another field."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import FormData

import plangate.web
from plangate.domain.faults import Fault
from plangate.domain.people.people import identify
from plangate.domain.plans.plan import ProposedPlan, ProposedStep, is_same_proposal
from plangate.domain.runs.status import status_of
from plangate.presentation.clock import now
from plangate.web.pages.editing import Editor
from plangate.web.plan_form import FormFaults, form_of, plan_from
from plangate.web.run_view import view_of
from plangate.web.visitors import read_form
from tests.support.build import drafted, state_after
from tests.support.drawn_pages import read_html, render

TEMPLATES: Final = sorted((Path(plangate.web.__file__).parent / "templates").glob("*.html"))
VIEW: Final = view_of(status_of(state_after(drafted()), source="records"), identify(None, "dana", now()))
SCRIPTS: Final = (
    *("Grüße, Köln", "Здравствуйте", "שלום 100", "مرحبا", "送金のお願い", "नमस्ते", "❤️ 👩\u200d💻"),
    *("\ttab\tstop", " ends ", "⟨U+000D⟩", "no\xa0break", ""),
)
LINES: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20) | st.sampled_from(SCRIPTS)
TEXTS: Final = st.lists(LINES, min_size=1, max_size=6).map("\n".join)


def received(fields: Mapping[str, str]) -> FormData:
    """Return a form as the server reads it; a browser sends every line break as CRLF."""
    body = urlencode({name: re.sub("\r\n?|\n", "\r\n", text) for name, text in fields.items()}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return asyncio.run(read_form(Request(scope, receive)))


def sent_by(html: str) -> dict[str, str]:
    """Return the fields that a page sends back if nothing is typed."""
    page = read_html(html)
    inputs = {one.attributes["name"] or "": one.attributes.get("value") or "" for one in page.all("input")}
    areas = {one.attributes["name"] or "": one.text for one in page.all("textarea")}
    return {**inputs, **areas}


def rendered_again(base: ProposedPlan, typed: Mapping[str, str], comment: str = "") -> str:
    """Return the edit page as it is shown again after a mistyped number."""
    with pytest.raises(FormFaults) as refused:
        plan_from(base, typed)
    form = form_of(base, typed, refused.value.faults)
    return render("edit.html", run=VIEW, editor=Editor(form, None, comment, {}), form=form)


@settings(max_examples=60)
@given(TEXTS, TEXTS, TEXTS.filter(bool))
def test_after_an_error_in_one_field_the_other_fields_are_unchanged_byte_for_byte(
    body: str, comment: str, summary: str
) -> None:
    arguments = {"amount": 7, "body": "line 1\nline 2"}
    base = ProposedPlan(summary="A\nB", steps=(ProposedStep(tool="note", arguments=arguments),))
    first = received({"summary": summary, "s1-1": "seven", "s1-2": body, "s1-why": "", "comment": comment})
    typed = {name: str(text) for name, text in first.items()}
    again = sent_by(rendered_again(base, typed, typed["comment"]))
    second = {name: str(text) for name, text in received({**again, "s1-1": "8"}).items()}
    assert second["comment"] == comment
    new = ProposedStep(tool="note", arguments={"amount": 8, "body": body})
    assert is_same_proposal(plan_from(base, second), ProposedPlan(summary=summary, steps=(new,)))


@settings(max_examples=30)
@given(TEXTS)
def test_an_invalid_plan_in_json_is_returned_as_it_was_typed(typed: str) -> None:
    form = form_of(ProposedPlan(summary="A", steps=(ProposedStep(tool="note", arguments={}),)))
    wrong = form.with_faults([Fault((), "is not JSON")])
    html = render("edit.html", run=VIEW, editor=Editor(wrong, typed, "", {}), form=wrong)
    assert received(sent_by(html))["whole"] == typed


@pytest.mark.parametrize("text", ["   ", "\n", "\n\n ", "\t"])
def test_a_text_of_spaces_is_not_null_where_empty_means_null(text: str) -> None:
    schema = {"properties": {"note": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    plan = ProposedPlan(summary="A", steps=(ProposedStep(tool="note", arguments={"note": text}),))
    form = form_of(plan, schemas={"note": schema})
    sent = {field.name: field.text for field in form.steps[0].fields}
    assert is_same_proposal(plan_from(plan, sent, {"note": schema}), plan)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_form_field_makes_hidden_characters_visible_in_its_value(template: Path) -> None:
    html = template.read_text(encoding="utf-8")
    controls = re.findall(r"<(?:input|option|button)\b[^<>]*?\bvalue=\"\{\{(.*?)\}\}\"", html)
    controls += re.findall(r"<textarea\b(?:\{.*?\}|[^>])*>\s*\{\{(.*?)\}\}", html)
    assert [one for one in controls if not one.strip().endswith("|exact")] == []
