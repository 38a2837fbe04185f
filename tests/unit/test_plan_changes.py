"""A run keeps the previous plan, and every change in a new revision is found."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.plans.plan_changes import Before, Kind, changes_between, kept_before, plan_before
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.fold import apply
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import Status, status_of
from plangate.domain.runs.status_consistency import contradiction
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from tests.support.build import NOON, RUN, arrival, decide, drafted, requested, state_after
from tests.support.fakes import AUDIENCE
from tests.unit.test_run_page import printed

VALUES = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "1", "a\nb", "true"]))
ARGUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    st.one_of(VALUES, st.lists(VALUES, max_size=2), st.dictionaries(st.just("d"), VALUES)),
)
STEPS = st.builds(
    Step,
    tool=st.sampled_from(["note", "mail"]),
    arguments=ARGUMENTS,
    reason=st.sampled_from(["", "why"]),
    preview=st.sampled_from(["", "Write it"]),
    observation=VALUES,
)
PLANS = st.builds(Plan, summary=st.sampled_from(["s", "t"]), steps=st.lists(STEPS, min_size=1, max_size=6))


def plan(*steps: dict[str, Any] | int, summary: str = "s") -> Plan:
    made = [Step(tool="note", arguments=one if isinstance(one, dict) else {"n": one}) for one in steps]
    return Plan(summary=summary, steps=tuple(made))


def kinds(before: Plan, after: Plan) -> list[tuple[str, int, int]]:
    return [(one.kind.value, one.before, one.after) for one in changes_between(before, after).steps]


def as_json(step: Step) -> str:
    """Return what can differ in a step, which does not include the order of its arguments."""
    return json.dumps(step.model_dump(mode="json", exclude={"preview"}), sort_keys=True)


@given(PLANS, PLANS)
def test_the_previous_plan_is_restored_exactly(replaced: Plan, newest: Plan) -> None:
    fingerprint_before = fingerprint_of(replaced, 1, RUN, AUDIENCE)
    kept = kept_before(1, fingerprint_before, replaced, newest)
    read = Before.model_validate_json(kept.model_dump_json())
    assert fingerprint_of(plan_before(read, newest), 1, RUN, AUDIENCE) == fingerprint_before


@given(PLANS, PLANS)
def test_every_difference_is_reported(before: Plan, after: Plan) -> None:
    changes = changes_between(before, after)
    old, new = ([as_json(step) for step in one.steps] for one in (before, after))
    named = {one.before for one in changes.steps}
    assert all(number in named or step in new for number, step in enumerate(old, start=1))
    named = {one.after for one in changes.steps}
    assert all(number in named or step in old for number, step in enumerate(new, start=1))
    removed = sum(one.kind is Kind.REMOVED for one in changes.steps)
    assert len(old) - removed == len(new) - sum(one.kind is Kind.NEW for one in changes.steps)
    assert bool(changes) or (before.summary, old) == (after.summary, new)


def test_the_order_of_arguments_is_no_difference() -> None:
    one, other = ({"a": None, "b": True}, {"b": True, "a": None})
    first, second = (Plan(summary="s", steps=(Step(tool="note", arguments=each),)) for each in (one, other))
    assert fingerprint_of(first, 1, RUN, AUDIENCE) == fingerprint_of(second, 1, RUN, AUDIENCE)
    assert not changes_between(first, second)


@given(PLANS)
def test_a_plan_does_not_differ_from_itself(one: Plan) -> None:
    assert not changes_between(one, one)


def test_steps_are_reported_as_removed_added_moved_or_changed() -> None:
    assert kinds(plan(1, 2, 3), plan(1, 3)) == [("removed", 2, 0)]
    assert changes_between(plan(1), plan(1, 2)).steps[0].kind is Kind.NEW
    assert kinds(plan(1, 2, 3), plan(3, 1, 2)) == [("moved", 3, 1)]
    assert kinds(plan(1, 2), plan(1, {"n": 5})) == [("changed", 2, 2)]
    assert changes_between(plan(1), plan(1, summary="t")).summary


def test_a_value_is_identified_by_its_path_and_true_differs_from_1() -> None:
    before, after = (
        plan({"json": {"a": 1, "b": [1], "c": 0}}),
        plan({"json": {"a": True, "b": [1, 2], "d": None}}),
    )
    (step,) = changes_between(before, after).steps
    changed = {
        ".".join(one.path): (one.was_there, one.before, one.is_there, one.after) for one in step.arguments
    }
    assert changed == {
        "json.a": (True, 1, True, True),
        "json.b": (True, [1], True, [1, 2]),
        "json.c": (True, 0, False, None),
        "json.d": (False, None, True, None),
    }


def test_a_run_with_one_edited_step_carries_only_that_step() -> None:
    steps = [{"text": "x" * 1_000, "n": number} for number in range(20)]
    first = plan(*steps)
    second = plan(*steps[:-1], {"text": "short"})
    once = state_after(drafted(first))
    twice = apply(once, drafted(second, 2, author="dana"))
    assert twice.before is not None
    assert twice.before.steps[:-1] == tuple(range(1, 20))
    assert len(twice.model_dump_json()) < len(once.model_dump_json()) + 1_500
    status = status_of(twice, source="workflow")
    assert status.previous is not None
    assert (status.previous.plan, status.previous.fingerprint) == (first, drafted(first).fingerprint)


def test_a_first_revision_has_no_previous_plan_in_its_state_or_status() -> None:
    state = state_after(drafted())
    assert "before" not in state.model_dump(mode="json")
    assert status_of(state, source="workflow").previous is None


def test_a_state_that_refers_to_a_missing_step_is_inconsistent() -> None:
    state = apply(state_after(drafted()), drafted(revision=2))
    assert state.is_consistent
    wrong = Before(revision=1, fingerprint="ab" * 32, steps=(3,))
    assert not state.model_copy(update={"before": wrong}).is_consistent


def test_the_status_of_a_redrafted_plan_is_shown() -> None:
    state = apply(RunState(workflow_id=RUN), requested())
    for revision in (1, 2, 3):
        state = apply(state, drafted(plan(revision), revision))
    status = status_of(state, source="workflow")
    assert status.previous is not None
    assert status.previous.revision == 2
    assert contradiction(status, workflow_id=RUN, namespace=AUDIENCE.namespace) is None


def edited_by(state: RunState, who: str, texts: list[str], revision: int, **more: Any) -> RunState:
    state = decide(state, arrival("edit", by=who, plan=state.fingerprint, new_plan={}, comment=""))
    return apply(state, drafted(plan(*({"text": one} for one in texts)), revision, author=who, **more))


def test_a_second_edit_keeps_the_changes_of_the_first_one_visible() -> None:
    state = state_after(drafted(plan({"text": "10"}, {"text": "mail"}, {"text": "note"})))
    state = edited_by(state, "dana", ["90", "mail", "note"], 2)
    assert state.baseline is None
    state = edited_by(state, "frank", ["90", "mail"], 3)
    status = status_of(state, source="workflow")
    assert [(one.revision, one.by) for one in status.edits] == [(2, "dana"), (3, "frank")]
    assert status.baseline is not None
    assert status.baseline.revision == 1
    assert contradiction(status, workflow_id=RUN, namespace=AUDIENCE.namespace) is None
    for page in (" ".join(printed(run_page(status, NOON)).split()), details_page(state)):
        for said in (
            "revision 2 by",
            "dana",
            "frank",
            "Changed since revision 2",
            "Changed since revision 1",
        ):
            assert said in page, page
        assert '"10"' in page
        assert '"90"' in page
    read = json.loads(status.model_dump_json())
    assert read["baseline"]["revision"] == 1
    assert Status.model_validate(read) == status


def test_changes_are_shown_since_the_last_approved_plan() -> None:
    two = tuple(need.model_copy(update={"count": 2}) for need in ONE_APPROVAL.needs)
    state = state_after(drafted(plan({"text": "1"})))
    state = edited_by(state, "dana", ["2"], 2, requirement=ONE_APPROVAL.model_copy(update={"needs": two}))
    state = decide(state, arrival(by="erik", plan=state.fingerprint, comment=""))
    state = edited_by(state, "frank", ["3"], 3)
    assert state.baseline is None
    state = edited_by(state, "frank", ["4"], 4)
    assert state.baseline is not None
    assert state.baseline.revision == 2


def test_the_previous_plan_in_a_state_is_limited() -> None:
    texts = [f"{number} {'x' * 30_000}" for number in range(6)]
    state = state_after(drafted(plan(*({"text": one} for one in texts))))
    state = edited_by(state, "dana", ["a"], 2)
    one_plan = len(state.model_dump_json())
    for revision in range(3, 12):
        state = edited_by(state, "dana", [f"b{revision}"], revision)
    assert len(state.model_dump_json()) < one_plan
    status = status_of(state, source="workflow")
    assert contradiction(status, workflow_id=RUN, namespace=AUDIENCE.namespace) is None


def test_a_baseline_that_does_not_match_is_a_contradiction() -> None:
    state = state_after(drafted(plan({"text": "1"})))
    for revision, text in ((2, "2"), (3, "3")):
        state = edited_by(state, "dana", [text], revision)
    status = status_of(state, source="workflow")
    assert status.baseline is not None
    for wrong in ({"steps": (7,)}, {"steps": (1,)}, {"revision": 2}, {"fingerprint": "ab" * 32}):
        other = status.model_copy(update={"baseline": status.baseline.model_copy(update=wrong)})
        assert contradiction(other, workflow_id=RUN, namespace=AUDIENCE.namespace) is not None
