"""A step is held, without an effect, if and only if the approved observation is no longer valid."""

import random

from tests.support.gate import Gate
from tests.support.stale_objects import HOLDS, STALE, objects, perform

SEED = 8
SAMPLE = 100  # objects, some with two steps; `python -m chaos stale` creates thousands


async def test_a_step_is_held_if_and_only_if_the_approved_state_is_no_longer_valid(idle_gate: Gate) -> None:
    steps, faults = await perform(idle_gate, random.Random(SEED), SAMPLE)

    assert faults == []
    assert steps >= SAMPLE


def test_the_sample_covers_all_kinds_of_states() -> None:
    kinds = {item.kind for item in objects(random.Random(SEED), SAMPLE)}

    assert kinds == {*HOLDS, *STALE}
