"""Forged settlements are found in a trail and in a bundle; a valid run has no finding."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.domain.audit import AnyEvent, Outcome, StepDone, StepSettled
from plangate.domain.decision import Resolution
from plangate.domain.fold import fold
from plangate.domain.run import Phase
from plangate.domain.settlements import settlement_of
from plangate.domain.tool import Receipt
from tests.support.held_story import POLICIES, Story
from tests.support.times import times
from tests.unit.test_hold_attacks import found, found_in_bundle

Attack = Callable[[Random], tuple[Story, str]]
DAY = timedelta(days=1)


def _accepts(story: Story, step: int) -> None:
    """Complete a step whose settlement is pending for a day."""
    story.claim(step)
    receipt = Receipt(summary="accepted", details={"number": 40 + step}, final=False)
    story.add(StepDone(step=step, receipt=receipt, settles_until=story.now + DAY))


def _executed(chance: Random, *accepted: int) -> Story:
    """Return an executed run; the settlements of these steps are pending."""
    story = Story(chance, chance.choice(POLICIES)).approved()
    for step in range(1, len(story.state.steps) + 1):
        if step in accepted:
            _accepts(story, step)
        else:
            story.done(story.claim(step))
    story.close(Outcome.EXECUTED)
    return story


def _settles(story: Story, step: int, kind: str = "", later: timedelta = timedelta()) -> None:
    story.now += later
    chosen = kind or story.chance.choice(["settled", "reversed"])
    said = {"kind": chosen, "step": step, "summary": "so says the bank", "found_at": story.now}
    story.add(AnyEvent.model_validate(said).root)


def sound(chance: Random) -> Story:
    story = _executed(chance, 1, 2)
    for step in chance.sample([1, 2], chance.randint(0, 2)):
        kind = chance.choice(["settled", "reversed", "unsettled"])
        _settles(story, step, kind, DAY if kind == "unsettled" else timedelta(hours=chance.randint(0, 50)))
    return story


def settled_twice(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 1, 2)
    _settles(story, 1)
    _settles(story, 1)
    return story, "records a second time how step 1 ended"


def settled_though_it_was_reversed(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 2)
    _settles(story, 2, "reversed")
    _settles(story, 2, "settled")
    return story, "records a second time how step 2 ended"


def settled_though_it_was_final(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 2)
    _settles(story, 1)
    return story, "but its receipt leaves nothing to look up"


def settled_though_it_was_not_done(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES))
    step = story.held(after=1)
    story.close(Outcome.FAILED, "held too long")
    _settles(story, step)
    return story, f"records how step {step} ended, which is"


def settled_a_step_that_does_not_exist(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 1)
    _settles(story, chance.choice([0, -1, 9]))
    return story, "which does not exist"


def settled_before_the_end(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES)).approved()
    _accepts(story, 1)
    _settles(story, 1)
    return story, "before the end of the run"


def given_up_too_early(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 1)
    _settles(story, 1, "unsettled", timedelta(hours=20))
    return story, "ends the look-up of step"


def dated_otherwise_than_found(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 1)
    story.add(StepSettled(step=1, summary="so", found_at=story.now + timedelta(hours=2)))
    return story, "has a time that differs from the time in its event"


def dated_before_the_end(chance: Random) -> tuple[Story, str]:
    story = _executed(chance, 1)
    story.now -= timedelta(hours=2)
    _settles(story, 1)
    return story, "on which it depends"


def done_finally_and_left_open(chance: Random) -> tuple[Story, str]:
    story = Story(chance, chance.choice(POLICIES)).approved()
    story.claim(1)
    story.add(StepDone(step=1, receipt=Receipt(summary="done"), settles_until=story.now + DAY))
    return story, "but its receipt is final"


ATTACKS: tuple[Attack, ...] = (
    settled_twice, settled_though_it_was_reversed, settled_though_it_was_final,
    settled_though_it_was_not_done, settled_a_step_that_does_not_exist, settled_before_the_end,
    given_up_too_early, dated_otherwise_than_found, dated_before_the_end, done_finally_and_left_open,
)  # fmt: skip


def test_a_run_with_looked_up_steps_has_no_finding() -> None:
    for seed in range(times(20)):
        story = sound(Random(seed))
        assert found(story) == [], seed
        assert found_in_bundle(story) == [], seed
        assert story.state.state == "executed"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_a_forged_settlement_is_detected_and_reported(attack: Attack) -> None:
    for seed in range(times(2)):
        story, said = attack(Random(f"{attack.__name__} {seed}"))
        for findings in (found(story), found_in_bundle(story)):
            assert any(said in one for one in findings), (seed, said, findings)


def test_forged_settlements_change_no_state() -> None:
    for attack in (settled_though_it_was_final, settled_though_it_was_not_done):
        story, _ = attack(Random(0))
        assert not any(step.settlement for step in story.state.steps)
    story, _ = settled_though_it_was_reversed(Random(0))
    found_first = settlement_of(story.state.steps[1])
    assert found_first is not None
    assert found_first.state == "reversed"


def test_an_earlier_bundle_stays_valid_and_a_later_one_contains_more() -> None:
    story = _executed(Random(1), 1)
    early = bundle_of(story.run, story.entries, (), story.texts())
    _settles(story, 1, "reversed")
    late = bundle_of(story.run, story.entries, (), story.texts())
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
    story = Story(Random(3), POLICIES[0]).approved()
    _accepts(story, 1)
    assert settlement_of(story.state.steps[0]) is not None
    story.claim(2)
    story.stop(2, in_doubt=False)
    story.hold(2)
    resolve_by_undo(story)
    assert story.state.steps[0].state == "undone"
    assert settlement_of(story.state.steps[0]) is None
    assert found(story) == []
    assert fold(story.run, (entry.event for entry in story.entries)) == story.state


def resolve_by_undo(story: Story) -> None:
    story.resolve(Resolution.UNDO)
    assert story.state.phase is Phase.UNDOING
    story.finish()
