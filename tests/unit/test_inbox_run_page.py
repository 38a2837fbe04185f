"""The page of a run shows its state, its changes, and each decision with the proof of identity."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Key, People, Person, identify
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement
from plangate.domain.runs.audit import ModelUse, StepDone
from plangate.domain.runs.run import RunState
from plangate.domain.runs.settlements import SettlementState, SettlementStatus
from plangate.domain.runs.status import Attempt, DecisionStatus, Status, status_of, with_step_attempt
from plangate.domain.runs.stops import StopStatus
from plangate.notifications.failures import UndeliveredNotice
from plangate.presentation.clock import now, recorded
from plangate.web.language import languages
from plangate.web.run_view import RunContext, view_of
from plangate.web.times import time_left
from plangate.web.visitor_actions import Acts, can_withdraw
from tests.support.build import NOON, after, drafted, state_after
from tests.support.drawn_pages import Element, read_html, render, render_run
from tests.support.held_runs import WHY, edited, held, resolved, running, skipped, undoing
from tests.unit.test_reads_are_shown import in_review, read

NEWLINE = "\n"
LATER = datetime(2999, 1, 1, 12, tzinfo=UTC)
ENGLISH = languages()["en"]


def page_of(state: RunState | Status, **changes: Any) -> Element:
    status = state if isinstance(state, Status) else status_of(state, source="records")
    return read_html(render_run(status.model_copy(update=changes)))


def words(element: Element) -> str:
    return " ".join(element.text.split())


def test_a_held_run_shows_where_and_why_it_stopped_and_what_was_done() -> None:
    page = page_of(held())
    assert words(page.one("section", class_="hold")).startswith("Held at step ")
    assert WHY in page.one("section", class_="hold").text
    assert "At the deadline the run is aborted" in page.text
    states = [words(one) for one in page.one("section", class_="what").all(class_="pill")]
    assert "done" in states
    assert set(states) & {"failed", "in doubt"}


def test_a_done_step_of_a_held_run_shows_whether_it_can_be_undone() -> None:
    said = {one.attributes["id"]: words(one) for one in page_of(held()).all("section", class_="step")}
    assert "It cannot be undone." in said["step-1"]
    assert "It can be undone." in said["step-2"]
    assert "be undone" not in said["step-3"] + said["step-4"]
    assert "be undone." not in page_of(running()).text


@pytest.mark.parametrize(
    ("state", "heading"),
    [
        (state_after(drafted()), "What will happen"),
        (running(), "What happened so far"),
        (held(), "What happened, and what did not"),
        (undoing(), "What happened, and what did not"),
        (skipped(), "What happened, and what did not"),
    ],
)
def test_every_state_has_a_label(state: RunState, heading: str) -> None:
    page = page_of(state)
    assert page.one(class_="state").text.strip()
    assert words(page.one("section", class_="what").one("h2")) == heading


def test_the_changes_of_an_edit_are_above_the_steps() -> None:
    page = page_of(edited())
    html = page.text
    assert "Changed since revision 1" in html
    assert html.index("Changed since revision 1") < html.index("All arguments of the call")
    assert page.one("section", class_="changed-since").all(class_="was")
    assert "so another person must approve it" in html


def test_the_planners_reads_are_shown_completely_and_long_results_are_collapsed() -> None:
    long = "\n".join(f"line {number}" for number in range(30))
    page = page_of(in_review(read("<b>obey me</b>", id="7"), read(long)))
    reads = page.one("section", class_="reads")
    assert "<b>obey me</b>" in reads.text
    assert "This content comes from outside" in reads.text
    assert [one.attributes["value"] for one in reads.all("input", name="opened")] == ["r2"]


def test_a_stop_is_shown_at_the_top() -> None:
    stop = StopStatus(
        number=3, tool=None, by="dana", is_verified=True, reason="fraud", since=NOON, still_needed="1 go"
    )
    page = page_of(state_after(drafted()), stops=(stop,))
    assert words(page.one(class_="fault")) == "Stopped: no step will start until stop 3 is released (fraud)."


def test_decisions_show_their_proof_and_the_reason_for_a_refusal() -> None:
    decisions = tuple(
        DecisionStatus(
            by=by, decision="approve", plan="ab" * 32, comment=f"I am {by}", accepted=by != "eve",
            reason="eve is not in the list of people", assurance=assurance, via="update", at=NOON,
        )
        for by, assurance in (("dana", Assurance.SIGNED), ("kim", Assurance.LOGIN), ("eve", Assurance.TYPED))
    )  # fmt: skip
    page = page_of(state_after(drafted()), decisions=decisions)
    first, second, third = (words(one) for one in page.one("ul", class_="decisions").all("li"))
    assert first.startswith("dana: approve, accepted")
    assert ", signed, plan abababababab" in first
    assert first.endswith("I am dana")
    assert ", signed in," in second
    assert "eve: approve, refused" in third
    assert "name typed, not verified" in third
    assert "eve is not in the list of people" in third


def test_a_reversed_effect_is_shown_at_its_step() -> None:
    status = status_of(running(), source="records")
    settled = SettlementStatus(state=SettlementState.REVERSED, summary="The bank sent it back", until=NOON)
    steps = tuple(
        one.model_copy(
            update={"settlement": settled, "receipt": Receipt(summary="Accepted", details={"id": "7"})}
        )
        for one in status.steps
    )
    region = page_of(status, steps=steps).one("section", class_="step")
    assert "Reversed: The bank sent it back" in words(region)
    assert '"7"' in region.one("div", class_="receipt").text


def test_a_plan_that_no_one_can_approve_is_marked_as_such() -> None:
    people = People(persons=(Person(name="rita", roles=("finance",)),))
    needs = Requirement(needs=(Need(role="finance", count=1),), assurance=Assurance.SIGNED)
    status = status_of(state_after(drafted(requirement=needs)), source="records")
    page = read_html(render_run(status, RunContext(people=people)))
    facts = words(page.one("dl", class_="facts"))
    assert "1 approval by finance, signed. No one on the list of people can give it now." in facts


def test_the_remaining_time_is_given_in_words() -> None:
    for left, said in {
        timedelta(minutes=1): "in 1 min",
        timedelta(hours=30, minutes=5): "in 30 h 5 min",
        timedelta(days=9): "in 9 days",
        timedelta(0): "less than a minute ago",
    }.items():
        page = page_of(state_after(drafted(deadline=now() + left + timedelta(seconds=1 if left else 0))))
        assert f" UTC ({said})" in words(page.one(class_="state"))


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (ONE_APPROVAL.needs, "Rules that require this: small refunds"),
        ((), "Rules that apply; none of them requires an approval: small refunds"),
    ],
)
def test_an_exempting_rule_does_not_appear_to_require_approval(needs: tuple[Need, ...], said: str) -> None:
    requirement = ONE_APPROVAL.model_copy(update={"needs": needs, "rules": ("small refunds",)})
    assert said in words(page_of(state_after(drafted(requirement=requirement))))


@pytest.mark.parametrize(("name", "may"), [("rita", True), ("Rita", True), ("dana", False)])
def test_a_waiting_plan_that_needs_no_approval_shows_who_can_withdraw_it(name: str, may: bool) -> None:
    state = state_after(drafted(requirement=Requirement()))
    status = status_of(state, source="records")
    acts = Acts(begins_at=NOON, can_withdraw=can_withdraw(status, name))
    page = read_html(render_run(status, acts=acts))
    assert ("You can withdraw it below." in words(page)) is may
    assert ("Only its requester can withdraw it." in words(page)) is not may
    assert ("Withdraw" in [words(one) for one in page.all("button")]) is may


def test_hidden_characters_are_escaped_once() -> None:
    plan = Plan(summary="a\u202eb", steps=(Step(tool="note", arguments={}, preview="x\ny"),))
    page = page_of(state_after(drafted(plan, planner=ModelUse(model="m\u200b"))))
    assert "a⟨U+202E⟩b" in page.text
    assert "x⏎y" in page.text
    assert "m⟨U+200B⟩" in page.text


def test_a_mark_in_several_steps_is_shown_once_without_a_step() -> None:
    steps = tuple(
        Step(tool="note", arguments={"text": f"a{NEWLINE * 9}b", "to": to})
        for to in ("dana@xn--exmple-4nf.org", "b")
    )
    page = page_of(state_after(drafted(Plan(summary="Write", steps=steps))))
    host = "Step 1: The host xn--exmple-4nf.org looks like ex\u0430mple.org, but "
    assert [words(one) for one in page.one("section", class_="marks").all("p")] == [
        "A gap of 8 blank lines: continue reading below it.",
        f"{host}its letters are from other alphabets. It is a different host.",
    ]


def test_a_step_that_has_not_started_is_marked_while_others_run() -> None:
    steps = page_of(running()).one("section", class_="what").all("li")
    pills = [words(one.all("span")[-1]) for one in steps]
    assert pills[:3] == ["done", "done", "not begun"]


def test_a_duplicate_in_another_run_is_shown_at_the_top() -> None:
    others = (
        Duplicate(step=1, tool="refund", same=("payment",), workflow_id="refund-4711", its_step=2,
                  state="executed", done=True, at=NOON),
        Duplicate(step=2, tool="note", its_step=1, state="rejected", done=True, at=NOON),
        Duplicate(step=2, tool="note", workflow_id="open", its_step=1, state="in_review", at=NOON),
    )  # fmt: skip
    page = page_of(state_after(drafted()), duplicates=others)
    marks = page.one("section", class_="marks")
    first, second = (words(one) for one in marks.all("p"))
    refused, then_open = (words(one) for one in marks.all("li"))
    at = f"2026-01-01 12:00 UTC ({time_left(ENGLISH, NOON)})"
    assert first == f"Step 1: refund with the same payment is step 2 of refund-4711, executed, {at}."
    maybe = "It was or may have been done there."
    assert second == "Step 2: the same note also occurs:"
    assert refused == f"as step 1 of a run that is not named here, rejected, {at}. {maybe}"
    assert page.one("section", class_="marks").all("a")[0].attributes["href"] == "/runs/refund-4711"
    then = "When this plan was drafted, that run was waiting for a decision."
    assert then_open == f"as step 1 of open. {then}", "it may be in another by now"


def test_a_text_with_a_different_amount_than_the_plan_is_marked_at_the_top() -> None:
    refund = Step(tool="refund_payment", arguments={"payment": "pi_1", "amount": 42.5, "currency": "EUR"})
    body = f"You get 425.00 EUR back.{NEWLINE * 9}The rest stays."
    mail = Step(tool="send_email", arguments={"to": ["ann@example.org"], "subject": "Hi", "body": body})
    shown = Plan(summary="Refund bob@example.org, see user_id", steps=(refund, mail))
    marks = words(page_of(state_after(drafted(shown)), request="").one("section", class_="marks"))
    assert "A text in step 2 mentions 425.00 EUR, but the rest of the plan mentions only 42.50 EUR." in marks
    assert "The summary mentions bob@example.org, which is in no step." in marks
    assert "Step 2: A gap of 8 blank lines: continue reading below it." in marks


@pytest.mark.parametrize(
    ("value", "groups"),
    [
        (999999999999.99, ["999", "999", "999", "999.99"]),
        (1234592.39, ["1", "234", "592.39"]),
        (-12345, ["-12", "345"]),
        ("12345.00", ['"12', '345.00"']),
        (1234, ["1234"]),
        (0.123456, ["0.123456"]),
        ("1234567", ['"1234567"']),  # an id
        ("12345 EUR", None),
    ],
)
def test_a_long_number_has_gaps_that_are_not_part_of_its_text(value: Any, groups: list[str] | None) -> None:
    shown = Plan(summary="s", steps=(Step(tool="pay", arguments={"amount": value}),))
    html = render_run(status_of(state_after(drafted(shown)), source="records"))
    found = re.findall(r"<code>(.*)</code>", html.split('class="values"')[1].split("</dl>")[0])
    assert [unescape(one).split('<span class="gap"></span>') for one in found] == ([groups] if groups else [])
    assert words(read_html(html).one("dl", class_="values").one("dd")) == (
        "".join(groups) if groups else value
    )


def test_a_mark_says_which_amount_is_a_total_and_keeps_quoted_amounts_as_written() -> None:
    """A German page writes Plangate's own amounts in German notation; a text is quoted as it is."""
    steps = [
        Step(tool="refund", arguments={"amount": amount, "currency": "EUR"}) for amount in (1234.5, 2000.0)
    ]
    mail = Step(
        tool="send_email", arguments={"to": ["ann@example.org"], "body": "You get 9,000.00 EUR back."}
    )
    shown = Plan(summary="Refund 3,234.50 EUR", steps=(*steps, mail))
    status = status_of(state_after(drafted(shown)), source="records")
    said = {
        "en": "A text in step 3 mentions 9,000.00 EUR, but the rest of the plan mentions only "
        "1,234.50 EUR, 2,000.00 EUR, 3,234.50 EUR, 3,234.50 EUR in total.",
        "de": "Ein Text von Schritt 3 nennt 9,000.00 EUR; der übrige Plan nennt nur "
        "1.234,50 EUR, 2.000,00 EUR, 3,234.50 EUR, zusammen 3.234,50 EUR.",
    }
    for language, expected in said.items():
        page = read_html(render_run(status, language=language))
        assert expected in words(page.one("section", class_="marks")), language


@pytest.mark.parametrize("language", ["en", "de"])
def test_marks_are_ordered_by_severity(language: str) -> None:
    text = f"p\u0430yp\u0430l{NEWLINE * 9}x"
    step = {"amount": 355.0, "currency": "EUR", "to": ["bo@example.org"], "text": text}
    shown = Plan(summary="Refund 35.50 EUR", steps=(Step(tool="refund", arguments=step),))
    same = Duplicate(step=1, tool="refund", its_step=1, state="rejected", at=NOON)
    status = status_of(state_after(drafted(shown)), source="records")
    status = status.model_copy(
        update={"request": "Refund 35.50 EUR to ida@example.org", "duplicates": (same,)}
    )
    context = RunContext(known=(), familiar=("refund",))
    page = read_html(render_run(status, context=context, language=language))
    marks = [words(one) for one in page.one("section", class_="marks").all("p")]
    expected = {
        "en": ["The summary mentions 35.50 EUR", "The request mentions 35.50 EUR",
               "The request mentions ida@example.org", "Step 1: the same", "Step 1: A gap of",
               "Step 1: Letters that look alike", "New here: "],
        "de": ["Die Zusammenfassung nennt 35.50 EUR", "Der Auftrag nennt 35.50 EUR",
               "Der Auftrag nennt ida@example.org", "Schritt 1: Dasselbe",
               "Schritt 1: Eine Lücke", "Schritt 1: Buchstaben",
               "Neu hier: "],
    }[language]  # fmt: skip
    assert len(marks) == len(expected)
    assert all(mark.startswith(words) for mark, words in zip(marks, expected, strict=True)), marks


@pytest.mark.parametrize(
    ("language", "who", "keyless"),
    [
        ("en", "Who can give it: dana", "gina has no passkey yet."),
        ("de", "Wer sie geben kann: dana", "gina hat noch keinen Passkey."),
    ],
)
def test_a_person_without_a_key_is_not_listed_for_a_signed_approval(
    language: str, who: str, keyless: str
) -> None:
    keys = (Key(id="k", x="x"),)
    persons = (
        Person(name="dana", roles=("finance",), keys=keys),
        Person(name="gina", roles=("finance",)),
        Person(name="old", roles=("finance",), keys=(keys[0].model_copy(update={"valid_until": NOON}),)),
        Person(name="rita", keys=keys),
    )
    context = RunContext(people=People(persons=persons))
    needs = (Need(role="finance", count=1),)
    for assurance in (Assurance.TYPED, Assurance.SIGNED):
        state = state_after(drafted(requirement=Requirement(needs=needs, assurance=assurance)))
        page = words(read_html(render_run(status_of(state, source="records"), context, language=language)))
        is_signed = assurance is Assurance.SIGNED
        assert (f"{who}. {keyless} old " if is_signed else f"{who}, gina, old") in page
        assert (keyless in page) is is_signed


def test_a_recipient_is_not_marked_as_new_while_few_runs_have_used_the_tool() -> None:
    shown = Plan(summary="Mail Bo", steps=(Step(tool="mail", arguments={"to": ["bo@example.org"]}),))
    status = status_of(state_after(drafted(shown)), source="records")
    assert "New here" not in render_run(status, context=RunContext(known=(), familiar=("refund",)))
    assert "New here" in render_run(status, context=RunContext(known=(), familiar=("mail",)))


def test_a_collapsed_section_counts_its_blank_lines() -> None:
    text = f"one{NEWLINE * 4}two{NEWLINE}{NEWLINE.join('abcdef')}"
    page = page_of(state_after(drafted(Plan(summary="x", steps=(Step(tool="n", arguments={"t": text}),)))))
    assert words(page.one("summary")) == "Show all of it: 11 lines, 3 of them blank, 22 characters"
    assert page.all("section", class_="marks") == []


def test_fixed_sentences_are_german_on_a_german_page_and_previews_are_marked_as_english() -> None:
    page = read_html(render_run(status_of(held(), source="records"), language="de"))
    said = page.one("section", class_="hold").one("span", class_="text")
    assert said.one("span", lang="en").text == WHY  # written by a tool
    refused = DecisionStatus(
        decision="approve", by="rita", at=NOON, accepted=False, plan="f" * 12, comment="", via="update",
        reason="rita is the requester; another person must approve",
    )  # fmt: skip
    status = status_of(held(), source="records").model_copy(update={"decisions": (refused,)})
    page = read_html(render_run(status, language="de"))
    assert "rita hat den Vorgang beantragt; eine andere Person muss genehmigen" in page.text
    assert {one.attributes.get("lang") for one in page.all(class_="preview")[0].all("span")} == {"en"}


def test_a_refusal_refers_to_the_button_on_the_page() -> None:
    reason = "step 1 has begun; to stop the remaining steps, withdraw the run: starter.py withdraw plan-1"
    refused = DecisionStatus(
        by="dana", decision="withdraw_approval", plan="ab" * 32, comment="", accepted=False, reason=reason,
        assurance=Assurance.TYPED, via="update", at=NOON,
    )  # fmt: skip
    (said,) = page_of(state_after(drafted()), decisions=(refused,)).one("ul", class_="decisions").all("li")
    assert "the run's requester can withdraw it by 'Withdraw' on its page" in words(said)
    assert "starter.py" not in said.text


def test_the_outcome_of_a_run_mentions_its_skipped_step_once() -> None:
    state = page_of(skipped()).one("p", class_="state")
    assert words(state.one(class_="pill")) == "executed"
    assert words(state).count("step 3 was skipped") == 1


def looked_up_later() -> Status:
    error = "The bank closed the connection. It may still happen, so it will be looked up again later."
    attempt = Attempt(attempt=2, last_error=error, next_try=NOON)
    return with_step_attempt(status_of(running(), source="records"), attempt)


def test_a_step_that_is_retried_in_doubt_is_marked_until_the_retry_has_a_result() -> None:
    status = status_of(running(), source="records")
    steps = [
        one.model_copy(update={"failure": "it is not known"}) if one.number == 3 else one
        for one in status.steps
    ]
    assert steps[2].is_retried_in_doubt
    page = read_html(render_run(status.model_copy(update={"steps": tuple(steps)})))
    assert "result unknown" in words(page.one("section", id="step-3").one("h2"))


@pytest.mark.parametrize(
    ("language", "heading", "mark"),
    [
        ("en", "What happened so far", "result unknown"),
        ("de", "Was bisher geschehen ist", "Ergebnis unbekannt"),
    ],
)
def test_a_step_whose_result_is_looked_up_later_is_marked(language: str, heading: str, mark: str) -> None:
    page = read_html(render_run(looked_up_later(), language=language))
    what = page.one("section", class_="what")
    assert words(what.one("h2")) == heading
    assert words(what.all("li")[2]).endswith(mark)
    assert mark in words(page.one("section", id="step-3").one("h2"))


@pytest.mark.parametrize("language", ["en", "de"])
def test_times_in_warnings_are_in_the_readers_zone(language: str) -> None:
    page = read_html(render_run(looked_up_later(), language=language))
    (at,) = page.one("p", class_="warning").all("time")
    assert at.attributes["datetime"] == f"{NOON:%Y-%m-%dT%H:%M:%S}Z"
    assert "data-local" in at.attributes


def test_a_step_that_a_person_marked_as_done_does_not_look_verified() -> None:
    state = after(resolved(held(), "mark_done"), StepDone(step=4, receipt=Receipt(summary="Noted")))
    page = page_of(state)
    pills = [words(one) for one in page.one("section", class_="what").all(class_="pill")]
    assert pills == ["done", "done", "marked as done", "done"]
    said = page.one("section", id="step-3")
    assert "marked as done by erik: I called her" in said.one("p", class_="note").text
    assert said.all("p", class_="fault") == []


def test_an_approver_of_a_waiting_plan_sees_until_when_they_can_withdraw() -> None:
    status = status_of(state_after(drafted()), source="records").model_copy(update={"state": "executing"})
    view = replace(view_of(status, identify(None, "dana", now())), offers=("withdraw_approval",))
    page = read_html(render("run.html", run=view, acts=Acts(cooling_until=LATER)))
    warning = page.one("p", class_="warning")
    assert words(warning).startswith(
        "Approved. You can withdraw your approval until 2999-01-01 12:00 UTC (in"
    )
    assert "data-local" in warning.one("time").attributes
    assert (
        warning.one(class_="span").one("span").attributes["data-minutes"] == "{minutes} min {seconds} s left"
    )
    assert [words(one) for one in page.all("button") if one.attributes.get("form") == "decide"] == [
        "Withdraw approval"
    ]
    assert page.all("div", class_="bar") == []
    assert page.all("textarea") == []


def test_the_end_of_an_hourly_limit_is_in_the_readers_zone() -> None:
    notice = UndeliveredNotice(
        person="dana", run="plan-1", kind="decide", address="dana@example.org", state="waiting",
        reason="held back by the hourly limit", attempts=0, held_until=NOON,
    )  # fmt: skip
    status = status_of(running(), source="records")
    page = read_html(render_run(status, RunContext(undelivered=(notice.words(recorded),))))
    (at,) = page.one("p", class_="warning").all("time")
    assert at.attributes["datetime"] == f"{NOON:%Y-%m-%dT%H:%M:%S}Z"
