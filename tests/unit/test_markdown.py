"""The Web UI page shows all that an approver needs; external text is shown exactly and not interpreted."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from plangate.domain.decisions.decision import Choice, Via, read_arrival
from plangate.domain.escaping import markdown_code, one_line
from plangate.domain.people.people import InvalidApproval
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import ONE_APPROVAL, Need, Requirement
from plangate.domain.runs.audit import Closed, Decided, Outcome, Reopened, StepDone
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import Unrecorded
from plangate.presentation.markdown import details_page, request_page, summary_line
from tests.support.build import NOON, RUN, after, drafted, requested
from tests.support.held_runs import edited
from tests.support.senders import judge_all, sent

HOSTILE = st.text(
    st.sampled_from("\x1b\r\n\t\x00\u202e\u200b\ufeff\u2028\u0301\ufe0f⟨⏎ab<>&;`'\"*_[]()#|!\\~:/@-=+.1 $^é"),
    max_size=60,
)


def in_review(
    arguments: dict[str, Any], *, steps: int = 1, summary: str = "Write", reason: str = ""
) -> RunState:
    step = {"tool": "note", "arguments": arguments, "reason": reason}
    plan = Plan.model_validate({"summary": summary, "steps": (step,) * steps})
    plan_in_review = drafted(plan, deadline=NOON + timedelta(hours=72))
    return after(RunState(workflow_id=RUN), requested(timeout_seconds=60), plan_in_review)


def decided(state: RunState, *comments: str, by: str = "dana", choice: Choice = Choice.APPROVE) -> RunState:
    arrivals = [
        read_arrival(
            key=f"s{number}", via=Via.SIGNAL, name=choice.value, choice=choice, received_at=NOON,
            inputs=[{"by": by, "plan": state.fingerprint, "comment": comment}],
        )
        for number, comment in enumerate(comments)
    ]  # fmt: skip
    return after(state, *judge_all(state, sent(arrivals)))


def code_of(markdown: str) -> list[str]:
    """Return the contents of all code spans, after checking that there is only plain text between them."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    children = tokens[1].children or []
    assert {child.type for child in children} <= {"text", "softbreak", "code_inline", "em_open", "em_close"}
    return [child.content for child in children if child.type == "code_inline"]


@given(HOSTILE)
def test_code_is_shown_exactly_and_not_interpreted(text: str) -> None:
    shown = "".join(code_of(f"x {markdown_code(text)}\n{markdown_code(text)} x")).replace("\u00a0", " ")
    assert shown == "⏎".join(one_line(line) for line in text.split("\n")) * 2


@given(HOSTILE)
def test_no_line_of_code_can_open_a_block(text: str) -> None:
    assert not any(
        line.startswith(("```", "~~~", " ", "\t", "#", ">", "|")) for line in markdown_code(text).split("\n")
    )


@pytest.mark.parametrize("text", ["a  b", " a", "a ", "   "])
def test_spaces_that_a_page_would_drop_are_kept(text: str) -> None:
    (shown,) = code_of(f"x {markdown_code(text)}")
    assert shown.replace("\u00a0", " ") == text
    assert "  " not in shown
    assert shown.strip(" ") == shown


def test_the_page_shows_the_deadline_the_decisions_and_how_to_decide() -> None:
    state = in_review(
        {"text": "one", "count": 7, "urgent": True, "to": ["a", "b"], "more": {}, "none": None, "e": ""}
    )
    page = details_page(state)
    assert "### Waiting for a decision until 2026-01-04 12:00 UTC\n" in page
    assert "Needs 1 approval by anyone but the requester." in page
    assert state.fingerprint
    assert f'{{"by": "YOUR-NAME", "plan": "{state.fingerprint[:12]}"}}' in page
    for line in (
        "`text`: `one`", "`count` (number): `7`", "`urgent` (yes or no): `true`", '`to` (list): `["a", "b"]`',
        "`more` (object): `{}`", "`none` (nothing): `null`", "`e`: *(empty)*",
    ):  # fmt: skip
        assert line in page.split("\n"), line


def test_a_string_of_digits_is_distinguished_from_a_number() -> None:
    assert "`n`: `7`" in details_page(in_review({"n": "7"}))
    assert "`n` (number): `7`" in details_page(in_review({"n": 7}))


LONG = [
    in_review({"text": "x" * 1_001}),
    in_review({"text": ["x" * 500] * 3}),
    in_review({"text": "x" * 500}, steps=20),
    in_review({"text": "x"}, summary="x" * 301),
    in_review({"text": "x"}, reason="x" * 301),
    in_review({str(number): "東" * 900 for number in range(9)}),
]


@pytest.mark.parametrize("state", LONG)
def test_a_truncated_page_explains_where_to_read_the_rest_and_offers_no_approval(
    state: RunState,
) -> None:
    page = details_page(state)
    assert "not shown here" in page
    assert "so this page does not offer to approve it.**" in page
    assert "`python starter.py status plan-1`" in page
    assert "YOUR-NAME" not in page
    assert "Send a Signal" not in page


def test_an_international_host_is_shown_with_its_script() -> None:
    page = details_page(in_review({"to": ["dana@xn--bcher-kva.example"]}))

    assert "*host:* `xn--bcher-kva.example is bücher.example`" in page


def test_a_complete_page_mentions_no_omission() -> None:
    page = details_page(in_review({"text": "x" * 1_000}, summary="x" * 300, reason="x" * 300))
    assert "not shown" not in page
    assert '{"by": "YOUR-NAME", "plan": "' in page


@settings(max_examples=200)
@given(
    st.text("aé東 \u202e\n", max_size=400),
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**53) + 1, 2**53 - 1),
            st.text("aé東 \u202e`\n", max_size=1_500),
        ),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text("ab`", max_size=5), inner, max_size=4)
        ),
        max_leaves=6,
    ),
    st.text("a東", max_size=400),
    st.integers(1, 12),
)
def test_a_page_that_offers_the_decision_shows_the_whole_plan(
    summary: str, value: Any, reason: str, steps: int
) -> None:
    page = details_page(in_review({"value": value}, summary=summary or "s", reason=reason, steps=steps))
    if "YOUR-NAME" in page:
        for text in (
            summary or "s",
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
        ):
            assert markdown_code(text) in page
        assert not reason or page.count(f"*why:* {markdown_code(reason)}") == steps
        assert f"**Step {steps} of {steps}:**" in page
    else:
        assert "`python starter.py status plan-1`" in page


def test_the_longest_page_still_fits_into_a_url() -> None:
    longest = in_review(
        {str(number): "東" * 900 for number in range(9)}, summary="東" * 2000, reason="東" * 2000
    )
    longest = decided(longest, *["東" * 4000] * 60, by="東" * 100, choice=Choice.REQUEST_CHANGES)
    assert len(quote(details_page(longest))) < 12_000
    assert (
        len(quote(details_page(in_review({"text": "long text " * 99}, steps=200, reason="because " * 30))))
        < 8_000
    )
    assert len(quote(request_page("東" * 20_000, "東" * 100))) < 12_000


def test_the_page_shows_the_result_of_each_step_and_the_outcome() -> None:
    state = in_review({"text": "one"}, steps=2)
    running = after(decided(state, ""), StepDone(step=1, receipt=Receipt(summary="noted `one` <b>")))
    page = details_page(running)
    assert "\n\n### Approved, being executed" in page
    assert "**Step 1 of 2:** `note` **done**: ``noted `one` <b>``" in page
    assert "To decide" not in page
    exempt = after(RunState(workflow_id=RUN), requested(), drafted(requirement=Requirement()))
    assert "\n\n### Needs no approval, being executed" in details_page(exempt)
    closed = after(state, Closed(outcome=Outcome.FAILED, reason="<b> it broke"))
    assert "\n\n### Ended: failed\n`<b> it broke`" in details_page(closed)


def test_the_page_shows_what_cannot_be_recorded_since_when_and_why() -> None:
    unrecorded = Unrecorded(decisions=1, outcome=True, cause="The <b>disk</b> is full.", since=NOON)
    page = details_page(in_review({"text": "a"}), unrecorded)
    assert "**Not recorded yet, since 2026-01-01 12:00 UTC: 1 decision and the outcome.**" in page
    assert "`The <b>disk</b> is full.`" in page


def test_the_page_explains_where_the_attempts_of_a_step_are_shown() -> None:
    state = decided(in_review({"text": "a"}, steps=2), "ok")
    page = details_page(state, None, NOON)
    assert "Step 1 of 2 was given to the workers at 2026-01-01 12:00:00 UTC." in page
    assert "or waiting because people have stopped the steps" in page
    assert "*Pending Activities*" in page
    assert "*Pending Activities*" not in details_page(in_review({"text": "a"}), None, NOON)


def test_refused_decisions_are_shown_newest_first_and_older_ones_are_counted() -> None:
    state = in_review({"text": "one"})
    arrivals = [
        read_arrival(
            key=f"s{n}", via=Via.SIGNAL, name="approve", choice=Choice.APPROVE, received_at=NOON, inputs=[n]
        )
        for n in range(7)
    ]
    events = judge_all(state, sent(arrivals))
    page = details_page(after(state, *events))
    assert page.count("2026-01-01 12:00 UTC unknown sender: approve **refused**") == 5
    assert page.endswith("and 2 earlier, all in the audit trail")


def test_a_text_that_may_be_displayed_in_another_order_is_marked() -> None:
    marked = "may be shown in a different order"
    assert marked in details_page(in_review({"text": "100 ש 7"}))
    assert marked in details_page(in_review({"text": ["100", "٣ a"]}))
    assert marked not in details_page(in_review({"text": "שלום", "more": "100 € 7 東"}))


@given(HOSTILE)
def test_summary_and_request_are_not_interpreted(text: str) -> None:
    code_of(f"x {summary_line(text)}")
    asked, _, ours = request_page(text, "rita").rpartition("\n\n")
    code_of(asked)
    assert ours.startswith("The plan is under *Current Details*.")


@given(HOSTILE, HOSTILE)
def test_no_external_text_creates_an_element_of_the_page(text: str, name: str) -> None:
    state = in_review({text: name, "x": {text: [name]}}, summary=text or "x", reason=name)
    state = decided(state, text, by="d", choice=Choice.REQUEST_CHANGES)
    markdown = details_page(state)
    allowed = {
        "text",
        "text_special",
        "softbreak",
        "code_inline",
        "em_open",
        "em_close",
        "strong_open",
        "strong_close",
    }
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(markdown):
        assert token.type in {"paragraph_open", "paragraph_close", "heading_open", "heading_close", "inline"}
        assert {child.type for child in token.children or []} <= allowed
    assert isinstance(state.decisions[0], Decided)


def test_a_reopened_review_shows_the_reason_and_how_to_withdraw_an_approval() -> None:
    two = ONE_APPROVAL.model_copy(update={"needs": (Need(role="anyone", count=2),)})
    state = in_review({"text": "a"})
    assert state.drafted is not None
    drafted = state.drafted.model_copy(update={"requirement": two})
    state = state.model_copy(update={"drafted": drafted})
    state = decided(decided(state, "yes"), "too", by="erik")
    lost = (InvalidApproval(name="erik", reason="erik is no longer active"),)
    again = Reopened(fingerprint=state.fingerprint or "", step=1, lost=lost, reopened_at=NOON, deadline=NOON)
    page = details_page(after(state, again))
    assert (
        "Reopened 2026-01-01 12:00 UTC, when step 1 could not begin, because `erik is no longer active`"
        in page
    )
    assert "`withdraw_approval` withdraws your own approval" in page


def test_a_step_begins_with_its_preview_and_ends_with_its_observation() -> None:
    page = details_page(edited())
    assert (
        "**Step 1 of 4:** `refund`\n*preview:* `Refund 42.50 EUR of payment ch_3Px`\n`payment`: `ch_3Px`\n"
        '`amount`: `42.50`\n*when the plan was drafted:* `{"status": "paid", "refunded": "0.00"}`\n*why:*'
    ) in page
    assert "`ticket` (reference): `the number of step 2`" in page


def test_a_new_revision_shows_what_it_changed_and_who_edited_it() -> None:
    page = details_page(edited())
    assert "revision 2, edited by `dana`:" in page
    start = page.index("**Changed since revision 1, plan `")
    assert page[start : page.index("**Step 1 of 4")].strip().split("\n")[1:] == [
        '`summary`: `"Refund Ana"` → `"Refund Ana, and tell her"`',
        "**step 1:** `changed, formerly step 2: refund`",
        '`amount`: `"4250"` → `"42.50"`',
        "**step 2:** `moved, formerly step 5: create_ticket`",
        "**step 3:** `changed: send_email`",
        "`body`, removed: `we refund 4250 EUR.`",
        "`body`, new: `we refund 42.50 EUR.`",
        '**removed:** `step 4 of revision 1, note: Note 1 line: "x"`',
        "**step 4:** `moved, formerly step 1: note`",
    ]


def test_changes_that_do_not_fit_on_the_page_are_counted() -> None:
    first = Plan(summary="s", steps=tuple(Step(tool="t", arguments={"n": "x" * 99}) for _ in range(30)))
    newest = Plan(summary="s", steps=tuple(Step(tool="t", arguments={"n": n}) for n in range(30)))
    page = details_page(edited(newest, first=first))
    assert "more are not shown here; see all with** `python starter.py status plan-1`" in page
    assert len(quote(page)) < 8_000


@pytest.mark.parametrize("addition", [{"preview": "x" * 1_001}, {"observation": "x" * 1_001}])
def test_a_page_with_a_truncated_observation_offers_no_approval(addition: dict[str, Any]) -> None:
    whole = Step(tool="t", arguments={})
    assert "YOUR-NAME" in details_page(edited(Plan(summary="s", steps=(whole,))))
    page = details_page(edited(Plan(summary="s", steps=(whole.model_copy(update=addition),))))
    assert "YOUR-NAME" not in page
    assert "so this page does not offer to approve it.**" in page
