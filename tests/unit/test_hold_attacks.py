"""Forged edits, holds, resolutions and undos: the rules refuse each one, and each one is found in a trail.

The suite tests a sample; with PLANGATE_TEST_TIMES=10 it tests more than 1,000 attacks.
"""

from collections import Counter
from random import Random

import pytest

from plangate.audit.evidence import bundle_findings, bundle_of, examined, read_bundle
from plangate.policy.kept_lists import lists_in
from tests.support.hold_attacks import DECISIONS, TRAILS, Attack
from tests.support.recorded_history import LISTED, RUN, RunHistory, valid_history
from tests.support.times import times

EACH = times(2)
ATTACKS = (*DECISIONS, *TRAILS)


def found(history: RunHistory) -> list[str]:
    """Return the findings in the run's trail, with the lists of people then and now."""
    then = lists_in(history.texts())
    findings = [str(one) for one in examined(RUN, history.entries, None, people_by_hash=then)]
    return findings + [str(one) for one in examined(RUN, history.entries, LISTED, people_by_hash=then)]


def found_in_bundle(history: RunHistory) -> list[str]:
    """Return what `verify-bundle` finds, without a seal."""
    bundle = bundle_of(RUN, history.entries, (), history.texts())
    read = read_bundle(bundle.model_dump_json())
    findings = [str(one) for one in bundle_findings(read, trusted=frozenset(), people=LISTED)]
    return [one for one in findings if "checkpoint" not in one]


def test_an_intact_run_has_no_finding_on_any_path() -> None:
    ends: Counter[str] = Counter()
    for seed in range(times(40)):
        history = valid_history(Random(seed))
        assert found(history) == [], seed
        assert found_in_bundle(history) == [], seed
        ends[history.state.state] += 1
    assert set(ends) == {"held", "failed", "executed"}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_is_detected_and_reported(attack: Attack) -> None:
    for seed in range(EACH):
        history, said = attack(Random(f"{attack.__name__} {seed}"))
        for findings in (found(history), found_in_bundle(history)):
            assert any(said in one for one in findings), (seed, said, findings)
