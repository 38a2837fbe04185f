"""The descriptions of each choice for a held run, and of an edit before it is sent."""

import io

import pytest

from plangate.cli.edit_page import edit_page
from plangate.domain.decisions.decision import Resolution
from plangate.domain.plans.plan import Plan, ProposedPlan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import Event, Held, StepDone, StepFailed, StepInDoubt
from plangate.domain.runs.status import Status, status_of
from plangate.presentation.console import Console
from plangate.presentation.resolutions import resolution_words
from tests.support.build import HOUR, NOON, after, approved, arrival, decide, drafted, state_after
from tests.support.screen import Screen

PLAN = Plan(
    summary="Refund 4711",
    steps=(
        Step(tool="refund", arguments={"amount": "42.50 EUR"}, undoable=True),
        Step(tool="send_email", arguments={"body": "Dear Ann,\nwe refund it.\nYours"}),
        Step(tool="openTicket", arguments={"title": "charged twice"}),
        Step(tool="note", arguments={"about": {"from_step": 3, "field": "number"}, "text": "closed"}),
    ),
)


def held(stop: Event) -> Status:
    """A run that is held at step 3, after two done steps."""
    plan = drafted(PLAN)
    begun = decide(state_after(plan), arrival(plan=plan.fingerprint))
    done = (StepDone(step=number, receipt=Receipt(summary="ok")) for number in (1, 2))
    hold = Held(step=3, fingerprint=plan.fingerprint, why="no", held_at=NOON, deadline=NOON + HOUR)
    return status_of(after(begun, *done, stop, hold), source="records")


def test_after_a_failure_each_choice_describes_what_follows() -> None:
    assert resolution_words(held(StepFailed(step=3, reason="no"))) == {
        Resolution.RETRY: "Step 3 (openTicket), which had no effect, is tried again. If that succeeds, "
        "the run continues with step 4 of 4. If not, you are asked again.",
        Resolution.SKIP: "Step 3 (openTicket) is skipped. Then the run continues with step 4 of 4. "
        "Step 4 (note) needs its result and is held. Needs a reason.",
        Resolution.UNDO: "Step 1 (refund) is undone, and the run ends as failed. Not undone: step 2 "
        "(send_email), because its tool cannot undo.",
        Resolution.ABORT: "The run ends as failed. Step 1 (refund) and step 2 (send_email) stay done; "
        "step 3 (openTicket) and step 4 (note) are not done. The done steps can no longer be undone.",
    }


def test_when_in_doubt_retry_and_mark_done_are_statements_by_the_person() -> None:
    words = resolution_words(held(StepInDoubt(step=3, reason="no")))
    assert words[Resolution.RETRY].startswith("You state that step 3 (openTicket) did not happen.")
    assert (
        "the retry repeats it. If that succeeds, the run continues with step 4 of 4"
        in words[Resolution.RETRY]
    )
    assert words[Resolution.RETRY].endswith("If not, you are asked again.")
    assert words[Resolution.MARK_DONE].startswith("You state that step 3 (openTicket) happened.")
    assert words[Resolution.MARK_DONE].endswith("Needs your evidence.")
    assert "step 3 (openTicket), because it is in doubt" in words[Resolution.UNDO]
    assert "step 3 (openTicket) stays in doubt; step 4 (note) is not done." in words[Resolution.ABORT]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (
            "The bank closed the connection. refund cannot look it up; check by hand.",
            "Its tool cannot check whether it happened",
        ),
        (
            "No answer. Plangate cannot tell.",
            "Its tool cannot check whether it happened; if it did, the retry repeats it.",
        ),
        (
            "The bank closed the connection.",
            "Its tool looks it up again; if it is not found, the step is tried again.",
        ),
    ],
)
def test_a_retry_in_doubt_says_whether_the_tool_can_look_up_the_effect(why: str, said: str) -> None:
    stop = StepInDoubt(step=3, reason=why)
    status = held(stop)
    assert status.held is not None
    changed = status.model_copy(update={"held": status.held.model_copy(update={"why": why})})
    assert said in resolution_words(changed)[Resolution.RETRY]


def test_a_retry_of_a_step_with_a_precondition_mentions_that_it_is_checked_again() -> None:
    status = held(StepFailed(step=3, reason="no"))
    steps = [one.model_copy(update={"observation": {"left": "100.00"}}) for one in status.steps]
    words = resolution_words(status.model_copy(update={"steps": tuple(steps)}))[Resolution.RETRY]
    assert "First, its tool checks again what the plan relies on; if that is no longer true, nothing" in words


@pytest.mark.parametrize("preview", ["note: Note 1 line", "Note 1 line", "Note 1 line.", "Note\n1 line"])
def test_the_next_step_is_described_by_its_preview(preview: str) -> None:
    status = held(StepFailed(step=3, reason="no"))
    steps = (*status.steps[:3], status.steps[3].model_copy(update={"preview": preview}))
    status = status.model_copy(update={"steps": steps})
    words = resolution_words(status)[Resolution.SKIP]
    shown = "Note⏎1 line" if "\n" in preview else "Note 1 line"
    assert f"Then the run continues with step 4 of 4: {shown}. Step 4" in words, words
    assert "Note" not in resolution_words(status, is_short=True)[Resolution.SKIP]


def test_a_run_that_is_not_held_has_no_resolutions() -> None:
    assert resolution_words(status_of(approved(), source="records")) == {}


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_an_edit_is_shown_completely_before_it_is_sent_at_any_width(width: int) -> None:
    status = status_of(state_after(drafted(PLAN)), source="records")
    changed = PLAN.steps[1].model_copy(update={"arguments": {"body": "Dear Ann,\nwe do not.\nYours"}})
    first = PLAN.steps[0].model_copy(update={"arguments": {"amount": "1" * 150}})
    steps = [step.proposed().model_dump() for step in (first, changed, PLAN.steps[2])]
    new = ProposedPlan.model_validate({"summary": "Refund \u202e4711", "steps": steps})
    out = io.StringIO()
    console = Console(out, width=width)
    console.print(edit_page(status, new, "dana"))
    written = out.getvalue()
    assert "\u202e" not in written
    screen = Screen(width).feed(written.replace("\n", "\r\n"))
    assert not screen.wrapped
    text = "".join(screen.text.split())
    for part in (
        'was"42.50EUR"',
        "1" * 150,
        "-werefundit.",
        "+wedonot.",
        "Previousstep4:noteremoved",
        "⟨U+202E⟩",
    ):
        assert part in text.replace("┊", "")
    assert "Youbecomeanauthorofthenewplan,soanotherpersonmustapproveit." in text
    assert "openTicketchanged" not in text
