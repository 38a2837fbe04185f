"""The pages of a held run show the whole held step, and mark steps that have not begun."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.people.people import Approver, Identified, PersonRoles, identify
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import status_of
from plangate.domain.times.start_times import Beginning, StartSpan
from plangate.presentation.clock import now
from plangate.presentation.resolutions import resolution_words
from plangate.web.confirmation_page import ConfirmationView
from plangate.web.confirmations import Confirmation
from plangate.web.deciding_view import runs_if_approved
from plangate.web.decision_proof import Way
from plangate.web.html import localized, long_keys
from plangate.web.language import languages
from plangate.web.pages.deciding import not_now
from plangate.web.results import Result, ResultKind
from plangate.web.run_view import RunView, view_of
from plangate.web.visitor_actions import Acts
from tests.support.build import HOUR, NOON, drafted, state_after
from tests.support.drawn_pages import Element, read_html, render, render_run
from tests.support.held_runs import held, held_undo, running, skipped, undoing

ENGLISH = languages()["en"]
KEY = "85afd8f3" * 8
WHY = (
    f"No valid answer came. Ask the operator of shop.example whether the POST with the idempotency-key {KEY} "
    "was carried out: Plangate cannot tell. If it happened, it was between 2026-11-26 22:54:03 "
    "and 22:54:04 UTC."
)


def words(element: Element) -> str:
    return " ".join(element.text.split())


def view(state: RunState) -> RunView:
    return view_of(status_of(state, source="records"), identify(None, "dana", now()))


def resolve_page(shown: RunView) -> str:
    ways = [(one.value, said) for one, said in resolution_words(shown.status).items()]
    return render("resolve.html", run=shown, ways=ways, chosen="", comment="")


def confirmation(
    shown: RunView, choice: Choice, *, language: str = "en", runs_at: datetime | None = None, **parts: object
) -> str:
    """Return the page that asks the user to confirm a decision on the plan in a view."""
    decision = Decision.model_validate(
        {"decision": choice, "by": "dana", "plan": shown.status.fingerprint, **parts}
    )
    kept_parts: Any = {"id": "c", "decision": decision, "made_at": NOON}  # the parts that the page uses
    kept = Confirmation.model_construct(**kept_parts)
    said = resolution_words(shown.status).get(decision.resolution, "") if decision.resolution else ""
    asked = ConfirmationView(
        confirmation=kept, way=Way.NAME, sign="", resolution=said, edit=None, is_checked=True, runs_at=runs_at
    )
    return render("confirm.html", language=language, run=shown, decision=decision, asked=asked)


def pages_of_a_hold(shown: RunView) -> tuple[str, ...]:
    parts: Any = {"step": 3, "hold": 1, "resolution": Resolution.RETRY}
    return resolve_page(shown), confirmation(shown, Choice.RESOLVE, **parts)


def test_a_resolver_sees_only_the_held_step_with_its_preview_and_arguments() -> None:
    shown = view(held(WHY))
    for html in pages_of_a_hold(shown):
        (step,) = read_html(html).all("section", class_="step")
        assert step.attributes["id"] == "step-3"
        assert "Email 1 recipient: ana@example.org" in step.one("p", class_="preview").text
        assert "we refund 42.50 EUR." in step.text
        assert "the number of step 2" in step.text


def test_the_heading_contains_the_tool_of_the_held_step() -> None:
    for html in (render_run(view(held(WHY)).status), *pages_of_a_hold(view(held(WHY)))):
        assert words(read_html(html).one(id="hold")) == "Held at step 3 of 4, send_email"


def test_the_full_key_of_a_reason_is_shown_only_under_evidence() -> None:
    shown = view(held(WHY))
    for html in (render_run(shown.status), *pages_of_a_hold(shown)):
        hold = read_html(html).one("section", class_="hold")
        assert "idempotency-key 85afd8f385af… was carried out" in hold.one("p", class_="fault").text
        assert words(hold.one("details")) == f"Details: the complete key{KEY}"
        outside = html
        for one in read_html(html).all("details"):
            outside = outside.replace(f"<code>{KEY}</code>", "") if KEY in one.text else outside
        assert KEY not in outside


def test_times_in_a_sentence_are_elements_that_a_script_shows_in_the_readers_zone() -> None:
    shown = read_html(localized(ENGLISH, f"<b> {WHY}"))
    first, last = shown.all("time")
    assert [one.attributes["datetime"] for one in (first, last)] == [
        "2026-11-26T22:54:03Z",
        "2026-11-26T22:54:04Z",
    ]
    assert shown.text == f"<b> {WHY}"
    (one,) = read_html(localized(ENGLISH, "It runs at Fri 2026-11-27 23:08 UTC at the earliest")).all("time")
    assert (one.text, one.attributes["datetime"]) == ("Fri 2026-11-27 23:08 UTC", "2026-11-27T23:08:00Z")
    assert read_html(localized(ENGLISH, "2026-02-30 10:00 UTC")).all("time") == []
    assert long_keys(WHY) == [KEY]


def test_times_in_a_german_sentence_are_such_elements_too() -> None:
    german = languages()["de"]
    why = german.said("If it happened, it was between 2026-03-26 22:54:03 and 22:54:04 UTC.")
    assert why == "Ist es geschehen, dann zwischen 26. März 2026 22:54:03 und 22:54:04 UTC."
    shown = read_html(localized(german, why))
    assert shown.text == why
    assert [one.attributes["datetime"] for one in shown.all("time")] == [
        "2026-03-26T22:54:03Z",
        "2026-03-26T22:54:04Z",
    ]
    (one,) = read_html(localized(german, "Frühestens Fr., 27. Nov. 2026 23:08 UTC")).all("time")
    assert (one.text, one.attributes["datetime"]) == ("Fr., 27. Nov. 2026 23:08 UTC", "2026-11-27T23:08:00Z")


@pytest.mark.parametrize("state", [held(), undoing(), held(in_doubt=False)])
def test_steps_of_a_stopped_run_that_did_not_begin_are_labelled(state: RunState) -> None:
    page = read_html(render_run(status_of(state, source="records")))
    last = page.one("section", class_="what").all("li")[-1]
    assert words(last).endswith("not begun")
    assert words(page.all("section", class_="step")[-1].one("h2")).endswith("not begun")


@pytest.mark.parametrize("outcome", ["failed", "rejected", "expired", "withdrawn", "gone"])
def test_no_preview_in_an_ended_run_reads_as_if_it_had_happened(outcome: str) -> None:
    status = status_of(state_after(drafted()), source="records").model_copy(update={"state": outcome})
    for one in read_html(render_run(status)).one("section", class_="what").all("li"):
        assert words(one).endswith("not begun")
    assert "can undo this step once it is done" not in render_run(status)


def test_a_plan_in_review_has_no_such_label() -> None:
    assert "not begun" not in render_run(status_of(state_after(drafted()), source="records"))
    assert "not begun" not in render_run(status_of(skipped(), source="records"))


def test_the_confirmation_of_an_approval_repeats_disagreements() -> None:
    refund = Step(tool="refund", arguments={"amount": 42.5, "currency": "EUR"})
    shown = view(state_after(drafted(Plan(summary="Refund 425.00 EUR", steps=(refund,)))))
    for html in (render_run(shown.status), confirmation(shown, Choice.APPROVE)):
        marks = read_html(html).one("section", class_="marks")
        assert "The summary mentions 425.00 EUR, but the steps have 42.50 EUR." in marks.text
    assert "42.50 EUR." not in confirmation(shown, Choice.REJECT)


def test_the_confirmation_of_an_undo_shows_the_steps_that_are_undone_and_not_the_held_one() -> None:
    parts: Any = {"step": 3, "hold": 1, "resolution": Resolution.UNDO}
    page = read_html(confirmation(view(held(WHY)), Choice.RESOLVE, **parts))
    (undone,) = page.one("ol", class_="undone").all("li")
    assert words(undone) == 'Undo step 2: Create a ticket in OPS: "Broken cup" Receipt: OPS-17'
    assert "we refund 42.50 EUR." not in page.text
    assert "Not undone: step 1 (refund), because its tool cannot undo" in page.text


@pytest.mark.parametrize(
    ("state", "step", "resolution", "act"),
    [
        (held(WHY), 3, "retry", "Try step 3 again"),
        (held(WHY), 3, "skip", "Skip step 3"),
        (held(WHY), 3, "mark_done", "Mark step 3 as done"),
        (held(WHY), 3, "undo", "Undo step 2"),
        (held(WHY), 3, "abort", "End the run"),
        (held_undo(), 2, "skip", "Skip undoing step 2"),
    ],
)
def test_the_button_that_confirms_a_resolution_describes_the_effect(
    state: RunState, step: int, resolution: str, act: str
) -> None:
    html = confirmation(view(state), Choice.RESOLVE, step=step, hold=1, resolution=resolution)
    assert words(read_html(html).one("button", class_="resolve")) == act
    assert words(read_html(html).one("h1")) == f"Confirm: {act}"


def test_the_last_approval_shows_when_the_plan_will_run() -> None:
    shown = view(state_after(drafted()))
    assert "Yours is the last approval: the plan runs immediately." in confirmation(shown, Choice.APPROVE)
    later = words(read_html(confirmation(shown, Choice.APPROVE, runs_at=NOON)))
    assert f"Yours is the last approval: the plan runs from {NOON:%Y-%m-%d %H:%M} UTC" in later


@pytest.mark.parametrize(
    ("beginning", "cooling", "expected"),
    [
        (None, None, None),
        (None, 3600, NOON + HOUR),
        (Beginning(not_before=NOON + 2 * HOUR), 3600, NOON + 2 * HOUR),
        (Beginning(spans=(StartSpan(since=NOON - HOUR, until=NOON + HOUR),)), None, None),
        (Beginning(spans=(StartSpan(since=NOON - HOUR, until=NOON + HOUR),)), 7200, None),  # never
    ],
)
def test_cooling_off_windows_and_the_earliest_start_delay_the_plan(
    beginning: Beginning | None, cooling: int | None, expected: datetime | None
) -> None:
    needs = ONE_APPROVAL.model_copy(update={"cooling_seconds": cooling})
    status = status_of(state_after(drafted(requirement=needs)), source="records")
    assert runs_if_approved(status.model_copy(update={"beginning": beginning}), NOON) == expected


def delegate(*own: str) -> Identified:
    """Return kim, who has her own roles, and decides for frieda as finance."""
    standings = (
        PersonRoles(person="kim", roles=own),
        PersonRoles(person="frieda", roles=("finance", "buyer")),
    )
    return Identified(approver=Approver(name="kim", standings=standings))


def test_a_delegate_sees_for_whom_they_decide() -> None:
    needs = Requirement(needs=(Need(role="finance", count=1),))
    status = status_of(state_after(drafted(requirement=needs)), source="records")
    shown = view_of(status, delegate("anyone"))
    said = "You decide for frieda, who delegated the role finance to you."
    assert said in render("run.html", run=shown, acts=Acts())
    assert said in confirmation(shown, Choice.APPROVE)
    german = confirmation(shown, Choice.APPROVE, language="de")
    assert "Sie entscheiden für frieda, von wem Ihnen die Rolle finance übertragen ist." in german
    assert said not in confirmation(view_of(status, delegate("finance")), Choice.APPROVE)


def test_a_late_withdrawal_of_an_approval_is_reported_as_too_late() -> None:
    state = running()
    late = Decision(decision=Choice.WITHDRAW_APPROVAL, by="erik", plan=state.fingerprint or "")
    assert not_now(view(state), late) == "deciding.too_late"
    waiting = status_of(state_after(drafted()), source="records")
    early = late.model_copy(update={"plan": waiting.fingerprint})
    assert not_now(view_of(waiting, identify(None, "erik", now())), early) == "deciding.not_now"
    assert languages()["en"]("deciding.too_late") == "Too late: the first step has started."


def test_the_result_names_the_resolution_and_shows_a_new_hold() -> None:
    """A retry that fails again holds the run again: 'step 3 is tried again' must not look like the end."""
    shown = view(held(WHY))
    for hold, is_new in ((1, False), (2, True)):
        assert shown.status.held is not None
        held_now = shown.status.held.model_copy(update={"number": hold})
        now_shown = replace(shown, status=shown.status.model_copy(update={"held": held_now}))
        decision = Decision.model_validate(
            {
                "decision": Choice.RESOLVE, "by": "dana", "plan": shown.status.fingerprint,
                "step": 3, "hold": 1, "resolution": Resolution.RETRY,
            }
        )  # fmt: skip
        result = Result(ResultKind.ACCEPTED, "step 3 is tried again")
        more: dict[str, Any] = {"confirmation": None, "name": "resolve", "next_run": None, "replaced": None}
        page = read_html(render("verdict.html", run=now_shown, decision=decision, result=result, **more))
        assert "was: Resolve (retry, step 3)" in words(page)
        assert words(page.one("ol", class_="what")).startswith("Refund 42.50 EUR of payment ch_3Px (done)")
        assert len(page.all("section", class_="hold")) == is_new


def test_the_result_of_an_approval_that_is_not_processed_yet_has_no_states_of_steps() -> None:
    shown = view(state_after(drafted()))
    decision = Decision(decision=Choice.APPROVE, by="dana", plan=shown.status.fingerprint or "")
    more: dict[str, Any] = {"confirmation": None, "name": "approve", "next_run": None, "replaced": None}
    kept = Result(ResultKind.KEPT)
    page = read_html(render("verdict.html", run=shown, decision=decision, result=kept, **more))
    assert [words(one) for one in page.one("ol", class_="what").all("li")] == [
        step.preview for step in shown.steps
    ]
