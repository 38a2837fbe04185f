"""What an edited plan needs: what it needs of its requester, and what it would need of its author."""

from plangate.domain.assurance import Assurance
from plangate.domain.decision import Resolution
from plangate.domain.policy import Need, Requirement, Resolvers, asks_for_less, strictest

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


def test_what_frees_one_of_them_only_is_not_named() -> None:
    assert strictest(FREE, FINANCE) == FINANCE


def test_no_resolution_that_only_one_allows_is_left() -> None:
    resolving = strictest(RETRY, SKIP).resolving
    assert [one for one in Resolution if resolving.allows(one)] == [Resolution.ABORT]
