"""Attacks on edits, holds, resolutions and undos: decisions that the rules refuse, and forged trails.

Each takes a random number generator, and returns the run with the forged part at its end, and the expected
finding. The rules refuse `DECISIONS` with these messages; the decisions are then recorded as accepted.
`TRAILS` are events that no worker writes.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from plangate.domain.decisions.decision import Arrival, Choice, Resolution
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import Decided, Outcome, Reopened, StepFailed, StepUndone
from plangate.domain.runs.deadlines import reopened_deadline
from tests.support.recorded_history import POLICIES, RunHistory, plan_of

Attack = Callable[[Random], tuple[RunHistory, str]]
KEEPS_APPROVER, BY_OPS, BY_OPS_NO_SKIP = POLICIES[1:]


def _history(rng: Random) -> RunHistory:
    return RunHistory(rng, rng.choice(POLICIES))


def _held(rng: Random, **more: Any) -> tuple[RunHistory, int]:
    history = _history(rng)
    return history, history.held(**more)


def _some(history: RunHistory, *but: Resolution) -> Resolution:
    """Choose a resolution that every held run allows."""
    return history.rng.choice([one for one in (Resolution.RETRY, Resolution.ABORT) if one not in but])


def _resolve(
    history: RunHistory, by: str, step: int, resolution: Resolution | None = None, **more: Any
) -> str:
    """Force a resolution that the rules refuse, and continue as if it were valid."""
    chosen = resolution or _some(history)
    arrival = history.arrival(by, Choice.RESOLVE, step=step, resolution=chosen, **more)
    return history.forced(history.judged(arrival))


# ---- resolutions --------------------------------------------------------------------------------


def resolved_without_a_role(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    said = _resolve(history, "mallory", step)
    assert "mallory may not resolve this run" in said
    return history, said


def resolved_by_the_requester(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    said = _resolve(history, "rita", step)
    assert "rita is the requester" in said
    return history, said


def resolved_by_an_author(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    history.edited()
    said = _resolve(history, "anna", history.held())
    assert "anna edited this plan" in said
    return history, said


def resolved_for_the_requester_or_an_author(rng: Random) -> tuple[RunHistory, str]:
    """Gina has only roles that the requester and the author delegate."""
    history = _history(rng)
    history.edited()
    said = _resolve(history, "gina", history.held())
    assert "gina may not resolve this run" in said
    return history, said


def resolved_by_an_approver_who_may_not(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice((BY_OPS, BY_OPS_NO_SKIP)))
    said = _resolve(history, rng.choice(["dana", "fred"]), history.held())
    assert "it needs ops" in said
    return history, said


def resolved_at_another_step(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    other = rng.choice([one for one in range(1, 6) if one != step])
    said = _resolve(history, history.resolver(), other)
    assert said == f"the run is held at step {step}, not at step {other}"
    return history, said


def resolved_for_an_earlier_hold(rng: Random) -> tuple[RunHistory, str]:
    """A resolution, signed or typed, is for the previous hold, which another resolution ended."""
    history, step = _held(rng)
    late = history.arrival(history.resolver(), Choice.RESOLVE, step=step, resolution=Resolution.ABORT)
    history.resolve(Resolution.RETRY)
    _held_again(history, step)
    said = history.forced(_arrives_now(history, late))
    assert said == "it is for hold 1 of this run, and this is hold 2; review the run again"
    return history, said


def marked_as_done_for_the_step_and_not_its_undo(rng: Random) -> tuple[RunHistory, str]:
    """A resolution marks the step as done, and arrives when the undo of the step is in doubt."""
    history, step = _held(rng, in_doubt=True, after=1)
    late = history.arrival(
        history.resolver(), Choice.RESOLVE, step=step - 1, resolution=Resolution.MARK_DONE, hold=1
    )
    history.resolve(Resolution.UNDO)
    history.stop(history.claim(undo=True), in_doubt=True, undo=True)
    history.hold(step - 1, undo=True)
    said = history.forced(_arrives_now(history, late))
    assert said.startswith("it is for hold 1 of this run")
    return history, said


def resolved_without_the_hold(rng: Random) -> tuple[RunHistory, str]:
    """The run was held before, and the resolution does not specify its hold."""
    history, step = _held(rng)
    history.resolve(Resolution.RETRY)
    _held_again(history, step)
    said = _resolve(history, history.resolver(), step, hold=None)
    assert said.startswith("the run was held before, and this is hold 2")
    return history, said


def signed_without_the_hold(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    said = _resolve(history, history.resolver(), step, hold=None)
    assert said.startswith("a signed resolution must give its hold")
    return history, said


def signed_for_an_earlier_hold(rng: Random) -> tuple[RunHistory, str]:
    """The token of the previous hold is sent with the number of this one."""
    history, step = _held(rng)
    by = history.resolver()
    early = history.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.RETRY)
    approver = history.judged(early).approver
    history.resolve(Resolution.RETRY)
    _held_again(history, step)
    assert early.decision is not None
    named = early.decision.model_copy(update={"hold": 2})
    event = _arrives_now(history, early.model_copy(update={"decision": named}))
    said = history.forced(event, approver)
    assert said == "it is signed for hold 1 of this run, not for this one"
    return history, said


def _arrives_now(history: RunHistory, arrival: Arrival) -> Decided:
    key = f"r:signal:{len(history.entries) + 1}"
    return history.judged(arrival.model_copy(update={"key": key, "received_at": history.now}))


def _held_again(history: RunHistory, step: int) -> None:
    history.stop(history.claim(step), in_doubt=history.rng.random() < 0.5)
    history.hold(step)


def resolved_for_an_earlier_revision(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    first = history.state.fingerprint or ""
    history.edited()
    step = history.held()
    said = _resolve(history, history.resolver(), step, plan=first)
    assert "was replaced by revision" in said
    return history, said


def resolved_for_another_run(rng: Random) -> tuple[RunHistory, str]:
    """The resolution specifies the plan of another run, or reuses a signature for that run."""
    history, step = _held(rng)
    if rng.random() < 0.5:
        said = _resolve(history, history.resolver(), step, plan=f"{rng.getrandbits(256):064x}")
        assert "no plan of this run has the fingerprint" in said
        return history, said
    by = history.resolver()
    more: dict[str, Any] = {"step": step, "resolution": Resolution.RETRY}
    own = history.judged(history.arrival(by, Choice.RESOLVE, **more))
    said = history.forced(
        history.judged(history.arrival(by, Choice.RESOLVE, run="plan-2", **more)), own.approver
    )
    assert "signed for the run plan-2" in said
    return history, "signed for the run plan-2"


def resolved_twice(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    history.resolve(Resolution.RETRY)
    said = _resolve(history, history.resolver(), step, Resolution.ABORT)
    assert "the run is not held now" in said
    return history, said


def resolved_after_the_deadline(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    assert history.state.deadline is not None
    history.now = history.state.deadline + timedelta(minutes=rng.choice([0, 1, 999]))
    said = _resolve(history, history.resolver(), step)
    assert "the deadline" in said
    return history, said


def resolved_before_the_hold(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    step = history.claim()
    history.stop(step, in_doubt=rng.random() < 0.5)
    said = _resolve(history, history.resolver(), step)
    assert said == "the run is not held, so there is nothing to resolve"
    history.hold(step)
    return history, said


def resolved_after_the_end(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    history.resolve(Resolution.ABORT)
    history.finish()
    said = _resolve(history, history.resolver(), step, Resolution.RETRY)
    assert "the run has ended" in said
    return history, said


def skipped_without_a_reason(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES[:3]))
    said = _resolve(
        history, history.resolver(), history.held(), Resolution.SKIP, comment=rng.choice(["", "  "])
    )
    assert 'needs a "comment" with the reason' in said
    return history, said


def marked_as_done_without_evidence(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng, in_doubt=True)
    said = _resolve(history, history.resolver(), step, Resolution.MARK_DONE, comment="")
    assert "the evidence that it happened" in said
    return history, said


def marked_as_done_after_a_failure(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng, in_doubt=False)
    said = _resolve(history, history.resolver(), step, Resolution.MARK_DONE)
    assert "'mark_done' is not possible here" in said
    return history, said


def resolved_as_the_policy_forbids(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, BY_OPS_NO_SKIP)
    said = _resolve(history, "erik", history.held(), Resolution.SKIP)
    assert "the policy does not allow 'skip' here (rule: on call)" in said
    return history, said


def resolved_without_a_signature(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice((BY_OPS, BY_OPS_NO_SKIP)))
    step = history.held()
    arrival = history.arrival("erik", Choice.RESOLVE, step=step, resolution=_some(history))
    event = history.judged(arrival, unsigned=True)
    said = history.forced(event)
    assert "takes signed resolutions only" in said
    return history, said


def resolved_by_another_key(rng: Random) -> tuple[RunHistory, str]:
    """The record has the key of the person, but another key signed."""
    history, step = _held(rng)
    by = history.resolver()
    own = history.judged(history.arrival(by, Choice.RESOLVE, step=step, resolution=_some(history)))
    forged = history.judged(
        history.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.RETRY, signer="mallory")
    )
    said = history.forced(forged, own.approver)
    assert "it is signed with a key that does not belong to" in said
    return history, "its signature does not match what was signed"


def signed_for_another_choice(rng: Random) -> tuple[RunHistory, str]:
    """One resolution is signed, another is recorded."""
    history, step = _held(rng)
    by = history.resolver()
    arrival = history.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.ABORT)
    approver = history.judged(arrival).approver
    assert arrival.decision is not None
    other = arrival.decision.model_copy(update={"resolution": Resolution.RETRY})
    history.forced(history.judged(arrival.model_copy(update={"decision": other})), approver)
    return history, f"signed for 'abort' of step {step}, not for this resolution"


# ---- edits --------------------------------------------------------------------------------------


def approved_by_its_author(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    by = rng.choice(["anna", "dana"])
    history.edited(by)
    said = history.forced(history.judged(history.arrival(by, Choice.APPROVE)))
    assert f"{by} edited this plan" in said
    return history, said


def approved_by_a_person_who_removed_a_step(rng: Random) -> tuple[RunHistory, str]:
    policies = [one for one in POLICIES if one is not KEEPS_APPROVER]
    history = RunHistory(rng, rng.choice(policies))
    history.edited("dana", strike=True)
    said = history.forced(history.judged(history.arrival("dana", Choice.APPROVE)))
    assert "dana edited this plan" in said
    return history, said


def approved_by_a_person_who_removed_steps_and_edited(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, KEEPS_APPROVER)
    for strike in rng.choice([(True, False), (False, True)]):
        history.edited("dana", strike=strike)
    said = history.forced(history.judged(history.arrival("dana", Choice.APPROVE)))
    assert "dana edited this plan" in said
    return history, said


def approved_for_the_author(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    history.edited()
    said = history.forced(history.judged(history.arrival("gina", Choice.APPROVE)))
    assert "gina has no role that can decide on this plan" in said
    return history, said


def _edit(history: RunHistory, by: str, plan: str = "") -> str:
    new = plan_of(2).model_copy(update={"summary": "Mine"}).proposed().model_dump(mode="json")
    return history.forced(history.judged(history.arrival(by, Choice.EDIT, plan=plan, new_plan=new)))


def edited_without_a_role(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    said = _edit(history, "mallory")
    assert "mallory has no role that can decide on this plan" in said
    return history, said


def edited_while_an_edit_is_drafted(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    plan = history.state.drafted.plan if history.state.drafted else plan_of(2)
    history.decide(
        "anna", Choice.EDIT, new_plan=plan.model_copy(update={"summary": "a"}).model_dump(mode="json")
    )
    said = _edit(history, "dana")
    assert "anna has just edited plan" in said
    assert "wait for revision 2" in said
    return history, said


def edited_after_another_edit(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    first, strike = history.state.fingerprint or "", rng.random() < 0.5
    history.edited(strike=strike)
    said = _edit(history, "dana", plan=first)
    assert "was replaced by revision 2" in said
    assert f"an edit by anna ({'step' if strike else 'the summary changed'}" in said
    return history, said


def edited_after_a_step(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    history.done(history.claim())
    said = _edit(history, "dana")
    assert said == "the plan is already approved and is being executed"
    return history, said


def edited_while_held(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    said = _edit(history, "dana")
    assert f"the run is held at step {step}; resolve it" in said
    return history, said


DECISIONS: tuple[Attack, ...] = (
    resolved_without_a_role, resolved_by_the_requester, resolved_by_an_author,
    resolved_for_the_requester_or_an_author, resolved_by_an_approver_who_may_not, resolved_at_another_step,
    resolved_for_an_earlier_hold, marked_as_done_for_the_step_and_not_its_undo, resolved_without_the_hold,
    signed_without_the_hold, signed_for_an_earlier_hold,
    resolved_for_an_earlier_revision, resolved_for_another_run, resolved_twice, resolved_after_the_deadline,
    resolved_before_the_hold, resolved_after_the_end, skipped_without_a_reason,
    marked_as_done_without_evidence, marked_as_done_after_a_failure, resolved_as_the_policy_forbids,
    resolved_without_a_signature, resolved_by_another_key, signed_for_another_choice, approved_by_its_author,
    approved_by_a_person_who_removed_a_step, approved_by_a_person_who_removed_steps_and_edited,
    approved_for_the_author, edited_without_a_role, edited_while_an_edit_is_drafted,
    edited_after_another_edit, edited_after_a_step, edited_while_held,
)  # fmt: skip


# ---- forged trails ------------------------------------------------------------------------------


def author_left_out(rng: Random) -> tuple[RunHistory, str]:
    """The edited plan is recorded as the planner's, which would allow its author to approve it."""
    history, plan = _edit_by_dana(rng)
    history.draft(plan, author=rng.choice(["", "mallory"]))
    return history, ", expected dana"


def author_made_up(rng: Random) -> tuple[RunHistory, str]:
    """Another person is recorded as the author, which would prevent them from approving."""
    history = _history(rng)
    history.decide("dana", Choice.REQUEST_CHANGES)
    history.draft(plan_of(3), author="fred")
    return history, "has the author fred, expected planner"


def removal_made_up(rng: Random) -> tuple[RunHistory, str]:
    """An edit that changed the plan is recorded as one that only removed steps."""
    history, plan = _edit_by_dana(rng)
    history.draft(plan, struck=(rng.randint(1, 3),))
    history.decide("fred")
    return history, "lists removed steps other than those that the edit left out"


def edit_made_up_to_gain_time(rng: Random) -> tuple[RunHistory, str]:
    """The review begins again, as after an edit that could not be drafted, but there was no edit."""
    history = _history(rng)
    if rng.random() < 0.5:
        history.edited()
    drafted = history.state.drafted
    assert drafted is not None
    deadline = reopened_deadline(history.state.requested, drafted, history.now)
    why = "the edit by anna could not be drafted: no such tool"
    history.add(
        Reopened(fingerprint=drafted.fingerprint, edit=why, reopened_at=history.now, deadline=deadline)
    )
    return history, "records that an edit could not be drafted, but no edit was pending"


def another_plan_than_the_edits(rng: Random) -> tuple[RunHistory, str]:
    history, plan = _edit_by_dana(rng)
    other = rng.choice(
        [
            plan.model_copy(update={"summary": "Other"}),
            plan.model_copy(update={"steps": plan.steps[:1]}),
            plan.model_copy(update={"steps": (*plan.steps, plan.steps[0])}),
        ]
    )
    history.draft(other)
    return history, "is not the plan of the edit"


def _edit_by_dana(rng: Random) -> tuple[RunHistory, Plan]:
    history = _history(rng)
    plan = plan_of(3).model_copy(update={"summary": "Dana's"})
    history.decide("dana", Choice.EDIT, new_plan=plan.proposed().model_dump(mode="json"))
    return history, plan


def reference_to_what_was_not_returned(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    history.done(history.claim())
    resolved = rng.choice([{}, {"after": 42}, {"after": "41"}, {"after": 41, "text": "x"}, {"before": 41}])
    history.claim(2, resolved=resolved)
    return history, "the values of its references differ from the receipts that they refer to"


def reference_to_a_skipped_step(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES[:3]))
    history.held(after=0)
    history.resolve(Resolution.SKIP)
    history.claim(2, resolved=rng.choice([{}, {"after": 41}]))
    return history, "the values of its references differ"


def undone_out_of_order(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    history.held(after=2)
    history.resolve(Resolution.UNDO)
    step = rng.choice([1, 3])
    history.claim(step, undo=True)
    return history, f"Step {step} is not the next one to undo"


def undone_without_a_resolution(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    history.held(after=rng.choice([1, 2]))
    if rng.random() < 0.5:
        history.resolve(Resolution.RETRY)
    history.claim(1, undo=True)
    return history, "No accepted resolution undoes"


def undone_without_a_claim(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    history.held(after=1)
    history.resolve(Resolution.UNDO)
    history.add(StepUndone(step=1, receipt=Receipt(summary="undone")))
    return history, "step 1 was undone but never claimed"


def undone_although_not_done(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    step = history.held(after=1)
    history.resolve(Resolution.UNDO)
    history.claim(undo=True)
    history.add(StepUndone(step=step, receipt=Receipt(summary="undone")))
    return history, f"undoes step {step}, which is"


def retried_under_the_used_key(rng: Random) -> tuple[RunHistory, str]:
    """After a failure, the vendor would repeat its stored response."""
    history = _history(rng)
    step = history.held(in_doubt=False)
    history.resolve(Resolution.RETRY)
    key = idempotency_key(
        history.run, history.state.fingerprint or "", step, resolution=rng.choice([0, 2, 7])
    )
    history.claim(step, idempotency_key=key, attempt=2)
    return history, "its idempotency key is not that of its plan and step"


def repeated_under_a_new_key(rng: Random) -> tuple[RunHistory, str]:
    """An effect in doubt may have happened; under a new key, it would happen twice."""
    history = _history(rng)
    step = history.held(in_doubt=True)
    history.resolve(Resolution.RETRY)
    key = idempotency_key(history.run, history.state.fingerprint or "", step, resolution=1)
    history.claim(step, idempotency_key=key, attempt=1)
    return history, "its idempotency key is not that of its plan and step"


def doubt_recorded_as_failure(rng: Random) -> tuple[RunHistory, str]:
    """An effect in doubt is recorded as failed, so that the next retry would have a new key."""
    history = _history(rng)
    step = history.held(in_doubt=True)
    history.resolve(Resolution.RETRY)
    history.add(StepFailed(step=step, reason="refused"))
    return history, f"records step {step} as failed, though its effect is in doubt"


def retried_without_a_resolution(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    step = history.claim()
    history.stop(step, in_doubt=rng.random() < 0.5)
    history.claim(step)
    return history, "and no accepted resolution tries it again"


def begun_while_held(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng)
    step = history.held()
    history.claim(rng.choice([step, step + 1]) if step < len(history.state.steps) else step, resolved={})
    return history, "a step began that was not allowed"


def begun_after_a_skip(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES[:3]))
    step = history.held(after=rng.choice([0, 1]))
    history.resolve(Resolution.SKIP)
    history.claim(step, resolved={})
    return history, f"Step {step} is skipped, and no accepted resolution tries it again"


def held_for_too_long(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    step = history.claim()
    history.stop(step, in_doubt=rng.random() < 0.5)
    requirement = history.state.drafted.requirement if history.state.drafted else None
    assert requirement is not None
    longer = timedelta(seconds=requirement.longest_hold + rng.choice([1, 60, 10**6]))
    history.hold(step, deadline=history.now + longer)
    return history, "holds the run for longer than its policy allows"


def held_for_another_reason(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    step = history.claim()
    history.stop(step, in_doubt=rng.random() < 0.5)
    if rng.random() < 0.5:
        history.hold(step, why="nothing went wrong")
    else:
        step += 1
        history.hold(step, why="no answer")
    return history, f"holds the run at step {step}, which did not stop for that reason"


def held_under_another_number(rng: Random) -> tuple[RunHistory, str]:
    """The hold has another number, so that a resolution of another hold would be valid."""
    history = _history(rng).approved()
    step = history.claim()
    history.stop(step, in_doubt=rng.random() < 0.5)
    history.hold(step, number=2)
    return history, "is numbered hold 2, expected hold 1"


def held_without_a_stop(rng: Random) -> tuple[RunHistory, str]:
    history = _history(rng).approved()
    step = history.claim()
    history.hold(step)
    return history, f"holds the run at step {step}, which did not stop for that reason"


def resolver_has_left(rng: Random) -> tuple[RunHistory, str]:
    """A step, or an undo, begins although, by the current list, the person who resolved has left."""
    history = _history(rng)
    history.held(after=1)
    by = "erik" if history.policy in (BY_OPS, BY_OPS_NO_SKIP) else "fred"
    undo = rng.random() < 0.5
    history.resolve(Resolution.UNDO if undo else Resolution.RETRY, by)
    history.deactivate(by)
    history.now += timedelta(minutes=5)
    history.claim(undo=undo)
    return history, f"a step began although its resolution was no longer valid: {by} resolved step"


def executed_in_doubt(rng: Random) -> tuple[RunHistory, str]:
    history, _ = _held(rng, in_doubt=True)
    history.close(Outcome.EXECUTED)
    return history, "has the outcome executed, but not every step is done or skipped"


def expired_while_held(rng: Random) -> tuple[RunHistory, str]:
    history, _ = _held(rng)
    history.now += timedelta(days=9)
    history.close(Outcome.EXPIRED)
    return history, "has the outcome expired, but the run was held"


def typed_resolution_recorded_as_signed(rng: Random) -> tuple[RunHistory, str]:
    """The resolution is recorded as signed, and has no signature."""
    history, step = _held(rng)
    event = history.judged(
        history.arrival(history.resolver(), Choice.RESOLVE, step=step, resolution=Resolution.RETRY)
    )
    assert event.arrival.decision is not None
    bare = event.arrival.decision.model_copy(update={"signature": None})
    forged = event.model_copy(update={"arrival": event.arrival.model_copy(update={"decision": bare})})
    history.add(forged, actor=history.state.requester if event.approver is None else event.approver.name)
    return history, "has the assurance signed, but has no signature"


def resolved_with_a_role_not_held(rng: Random) -> tuple[RunHistory, str]:
    history, step = _held(rng)
    event = history.judged(history.arrival("mallory", Choice.RESOLVE, step=step, resolution=Resolution.RETRY))
    assert event.approver is not None
    own = event.approver.standings[0].model_copy(update={"roles": ("finance", "ops", "anyone")})
    history.forced(event, event.approver.model_copy(update={"standings": (own,)}))
    return history, "mallory does not have the role"


TRAILS: tuple[Attack, ...] = (
    author_left_out, author_made_up, removal_made_up, edit_made_up_to_gain_time, another_plan_than_the_edits,
    reference_to_what_was_not_returned, reference_to_a_skipped_step,
    undone_out_of_order, undone_without_a_resolution, undone_without_a_claim, undone_although_not_done,
    retried_under_the_used_key, repeated_under_a_new_key, doubt_recorded_as_failure,
    retried_without_a_resolution, begun_while_held, begun_after_a_skip, held_for_too_long,
    held_for_another_reason, held_under_another_number, held_without_a_stop, resolver_has_left,
    executed_in_doubt, expired_while_held,
    typed_resolution_recorded_as_signed, resolved_with_a_role_not_held,
)  # fmt: skip
