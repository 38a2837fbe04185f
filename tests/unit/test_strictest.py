"""An edited plan meets the requirements for its requester and for its author."""

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.assurance import Assurance
from plangate.domain.decision import Resolution
from plangate.domain.policy import (
    Matched,
    Need,
    Requirement,
    Resolvers,
    Rule,
    asks_for_less,
    combined,
    strictest,
)

FREE = Requirement(rules=("free",), policy_hash="p")
FINANCE = Requirement(needs=(Need(role="finance", count=1),), rules=("finance",), policy_hash="p")
SIGNED = Requirement(
    needs=(Need(role="finance", count=2), Need(role="ops", count=1)),
    assurance=Assurance.SIGNED,
    approval_valid_for=60,
    rules=("signed",),
    policy_hash="p",
)
RETRY = Requirement(
    resolvers=Resolvers(any_of=(("ops",),), resolutions=(Resolution.ABORT, Resolution.RETRY), rules=("r",)),
    policy_hash="p",
)
SKIP = Requirement(
    resolvers=Resolvers(any_of=(("ops",),), resolutions=(Resolution.SKIP, Resolution.ABORT), rules=("s",)),
    policy_hash="p",
)
ALL = (FREE, FINANCE, SIGNED, RETRY, SKIP)


def test_it_asks_for_no_less_than_each_of_the_two_in_either_order() -> None:
    for one in ALL:
        for other in ALL:
            both = strictest(one, other)
            assert asks_for_less(both, one) is None
            assert asks_for_less(both, other) is None
            assert asks_for_less(both, strictest(other, one)) is None
        assert strictest(one, one) == one


def test_a_rule_that_frees_only_one_of_them_is_not_named() -> None:
    assert strictest(FREE, FINANCE) == FINANCE


def test_no_resolution_that_only_one_allows_is_left() -> None:
    resolving = strictest(RETRY, SKIP).resolving
    assert [one for one in Resolution if resolving.allows(one)] == [Resolution.ABORT]


BATCHES = st.tuples(st.booleans(), st.booleans()).map(
    lambda one: Requirement(
        needs=(Need(role="finance", count=1),) * one[0], batch=all(one), notify_details=all(one)
    )
)


@given(BATCHES, BATCHES)
def test_plans_are_approved_together_or_detailed_only_if_all_that_demand_approvals_allow_it(
    one: Requirement, other: Requirement
) -> None:
    both = strictest(one, other)
    demanding = [part for part in (one, other) if part.needs]
    assert both.batch is (bool(demanding) and all(part.batch for part in demanding))
    assert both.notify_details is both.batch
    assert all(asks_for_less(both, part) is None for part in demanding)
    assert "batch" not in Requirement().model_dump_json()
    assert "notify_details" not in Requirement().model_dump_json()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_rules_that_match_allow_either_if_each_that_demands_approvals_does(
    rules: list[tuple[bool, bool]],
) -> None:
    matched = [
        Matched(
            rules=(
                Rule(name=str(number), needs=FINANCE.needs * demands, batch=allows, notify_details=allows),
            )
        )
        for number, (demands, allows) in enumerate(rules)
    ]
    found = combined(matched, Rule(name="default"), "p")
    asked = [allows for demands, allows in rules if demands]
    assert found.batch is found.notify_details is (bool(asked) and all(asked))
