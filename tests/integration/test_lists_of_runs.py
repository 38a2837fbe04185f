"""Lists of thousands of runs: paged, with the same number of queries as for a dozen, and correct."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, update

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.runs.audit import Closed, Outcome
from plangate.records.database import Database
from plangate.records.lists import WAITING, Sort, Wanted
from plangate.records.queries import open_on_record, pending_on_record, runs_on_record
from plangate.records.tables import audit_entries, runs
from tests.support.audit_edits import disable_guards
from tests.support.build import NOON
from tests.support.record_writer import note, run_ref, write_down
from tests.support.waiting_runs import put_waiting

MANY = 400


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect every statement sent to any database."""
    seen: list[str] = []

    def collect(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", collect)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", collect)


def page(**changes: object) -> Wanted:
    return WAITING.model_copy(update={"limit": 10, **changes})


def test_the_number_of_queries_does_not_depend_on_the_number_of_runs(database: Database) -> None:
    put_waiting(database, 20, prefix="few")
    counts = []
    for _ in range(2):
        with statements() as seen:
            assert len(pending_on_record(database, page()).runs) == 10
            assert len(runs_on_record(database, Wanted(sort=Sort.NEWEST, limit=10))) == 10
            open_on_record(database, page())
        counts.append(len(seen))
        put_waiting(database, MANY, prefix="many")
    assert counts[0] == counts[1]


def test_pages_cover_all_runs_in_the_requested_order(database: Database) -> None:
    ids = put_waiting(database, 25)
    orders = {Sort.DEADLINE: ids[::-1], Sort.NEWEST: ids[::-1], Sort.OLDEST: ids, Sort.ID: ids}
    for sort, expected in orders.items():
        for listed in (lambda *asked: pending_on_record(*asked).runs, runs_on_record):
            pages = [listed(database, page(sort=sort, skip=skip)) for skip in (0, 10, 20, 30)]
            assert [one.workflow_id for some in pages for one in some] == expected
            assert [len(some) for some in pages] == [10, 10, 5, 0]


def test_filters_match_a_name_in_any_spelling(database: Database) -> None:
    put_waiting(database, 12)
    for requester, count in (("RITA", 8), ("hugo", 4), ("dana", 0)):
        assert len(pending_on_record(database, page(requester=requester)).runs) == count
        assert len(runs_on_record(database, Wanted(by=requester))) == count
    since = Wanted(since=NOON + timedelta(seconds=9))
    assert [one.workflow_id for one in runs_on_record(database, since)] == ["w-00009", "w-00010", "w-00011"]


def test_a_run_that_ends_leaves_the_list_and_is_found_by_its_outcome(database: Database) -> None:
    ended, waiting = put_waiting(database, 2)
    write_down(database, run_ref(ended, "chain-0"), note("closed", Closed(outcome=Outcome.EXPIRED)))
    assert [one.workflow_id for one in pending_on_record(database).runs] == [waiting]
    assert [one.workflow_id for one in runs_on_record(database, Wanted(state="expired"))] == [ended]


def test_a_run_from_before_states_were_stored_is_listed_by_its_trail(database: Database) -> None:
    ended, waiting = put_waiting(database, 2)
    write_down(database, run_ref(ended, "chain-0"), note("closed", Closed(outcome=Outcome.EXPIRED)))
    with database.write() as connection:
        connection.execute(update(runs).values(state=None, deadline=None))
    assert [one.workflow_id for one in pending_on_record(database).runs] == [waiting]
    assert [one.workflow_id for one in runs_on_record(database, Wanted(state="expired"))] == [ended]


@pytest.mark.parametrize("wanted", [Wanted(state="in_review"), Wanted(state="damaged"), Wanted()])
def test_a_damaged_run_is_in_every_list_that_it_may_belong_to(database: Database, wanted: Wanted) -> None:
    damaged, _ = put_waiting(database, 2)
    with database.write() as connection:
        disable_guards(connection)
        of_damaged = update(audit_entries).where(audit_entries.c.workflow_id == damaged)
        connection.execute(of_damaged.values(event="gone"))
    listed = {one.workflow_id: one.state for one in runs_on_record(database, wanted)}
    assert listed[damaged] == "damaged"
    assert runs_on_record(database, Wanted(state="executed")) == []
    assert set(pending_on_record(database).unread) == {damaged}


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("state", "executed", "is listed as executed; according to its trail it is in_review"),
        ("deadline", NOON, "is listed with a different deadline than in its trail"),
    ],
)
def test_a_row_that_contradicts_the_trail_is_detected_and_not_shown(
    database: Database, column: str, value: object, found: str
) -> None:
    put_waiting(database, 1)
    with database.write() as connection:
        connection.execute(update(runs).values({column: value}))
    with database.read() as connection:
        inspection = inspect_all(connection, Trust(), lambda _done, _of: None)
    assert found in [finding.what for finding in inspection.findings]
    assert [one.state for one in runs_on_record(database)] == ["in_review"]
    assert runs_on_record(database, Wanted(state="executed")) == []
    assert all(one.deadline != NOON for one in pending_on_record(database).runs)
