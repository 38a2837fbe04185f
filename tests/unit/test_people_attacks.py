"""Whoever writes to the database and holds one key: whatever approval they forge or keep is found, and named.

The suite takes a sample; PLANGATE_TEST_TIMES=25 makes more than 5,000 attacks of it.
"""

from random import Random
from typing import Any

import pytest

from plangate.domain.people import People
from plangate.evidence import examined
from plangate.proof import PeopleThen, revoked_since
from tests.people_attacks import AT_THE_STEP, ATTACKS, BY_TODAYS_LIST, DAY, NOON, RUN, Case, sound
from tests.times import times

EACH = 5
"""So many attacks of each kind, by each of the two ways to judge them."""


def found(case: Case, today: People | None, then: PeopleThen | None) -> list[str]:
    return [str(one) for one in examined(RUN, case.trail(), today, then=then)]


def test_a_run_that_nobody_attacked_has_no_finding_and_no_note() -> None:
    for seed in range(times(EACH)):
        case = sound(Random(seed))
        assert found(case, case.people, case.lists) == []
        assert found(case, case.people, None) == []
        assert list(revoked_since(RUN, case.trail(), case.people, NOON + DAY)) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_named_by_the_lists_of_then(attack: Any) -> None:
    for seed in range(times(EACH)):
        case = sound(Random(f"{attack.__name__} {seed}"))
        said = attack(case)
        findings = found(case, None, case.lists)
        if case.people.find("stranger") is None and "not in the list" in said:
            findings += found(case, case.people, case.lists)
        assert _are_named(findings, said, at_the_step=attack in AT_THE_STEP), (seed, said, findings)


@pytest.mark.parametrize("attack", BY_TODAYS_LIST, ids=lambda attack: attack.__name__)
def test_an_attack_is_named_by_the_list_of_today(attack: Any) -> None:
    for seed in range(times(EACH)):
        case = sound(Random(f"{attack.__name__} {seed}"))
        said = attack(case)
        findings = found(case, case.people, None)
        assert _are_named(findings, said, at_the_step=attack in AT_THE_STEP), (seed, said, findings)


def _are_named(findings: list[str], said: str, *, at_the_step: bool) -> bool:
    return any(said in finding and ("a step began" in finding) is at_the_step for finding in findings)
