"""By which right: the records keep every list of people and policy that was judged by, and since when."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from plangate.domain.audit import RULES_TRAIL, RulesInForce
from plangate.domain.errors import DirectoryUnavailable, RequestInvalid
from plangate.people_file import PeopleFile
from plangate.records.answers import pending_on_record, runs_on_record
from plangate.records.database import Database
from plangate.records.inspection import Trust, inspect_all
from plangate.records.rule_texts import InForce, RecordedPeople, in_force_at, record_rules, texts_of
from plangate.records.trail import read_trail
from tests.record_writer import ends_of, in_processes, run_ref, write_down

FIRST, SECOND = '[[person]]\nname = "Dana"\n', '[[person]]\nname = "Dana"\nactive = false\n'


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def rules(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        events = [entry.event for entry in read_trail(connection, RULES_TRAIL)]
    return [(event.what, event.hash) for event in events if isinstance(event, RulesInForce)]


def in_force(database: Database, at: datetime) -> InForce | None:
    with database.read() as connection:
        return in_force_at(connection, "people", at)


def record(database: Database, text: str, worker: str = "worker@here") -> None:
    record_rules(database, "people", text, digest(text) if text else "", worker)


def test_a_change_is_an_entry_and_the_same_text_again_is_none(database: Database) -> None:
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
    assert all(one.is_as_named() for one in kept)


def test_what_was_in_force_at_a_time_is_answered_from_the_records(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    record(database, FIRST, "one@host")
    record(database, SECOND, "two@host")
    with database.read() as connection:
        first, second = (entry.at for entry in read_trail(connection, RULES_TRAIL))
    assert in_force(database, before) is None
    now = in_force(database, second)
    assert now is not None
    assert now.text is not None
    assert (now.text.text, now.worker, now.since) == (SECOND, "two@host", second)
    if first != second:  # SQLite's clock counts whole seconds
        then = in_force(database, first)
        assert then is not None
        assert then.text is not None
        assert then.text.text == FIRST


def test_a_list_is_on_the_record_before_anybody_is_judged_by_it(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "people.toml"
    path.write_text(FIRST)
    directory = RecordedPeople(PeopleFile(path), database, "worker@here")
    people = directory.people()
    assert people is not None
    assert rules(database) == [("people", people.hash)]
    path.write_text("[[person]]\n")
    with pytest.raises(DirectoryUnavailable):
        directory.people()
    path.write_text(SECOND)
    assert directory.people() == directory.people()
    assert rules(database) == [("people", digest(FIRST)), ("people", digest(SECOND))]


def _record_in_a_process(number: int, url: str, text: str) -> None:
    del number
    database = Database(url)
    record(database, text)
    database.close()


def test_workers_that_start_at_once_enter_the_same_text_once(database: Database, database_url: str) -> None:
    assert ends_of(in_processes(4, _record_in_a_process, database_url, FIRST)) == [0] * 4
    assert rules(database) == [("people", digest(FIRST))]


def test_the_trail_of_rules_is_no_run(database: Database) -> None:
    record(database, FIRST)
    assert runs_on_record(database) == []
    assert pending_on_record(database) == []
    with pytest.raises(RequestInvalid, match="reserved"):
        write_down(database, run_ref(RULES_TRAIL))
    with database.read() as connection:
        inspection = inspect_all(connection, Trust(), lambda *_: None)
    assert (inspection.runs, inspection.entries, inspection.findings) == (0, 1, ())
