"""An edited plan meets the requirements for its requester and for its author."""

from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.decisions.decision import Resolution
from plangate.domain.people.assurance import Assurance
from plangate.domain.policies.policy import Matched, Rule, combined, strictest
from plangate.domain.policies.requirement import Need, Requirement, Resolvers
from plangate.domain.policies.requirement_comparison import missing_demand

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
    resolvers=Resolvers(
        any_of=(("ops",),),
        assurance=Assurance.SIGNED,
        resolutions=(Resolution.SKIP, Resolution.ABORT),
        rules=("s",),
    ),
    timeout_seconds=60,
    hold_seconds=60,
    cooling_seconds=60,
    policy_hash="p",
)
ALL = (FREE, FINANCE, SIGNED, RETRY, SKIP)


def test_the_strictest_requirement_is_no_weaker_than_either_in_any_order() -> None:
    for one in ALL:
        for other in ALL:
            both = strictest(one, other)
            assert missing_demand(both, one) is None
            assert missing_demand(both, other) is None
            assert missing_demand(both, strictest(other, one)) is None
        assert strictest(one, one) == one


def test_a_rule_that_exempts_in_only_one_requirement_is_not_listed() -> None:
    assert strictest(FREE, FINANCE) == FINANCE


def test_no_resolution_allowed_by_only_one_requirement_is_left() -> None:
    resolving = strictest(RETRY, SKIP).resolving
    assert [one for one in Resolution if resolving.allows(one)] == [Resolution.ABORT]


BATCHES = st.tuples(st.booleans(), st.booleans()).map(
    lambda one: Requirement(
        needs=(Need(role="finance", count=1),) * one[0], batch=all(one), notify_details=all(one)
    )
)


@given(BATCHES, BATCHES)
def test_joint_approval_and_details_need_the_consent_of_all_rules_that_require_approval(
    one: Requirement, other: Requirement
) -> None:
    both = strictest(one, other)
    demanding = [part for part in (one, other) if part.needs]
    assert both.batch is (bool(demanding) and all(part.batch for part in demanding))
    assert both.notify_details is both.batch
    assert all(missing_demand(both, part) is None for part in demanding)
    assert "batch" not in Requirement().model_dump_json()
    assert "notify_details" not in Requirement().model_dump_json()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=4))
def test_matching_rules_allow_both_if_all_that_require_approval_do(
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
