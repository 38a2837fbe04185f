"""The page of a held run is clear to an on-call person, in the terminal and in Temporal's Web UI."""

import json
import re
import unicodedata
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from plangate.domain.decisions.decision import Choice, Resolution, Via, read_arrival
from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.requirement import ONE_APPROVAL, Resolvers
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import Attempt, Status, result_of, status_of, with_step_attempt
from plangate.domain.runs.status_consistency import contradiction
from plangate.domain.runs.stops import StopStatus
from plangate.presentation.clock import moment
from plangate.presentation.deciding_page import TemporalAccess, deciding_page
from plangate.presentation.held_page import AT_THE_DEADLINE
from plangate.presentation.lists import held_first, pending_table, stopped_page
from plangate.presentation.markdown import details_page
from plangate.presentation.resolving_page import resolving_page
from plangate.presentation.run_page import outcome_page, run_page
from tests.support.build import HOUR, NOON, RUN
from tests.support.fakes import AUDIENCE
from tests.support.held_runs import (
    FIRST,
    MAIL,
    NEWEST,
    NOTE,
    REFUND,
    WHY,
    edited,
    held,
    held_undo,
    resolved,
    running,
    skipped,
    undoing,
    undone,
)
from tests.support.senders import judge_all, sent
from tests.unit.test_markdown import HOSTILE as HOSTILE_MARKDOWN
from tests.unit.test_run_page import HOSTILE, INTERPRETED, pasted, printed

NOW = NOON + 2 * HOUR
ACCESS = TemporalAccess(("--address", "127.0.0.1:7400"), "default", "http://127.0.0.1:8400")


def status(state: RunState) -> Status:
    return status_of(state, source="workflow")


def terminal(state: RunState, viewer: str = "", *, width: int = 80) -> str:
    shown = status(state)
    return printed(run_page(shown, NOW), width=width) + printed(
        deciding_page(shown, ACCESS, viewer), width=width
    )


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_page_of_a_held_run_shows_what_was_done_and_what_was_not() -> None:
    text = terminal(held())
    top = text[: text.index("  requester ")]
    assert top.startswith("plan-1  held\n")
    for said in (
        "stopped at step 3 of 4, send_email; in doubt: it may or may not have happened",
        f"because {WHY}",
        f"since {moment(NOON + HOUR)}, 1 h ago",
        f"until {moment(NOON + HOUR + timedelta(days=3))}, in 2 days 23 h; then {AT_THE_DEADLINE}",
        "may resolve anyone, but not rita (the requester) or dana (an editor)",
        "✓ done step 1, refund: Refunded 42.50 EUR (re_9) (cannot be undone)",
        "✓ done step 2, create_ticket: OPS-17 (can be undone)",
        f"? in doubt step 3, send_email: {MAIL.preview}. It may or may not have happened.",
        '· not done step 4, note: Note 1 line: "done"',
    ):
        assert said in one_line(top), said


def test_every_choice_describes_its_effect_and_shows_its_command() -> None:
    text = terminal(held())
    bottom = text[text.index("To resolve step 3 of 4, send_email; in doubt") :]
    commands = [
        pasted(command)
        for command in re.findall(r"^ +(python starter.py (?:.*\\\n)*.*)$", bottom, re.MULTILINE)
    ]
    plan = status(held()).short_fingerprint
    options = ["--by", "YOUR-NAME", "--plan", plan, "--step", "3"]
    assert commands == [
        ["python", "starter.py", "resolve", RUN, resolution, *options, *more]
        for resolution, more in (
            ("retry", []),
            ("skip", ["--comment", "YOUR-REASON"]),
            ("mark_done", ["--comment", "YOUR-EVIDENCE"]),
            ("undo", []),
            ("abort", []),
        )
    ]
    assert "Not undone: step 1 (refund), because its tool cannot undo" in one_line(bottom)


@pytest.mark.parametrize("in_doubt", [True, False])
@pytest.mark.parametrize("writer", [terminal, details_page])
def test_every_message_to_copy_resolves_the_run_once_it_is_completed(writer: Any, in_doubt: bool) -> None:
    state = held(in_doubt=in_doubt)
    messages = [json.loads(one) for one in re.findall(r'^ *`?(\{"by".*\})`?$', writer(state), re.MULTILINE)]
    assert [one["resolution"] for one in messages] == list(status(state).held.resolutions)  # type: ignore[union-attr]
    for number, message in enumerate(messages):
        verdicts = []
        for name in ("YOUR-NAME", "erik"):
            one = read_arrival(
                key=str(number), via=Via.SIGNAL, name="resolve", choice=Choice.RESOLVE, received_at=NOW,
                inputs=[message | {"by": name, "comment": "She has the mail"}],
            )  # fmt: skip
            (decided,) = judge_all(state, sent([one]))
            verdicts.append(decided.verdict.accepted)
        assert verdicts == [False, True], message


def test_the_command_for_temporal_sends_that_message() -> None:
    text = terminal(held(), width=100)
    start = text.index("temporal workflow signal")
    words = pasted(text[start : text.index("  or in the Web UI")])
    assert json.loads(words[words.index("--input") + 1])["resolution"] == "retry"
    assert words[words.index("--name") + 1] == "resolve"


@pytest.mark.parametrize(
    ("viewer", "said"),
    [
        ("rita", "You (rita) are the requester, so another person must resolve it."),
        ("Dana", "You (Dana) edited this plan, so another person must resolve it."),
        ("erik", ""),
    ],
)
def test_a_reader_who_may_not_resolve_the_hold_is_told_so(viewer: str, said: str) -> None:
    assert ("another person must" in terminal(held(), viewer).split("To resolve")[1]) == bool(said)
    assert said in terminal(held(), viewer)


def test_the_rules_determine_who_may_resolve_and_require_a_signature() -> None:
    by_rule = ONE_APPROVAL.model_copy(
        update={"resolvers": Resolvers(any_of=(("finance", "ops"),), assurance=Assurance.SIGNED)}
    )
    state = held(requirement=by_rule)
    who = "finance or ops, but not rita (the requester) or dana (an editor), by a signed decision"
    text = terminal(state)
    assert who in one_line(text)
    assert who in details_page(state)
    whole = state.fingerprint or ""
    assert f"--plan {whole} --step 3" in one_line(text.replace("\\\n", ""))
    assert f"sign plan-1 resolve --by YOUR-NAME --plan {whole} --step 3 --resolution retry" in one_line(
        text.replace("\\\n", "")
    )
    assert '{"by"' not in text + details_page(state)
    assert "`python starter.py resolve plan-1 --by YOUR-NAME --step 3 RESOLUTION`" in details_page(state)


def test_a_failed_undo_is_held_at_the_undo() -> None:
    text = one_line(terminal(held_undo()))
    assert "stopped at the undo of step 2 of 4, create_ticket; failed: it had no effect" in text
    assert "✓ done step 2, create_ticket: OPS-17; undo failed: The ticket is locked." in text
    assert "**Stopped at** the undo of step 2 of 4, create_ticket" in details_page(held_undo())


def test_a_run_that_is_undoing_steps_shows_the_current_one() -> None:
    text = one_line(terminal(undoing()))
    assert "the done steps are being undone, the last one first; then the run ends as failed" in text
    assert "… undoing step 2, create_ticket: OPS-17" in text
    page = details_page(undoing(), None, NOW)
    assert "### Undoing: the done steps are being undone, the last one first" in page
    assert "The undo of step 2 of 4 was given to the workers at" in page
    tried = with_step_attempt(status(undoing()), Attempt(attempt=3, last_error="no answer"))
    assert [step.attempt for step in tried.steps] == [None, 3, None, None]


def test_the_page_of_a_failed_run_shows_what_was_undone() -> None:
    text = one_line(terminal(undone()))
    for said in (
        "✓ done step 1, refund",
        "↶ undone step 2, create_ticket: Closed OPS-17",
        "? in doubt step 3",
    ):
        assert said in text
    ended = one_line(printed(outcome_page(status(undone()))))
    assert "step 2 create_ticket: undone: Closed OPS-17" in ended
    assert "step 4 note: not run" in ended
    assert "**undone:** step 2, `create_ticket`: `Closed OPS-17`" in details_page(undone())
    assert result_of(undone()).undone == (2,)


def test_an_undo_without_a_message_keeps_the_result_of_its_step_on_the_page() -> None:
    assert "↶ undone step 2, create_ticket: OPS-17" in one_line(terminal(undone("done")))


def test_an_executed_run_lists_the_skipped_steps() -> None:
    text = terminal(skipped())
    assert text.startswith("plan-1  executed, but step 3 was skipped\n")
    assert "(skipped by erik: I called her)" in one_line(text)
    assert "erik: resolve step 3: skip, accepted: step 3 is skipped" in one_line(text)
    assert "\u2013 **skipped:** step 3, `send_email`" in details_page(skipped())
    assert "resolve step 3: skip, accepted" in details_page(skipped())
    assert result_of(skipped()).skipped == (3,)


def test_a_step_marked_as_done_shows_who_marked_it() -> None:
    text = one_line(terminal(resolved(held(), "mark_done", "It is in her inbox")))
    assert "reason marked as done by erik: It is in her inbox" in text


@pytest.mark.parametrize(
    "state", [edited(), running(), held(), held(in_doubt=False), held_undo(), undoing(), undone(), skipped()]
)
def test_each_status_is_shown_and_can_be_read_as_json(state: RunState) -> None:
    shown = status(state)
    assert contradiction(shown, workflow_id=RUN, namespace=AUDIENCE.namespace) is None
    read = json.loads(shown.model_dump_json())
    assert Status.model_validate(read) == shown
    assert {"held", "steps", "author", "previous"} <= read.keys()
    assert {"preview", "state", "receipt", "undo", "observation"} <= read["steps"][0].keys()
    if shown.held:
        assert {"step", "why", "resolutions"} <= read["held"].keys()


def test_the_holds_deadline_is_the_status_deadline() -> None:
    assert status(held()).deadline == NOON + timedelta(hours=73)


@settings(max_examples=50, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.integers(25, 120))
def test_no_text_of_a_hold_is_hidden_or_interpreted(why: str, text: str, name: str, width: int) -> None:
    steps = (*NEWEST.steps[:2], _hostile_step(text, name))
    state = held(why, plan=Plan(summary=text or "s", steps=steps))
    shown = terminal(state, name, width=width) + printed(run_page(status(state), NOW), terminal=False)
    assert {char for char in shown if unicodedata.category(char) in INTERPRETED} <= {"\n"}
    left = {line for line in shown.splitlines() if line and not line.startswith(" ")}
    assert all(line.startswith(("plan-1  held", "To resolve step 3")) for line in left), left


@settings(max_examples=50, deadline=None)
@given(HOSTILE_MARKDOWN, HOSTILE_MARKDOWN, HOSTILE_MARKDOWN)
def test_no_text_of_a_hold_creates_an_element_of_the_web_page(why: str, text: str, name: str) -> None:
    steps = (*NEWEST.steps[:2], _hostile_step(text, name))
    state = held(why, plan=Plan(summary=text or "s", steps=steps))
    for page in (details_page(state), details_page(resolved(state, "skip", text or "c"))):
        for token in MarkdownIt("gfm-like", {"linkify": False}).parse(page):
            assert token.type in {
                "paragraph_open", "paragraph_close", "heading_open", "heading_close", "inline",
            }  # fmt: skip
            assert {child.type for child in token.children or []} <= {
                "text", "text_special", "softbreak", "code_inline", "em_open", "em_close", "strong_open",
                "strong_close",
            }  # fmt: skip


def _hostile_step(text: str, name: str) -> Step:
    return Step(
        tool=name[:64] or "t",
        arguments={name: text},
        reason=name,
        preview=text,
        observation={"seen": text, name: [text]},
    )


def test_empty_and_long_reasons_are_shown() -> None:
    assert "  because" in terminal(held(""))
    long = "lost " * 800
    assert one_line(terminal(held(long))).count("lost") >= 800
    assert "more characters are not shown here" in details_page(held(long))


def test_the_longest_page_of_a_held_run_fits_into_a_url() -> None:
    for letter, most in (("x", 8_000), ("x ", 9_500), ("東", 12_000)):
        long = (letter * 1_900)[:1_900]
        step = _hostile_step(long, long[:60]).model_copy(update={"tool": "x" * 60})
        steps = (step,) * 30
        state = held(long, plan=Plan(summary=long, steps=(*NEWEST.steps[:2], *steps)))
        assert len(quote(details_page(state))) < most, letter


def test_the_page_of_a_held_run_shows_what_to_start_if_the_server_is_unavailable() -> None:
    text = printed(deciding_page(status(held()), TemporalAccess(is_open=False)))
    assert "Start it, then decide." in text


def test_only_possible_choices_are_offered() -> None:
    shown = status(held()), status(held(in_doubt=False)), status(held_undo())
    offered = [one.held.resolutions for one in shown if one.held]
    assert offered[0] == tuple(Resolution)
    assert set(Resolution) - set(offered[1]) == {Resolution.MARK_DONE}
    assert set(Resolution) - set(offered[2]) == {Resolution.MARK_DONE, Resolution.UNDO}
    assert "mark_done" not in terminal(held(in_doubt=False))


def test_the_last_24_lines_show_a_resolver_what_matters() -> None:
    for state in (held(), held(in_doubt=False), held_undo()):
        page = printed(resolving_page(status(state), NOW))
        last = one_line("\n".join(page.splitlines()[-24:]))
        for said in ("stopped at", "because", "What each choice will do"):
            assert said in last, last
        text = one_line(page)
        assert text.index("What happened") < text.index("stopped at") < text.index("What each choice will do")
        assert "To see all of it: python starter.py status plan-1" in text
    assert one_line(printed(resolving_page(status(held()), NOW))).count(WHY) == 1
    assert "Dear Ana," in printed(resolving_page(status(held()), NOW))  # the held step is shown in full
    assert "What each choice" not in printed(resolving_page(status(held()), NOW, has_choices=False))


def test_the_page_in_review_shows_who_may_not_approve() -> None:
    assert "excluded rita (the requester), dana (an editor)" in one_line(terminal(edited()))
    assert "May not approve: rita (the requester), dana (an editor)." in details_page(edited())


def test_the_web_page_of_a_held_run_shows_the_held_step_first_and_omits_done_steps_first() -> None:
    long = MAIL.model_copy(update={"arguments": {"to": ["a@example.org"], "body": "word " * 60}})
    page = details_page(held(plan=Plan(summary="s", steps=(*NEWEST.steps[:2], long, NEWEST.steps[3]))))
    assert page.index("**Step 3 of 4:**") < page.index("**Step 4 of 4:**")
    assert "**Step 2 of 4:**" not in page.partition("**Step 4 of 4:**")[0]
    tight = long.model_copy(update={"arguments": {"body": "word " * 180}})
    page = details_page(held(plan=Plan(summary="s", steps=(*NEWEST.steps[:2], tight, NEWEST.steps[3]))))
    assert "**Step 3 of 4:**" in page
    assert "The rest of this step is not shown here" in page
    assert "3 of 4 steps are not shown here" in page


def test_a_single_omitted_item_is_in_the_singular() -> None:
    long = REFUND.model_copy(update={"arguments": {str(n): "word " * 190 for n in range(9)}})
    assert "**1 of 2 steps is not shown here" in details_page(edited(Plan(summary="s", steps=(NOTE, long))))


def test_the_list_starts_with_stops_and_held_runs_with_reason_and_age() -> None:
    waiting = held_first([status(edited()), status(held())])
    assert [one.state for one in waiting] == ["held", "in_review"]
    text = one_line(printed(pending_table(waiting, NOW), terminal=False))
    assert f"held at step 3 of 4, 1 h ago: {WHY[:40]}" in text
    assert MAIL.preview[:40] in text, "what is to be resolved, not the first step, which is done"
    assert f"{REFUND.preview} (and 3 more steps)" in text
    stop = StopStatus(
        number=1, tool="send_email", since=NOON, by="dana", is_verified=False, reason="wrong mails",
        released_by=(), still_needed="1 person",
    )  # fmt: skip
    said = one_line(printed(stopped_page([stop], [status(running()), status(edited(FIRST))])))
    assert said.startswith("STOPPED send_email, since")
    assert "Approved, and waiting until a stop is released: plan-1: step 3 of 4, send_email" in said
    assert not stopped_page([], [status(running())]).rows


def test_a_run_that_ended_halfway_offers_to_continue_the_remaining_steps() -> None:
    offered = "python starter.py start --from plan-1"
    for state in (undone(), resolved(held(), "abort")):
        assert offered in terminal(state)
        assert offered in printed(outcome_page(status(state)))
        assert "\n  was to run " in terminal(state)
    for state in (skipped(), held(), edited()):
        assert offered not in terminal(state)


def test_details_for_auditors_are_below_the_main_text() -> None:
    text = terminal(edited())
    assert text.index("\n  fingerprint ") > text.index("Step 4 of 4")
    assert text.index("\n  needs ") < text.index("Step 1 of 4")
