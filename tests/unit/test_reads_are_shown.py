"""The reads of a planner are on every page, complete and inert, and only a planner can have reads."""

import unicodedata
from datetime import timedelta
from io import StringIO
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from plangate.audit.rules import rule_violations
from plangate.domain.escaping import many_lines, markdown_code, one_line
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.reads import MAX_READ_BYTES, Read, read_of
from plangate.domain.runs.audit import ModelUse
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import status_of
from plangate.presentation.console import Console
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.presentation.trail_page import trail_page
from tests.support.build import NOON, RUN, after, chained, drafted, requested

HOSTILE = st.text(
    st.sampled_from("ab \n\t\r\x1b[]0m\x07\x00\u202e\u2066\u200b\u3164\u0301\u2028⟨⏎`*_#<>&|\"'\\東"),
    max_size=80,
)
INTERPRETED = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def plan_with(*reads: Read) -> Plan:
    return Plan(summary="Say it.", steps=(Step(tool="note", arguments={"text": "x"}),), reads=reads)


def in_review(*reads: Read) -> RunState:
    plan = drafted(plan_with(*reads), deadline=NOON + timedelta(hours=72), planner=ModelUse(model="m"))
    return after(RunState(workflow_id=RUN), requested(timeout_seconds=60), plan)


def read(found: object, **arguments: str) -> Read:
    return read_of("shelf", {**arguments}, found, MAX_READ_BYTES)


@given(st.text("aé東🙂\ud800\n", max_size=4_000), st.integers(-5, 6_000))
def test_no_more_is_stored_than_the_limit(text: str, room: int) -> None:
    kept = read_of("shelf", {}, text, room)
    whole = text.encode("utf-8", "replace")
    assert kept.kept <= max(0, min(room, MAX_READ_BYTES))
    assert whole.startswith(kept.result.encode())
    assert (kept.size, kept.is_cut) == (len(whole), kept.result.encode() != whole)
    assert not kept.is_cut or kept.kept > min(room, MAX_READ_BYTES) - 4


@given(HOSTILE, HOSTILE, st.integers(25, 120))
def test_the_terminal_shows_reads_completely_without_interpreting_them(
    text: str, argument: str, width: int
) -> None:
    status = status_of(in_review(read(text, title=argument)), source="workflow")
    page = run_page(status, NOON)
    for line in many_lines(text).split("\n") if "\n" in text else [one_line(text)]:
        assert any(line in row.text for row in page.rows)
    screen = StringIO()
    Console(screen, width=width).print(page)
    assert {char for char in screen.getvalue() if unicodedata.category(char) in INTERPRETED} <= {"\n"}
    at_edge = [line for line in screen.getvalue().split("\n") if line and not line.startswith(" ")]
    assert len(at_edge) == 1


@given(st.lists(HOSTILE | st.text("東 x", max_size=900), max_size=3), HOSTILE)
def test_the_page_of_the_web_ui_offers_a_decision_only_if_all_reads_are_shown(
    texts: list[str], argument: str
) -> None:
    page = details_page(in_review(*(read(text, title=argument) for text in texts)))
    if "**To decide:**" in page:
        assert all(markdown_code(text) in page for text in texts)
        assert not texts or markdown_code(argument) in page
    else:
        assert "not shown here, because the page is limited" in page
        assert "python starter.py status" in page
    assert len(quote(page)) < 12_000
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(page):
        assert token.type in {"paragraph_open", "paragraph_close", "heading_open", "heading_close", "inline"}
        kinds = {child.type for child in token.children or []}
        assert kinds <= {
            "text", "text_special", "softbreak", "code_inline",
            "em_open", "em_close", "strong_open", "strong_close",
        }  # fmt: skip


def test_the_trail_has_one_line_for_each_read() -> None:
    entries = chained([requested(), drafted(plan_with(read("a\nb\u202e", title="x\ny")))])
    (row,) = [row for row in trail_page(entries).rows if row.margin.strip() == "read 1"]
    assert row.text == 'shelf (title = "x\\ny") returned: a⏎b⟨U+202E⟩'


@pytest.mark.parametrize(("planner", "expected"), [(ModelUse(model="m"), 0), (None, 1)])
def test_only_a_plan_by_a_planner_has_reads(planner: ModelUse | None, expected: int) -> None:
    entries = chained([requested(), drafted(plan_with(read("x")), planner=planner)])
    findings = [one.what for one in rule_violations(RUN, entries)]
    assert findings == ["lists reads that no planner made"] * expected
