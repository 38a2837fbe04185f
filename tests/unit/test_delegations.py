"""Delegated roles agree with a simple model, even with forged entries; other roles are never accepted."""

import pytest

from tests.support.random_delegations import RandomDelegations
from tests.support.times import times


@pytest.mark.parametrize("seed", range(times(12)))
def test_only_current_delegations_are_valid(seed: int) -> None:
    """A seeded sample; `python -m chaos delegations` runs a thousand cases of twelve requests each."""
    assert list(RandomDelegations(seed).differences(orders=12)) == []
