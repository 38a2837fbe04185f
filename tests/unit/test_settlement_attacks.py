"""Forged settlements are found in a trail and in a bundle; a valid run has no finding."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.domain.decisions.decision import Resolution
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import AnyEvent, Outcome, StepDone, StepSettled
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import Phase
from plangate.domain.runs.settlements import settlement_of
from tests.support.recorded_history import POLICIES, RunHistory
from tests.support.times import times
from tests.unit.test_hold_attacks import found, found_in_bundle

Attack = Callable[[Random], tuple[RunHistory, str]]
DAY = timedelta(days=1)


def _accepts(history: RunHistory, step: int) -> None:
    """Complete a step whose settlement is pending for a day."""
    history.claim(step)
    receipt = Receipt(summary="accepted", details={"number": 40 + step}, final=False)
    history.add(StepDone(step=step, receipt=receipt, settles_until=history.now + DAY))


def _executed(rng: Random, *accepted: int) -> RunHistory:
    """Return an executed run; the settlements of these steps are pending."""
    history = RunHistory(rng, rng.choice(POLICIES)).approved()
    for step in range(1, len(history.state.steps) + 1):
        if step in accepted:
            _accepts(history, step)
        else:
            history.done(history.claim(step))
    history.close(Outcome.EXECUTED)
    return history


def _settles(history: RunHistory, step: int, kind: str = "", later: timedelta = timedelta()) -> None:
    history.now += later
    chosen = kind or history.rng.choice(["settled", "reversed"])
    said = {"kind": chosen, "step": step, "summary": "reported by the bank", "found_at": history.now}
    history.add(AnyEvent.model_validate(said).root)


def valid_run(rng: Random) -> RunHistory:
    history = _executed(rng, 1, 2)
    for step in rng.sample([1, 2], rng.randint(0, 2)):
        kind = rng.choice(["settled", "reversed", "unsettled"])
        _settles(history, step, kind, DAY if kind == "unsettled" else timedelta(hours=rng.randint(0, 50)))
    return history


def settled_twice(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 1, 2)
    _settles(history, 1)
    _settles(history, 1)
    return history, "records a second time how step 1 ended"


def settled_though_it_was_reversed(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 2)
    _settles(history, 2, "reversed")
    _settles(history, 2, "settled")
    return history, "records a second time how step 2 ended"


def settled_though_it_was_final(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 2)
    _settles(history, 1)
    return history, "but its receipt leaves nothing to look up"


def settled_though_it_was_not_done(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES))
    step = history.held(after=1)
    history.close(Outcome.FAILED, "held too long")
    _settles(history, step)
    return history, f"records how step {step} ended, which is"


def settled_a_step_that_does_not_exist(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 1)
    _settles(history, rng.choice([0, -1, 9]))
    return history, "which does not exist"


def settled_before_the_end(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES)).approved()
    _accepts(history, 1)
    _settles(history, 1)
    return history, "before the end of the run"


def lookup_ended_too_early(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 1)
    _settles(history, 1, "unsettled", timedelta(hours=20))
    return history, "ends the look-up of step"


def dated_differently_from_its_event(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 1)
    history.add(StepSettled(step=1, summary="so", found_at=history.now + timedelta(hours=2)))
    return history, "has a time that differs from the time in its event"


def dated_before_the_end(rng: Random) -> tuple[RunHistory, str]:
    history = _executed(rng, 1)
    history.now -= timedelta(hours=2)
    _settles(history, 1)
    return history, "on which it depends"


def pending_despite_a_final_receipt(rng: Random) -> tuple[RunHistory, str]:
    history = RunHistory(rng, rng.choice(POLICIES)).approved()
    history.claim(1)
    history.add(StepDone(step=1, receipt=Receipt(summary="done"), settles_until=history.now + DAY))
    return history, "but its receipt is final"


ATTACKS: tuple[Attack, ...] = (
    settled_twice, settled_though_it_was_reversed, settled_though_it_was_final,
    settled_though_it_was_not_done, settled_a_step_that_does_not_exist, settled_before_the_end,
    lookup_ended_too_early, dated_differently_from_its_event, dated_before_the_end,
    pending_despite_a_final_receipt,
)  # fmt: skip


def test_a_run_with_looked_up_steps_has_no_finding() -> None:
    for seed in range(times(20)):
        history = valid_run(Random(seed))
        assert found(history) == [], seed
        assert found_in_bundle(history) == [], seed
        assert history.state.state == "executed"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_forged_settlement_is_detected_and_reported(attack: Attack) -> None:
    for seed in range(times(2)):
        history, said = attack(Random(f"{attack.__name__} {seed}"))
        for findings in (found(history), found_in_bundle(history)):
            assert any(said in one for one in findings), (seed, said, findings)


def test_forged_settlements_change_no_state() -> None:
    for attack in (settled_though_it_was_final, settled_though_it_was_not_done):
        history, _ = attack(Random(0))
        assert not any(step.settlement for step in history.state.steps)
    history, _ = settled_though_it_was_reversed(Random(0))
    found_first = settlement_of(history.state.steps[1])
    assert found_first is not None
    assert found_first.state == "reversed"


def test_an_earlier_bundle_stays_valid_and_a_later_one_contains_more() -> None:
    history = _executed(Random(1), 1)
    early = bundle_of(history.run, history.entries, (), history.texts())
    _settles(history, 1, "reversed")
    late = bundle_of(history.run, history.entries, (), history.texts())
    for bundle, state in ((early, "open"), (late, "reversed")):
        read = read_bundle(bundle.model_dump_json())
        findings = bundle_findings(read, trusted=frozenset(), people=None)
        assert [one.what for one in findings if not one.is_unsealed] == []
        steps = read.story["steps"]
        assert isinstance(steps, list)
        assert isinstance(steps[0], dict)
        assert isinstance(steps[0]["settlement"], dict)
        assert steps[0]["settlement"]["state"] == state
    mixed = late.model_copy(update={"story": early.story})
    said = [one.what for one in bundle_findings(mixed, trusted=frozenset(), people=None)]
    assert "the section 'steps' differs from the trail" in said


def test_an_undone_step_has_no_pending_settlement() -> None:
    history = RunHistory(Random(3), POLICIES[0]).approved()
    _accepts(history, 1)
    assert settlement_of(history.state.steps[0]) is not None
    history.claim(2)
    history.stop(2, in_doubt=False)
    history.hold(2)
    resolve_by_undo(history)
    assert history.state.steps[0].state == "undone"
    assert settlement_of(history.state.steps[0]) is None
    assert found(history) == []
    assert fold(history.run, (entry.event for entry in history.entries)) == history.state


def resolve_by_undo(history: RunHistory) -> None:
    history.resolve(Resolution.UNDO)
    assert history.state.phase is Phase.UNDOING
    history.finish()
