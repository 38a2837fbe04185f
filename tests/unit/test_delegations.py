"""Delegated roles agree with a simple model, even with forged entries; other roles are never accepted."""

from datetime import UTC, datetime
from itertools import combinations

import pytest

from plangate.domain.decisions.delegations import DelegationAction, read_delegation
from tests.support.random_delegations import RandomDelegations
from tests.support.times import times

FIELDS = {"to": "erik", "roles": ["finance"], "until": "2026-12-01T00:00:00Z"}
ALLOWED: dict[str, list[set[str]]] = {
    "lend": [{"to", "roles", "until"}],
    "end": [{"to"}],
    "away": [{"until"}, {"to", "until"}],
    "back": [set()],
    "list": [],
}


@pytest.mark.parametrize("seed", range(times(12)))
def test_only_current_delegations_are_valid(seed: int) -> None:
    """A seeded sample; `python -m chaos delegations` runs a thousand cases of twelve requests each."""
    assert list(RandomDelegations(seed).differences(orders=12)) == []


@pytest.mark.parametrize("action", DelegationAction)
@pytest.mark.parametrize("names", [set(names) for n in range(4) for names in combinations(FIELDS, n)])
def test_a_request_has_exactly_the_fields_of_its_action(action: DelegationAction, names: set[str]) -> None:
    sent = {"action": action, "by": "dana", **{name: FIELDS[name] for name in names}}
    read = read_delegation(key="k", inputs=[sent], received_at=datetime(2026, 11, 1, tzinfo=UTC))
    assert (read.order is not None) == (names in ALLOWED[action])
    assert (f'"{action}"' in read.fault) == (read.order is None)
