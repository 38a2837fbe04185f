"""The page shows everything that will run, and text from outside cannot look like Plangate's own text."""

import re
import shlex
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.escaping import one_line
from plangate.domain.people.people import InvalidApproval
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.plurals import counted
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import Claimed, Closed, Decided, Event, Outcome, Reopened, entry_after
from plangate.domain.runs.fold import fold as fold_run
from plangate.domain.runs.status import Status, UnreadDecision, status_of
from plangate.presentation.clock import moment
from plangate.presentation.console import Console
from plangate.presentation.deciding_page import TemporalAccess, deciding_page
from plangate.presentation.lists import pending_table, tools_page
from plangate.presentation.page import Page, fold
from plangate.presentation.run_page import outcome_page, run_page, waits_for
from plangate.presentation.table import Table
from plangate.presentation.trail_page import trail_page
from plangate.tool.listing import ListedTool
from tests.support.build import chained, drafted, requested
from tests.support.held_runs import FIRST, edited, held, resolved

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ID = "plan-abc"
INTERPRETED = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HOSTILE = st.text(
    st.sampled_from("ab \n\t\r\x1b[]0m\x07\x00\x7f\x9b\u202e\u2066\u200b\u3164\u0301\u2028⟨⟩│┊⏎:/\\\"'{}東"),
    max_size=80,
)


def events(
    arguments: dict[str, Any] | None = None,
    *,
    request: str = "help me",
    summary: str = "a plan",
    why: str = "because",
    requester: str = "rita",
) -> list[Event]:
    plan = Plan(summary=summary, steps=(Step(tool="note", arguments=arguments or {}, reason=why),))
    asked = requested(request=request, requester=requester, requested_at=NOW)
    return [asked, drafted(plan, run=ID, drafted_at=NOW, deadline=NOW + timedelta(hours=2))]


def status_with(arguments: dict[str, Any] | None = None, **more: str) -> Status:
    return status_of(fold_run(ID, events(arguments, **more)), source="workflow")


def printed(shown: Page | Table, *, width: int = 80, terminal: bool = True) -> str:
    screen = StringIO()
    Console(screen, width=width if terminal else None).print(shown)
    return screen.getvalue()


def pasted(command: str) -> list[str]:
    """Return the words that a shell parses from the command; lines that end with a backslash are joined."""
    return shlex.split(command.replace("\\\n", ""))


def test_a_run_is_shown_with_everything_needed_for_a_decision() -> None:
    status = status_with({"text": "hi", "count": 7, "code": "007", "cc": []})
    text = printed(run_page(status, NOW), terminal=False)
    for part in (
        "plan-abc  in review",
        "rita",
        "help me",
        "a plan",
        status.fingerprint or "",
        status.short_fingerprint or "",
        "1 approval by anyone but the requester",
        moment(NOW + timedelta(hours=2)) + ", in 2 h",
        "Step 1 of 1: note",
        "because",
        "Source: the running workflow.",
    ):
        assert part in text
    rows = dict(line.split(maxsplit=1) for line in text.splitlines() if line.startswith("    "))
    assert (rows["text"], rows["count"], rows["code"], rows["cc"]) == ('"hi"', "7", '"007"', "[]")


def test_every_line_of_a_long_text_has_its_margin_bar() -> None:
    body = "Dear customer,\n\nStep 2 of 2: send_email\nyours"
    lines = printed(run_page(status_with({"body": body}), NOW)).splitlines()
    start = next(number for number, line in enumerate(lines) if "body (text of 4 lines)" in line)
    assert [line.strip() for line in lines[start + 1 : start + 5]] == [
        "│ Dear customer,",
        "│",
        "│ Step 2 of 2: send_email",
        "│ yours",
    ]


def test_padding_cannot_push_text_to_the_left_edge() -> None:
    forged = "fine" + " " * 200 + "Step 2 of 2: nothing to see"
    for where in ({"text": forged}, {"text": forged + "\n"}, {forged: 1}):
        lines = printed(run_page(status_with(where, why=forged), NOW)).splitlines()
        assert not any(
            line.lstrip().startswith("Step 2") and len(line) - len(line.lstrip()) < 4 for line in lines
        )


def test_nothing_is_truncated_at_any_length() -> None:
    body = "".join(f"{number} " for number in range(5_000))
    for terminal in (True, False):
        shown = printed(run_page(status_with({"body": body}), NOW), terminal=terminal)
        assert shown.split('"')[1].split() == body.split()


def test_in_a_pipe_lines_are_not_wrapped() -> None:
    body = "x" * 5_000
    text = printed(run_page(status_with({"body": body}), NOW), terminal=False)
    assert f'"{body}"' in text
    assert all(line == line.rstrip() or "│" in line for line in text.splitlines())


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.booleans(), st.integers(25, 120))
def test_no_content_is_hidden_or_interpreted(
    name: str, value: str, text: str, terminal: bool, width: int
) -> None:
    status = status_with({name: value}, request=text, summary=text or "s", why=text)
    shown = printed(run_page(status, NOW), width=width, terminal=terminal)
    assert {char for char in shown if unicodedata.category(char) in INTERPRETED} <= {"\n"}
    assert "\u3164" not in shown


def test_markup_is_shown_as_text() -> None:
    text = "[bold red]x[/] [link=http://evil]y[/link] :skull: [/oops]"
    shown = printed(run_page(status_with({"a": text}, request=text, why=text), NOW), width=200)
    assert shown.count("[link=http://evil]y[/link] :skull: [/oops]") == 3


def test_the_commands_to_decide_are_quoted_for_a_shell() -> None:
    status = status_with().model_copy(update={"workflow_id": "it's; rm -rf"})
    access = TemporalAccess(("--address", "127.0.0.1:7400"), "default", "http://127.0.0.1:8400")
    text = printed(deciding_page(status, access), width=60)
    approving = pasted(text[text.index("python starter.py") : text.index("  or with Temporal's")])
    assert approving[:6] == ["python", "starter.py", "approve", "it's; rm -rf", "--by", "YOUR-NAME"]
    words = pasted(text[text.index("temporal workflow signal") : text.index("  or in the Web UI")])
    assert words == access.signal_words(
        status.workflow_id, "approve", "YOUR-NAME", status.short_fingerprint or ""
    )
    assert "http://127.0.0.1:8400/namespaces/default/workflows/it%27s%3B%20rm%20-rf" in text


def test_a_refused_decision_is_shown_with_its_reason() -> None:
    decision = Decision(decision=Choice.APPROVE, by="rita", plan="0" * 12)
    refused = Decided(
        arrival=Arrival(key="k", via=Via.SIGNAL, name="approve", received_at=NOW, decision=decision),
        verdict=Verdict(accepted=False, reason="rita is the requester"),
    )
    unread = Decided(
        arrival=Arrival(
            key="j", via=Via.SIGNAL, name="aprove", received_at=NOW, fault="no such signal", excerpt="{}"
        ),
        verdict=Verdict(accepted=False, reason="no such signal"),
    )
    closed = Closed(outcome=Outcome.EXPIRED, reason="the deadline passed")
    everything = [*events(), refused, unread, closed]
    status = status_of(fold_run(ID, everything), source="records")
    text = printed(run_page(status, NOW), terminal=False)
    when = moment(NOW, with_seconds=True)
    assert f"✗ {when}  rita: approve 000000000000, refused: rita is the requester" in text
    assert f"✗ {when}  unknown sender: aprove, refused: no such signal" in text
    assert "note: not run" in printed(outcome_page(status), terminal=False)
    trail, before = [], "0" * 64
    for number, event in enumerate(everything, start=1):
        entry = entry_after(
            before, workflow_id=ID, number=number, key=str(number), at=NOW, actor="x\x1b[2J", event=event
        )
        trail.append(entry)
        before = entry.hash
    text = printed(trail_page(trail), terminal=False)
    assert "Audit trail of plan-abc: 5 entries" in text
    assert "closed: expired, the deadline passed" in text
    assert trail[-1].hash in text
    assert "\x1b" not in text


def test_the_list_of_waiting_runs_has_one_line_for_each_in_a_pipe() -> None:
    status = status_with()
    first = status.steps[0].model_copy(update={"preview": "Refund 42.50 EUR \x1b[31m\nto ana"})
    status = status.model_copy(update={"steps": (first, *status.steps[1:])})
    more = len(status.steps) - 1
    text = printed(pending_table([status], NOW), terminal=False)
    (line,) = [line for line in text.splitlines() if line.startswith(ID)]
    assert re.split(r"\s{2,}", line.strip()) == [
        ID,
        "Refund 42.50 EUR ⟨U+001B⟩[31m⏎to ana" + (f" (and {counted(more, 'more step')})" if more else ""),
        "rita",
        status.short_fingerprint,
        "1 approval by anyone but the requester",
        "in 2 h",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_an_id_is_never_truncated_on_a_terminal(width: int) -> None:
    status = status_with().model_copy(update={"workflow_id": "plan-" + "0123456789" * 4})
    shown = printed(pending_table([status], NOW), width=width)
    assert sum(shown.count(digit) for digit in "9") >= 4


def test_tools_are_described_with_their_arguments() -> None:
    class Arguments(ToolArguments):
        to: tuple[str, ...]
        mood: str | None = None

    declared = ToolDeclaration("note", "Write [b]it[/b].", Arguments, RetrySafety.LOOK_UP)
    page = tools_page([ListedTool(declared, "notes.py:3", lacks="NOTES is not set.")])
    text = printed(page, terminal=False)
    assert "Write [b]it[/b]." in text
    assert re.search(r"not offered +NOTES is not set\.\n", text)
    assert re.search(r"from +notes\.py:3\n", text)
    assert re.search(r"to +list of text\n", text)
    assert re.search(r"mood +text or null, optional\n", text)


@given(st.text(max_size=200), st.integers(2, 40))
def test_wrapping_loses_no_text(text: str, width: int) -> None:
    assert "".join(fold(text, width)) == text


def test_wrapping_breaks_at_spaces() -> None:
    assert list(fold("one two three", 8)) == ["one two ", "three"]
    assert list(fold("abcdefghij", 4)) == ["abcd", "efgh", "ij"]
    assert list(fold("東京東京", 5)) == ["東京", "東京"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Z"], exclude_characters="⟨⏎"),
            max_size=30,
        ),
        min_size=1,
        max_size=9,
    ),
    st.integers(20, 100),
)
def test_a_wrapped_command_means_the_same_to_a_shell(words: list[str], width: int) -> None:
    page = Page()
    page.command(shlex.join(words))
    assert pasted(printed(page, width=width)) == shlex.split(one_line(shlex.join(words)))


def test_a_text_to_copy_has_its_own_line_if_it_does_not_fit_next_to_its_label() -> None:
    page = Page()
    page.copied("fingerprint", "0123456789abcdef" * 4)
    assert printed(page, width=80) == f"  fingerprint  {'0123456789abcdef' * 4}\n"
    assert printed(page, width=60) == f"  fingerprint\n  {'0123456789abcdef' * 4}\n"


@pytest.mark.parametrize("is_held", [False, True])
def test_the_inbox_is_listed_first_if_there_is_one(is_held: bool) -> None:
    found = status_of(held(), source="workflow") if is_held else status_with()
    status = found.model_copy(update={"workflow_id": "50% off/ä"})
    inbox = TemporalAccess(inbox_url="https://gate.example.org")
    lines = printed(deciding_page(status, inbox), terminal=False).splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == "In the inbox:")
    assert lines[at + 1].strip() == "https://gate.example.org/runs/50%25%20off%2F%C3%A4"
    assert not any("starter.py" in line for line in lines[:at])
    assert "inbox" not in printed(deciding_page(status, TemporalAccess()), terminal=False)
    assert "inbox" not in printed(deciding_page(status, replace(inbox, is_open=False)), terminal=False)


def test_the_page_addresses_its_reader() -> None:
    status, access = status_with(requester="rita"), TemporalAccess()
    assert waits_for(status, "RITA").endswith("; you are the requester, so another person must approve")
    assert waits_for(status, "dana") == "waits for 1 approval by anyone but the requester"
    approved = status.model_copy(update={"approved_by": ("dana",)})
    assert waits_for(approved, "Dana").endswith("; you have already approved it")
    own = "You (rita) are the requester, so another person must approve."
    assert own in printed(deciding_page(status, access, "rita"), terminal=False)
    assert own not in printed(deciding_page(status, access, "dana"), terminal=False)


def test_unread_decisions_are_shown_before_another_decision_is_requested() -> None:
    sent = UnreadDecision(decision="approve", by="dana", plan="0123456789abcdef" * 4, sent_at=NOW)
    junk = UnreadDecision(decision="a\x1b[2J", sent_at=NOW)
    status = status_with().model_copy(update={"unread": (sent, junk), "unread_not_listed": 3})
    text = printed(run_page(status, NOW), terminal=False) + printed(
        deciding_page(status, TemporalAccess()), terminal=False
    )
    assert "  5 decisions wait for a worker\n" in text
    assert f"? {moment(NOW, with_seconds=True)}  approve plan 0123456789ab, in the name of dana\n" in text
    assert "a⟨U+001B⟩[2J\n    and 3 more\n" in text
    assert text.index("wait for a worker") < text.index(
        "To send another decision\n  Unread decisions may already answer this"
    )


def test_a_text_that_may_be_displayed_in_another_order_is_marked() -> None:
    marked = "may be shown in a different order"
    for text in ("100 ש 7", "to ש\nthe second line"):
        assert marked in printed(run_page(status_with({"text": text}), NOW), width=200)
    assert marked not in printed(
        run_page(status_with({"text": "שלום", "more": "100 € 7 東"}), NOW), width=200
    )


def test_a_plan_is_shown_with_its_rules_and_its_policy() -> None:
    requirement = ONE_APPROVAL.model_copy(
        update={"rules": ("mail", "refund"), "policy_hash": "0123456789ab" * 5}
    )
    status = status_with().model_copy(update={"requirement": requirement})
    assert "  policy       rules: mail, refund; hash 0123456789ab\n" in printed(run_page(status, NOW))


def test_a_reopened_review_shows_the_reason() -> None:
    lost = (InvalidApproval(name="dana", reason="dana is no longer active"),)
    plan = status_with().fingerprint or ""
    again = Reopened(fingerprint=plan, step=1, lost=lost, reopened_at=NOW, deadline=NOW)
    status = status_of(fold_run(ID, [*events(), again]), source="workflow")
    assert "dana is no longer active" in printed(run_page(status, NOW), terminal=False)


def test_the_command_to_resume_a_paused_step_includes_the_program_and_the_server() -> None:
    access = TemporalAccess(
        ("--address", "127.0.0.1:7400", "--namespace", "ours"), program=".venv/bin/temporal"
    )
    assert access.unpause_command("plan 1", "7") == (
        ".venv/bin/temporal activity unpause --workflow-id 'plan 1' --activity-id 7 "
        "--address 127.0.0.1:7400 --namespace ours"
    )


def test_a_step_begins_with_its_preview_and_ends_with_its_observation() -> None:
    text = printed(run_page(status_of(edited(), source="workflow"), NOW))
    first, third = text[text.index("  Step 1 of 4") :], text[text.index("  Step 3 of 4") :]
    assert first.split("\n")[1:7] == [
        "    preview      Refund 42.50 EUR of payment ch_3Px",
        '    payment      "ch_3Px"',
        '    amount       "42.50"',
        "    When the plan was drafted:",
        '      status       "paid"',
        '      refunded     "0.00"',
    ]
    assert "    ticket       the number of step 2\n" in third
    assert "Summary and reasons were written by dana, who edited the plan, and its" in text


def test_a_preview_is_never_truncated_and_stays_next_to_its_label() -> None:
    forged = "Send a mail" + " " * 100 + "to           ['nobody']. " + "x " * 800
    plan = Plan(summary="s", steps=(Step(tool="note", arguments={}, preview=forged),))
    status = status_of(fold_run(ID, [requested(), drafted(plan, run=ID)]), source="workflow")
    lines = printed(run_page(status, NOW)).splitlines()
    assert not any(line.startswith("    to") for line in lines)
    assert "".join("".join(lines).split()).count("x") >= 800


def test_an_argument_that_looks_like_a_reference_is_quoted() -> None:
    odd = {"ticket": "the number of step 2", "field": {"from_step": 2, "field": "number of step 1, not"}}
    text = printed(run_page(status_with(odd), NOW))
    assert '    ticket       "the number of step 2"\n' in text
    assert '    field        {"from_step":2,"field":"number of step 1, not"}\n' in text


def test_a_new_revision_shows_what_it_changed_and_who_edited_it() -> None:
    text = printed(run_page(status_of(edited(), source="workflow"), NOW))
    first = drafted(FIRST).fingerprint[:12]
    assert "  author       dana, who edited the plan; another person must approve it\n" in text
    start = text.index(f"  Changed since revision 1, plan {first}, whose approvals no longer apply:\n")
    assert text[start : text.index("\n\n  Step 1 of 4")].split("\n")[1:] == [
        '    summary      from "Refund Ana"',
        '                 to   "Refund Ana, and tell her"',
        "    step 1       changed, formerly step 2: refund",
        '      amount       from "4250" to "42.50"',
        "    step 2       moved, formerly step 5: create_ticket",
        "    step 3       changed: send_email",
        "      body, 2 lines removed (-) or new (+)",
        "        - │ we refund 4250 EUR.",
        "        + │ we refund 42.50 EUR.",
        '    removed      step 4 of revision 1, note: Note 1 line: "x"',
        "    step 4       moved, formerly step 1: note",
    ]


def test_the_author_of_the_newest_plan_is_not_asked_to_approve_it() -> None:
    status = status_of(edited(), source="workflow")
    assert waits_for(status, "dana").endswith("; you edited this plan, so another person must approve")
    assert "You (dana) edited this plan" in printed(deciding_page(status, TemporalAccess(), "dana"))


def test_a_long_change_is_truncated_visibly() -> None:
    before = Plan(summary="s", steps=(Step(tool="note", arguments={"text": "a\n" * 50, "b": "x" * 900}),))
    after = Plan(summary="s", steps=(Step(tool="note", arguments={"text": "b\n" * 50, "b": "y"}),))
    events: list[Event] = [requested(), drafted(before, run=ID), drafted(after, 2, ID)]
    text = printed(run_page(status_of(fold_run(ID, events), source="workflow"), NOW))
    assert "text, 100 lines removed (-) or new (+)" in text
    assert (text.count("- │ a"), text.count("+ │ b")) == (10, 10)
    assert "and 80 more lines, not shown here" in text
    assert "more characters are not shown here" in text


@settings(max_examples=100, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.integers(25, 120))
def test_changes_are_shown_with_nothing_hidden_or_interpreted(
    old: str, new: str, name: str, width: int
) -> None:
    plans = [
        Plan(summary=one or "s", steps=(Step(tool="t", arguments={name: one}, reason=one, preview=one),))
        for one in (old, new)
    ]
    state = edited(plans[1], first=plans[0])
    trail = chained([requested(), drafted(plans[0]), drafted(plans[1], 2, author=name)])
    shown = printed(run_page(status_of(state, source="workflow"), NOW), width=width)
    shown += printed(trail_page(trail), width=width)
    assert {char for char in shown if unicodedata.category(char) in INTERPRETED} <= {"\n"}
    left = {line for line in shown.splitlines() if line and not line.startswith(" ")}
    assert all(line.startswith(("plan-1  in review", "Audit trail of")) for line in left)


def test_the_trail_shows_previews_changes_and_resolutions() -> None:
    state = resolved(held(), "skip")
    claimed = Claimed(
        step=3, idempotency_key="k", fingerprint=state.fingerprint or "", attempt=1, resolved={"ticket": 17}
    )
    newest = edited().drafted
    assert newest is not None
    trail = chained([requested(), drafted(FIRST), newest, claimed, state.decisions[-1]])
    text = " ".join(printed(trail_page(trail)).split())
    for said in (
        "revision 2, edited by dana, 4 steps",
        "step 1 refund: Refund 42.50 EUR of payment ch_3Px",
        'amount from "4250" to "42.50"',
        "step 3 begins, with ticket = 17 by reference",
        "resolve step 3: skip,",
    ):
        assert said in text, said
