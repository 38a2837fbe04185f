"""A step is held, without an effect, if and only if the approved observation is no longer valid."""

import random

import pytest

from tests.support.gate import Gate
from tests.support.stale_worlds import HOLDS, STALE, perform, worlds

SEED = 8
SAMPLE = 100  # worlds, of which some have two steps; `python -m chaos stale` makes thousands


@pytest.mark.timeout(300)  # of a busy machine; alone, the sample takes seconds
async def test_a_step_is_held_exactly_if_the_approved_state_no_longer_holds(idle_gate: Gate) -> None:
    steps, faults = await perform(idle_gate, random.Random(SEED), SAMPLE)

    assert faults == []
    assert steps >= SAMPLE


def test_the_sample_covers_all_kinds_of_states() -> None:
    kinds = {world.kind for world in worlds(random.Random(SEED), SAMPLE)}

    assert kinds == {*HOLDS, *STALE}
