"""Each approval that an attacker with database access and one key forges or keeps is reported.

The suite tests a sample; with PLANGATE_TEST_TIMES=25 it tests more than 5,000 attacks.
"""

from random import Random
from typing import Any

import pytest

from plangate.audit.evidence import examined
from plangate.audit.proof import Lists, revoked_since, unproven
from plangate.domain.decisions.decision import Verdict
from plangate.domain.people.people import ANYONE, Approver, People, Person, PersonRoles
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import AuditEntry, Claimed, Decided, Event, Released, StepFailed
from plangate.policy.kept_lists import PeopleByHash
from tests.support.people_attacks import (
    AFTER,
    AT_THE_STEP,
    ATTACKS,
    BY_TODAYS_LIST,
    DAY,
    FINGERPRINT,
    NOON,
    RUN,
    Case,
    arrival,
    opening,
    valid_case,
    written,
)
from tests.support.times import times

EACH = 5
"""The number of attacks of each kind, for each of the two ways to check them."""


def claim(**more: Any) -> Claimed:
    said = {
        "step": 1,
        "idempotency_key": idempotency_key(RUN, FINGERPRINT, 1),
        "fingerprint": FINGERPRINT,
        "attempt": 1,
    }
    return Claimed(**{**said, **more})


def found(case: Case, today: People | None, then: PeopleByHash | None) -> list[str]:
    return [str(one) for one in examined(RUN, case.trail(), today, people_by_hash=then)]


def test_an_intact_run_has_no_finding_and_no_note() -> None:
    for seed in range(times(EACH)):
        case = valid_case(Random(seed))
        assert found(case, case.people, case.lists) == []
        assert found(case, case.people, None) == []
        assert list(revoked_since(RUN, case.trail(), case.people, NOON + DAY)) == []


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_reported_according_to_the_former_lists(attack: Any) -> None:
    for seed in range(times(EACH)):
        case = valid_case(Random(f"{attack.__name__} {seed}"))
        said = attack(case)
        findings = found(case, None, case.lists)
        if case.people.find("stranger") is None and "not in the list" in said:
            findings += found(case, case.people, case.lists)
        assert _are_reported(findings, said, at_the_step=attack in AT_THE_STEP), (seed, said, findings)


@pytest.mark.parametrize("attack", BY_TODAYS_LIST, ids=lambda attack: attack.__name__)
def test_an_attack_is_reported_according_to_the_current_list(attack: Any) -> None:
    for seed in range(times(EACH)):
        case = valid_case(Random(f"{attack.__name__} {seed}"))
        said = attack(case)
        findings = found(case, case.people, None)
        assert _are_reported(findings, said, at_the_step=attack in AT_THE_STEP), (seed, said, findings)


@pytest.mark.parametrize("of", [(Claimed,), (Claimed, Decided)], ids=["steps", "steps and decisions"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_attack_is_hidden_by_omitting_its_list(attack: Any, of: tuple[type, ...]) -> None:
    for seed in range(times(EACH)):
        case = valid_case(Random(f"{attack.__name__} {seed}"))
        attack(case)
        for today in (case.after, None):
            findings = [
                str(one) for one in examined(RUN, without_list(case, of), today, people_by_hash=case.lists)
            ]
            assert any("refers to no list of people" in one for one in findings), (seed, findings)


def without_list(case: Case, of: tuple[type, ...]) -> list[AuditEntry]:
    """Return the trail without the list in events of these types, and in the first claim of each step."""
    events = [
        entry.event.model_copy(update={"people": ""}) if isinstance(entry.event, of) else entry.event
        for entry in case.trail()
    ]
    return written(events)


@pytest.mark.parametrize(
    ("before", "asks_only", "is_found"),
    [
        ((), False, True),
        ((), True, True),
        ((claim(people=AFTER),), False, True),
        ((claim(people=AFTER),), True, False),  # the attack has no effect, because the list is not read
        ((claim(people=AFTER), Released(step=1, attempt=1, reason="no")), True, True),
        ((claim(people=AFTER), StepFailed(step=1, reason="no")), True, True),
    ],
)
@pytest.mark.parametrize("attempt", [1, 2])
def test_a_step_that_may_act_records_the_list_in_effect(
    before: tuple[Event, ...], asks_only: bool, attempt: int, *, is_found: bool
) -> None:
    case = valid_case(Random(1))
    trail = written(
        [*opening(case.requirement), *case.decided, *before, claim(attempt=attempt, asks_only=asks_only)]
    )
    findings = list(unproven(RUN, trail, Lists(earlier=case.lists)))
    assert [one.entry for one in findings] == ([len(trail)] if is_found else [])


def test_without_a_list_of_people_events_refer_to_none() -> None:
    """Introducing a list does not invalidate earlier decisions."""
    typed = Approver(name="dana", standings=(PersonRoles(person="dana", roles=(ANYONE,)),))
    received = arrival("dana", "r:signal:1", NOON, None)
    decided = Decided(arrival=received, verdict=Verdict(accepted=True, reason="valid"), approver=typed)
    listed = People(persons=(Person(name="dana"),))
    requested, drafted = opening(ONE_APPROVAL)
    assert list(unproven(RUN, written([requested, drafted, decided, claim()]), Lists())) == []
    lists = Lists(earlier={AFTER: listed}.get)
    assert list(unproven(RUN, written([requested, drafted, decided, claim(people=AFTER)]), lists)) == []
    drafted = drafted.model_copy(update={"requester": "rita"})  # such a spelling requires a list
    trail = written([requested, drafted, decided, claim()])
    assert [one.entry for one in unproven(RUN, trail, Lists())] == [3, 4]


def _are_reported(findings: list[str], said: str, *, at_the_step: bool) -> bool:
    return any(said in finding and ("a step began" in finding) is at_the_step for finding in findings)
