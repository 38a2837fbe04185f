"""Every page of a run shows the valid approvals, when they expire, and which are missing."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from plangate.cli.following import waiting_words
from plangate.domain.decisions.decision import Choice, Via, read_arrival
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, InvalidApproval, PersonRoles
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Decided, Drafted, Reopened, Requested
from plangate.domain.runs.run import Approval, RunState
from plangate.domain.runs.status import status_of
from plangate.domain.runs.valid_approvals import counts_until
from plangate.presentation.lists import pending_table
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from tests.support import build
from tests.support.build import after
from tests.support.senders import judge_all, sent
from tests.unit.test_run_page import printed

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
TWO = Requirement(needs=(Need(role="anyone", count=2),))
THREE = Requirement(needs=(Need(role="anyone", count=3),))


def drafted(revision: int, requirement: Requirement, summary: str = "Write") -> Drafted:
    plan = Plan(summary=summary, steps=(Step(tool="note", arguments={"n": revision}),))
    deadline = NOON + timedelta(hours=72)
    return build.drafted(plan, revision, requirement=requirement, drafted_at=NOON, deadline=deadline)


def in_review(requirement: Requirement) -> RunState:
    requested = build.requested(timeout_seconds=60, requested_at=NOON)
    return after(RunState(workflow_id=build.RUN), requested, drafted(1, requirement))


def decided(
    state: RunState,
    by: str,
    choice: Choice = Choice.APPROVE,
    *,
    minute: int,
    comment: str = "",
    key: str = "",
) -> RunState:
    arrival = read_arrival(
        key=key or f"s{minute}{by}", via=Via.SIGNAL, name=choice.value, choice=choice,
        received_at=NOON + timedelta(minutes=minute),
        inputs=[{"by": by, "plan": state.fingerprint, "comment": comment}],
    )  # fmt: skip
    return after(state, *judge_all(state, sent([arrival])))


def reopened(state: RunState, *names: str, minute: int) -> RunState:
    lost = tuple(InvalidApproval(name=name, reason=f"{name} is no longer active") for name in names)
    return after(
        state,
        Reopened(
            fingerprint=state.fingerprint or "", step=1, lost=lost,
            reopened_at=NOON + timedelta(minutes=minute), deadline=NOON + timedelta(hours=99),
        ),
    )  # fmt: skip


def shown(state: RunState) -> tuple[str, str]:
    """Return the page in the terminal, and the page in the Web UI."""
    status = status_of(state, source="workflow")
    return printed(run_page(status, NOON), terminal=False), details_page(state)


def test_a_lost_approval_has_no_tick() -> None:
    state = decided(decided(in_review(TWO), "fred", minute=1), "gina", minute=2)
    terminal, page = shown(reopened(state, "fred", minute=3))

    fred, gina = [line for line in terminal.splitlines() if ": approve" in line]
    assert "✗" in fred
    assert "no longer valid (fred is no longer active)" in fred
    assert "✓" in gina
    assert "`fred` (not verified): approve **no longer valid**: `fred is no longer active`" in page
    assert "12:02 UTC `gina` (not verified): approve accepted" in page
    reopening = next(line for line in terminal.splitlines() if "the review was reopened" in line)
    assert terminal.index(gina) < terminal.index(reopening)
    assert "  reopened     26 Nov" in terminal
    assert "because fred is no longer active" in terminal
    assert "Reopened 2026-11-26 12:03 UTC" in page


def test_a_withdrawn_approval_has_no_tick_but_a_later_approval_does() -> None:
    state = decided(in_review(TWO), "fred", minute=1)
    state = decided(state, "fred", Choice.WITHDRAW_APPROVAL, minute=2)
    state = decided(state, "fred", minute=3)

    first, _, again = status_of(state, source="workflow").decisions

    assert (first.void, again.void) == ("it was withdrawn", "")


def test_an_approval_withdrawn_before_its_plan_was_replaced_is_still_shown_as_withdrawn() -> None:
    state = decided(in_review(TWO), "fred", minute=1)
    state = decided(state, "fred", Choice.WITHDRAW_APPROVAL, minute=2)
    state = decided(state, "gina", minute=3)
    state = decided(state, "hugo", Choice.REQUEST_CHANGES, minute=4, comment="Shorter.")
    state = after(state, drafted(2, TWO))

    first, _, second, _ = status_of(state, source="workflow").decisions

    assert (first.void, second.void) == ("it was withdrawn", "its plan was replaced by revision 2")


def test_an_approval_of_a_replaced_revision_has_no_tick() -> None:
    state = decided(in_review(TWO), "fred", minute=1)
    state = decided(state, "gina", Choice.REQUEST_CHANGES, minute=2, comment="Shorter.")
    assert status_of(state, source="workflow").decisions[0].void == "changes to its plan were requested"

    state = after(state, drafted(2, TWO))

    assert status_of(state, source="workflow").decisions[0].void == "its plan was replaced by revision 2"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["yes", "back", "lost", "new"])), max_size=12)
)
def test_only_valid_approvals_are_shown_as_valid_and_all_of_them(moves: list[tuple[str, str]]) -> None:
    state = in_review(THREE)
    for number, (name, move) in enumerate(moves):
        minute = 1 + number // 4  # several approvals at the same moment
        match move:
            case "yes":
                state = decided(state, name, minute=minute, key=str(number))
            case "back":
                state = decided(state, name, Choice.WITHDRAW_APPROVAL, minute=minute, key=str(number))
            case "lost":
                state = reopened(state, name, minute=minute)
            case _:
                state = after(state, drafted((state.drafted.revision if state.drafted else 0) + 1, THREE))
    status = status_of(state, source="workflow")
    counting = [
        one.by for one in status.decisions if one.decision == "approve" and one.accepted and not one.void
    ]
    assert sorted(map(str, counting)) == sorted(status.approved_by)


def test_missing_approvals_are_shown_while_waiting_and_in_the_status() -> None:
    state = decided(in_review(TWO), "gina", minute=1, comment="fine by me")
    status = status_of(state, source="workflow")
    terminal, page = shown(state)

    assert "waits for 1 approval by anyone but the requester" in waiting_words(status)
    assert "1 approval by anyone" in printed(pending_table([status], NOON), terminal=False)
    assert "**Still needed: 1 approval by anyone but the requester.** Approved so far: `gina`" in page
    assert "`gina` (not verified) at 2026-11-26 12:01 UTC" in page
    assert "*comment:* `fine by me`" in page
    assert "still needed 1 approval" in terminal


def test_the_expiry_of_an_approval_is_shown() -> None:
    state = decided(in_review(TWO.model_copy(update={"approval_valid_for": 3600})), "gina", minute=1)
    terminal, page = shown(state)

    assert "gina's approval is valid until 26 Nov" in terminal
    assert "valid until 2026-11-26 13:01 UTC" in page


def test_the_validity_of_a_signed_approval_begins_with_its_signature() -> None:
    state = in_review(TWO.model_copy(update={"approval_valid_for": 3600}))
    own = PersonRoles(person="gina", roles=("anyone",))
    gina = Approver(
        name="gina", standings=(own,), assurance=Assurance.SIGNED, signed_at=NOON - timedelta(minutes=2)
    )

    assert counts_until(state, Approval(approver=gina, at=NOON)) == NOON + timedelta(minutes=58)


def test_the_deadline_of_an_ended_review_is_not_shown() -> None:
    state = decided(in_review(TWO), "gina", minute=1)
    assert "  deadline " in shown(state)[0]
    approved = decided(state, "fred", minute=2)
    assert "  deadline " not in shown(approved)[0]
    assert status_of(approved, source="workflow").deadline is not None


def test_a_page_shows_who_wrote_the_summary_and_the_reasons() -> None:
    for page in shown(in_review(TWO)):
        words = " ".join(page.split())
        assert (
            "Summary and reasons were written by the requester; each step's tool wrote its preview" in words
        )
        assert "Only the steps and their arguments run" in words


def test_a_text_that_may_be_displayed_in_another_order_comes_with_a_command() -> None:
    requested = Requested(request="Do it.", requester="rita", timeout_seconds=60, requested_at=NOON)
    state = after(RunState(workflow_id="plan-1"), requested, drafted(1, TWO, "100 ש 7"))
    for page in shown(state):
        assert "may be shown in a different order" in page
        assert "python starter.py status plan-1 --json" in page


def test_the_digest_is_first_on_the_page_of_the_web_ui() -> None:
    terminal, page = shown(in_review(TWO))
    assert page.startswith("**What runs:** `1 note: n 1`")
    assert "  what runs    1 note: n 1\n" in terminal


def test_a_page_without_space_for_the_effects_offers_no_approval() -> None:
    steps = tuple(Step(tool=f"{'x' * 60}{number}", arguments={}) for number in range(20))
    plan = Plan(summary="s", steps=steps)
    event = drafted(1, TWO).model_copy(update={"plan": plan})
    page = details_page(after(RunState(workflow_id="plan-1"), event))
    assert page.startswith("**The steps are too long to show on one line here.**")
    assert "does not offer to approve it" in page
    assert "YOUR-NAME" not in page


def test_a_refused_decision_is_never_void() -> None:
    state = decided(in_review(TWO), "rita", minute=1)
    (refused,) = state.decisions
    assert isinstance(refused, Decided)
    assert status_of(state, source="workflow").decisions[0].void == ""
