"""The records keep every list of people and policy that was used, with the time of its first use."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from plangate.audit.inspection import inspect_all
from plangate.audit.rule_history import RuleHistory
from plangate.audit.trust_anchors import Trust
from plangate.domain.errors import DirectoryUnavailable, RequestInvalid
from plangate.domain.runs.audit import RULES_TRAIL, Claimed, RulesInEffect
from plangate.policy.people_file import PeopleFile
from plangate.records.checkpoints import seal_changed_runs
from plangate.records.current_rules import current_rules
from plangate.records.database import Database
from plangate.records.queries import pending_on_record, policy_in_effect, runs_on_record
from plangate.records.records import Records
from plangate.records.rule_texts import (
    RecordedPeople,
    RuleInEffect,
    record_rules,
    rules_in_effect,
    rules_in_effect_at,
    texts_of,
)
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_own_trail, read_trail
from plangate.signing.checkpoints import checkpoint_after
from tests.support.build import NOON
from tests.support.record_writer import exit_codes, in_processes, note, run_ref, write_down

FIRST, SECOND = '[[person]]\nname = "Dana"\n', '[[person]]\nname = "Dana"\nactive = false\n'


def claimed(**more: Any) -> Claimed:
    return Claimed(step=1, idempotency_key="plan-1:f:1", fingerprint="f" * 64, attempt=1, **more)


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def rules(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        events = [entry.event for entry in read_trail(connection, RULES_TRAIL)]
    return [(event.what, event.hash) for event in events if isinstance(event, RulesInEffect)]


def people_in_effect_at(database: Database, at: datetime) -> RuleInEffect | None:
    with database.read() as connection:
        return rules_in_effect_at(connection, "people", at)


def record(database: Database, text: str, worker: str = "worker@here") -> None:
    record_rules(database, "people", text, digest(text) if text else "", worker)


def test_a_change_is_an_entry_and_the_same_text_again_is_not(database: Database) -> None:
    for text in (FIRST, FIRST, SECOND, FIRST, ""):
        record(database, text)
    assert rules(database) == [
        ("people", digest(FIRST)),
        ("people", digest(SECOND)),
        ("people", digest(FIRST)),
        ("people", ""),
    ]
    with database.read() as connection:
        kept = texts_of(connection, (digest(FIRST), digest(SECOND), "ab" * 32))
    assert sorted(one.text for one in kept) == sorted((FIRST, SECOND))
    assert all(one.hash_matches() for one in kept)


def test_the_records_show_the_rules_in_effect_at_a_time(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    record(database, FIRST, "one@host")
    record(database, SECOND, "two@host")
    with database.read() as connection:
        first, second = (entry.at for entry in read_trail(connection, RULES_TRAIL))
    assert people_in_effect_at(database, before) is None
    now = people_in_effect_at(database, second)
    assert now is not None
    assert now.text is not None
    assert (now.text.text, now.worker, now.since) == (SECOND, "two@host", second)
    if first != second:  # SQLite's clock counts whole seconds
        then = people_in_effect_at(database, first)
        assert then is not None
        assert then.text is not None
        assert then.text.text == FIRST


def test_the_policy_in_effect_is_empty_until_a_worker_reports_one(database: Database) -> None:
    assert policy_in_effect(database) == ""
    record_rules(database, "policy", "[default]", sha256(b"[default]").hexdigest(), "worker@here")
    assert policy_in_effect(database) == "[default]"
    record_rules(database, "policy", "", "", "worker@here")
    assert policy_in_effect(database) == ""


async def test_a_list_is_recorded_before_its_first_use(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(FIRST)
    directory = RecordedPeople(PeopleFile(path), Records(database), "worker@here")
    people = await directory.people()
    assert people is not None
    assert rules(database) == [("people", people.hash)]
    path.write_text("[[person]]\n")
    with pytest.raises(DirectoryUnavailable):
        await directory.people()
    path.write_text(SECOND)
    assert await directory.people() == await directory.people()
    assert rules(database) == [("people", digest(FIRST)), ("people", digest(SECOND))]


async def test_a_list_that_another_worker_replaced_is_recorded_again_by_a_worker_that_still_uses_it(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise that worker would seem to use an outdated list."""
    path, clock = tmp_path / "people.toml", [0.0]
    monkeypatch.setattr("plangate.records.rule_texts.elapsed", lambda: clock[0])
    path.write_text(FIRST)
    directory = RecordedPeople(PeopleFile(path), Records(database), "worker@here")
    await directory.people()
    record(database, SECOND, "worker@there")
    for clock[0], names in ((299.0, (FIRST, SECOND)), (301.0, (FIRST, SECOND, FIRST))):
        await directory.people()
        assert rules(database) == [("people", digest(text)) for text in names]


def _record_in_a_process(number: int, url: str, text: str) -> None:
    del number
    database = Database(url)
    record(database, text)
    database.close()


def test_workers_that_start_together_record_the_same_text_once(database: Database, database_url: str) -> None:
    assert exit_codes(in_processes(4, _record_in_a_process, database_url, FIRST)) == [0] * 4
    assert rules(database) == [("people", digest(FIRST))]


def test_the_rules_trail_is_not_a_run(database: Database) -> None:
    record(database, FIRST)
    assert runs_on_record(database) == []
    assert pending_on_record(database).runs == []
    with pytest.raises(RequestInvalid, match="reserved"):
        write_down(database, run_ref(RULES_TRAIL))
    with database.read() as connection:
        inspection = inspect_all(connection, Trust(), lambda *_: None)
    assert (inspection.runs, inspection.entries, inspection.findings) == (0, 1, ())


def test_the_verified_runs_are_counted_without_the_rules_trail(database: Database) -> None:
    write_down(database, run_ref("before"))
    record(database, FIRST)
    write_down(database, run_ref("after"))
    counts: list[tuple[int, int]] = []
    with database.read() as connection:
        inspection = inspect_all(connection, Trust(), lambda *count: counts.append(count))
    assert inspection.runs == 2
    assert counts == [(0, 2), (1, 2)]


def examined(database: Database) -> list[str]:
    with database.read() as connection:
        return [str(one) for one in inspect_all(connection, Trust(), lambda *_: None).findings]


def seal(database: Database, at: datetime) -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"seal".ljust(32))
    with database.write() as connection:
        assert seal_changed_runs(connection, lambda last, seals, _: checkpoint_after(last, seals, at, key))


def put_in_effect(database: Database, text: str, at: datetime, number: int) -> None:
    """Write an entry with any date, like an attacker with full access to the database."""
    with database.write() as connection:
        connection.execute(insert(rule_texts), {"hash": digest(text), "text": text})
        event = RulesInEffect(what="people", hash=digest(text))
        worker = "worker@here"
        note = Note(key=f"people:{number}", at=at, actor=worker, event=event)
        open_own_trail(connection, RULES_TRAIL, worker, at).append(note)


def test_a_backdated_list_is_detected(database: Database) -> None:
    """It is dated after the previous entry, which was sealed long afterwards."""
    now = datetime.now(UTC).replace(microsecond=0)
    put_in_effect(database, FIRST, now - timedelta(days=30), 1)
    seal(database, now)
    assert examined(database) == []
    put_in_effect(database, SECOND, now - timedelta(days=20), 2)
    said = f"{RULES_TRAIL}, entry 2: is dated before checkpoint 1, which sealed the trail without it"
    assert examined(database) == [said]


@pytest.mark.parametrize("seconds", [0, 30])
def test_a_writer_that_waited_during_a_seal_is_not_reported(database: Database, seconds: int) -> None:
    now = datetime.now(UTC)
    put_in_effect(database, FIRST, now - timedelta(hours=1), 1)
    seal(database, now)
    put_in_effect(database, SECOND, now - timedelta(seconds=seconds), 2)
    assert examined(database) == []


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_database_with_its_clock_set_back_does_not_backdate_changes(
    database: Database, *, is_sealed: bool
) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    put_in_effect(database, FIRST, later, 1)
    if is_sealed:
        later += timedelta(hours=1)
        seal(database, later)
    record(database, SECOND)
    with database.read() as connection:
        assert read_trail(connection, RULES_TRAIL)[-1].at == later
        newest = rules_in_effect(connection, "people")
        people = current_rules(connection).people
        assert rules_in_effect_at(connection, "people", datetime.now(UTC)) is None
    assert newest is not None
    assert newest.text is not None
    assert newest.text.text == SECOND
    assert people is not None
    assert people.hash == digest(SECOND)
    assert examined(database) == []


def test_a_policy_does_not_count_as_a_list_of_people(database: Database) -> None:
    """A text in effect as a policy was never in effect as a list of people, and vice versa."""
    record_rules(database, "policy", FIRST, digest(FIRST), "worker@here")
    record(database, SECOND)
    run = run_ref()
    noted = note("c", claimed(people=digest(FIRST))), note("d", claimed(people=digest(SECOND)))
    entries = write_down(database, run, *noted)
    with database.read() as connection:
        found = list(RuleHistory(connection).never_in_effect(run.workflow_id, entries))
    assert [(one.entry, one.what) for one in found] == [
        (2, f"used a list of people that was never in effect on any worker ({digest(FIRST)[:12]})")
    ]


@pytest.mark.parametrize(
    ("hours", "is_found"),
    [(-1, False), (0, False), (2, True), (9, True), (11, False), (20.5, False), (22, True)],
)
def test_a_step_without_a_list_is_detected_if_one_had_long_been_in_effect(
    database: Database, hours: float, *, is_found: bool
) -> None:
    """Two lists are in effect, the second from hour 5, none from hour 10 to hour 20, and then one again."""
    put_in_effect(database, FIRST, NOON, 1)
    put_in_effect(database, SECOND, NOON + timedelta(hours=5), 2)
    with database.write() as connection:
        gone = RulesInEffect(what="people", hash="")
        at = NOON + timedelta(hours=10)
        open_own_trail(connection, RULES_TRAIL, "", at).append(
            Note(key="people:3", at=at, actor="", event=gone)
        )
    put_in_effect(database, FIRST + "# later\n", NOON + timedelta(hours=20), 4)
    entries = write_down(
        database, run_ref(), note("c", claimed(), at=NOON + timedelta(hours=hours)),
    )  # fmt: skip
    with database.read() as connection:
        found = list(RuleHistory(connection).without_list("plan-1", entries))
    wanted = [(2, "refers to no list of people, though one was in effect then")]
    assert [(one.entry, one.what) for one in found] == (wanted if is_found else [])
    assert [one for one in examined(database) if "though one was in effect" in one] == [
        f"plan-1, entry 2: {what}" for _, what in wanted if is_found
    ]
