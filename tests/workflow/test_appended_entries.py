"""The audit finds entries that were appended in a worker's name and have impossible times or lists."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from plangate.audit.evidence import bundle_findings, bundle_notes, bundle_of
from plangate.audit.inspection import inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.audit.trust_anchors import Trust
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import People
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import RULES_TRAIL, RulesInEffect
from plangate.policy.people_file import people_in
from plangate.records.checkpoints import newest_seal, seal_changed_runs
from plangate.records.rule_texts import texts_of
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_own_trail
from plangate.signing.checkpoints import checkpoint_after
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.forger import Forger
from tests.support.gate import Gate
from tests.support.sealed_records import KEYS, SEAL_KEY

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEEDS = Requirement(needs=(Need(role="finance", count=1),), assurance=Assurance.SIGNED)


def listed(*, erik: str = 'roles = ["finance"]', key: str = "erik") -> People:
    public = f"{PUBLIC_PREFIX}{public_of(KEYS[key])}"
    return people_in(
        f'[[person]]\nname = "rita"\n[[person]]\nname = "erik"\nkeys = [{{ public = "{public}" }}]\n{erik}\n'
    )


ERIK_ACTIVE, ERIK_INACTIVE = listed(), listed(erik='roles = ["finance"]\nactive = false')


def make_current(gate: Gate, *lists: tuple[People, datetime]) -> None:
    """Record these lists as current, in order, as workers would at these times."""
    with gate.database.write() as connection:
        for number, (people, at) in enumerate(lists, start=1):
            connection.execute(insert(rule_texts), {"hash": people.hash, "text": people.text})
            event = RulesInEffect(what="people", hash=people.hash)
            note = Note(key=f"people:{number}", at=at, actor="worker@here", event=event)
            open_own_trail(connection, RULES_TRAIL, "worker@here", at).append(note)


def seal(gate: Gate, at: datetime = NOW) -> None:
    with gate.database.write() as connection:
        assert seal_changed_runs(
            connection, lambda last, seals, _: checkpoint_after(last, seals, at, SEAL_KEY)
        )


def forged(gate: Gate, people: People, at: datetime, run: str = "forged") -> None:
    forger = Forger(gate, run, at)
    forger.draft(NEEDS)
    forger.approve("erik", KEYS["erik"], people)
    forger.execute(people)


def found(gate: Gate, today: People) -> list[str]:
    trust = Trust(sealers=frozenset({public_of(SEAL_KEY)}), people=today)
    with gate.database.read() as connection:
        findings = inspect_all(connection, trust, lambda *_: None).findings
    return [str(one) for one in findings]


def found_in_the_bundle(gate: Gate, today: People, run: str = "forged") -> tuple[list[str], list[str]]:
    entries = gate.api.trail(run)
    with gate.database.read() as connection:
        sealed = newest_seal(connection, run)
        bundle = bundle_of(
            run, entries, [sealed] if sealed else [], texts_of(connection, referenced_rules(entries))
        )
    findings = bundle_findings(bundle, trusted=frozenset(), people=today)
    return [one.what for one in findings], [one.what for one in bundle_notes(bundle, today, NOW)]


def test_a_run_that_equals_a_permitted_one_has_no_finding(idle_gate: Gate) -> None:
    make_current(idle_gate, (ERIK_ACTIVE, NOW - DAY))
    seal(idle_gate, NOW - DAY)
    forged(idle_gate, ERIK_ACTIVE, NOW)
    seal(idle_gate, NOW)
    assert found(idle_gate, ERIK_ACTIVE) == []
    assert found_in_the_bundle(idle_gate, ERIK_ACTIVE) == ([], [])


def test_an_old_run_without_a_checkpoint_of_that_time_is_reported(idle_gate: Gate) -> None:
    make_current(idle_gate, (ERIK_ACTIVE, NOW - 40 * DAY))
    seal(idle_gate, NOW - HOUR)
    forged(idle_gate, ERIK_ACTIVE, NOW - 30 * DAY)
    seal(idle_gate)
    said = (
        "is dated long before checkpoint 2, the first to seal it, although earlier checkpoints were made in "
        "between"
    )
    assert found(idle_gate, ERIK_ACTIVE) == [f"forged, entry 2: {said}"]


def test_an_old_run_is_sealed_by_the_first_checkpoint(idle_gate: Gate) -> None:
    """This is normal if nothing has been sealed before."""
    make_current(idle_gate, (ERIK_ACTIVE, NOW - 40 * DAY))
    forged(idle_gate, ERIK_ACTIVE, NOW - 30 * DAY)
    seal(idle_gate)
    assert found(idle_gate, ERIK_ACTIVE) == []


def test_a_run_may_wait_behind_a_full_checkpoint(idle_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plangate.audit.checkpoint_times.MOST_RUNS", 1)
    make_current(idle_gate, (ERIK_ACTIVE, NOW - 40 * DAY))
    seal(idle_gate, NOW - HOUR)
    forged(idle_gate, ERIK_ACTIVE, NOW - 30 * DAY)
    seal(idle_gate)
    assert found(idle_gate, ERIK_ACTIVE) == []


def test_a_clock_that_was_ahead_and_is_set_back_causes_no_finding(idle_gate: Gate) -> None:
    make_current(idle_gate, (ERIK_ACTIVE, NOW - DAY))
    seal(idle_gate, NOW + DAY)
    forged(idle_gate, ERIK_ACTIVE, NOW)
    seal(idle_gate)
    assert found(idle_gate, ERIK_ACTIVE) == []


def test_a_run_dated_in_the_future_is_reported_in_records_and_bundle(idle_gate: Gate) -> None:
    make_current(idle_gate, (ERIK_ACTIVE, NOW - DAY))
    forged(idle_gate, ERIK_ACTIVE, NOW + 300 * DAY)
    seal(idle_gate)
    said = "is dated later than checkpoint 1, which seals it"
    assert found(idle_gate, ERIK_ACTIVE) == [f"forged, entry 1: {said}"]
    assert found_in_the_bundle(idle_gate, ERIK_ACTIVE)[0] == [said]


@pytest.mark.parametrize("ago", [timedelta(minutes=50), 2 * HOUR])
def test_an_approval_under_a_list_replaced_long_before_is_reported(idle_gate: Gate, ago: timedelta) -> None:
    """One worker may apply a change slightly later than another."""
    make_current(idle_gate, (ERIK_ACTIVE, NOW - DAY), (ERIK_INACTIVE, NOW - ago))
    forged(idle_gate, ERIK_ACTIVE, NOW)
    seal(idle_gate)
    findings = found(idle_gate, ERIK_INACTIVE)
    if ago < HOUR:
        assert findings == []
    else:
        (one,) = findings
        assert one.startswith("forged, entry 3: used a list of people that had been replaced long")


def test_a_list_that_is_current_again_was_not_replaced(idle_gate: Gate) -> None:
    make_current(idle_gate, (ERIK_ACTIVE, NOW - 3 * DAY), (ERIK_INACTIVE, NOW - 2 * DAY))
    with idle_gate.database.write() as connection:
        event = RulesInEffect(what="people", hash=ERIK_ACTIVE.hash)
        note = Note(key="people:3", at=NOW - DAY, actor="worker@here", event=event)
        open_own_trail(connection, RULES_TRAIL, "worker@here", NOW).append(note)
    forged(idle_gate, ERIK_ACTIVE, NOW)
    seal(idle_gate)
    assert found(idle_gate, ERIK_ACTIVE) == []


def test_a_key_missing_from_the_auditors_list_is_reported_and_a_role_is_noted(idle_gate: Gate) -> None:
    """In a bundle, a role from a forged list looks like a role that was removed later; the records differ."""
    make_current(idle_gate, (listed(erik='roles = ["ops"]'), NOW - DAY))
    with idle_gate.database.write() as connection:
        connection.execute(insert(rule_texts), {"hash": ERIK_ACTIVE.hash, "text": ERIK_ACTIVE.text})
    forged(idle_gate, ERIK_ACTIVE, NOW)
    seal(idle_gate)
    findings, _ = found_in_the_bundle(idle_gate, listed(key="dana"))
    assert ["the key that erik signed with is not one of erik's" in one for one in findings] == [True]
    findings, noted = found_in_the_bundle(idle_gate, listed(erik='roles = ["ops"]'))
    assert (findings, ["erik does not have the role finance" in one for one in noted]) == ([], [True])
    (said,) = found(idle_gate, listed(erik='roles = ["ops"]'))
    assert "used a list of people that was never in effect on any worker" in said
