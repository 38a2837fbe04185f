"""Disagreements in a plan are reported alike in the terminal, in Temporal's Web UI and in the inbox."""

import tomllib
from urllib.parse import quote

from plangate.domain.plans.plan import Plan, Step
from plangate.domain.runs.status import status_of
from plangate.presentation.disagreement_words import NO_AMOUNT, SENTENCES
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.settings import PROJECT
from tests.support.build import approved, drafted, state_after
from tests.unit.test_run_page import NOW, printed

ENGLISH = PROJECT / "plangate" / "web" / "languages" / "en.toml"


def refunding(amount: str, said: str) -> Plan:
    refund = Step(tool="refund", arguments={"amount": amount, "currency": "EUR"})
    mail = Step(tool="send_email", arguments={"to": ["ana@example.org"], "body": said})
    return Plan(summary="Refund it", steps=(refund, mail))


def test_the_inbox_has_the_same_sentences() -> None:
    notes = tomllib.loads(ENGLISH.read_text())["notes"]
    assert {kind: notes[kind.value] for kind in SENTENCES} == SENTENCES
    assert notes["summary_amount_of_nothing"] == NO_AMOUNT


def test_both_pages_show_a_disagreement_at_the_top_during_the_review() -> None:
    state = state_after(drafted(refunding("42.50", "You get 425.00 EUR back.")))
    sentence = "A text in step 2 mentions 425.00 EUR, but the rest of the plan mentions only 42.50 EUR."
    assert details_page(state).startswith(f"**Check:** `{sentence}`")
    page = printed(run_page(status_of(state, "records"), NOW))
    assert " ".join(page.split()).index(sentence) < page.index("requester")

    for quiet in (state_after(drafted(refunding("42.50", "You get 42.50 EUR back."))), approved()):
        assert "Check:" not in details_page(quiet)
        assert "CHECK" not in printed(run_page(status_of(quiet, "records"), NOW))


def test_a_text_cannot_break_out_of_its_place_or_fill_the_page() -> None:
    names = ", ".join(f"a{number}-{'x' * 40}`*#<b>.example.org" for number in range(300))
    plan = refunding("42.50", "You get 42.50 EUR back.").model_copy(
        update={"summary": f"Write to ana@{names} and to https://b\u202e.example.org/\n# Approved"}
    )
    page = details_page(state_after(drafted(plan)))
    assert "\u202e" not in page
    assert "\n# Approved" not in page
    assert len(quote(page.partition("what runs")[0])) < 6_000
