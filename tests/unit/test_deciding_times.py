"""How long approvers take to decide: the time since the plan was shown, or else an upper bound."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from plangate.audit.deciding_times import PlanDecided, PlanShown, deciding_times, plans_decided
from tests.support.build import NOON, RUN, arrival, chained, drafted, requested, state_after
from tests.support.senders import judge_all, sent


def decided(by: str = "dana", at: float = 100, drafted_at: float = 0, run: str = RUN) -> PlanDecided:
    return PlanDecided(
        by=by,
        workflow_id=run,
        fingerprint="f",
        at=NOON + timedelta(seconds=at),
        drafted_at=NOON + timedelta(seconds=drafted_at),
    )


def shown(who: str = "dana", at: float = 0, folds: int = 0, opened: int = 0, run: str = RUN) -> PlanShown:
    return PlanShown(
        who=who,
        workflow_id=run,
        fingerprint="f",
        at=NOON + timedelta(seconds=at),
        folds=folds,
        opened=opened,
    )


def test_the_time_counts_from_the_first_view_of_the_plan() -> None:
    (dana,) = deciding_times([decided()], [shown(at=97), shown(at=40), shown(at=200)])
    assert (dana.decisions, dana.shown, dana.median_seconds, dana.quick) == (1, 1, 60, 0)


def test_views_by_other_people_or_of_other_plans_do_not_count() -> None:
    (dana,) = deciding_times([decided()], [shown("erik", 97), shown(at=97, run="plan-2")])
    assert (dana.shown, dana.median_seconds, dana.never_unfolded) == (0, 100, None)


def test_without_views_the_draft_and_the_previous_decision_are_upper_bounds() -> None:
    """Three plans were drafted long ago, and decided within three seconds."""
    decisions = [decided(at=100 + number, run=f"plan-{number}") for number in range(4)]
    (dana,) = deciding_times(decisions)
    assert (dana.median_seconds, dana.quick) == (1, 0.75)


def test_a_plan_counts_as_unfolded_only_if_every_collapsed_section_was_opened() -> None:
    decisions = [decided(at=100 + number, run=f"plan-{number}") for number in range(4)]
    views = [
        shown(run="plan-0", folds=2, opened=1),
        shown(run="plan-1", folds=2, opened=0),
        shown(run="plan-1", folds=2, opened=2, at=50),
        shown(run="plan-2"),  # it had no collapsed sections
    ]
    (dana,) = deciding_times(decisions, views)
    assert (dana.shown, dana.folded, dana.never_unfolded) == (3, 2, 1 / 2)


def test_the_percentage_for_plans_without_collapsed_sections_is_undefined() -> None:
    (dana,) = deciding_times([decided()], [shown(at=97)])
    assert (dana.shown, dana.folded, dana.never_unfolded) == (1, 0, None)


def test_different_spellings_of_a_name_refer_to_one_person() -> None:
    found = deciding_times([decided("Dana"), decided("dana", 101)], [shown("DANA", 90)])
    assert [(one.name, one.decisions, one.shown) for one in found] == [("dana", 2, 2)]


def test_decisions_are_read_from_the_trail() -> None:
    state = state_after(drafted())
    later = NOON + timedelta(seconds=3)
    judged = judge_all(state, sent([arrival("approve", by="rita", at=later), arrival("reject", at=later)]))
    found = list(plans_decided(chained((requested(), drafted(), *judged))))
    assert [(one.by, one.at, one.drafted_at) for one in found] == [("dana", later, NOON)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 50)), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 3)), max_size=12),
)
def test_every_decision_is_counted_once_and_percentages_add_up(
    decisions: list[tuple[str, int, int]], views: list[tuple[str, int, int]]
) -> None:
    made = [decided(by, drafted + took, drafted) for by, drafted, took in decisions]
    found = deciding_times(made, [shown(who, at, 2, opened) for who, at, opened in views])
    bound = {one.name: one for one in deciding_times(made)}
    assert sum(one.decisions for one in found) == len(made)
    for one in found:
        assert 0 <= one.quick <= 1
        assert (one.never_unfolded is None) is (one.folded == 0)
        assert one.folded <= one.shown
        assert one.never_unfolded is None or 0 <= one.never_unfolded <= 1
        assert one.median_seconds >= 0
        assert bound[one.name].shown == 0
