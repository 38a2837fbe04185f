"""Attacks on edits, holds, resolutions and undos: decisions that the rules refuse, and forged trails.

Each takes a random number generator, and returns the run with the forged part at its end, and the expected
finding. The rules refuse `DECISIONS` with these messages; the decisions are then recorded as accepted.
`TRAILS` are events that no worker writes.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

from plangate.domain.audit import Decided, Outcome, Reopened, StepFailed, StepUndone
from plangate.domain.deadlines import reopened_deadline
from plangate.domain.decision import Arrival, Choice, Resolution
from plangate.domain.plan import Plan, idempotency_key
from plangate.domain.tool import Receipt
from tests.support.held_story import POLICIES, Story, plan_of

Attack = Callable[[Random], tuple[Story, str]]
KEEPS_APPROVER, BY_OPS, BY_OPS_NO_SKIP = POLICIES[1:]


def _story(chance: Random) -> Story:
    return Story(chance, chance.choice(POLICIES))


def _held(chance: Random, **more: Any) -> tuple[Story, int]:
    story = _story(chance)
    return story, story.held(**more)


def _some(story: Story, *but: Resolution) -> Resolution:
    """Choose a resolution that every held run allows."""
    return story.chance.choice([one for one in (Resolution.RETRY, Resolution.ABORT) if one not in but])


def _resolve(story: Story, by: str, step: int, resolution: Resolution | None = None, **more: Any) -> str:
    """Force a resolution that the rules refuse, and continue as if it were valid."""
    chosen = resolution or _some(story)
    arrival = story.arrival(by, Choice.RESOLVE, step=step, resolution=chosen, **more)
    return story.forced(story.judged(arrival))


# ---- resolutions --------------------------------------------------------------------------------


def resolved_without_a_role(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    said = _resolve(story, "mallory", step)
    assert "mallory may not resolve this run" in said
    return story, said


def resolved_by_the_requester(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    said = _resolve(story, "rita", step)
    assert "rita is the requester" in said
    return story, said


def resolved_by_an_author(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    story.edited()
    said = _resolve(story, "anna", story.held())
    assert "anna edited this plan" in said
    return story, said


def resolved_for_the_requester_or_an_author(chance: Random) -> tuple[Story, str]:
    """Gina has only roles that the requester and the author delegate."""
    story = _story(chance)
    story.edited()
    said = _resolve(story, "gina", story.held())
    assert "gina may not resolve this run" in said
    return story, said


def resolved_by_an_approver_who_may_not(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice((BY_OPS, BY_OPS_NO_SKIP)))
    said = _resolve(story, chance.choice(["dana", "fred"]), story.held())
    assert "it needs ops" in said
    return story, said


def resolved_at_another_step(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    other = chance.choice([one for one in range(1, 6) if one != step])
    said = _resolve(story, story.resolver(), other)
    assert said == f"the run is held at step {step}, not at step {other}"
    return story, said


def resolved_for_an_earlier_hold(chance: Random) -> tuple[Story, str]:
    """A resolution, signed or typed, is for the previous hold, which another resolution ended."""
    story, step = _held(chance)
    late = story.arrival(story.resolver(), Choice.RESOLVE, step=step, resolution=Resolution.ABORT)
    story.resolve(Resolution.RETRY)
    _held_again(story, step)
    said = story.forced(_arrives_now(story, late))
    assert said == "it is for hold 1 of this run, and this is hold 2; review the run again"
    return story, said


def marked_as_done_for_the_step_and_not_its_undo(chance: Random) -> tuple[Story, str]:
    """A resolution marks the step as done, and arrives when the undo of the step is in doubt."""
    story, step = _held(chance, in_doubt=True, after=1)
    late = story.arrival(
        story.resolver(), Choice.RESOLVE, step=step - 1, resolution=Resolution.MARK_DONE, hold=1
    )
    story.resolve(Resolution.UNDO)
    story.stop(story.claim(undo=True), in_doubt=True, undo=True)
    story.hold(step - 1, undo=True)
    said = story.forced(_arrives_now(story, late))
    assert said.startswith("it is for hold 1 of this run")
    return story, said


def resolved_without_the_hold(chance: Random) -> tuple[Story, str]:
    """The run was held before, and the resolution does not specify its hold."""
    story, step = _held(chance)
    story.resolve(Resolution.RETRY)
    _held_again(story, step)
    said = _resolve(story, story.resolver(), step, hold=None)
    assert said.startswith("the run was held before, and this is hold 2")
    return story, said


def signed_without_the_hold(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    said = _resolve(story, story.resolver(), step, hold=None)
    assert said.startswith("a signed resolution must give its hold")
    return story, said


def signed_for_an_earlier_hold(chance: Random) -> tuple[Story, str]:
    """The token of the previous hold is sent with the number of this one."""
    story, step = _held(chance)
    by = story.resolver()
    early = story.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.RETRY)
    approver = story.judged(early).approver
    story.resolve(Resolution.RETRY)
    _held_again(story, step)
    assert early.decision is not None
    named = early.decision.model_copy(update={"hold": 2})
    event = _arrives_now(story, early.model_copy(update={"decision": named}))
    said = story.forced(event, approver)
    assert said == "it is signed for hold 1 of this run, not for this one"
    return story, said


def _arrives_now(story: Story, arrival: Arrival) -> Decided:
    key = f"r:signal:{len(story.entries) + 1}"
    return story.judged(arrival.model_copy(update={"key": key, "received_at": story.now}))


def _held_again(story: Story, step: int) -> None:
    story.stop(story.claim(step), in_doubt=story.chance.random() < 0.5)
    story.hold(step)


def resolved_for_an_earlier_revision(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    first = story.state.fingerprint or ""
    story.edited()
    step = story.held()
    said = _resolve(story, story.resolver(), step, plan=first)
    assert "was replaced by revision" in said
    return story, said


def resolved_for_another_run(chance: Random) -> tuple[Story, str]:
    """The resolution specifies the plan of another run, or reuses a signature for that run."""
    story, step = _held(chance)
    if chance.random() < 0.5:
        said = _resolve(story, story.resolver(), step, plan=f"{chance.getrandbits(256):064x}")
        assert "no plan of this run has the fingerprint" in said
        return story, said
    by = story.resolver()
    more: dict[str, Any] = {"step": step, "resolution": Resolution.RETRY}
    own = story.judged(story.arrival(by, Choice.RESOLVE, **more))
    said = story.forced(story.judged(story.arrival(by, Choice.RESOLVE, run="plan-2", **more)), own.approver)
    assert "signed for the run plan-2" in said
    return story, "signed for the run plan-2"


def resolved_twice(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    story.resolve(Resolution.RETRY)
    said = _resolve(story, story.resolver(), step, Resolution.ABORT)
    assert "the run is not held now" in said
    return story, said


def resolved_after_the_deadline(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    assert story.state.deadline is not None
    story.now = story.state.deadline + timedelta(minutes=chance.choice([0, 1, 999]))
    said = _resolve(story, story.resolver(), step)
    assert "the deadline" in said
    return story, said


def resolved_before_the_hold(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    step = story.claim()
    story.stop(step, in_doubt=chance.random() < 0.5)
    said = _resolve(story, story.resolver(), step)
    assert said == "the run is not held, so there is nothing to resolve"
    story.hold(step)
    return story, said


def resolved_after_the_end(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    story.resolve(Resolution.ABORT)
    story.finish()
    said = _resolve(story, story.resolver(), step, Resolution.RETRY)
    assert "the run has ended" in said
    return story, said


def skipped_without_a_reason(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES[:3]))
    said = _resolve(story, story.resolver(), story.held(), Resolution.SKIP, comment=chance.choice(["", "  "]))
    assert 'needs a "comment" with the reason' in said
    return story, said


def marked_as_done_without_evidence(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance, in_doubt=True)
    said = _resolve(story, story.resolver(), step, Resolution.MARK_DONE, comment="")
    assert "the evidence that it happened" in said
    return story, said


def marked_as_done_after_a_failure(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance, in_doubt=False)
    said = _resolve(story, story.resolver(), step, Resolution.MARK_DONE)
    assert "'mark_done' is not possible here" in said
    return story, said


def resolved_as_the_policy_forbids(chance: Random) -> tuple[Story, str]:
    story = Story(chance, BY_OPS_NO_SKIP)
    said = _resolve(story, "erik", story.held(), Resolution.SKIP)
    assert "the policy does not allow 'skip' here (rule: on call)" in said
    return story, said


def resolved_without_a_signature(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice((BY_OPS, BY_OPS_NO_SKIP)))
    step = story.held()
    arrival = story.arrival("erik", Choice.RESOLVE, step=step, resolution=_some(story))
    event = story.judged(arrival, unsigned=True)
    said = story.forced(event)
    assert "takes signed resolutions only" in said
    return story, said


def resolved_by_another_key(chance: Random) -> tuple[Story, str]:
    """The record has the key of the person, but another key signed."""
    story, step = _held(chance)
    by = story.resolver()
    own = story.judged(story.arrival(by, Choice.RESOLVE, step=step, resolution=_some(story)))
    forged = story.judged(
        story.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.RETRY, signer="mallory")
    )
    said = story.forced(forged, own.approver)
    assert "it is signed with a key that does not belong to" in said
    return story, "its signature does not match what was signed"


def signed_for_another_choice(chance: Random) -> tuple[Story, str]:
    """One resolution is signed, another is recorded."""
    story, step = _held(chance)
    by = story.resolver()
    arrival = story.arrival(by, Choice.RESOLVE, step=step, resolution=Resolution.ABORT)
    approver = story.judged(arrival).approver
    assert arrival.decision is not None
    other = arrival.decision.model_copy(update={"resolution": Resolution.RETRY})
    story.forced(story.judged(arrival.model_copy(update={"decision": other})), approver)
    return story, f"signed for 'abort' of step {step}, not for this resolution"


# ---- edits --------------------------------------------------------------------------------------


def approved_by_its_author(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    by = chance.choice(["anna", "dana"])
    story.edited(by)
    said = story.forced(story.judged(story.arrival(by, Choice.APPROVE)))
    assert f"{by} edited this plan" in said
    return story, said


def approved_by_a_person_who_removed_a_step(chance: Random) -> tuple[Story, str]:
    policies = [one for one in POLICIES if one is not KEEPS_APPROVER]
    story = Story(chance, chance.choice(policies))
    story.edited("dana", strike=True)
    said = story.forced(story.judged(story.arrival("dana", Choice.APPROVE)))
    assert "dana edited this plan" in said
    return story, said


def approved_by_a_person_who_removed_steps_and_edited(chance: Random) -> tuple[Story, str]:
    story = Story(chance, KEEPS_APPROVER)
    for strike in chance.choice([(True, False), (False, True)]):
        story.edited("dana", strike=strike)
    said = story.forced(story.judged(story.arrival("dana", Choice.APPROVE)))
    assert "dana edited this plan" in said
    return story, said


def approved_for_the_author(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    story.edited()
    said = story.forced(story.judged(story.arrival("gina", Choice.APPROVE)))
    assert "gina has no role that can decide on this plan" in said
    return story, said


def _edit(story: Story, by: str, plan: str = "") -> str:
    new = plan_of(2).model_copy(update={"summary": "Mine"}).proposed().model_dump(mode="json")
    return story.forced(story.judged(story.arrival(by, Choice.EDIT, plan=plan, new_plan=new)))


def edited_without_a_role(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    said = _edit(story, "mallory")
    assert "mallory has no role that can decide on this plan" in said
    return story, said


def edited_while_an_edit_is_drafted(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    plan = story.state.drafted.plan if story.state.drafted else plan_of(2)
    story.decide(
        "anna", Choice.EDIT, new_plan=plan.model_copy(update={"summary": "a"}).model_dump(mode="json")
    )
    said = _edit(story, "dana")
    assert "anna has just edited plan" in said
    assert "wait for revision 2" in said
    return story, said


def edited_after_another_edit(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    first, strike = story.state.fingerprint or "", chance.random() < 0.5
    story.edited(strike=strike)
    said = _edit(story, "dana", plan=first)
    assert "was replaced by revision 2" in said
    assert f"an edit by anna ({'step' if strike else 'the summary changed'}" in said
    return story, said


def edited_after_a_step(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    story.done(story.claim())
    said = _edit(story, "dana")
    assert said == "the plan is already approved and is being executed"
    return story, said


def edited_while_held(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    said = _edit(story, "dana")
    assert f"the run is held at step {step}; resolve it" in said
    return story, said


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


def author_left_out(chance: Random) -> tuple[Story, str]:
    """The edited plan is recorded as the planner's, which would allow its author to approve it."""
    story, plan = _edit_by_dana(chance)
    story.draft(plan, author=chance.choice(["", "mallory"]))
    return story, ", expected dana"


def author_made_up(chance: Random) -> tuple[Story, str]:
    """Another person is recorded as the author, which would prevent them from approving."""
    story = _story(chance)
    story.decide("dana", Choice.REQUEST_CHANGES)
    story.draft(plan_of(3), author="fred")
    return story, "has the author fred, expected planner"


def removal_made_up(chance: Random) -> tuple[Story, str]:
    """An edit that changed the plan is recorded as one that only removed steps."""
    story, plan = _edit_by_dana(chance)
    story.draft(plan, struck=(chance.randint(1, 3),))
    story.decide("fred")
    return story, "lists removed steps other than those that the edit left out"


def edit_made_up_to_gain_time(chance: Random) -> tuple[Story, str]:
    """The review begins again, as after an edit that could not be drafted, but there was no edit."""
    story = _story(chance)
    if chance.random() < 0.5:
        story.edited()
    drafted = story.state.drafted
    assert drafted is not None
    deadline = reopened_deadline(story.state.requested, drafted, story.now)
    why = "the edit by anna could not be drafted: so"
    story.add(Reopened(fingerprint=drafted.fingerprint, edit=why, reopened_at=story.now, deadline=deadline))
    return story, "records that an edit could not be drafted, but no edit was pending"


def another_plan_than_the_edits(chance: Random) -> tuple[Story, str]:
    story, plan = _edit_by_dana(chance)
    other = chance.choice(
        [
            plan.model_copy(update={"summary": "Other"}),
            plan.model_copy(update={"steps": plan.steps[:1]}),
            plan.model_copy(update={"steps": (*plan.steps, plan.steps[0])}),
        ]
    )
    story.draft(other)
    return story, "is not the plan of the edit"


def _edit_by_dana(chance: Random) -> tuple[Story, Plan]:
    story = _story(chance)
    plan = plan_of(3).model_copy(update={"summary": "Dana's"})
    story.decide("dana", Choice.EDIT, new_plan=plan.proposed().model_dump(mode="json"))
    return story, plan


def reference_to_what_was_not_returned(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    story.done(story.claim())
    resolved = chance.choice([{}, {"after": 42}, {"after": "41"}, {"after": 41, "text": "x"}, {"before": 41}])
    story.claim(2, resolved=resolved)
    return story, "the values of its references differ from the receipts that they refer to"


def reference_to_a_skipped_step(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES[:3]))
    story.held(after=0)
    story.resolve(Resolution.SKIP)
    story.claim(2, resolved=chance.choice([{}, {"after": 41}]))
    return story, "the values of its references differ"


def undone_out_of_order(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    story.held(after=2)
    story.resolve(Resolution.UNDO)
    step = chance.choice([1, 3])
    story.claim(step, undo=True)
    return story, f"Step {step} is not the next one to undo"


def undone_without_a_resolution(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    story.held(after=chance.choice([1, 2]))
    if chance.random() < 0.5:
        story.resolve(Resolution.RETRY)
    story.claim(1, undo=True)
    return story, "No accepted resolution undoes"


def undone_without_a_claim(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    story.held(after=1)
    story.resolve(Resolution.UNDO)
    story.add(StepUndone(step=1, receipt=Receipt(summary="undone")))
    return story, "step 1 was undone but never claimed"


def undone_what_was_not_done(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    step = story.held(after=1)
    story.resolve(Resolution.UNDO)
    story.claim(undo=True)
    story.add(StepUndone(step=step, receipt=Receipt(summary="undone")))
    return story, f"undoes step {step}, which is"


def retried_under_the_used_key(chance: Random) -> tuple[Story, str]:
    """After a failure, the vendor would repeat its stored response."""
    story = _story(chance)
    step = story.held(in_doubt=False)
    story.resolve(Resolution.RETRY)
    key = idempotency_key(story.run, story.state.fingerprint or "", step, resolution=chance.choice([0, 2, 7]))
    story.claim(step, idempotency_key=key, attempt=2)
    return story, "its idempotency key is not that of its plan and step"


def repeated_under_a_new_key(chance: Random) -> tuple[Story, str]:
    """An effect in doubt may have happened; under a new key, it would happen twice."""
    story = _story(chance)
    step = story.held(in_doubt=True)
    story.resolve(Resolution.RETRY)
    key = idempotency_key(story.run, story.state.fingerprint or "", step, resolution=1)
    story.claim(step, idempotency_key=key, attempt=1)
    return story, "its idempotency key is not that of its plan and step"


def doubt_called_a_failure(chance: Random) -> tuple[Story, str]:
    """An effect in doubt is recorded as failed, so that the next retry would have a new key."""
    story = _story(chance)
    step = story.held(in_doubt=True)
    story.resolve(Resolution.RETRY)
    story.add(StepFailed(step=step, reason="so"))
    return story, f"records step {step} as failed, though its effect is in doubt"


def retried_without_a_resolution(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    step = story.claim()
    story.stop(step, in_doubt=chance.random() < 0.5)
    story.claim(step)
    return story, "and no accepted resolution tries it again"


def begun_while_held(chance: Random) -> tuple[Story, str]:
    story = _story(chance)
    step = story.held()
    story.claim(chance.choice([step, step + 1]) if step < len(story.state.steps) else step, resolved={})
    return story, "a step began that was not allowed"


def begun_after_a_skip(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES[:3]))
    step = story.held(after=chance.choice([0, 1]))
    story.resolve(Resolution.SKIP)
    story.claim(step, resolved={})
    return story, f"Step {step} is skipped, and no accepted resolution tries it again"


def held_for_too_long(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    step = story.claim()
    story.stop(step, in_doubt=chance.random() < 0.5)
    requirement = story.state.drafted.requirement if story.state.drafted else None
    assert requirement is not None
    longer = timedelta(seconds=requirement.longest_hold + chance.choice([1, 60, 10**6]))
    story.hold(step, deadline=story.now + longer)
    return story, "holds the run for longer than its policy allows"


def held_for_another_reason(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    step = story.claim()
    story.stop(step, in_doubt=chance.random() < 0.5)
    if chance.random() < 0.5:
        story.hold(step, why="all is well")
    else:
        step += 1
        story.hold(step, why="no answer")
    return story, f"holds the run at step {step}, which did not stop for that reason"


def held_under_another_number(chance: Random) -> tuple[Story, str]:
    """The hold has another number, so that a resolution of another hold would be valid."""
    story = _story(chance).approved()
    step = story.claim()
    story.stop(step, in_doubt=chance.random() < 0.5)
    story.hold(step, number=2)
    return story, "is numbered hold 2, expected hold 1"


def held_without_a_stop(chance: Random) -> tuple[Story, str]:
    story = _story(chance).approved()
    step = story.claim()
    story.hold(step)
    return story, f"holds the run at step {step}, which did not stop for that reason"


def resolver_had_left(chance: Random) -> tuple[Story, str]:
    """A step, or an undo, begins although, by the current list, the person who resolved has left."""
    story = _story(chance)
    story.held(after=1)
    by = "erik" if story.policy in (BY_OPS, BY_OPS_NO_SKIP) else "fred"
    undo = chance.random() < 0.5
    story.resolve(Resolution.UNDO if undo else Resolution.RETRY, by)
    story.leaves(by)
    story.now += timedelta(minutes=5)
    story.claim(undo=undo)
    return story, f"a step began although its resolution was no longer valid: {by} resolved step"


def executed_in_doubt(chance: Random) -> tuple[Story, str]:
    story, _ = _held(chance, in_doubt=True)
    story.close(Outcome.EXECUTED)
    return story, "has the outcome executed, but not every step is done or skipped"


def expired_while_held(chance: Random) -> tuple[Story, str]:
    story, _ = _held(chance)
    story.now += timedelta(days=9)
    story.close(Outcome.EXPIRED)
    return story, "has the outcome expired, but the run was held"


def resolved_by_a_typed_name_called_signed(chance: Random) -> tuple[Story, str]:
    """The resolution is recorded as signed, and has no signature."""
    story, step = _held(chance)
    event = story.judged(
        story.arrival(story.resolver(), Choice.RESOLVE, step=step, resolution=Resolution.RETRY)
    )
    assert event.arrival.decision is not None
    bare = event.arrival.decision.model_copy(update={"signature": None})
    forged = event.model_copy(update={"arrival": event.arrival.model_copy(update={"decision": bare})})
    story.add(forged, actor=story.state.requester if event.approver is None else event.approver.name)
    return story, "has the assurance signed, but has no signature"


def resolved_with_a_role_of_ones_own_making(chance: Random) -> tuple[Story, str]:
    story, step = _held(chance)
    event = story.judged(story.arrival("mallory", Choice.RESOLVE, step=step, resolution=Resolution.RETRY))
    assert event.approver is not None
    own = event.approver.standings[0].model_copy(update={"roles": ("finance", "ops", "anyone")})
    story.forced(event, event.approver.model_copy(update={"standings": (own,)}))
    return story, "mallory does not have the role"


TRAILS: tuple[Attack, ...] = (
    author_left_out, author_made_up, removal_made_up, edit_made_up_to_gain_time, another_plan_than_the_edits,
    reference_to_what_was_not_returned, reference_to_a_skipped_step,
    undone_out_of_order, undone_without_a_resolution, undone_without_a_claim, undone_what_was_not_done,
    retried_under_the_used_key, repeated_under_a_new_key, doubt_called_a_failure,
    retried_without_a_resolution, begun_while_held, begun_after_a_skip, held_for_too_long,
    held_for_another_reason, held_under_another_number, held_without_a_stop, resolver_had_left,
    executed_in_doubt, expired_while_held,
    resolved_by_a_typed_name_called_signed, resolved_with_a_role_of_ones_own_making,
)  # fmt: skip
