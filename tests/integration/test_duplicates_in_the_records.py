"""Identical steps in other runs are found in the records, with their states."""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import insert, update

from plangate.domain.plans.duplicates import MOST_DUPLICATES, Duplicate, MatchKey
from plangate.records.database import Database
from plangate.records.duplicates import (
    duplicates_now,
    duplicates_of,
    duplicates_while_drafting,
    store_match_keys,
)
from plangate.records.tables import effects, runs
from tests.support.build import NOON
from tests.support.fresh_records import fresh_records
from tests.support.wait_limit import WAIT_LIMIT

WANTED = (MatchKey(step=1, tool="pay", same=("payment",), digest="a" * 64),)


def record_run(
    database: Database,
    run: str,
    state: str,
    *,
    days: float = 1,
    step: int = 1,
    is_hidden: bool = False,
    digest: str = "a" * 64,
    done: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Record a run with one equal step; ``done`` contains the states of its effects (act, undo)."""
    at = NOON - timedelta(days=days)
    row: dict[str, Any] = {"workflow_id": run, "requester": "rita", "opened_at": at, "state": state}
    with database.write() as connection:
        connection.execute(insert(runs).values(chain_id="c", entry_count=0, head_hash="0" * 64, **row))
        if state in ("executed", "rejected", "failed", "expired", "withdrawn"):
            connection.execute(update(runs).where(runs.c.workflow_id == run).values(closed_at=at))
        found = [MatchKey(step=step, tool="pay", same=(), digest=digest)]
        store_match_keys(connection, run, found, at, is_first=True, is_hidden=is_hidden)
        for suffix, is_now in done.items():
            key = f"{run}:{'f' * 64}:{step}{':undo' if suffix == 'undo' else ''}"
            connection.execute(
                insert(effects).values(
                    idempotency_key=key, workflow_id=run, fingerprint="f" * 64, step=step, state=is_now,
                    holder="h", attempts=1,
                )
            )  # fmt: skip


def found(database: Database, run: str = "this") -> list[Duplicate]:
    with database.write() as connection:
        return list(duplicates_of(connection, run, WANTED, NOON))


@pytest.mark.parametrize(
    ("state", "done", "listed"),
    [
        ("in_review", {}, (False,)),
        ("drafting", {}, (False,)),
        ("held", {"act": "in_doubt"}, (True,)),
        ("executing", {"act": "begun"}, (False,)),
        ("rejected", {}, (False,)),
        ("executed", {"act": "done"}, (True,)),
        ("executed", {}, ()),  # a person skipped it
        ("executed", {"act": "released"}, ()),
        ("failed", {"act": "done"}, (True,)),
        ("failed", {"act": "done", "undo": "done"}, ()),
        ("failed", {"act": "done", "undo": "in_doubt"}, (True,)),
        ("failed", {}, ()),
        ("expired", {}, ()),
        ("withdrawn", {"act": "released"}, ()),
        ("withdrawn", {"act": "in_doubt"}, (True,)),
    ],
)
def test_open_and_rejected_runs_are_found_and_others_if_the_step_may_have_happened(
    database: Database, state: str, done: dict[str, str], listed: tuple[bool, ...]
) -> None:
    record_run(database, "one:undo", state, done=done)
    assert tuple(one.done for one in found(database)) == listed
    assert {one.state for one in found(database)} <= {state}


def test_a_run_is_not_a_duplicate_of_itself_and_duplicates_are_listed_for_a_month(
    database: Database,
) -> None:
    record_run(database, "this", "in_review")
    record_run(database, "old", "executed", days=30.1, done={"act": "done"})
    record_run(database, "late", "executed", days=29.9, done={"act": "done"})
    assert [one.workflow_id for one in found(database)] == ["late"]


def test_a_draft_waits_for_an_uncommitted_draft_of_an_equal_plan_and_finds_it(database: Database) -> None:
    for run in ("first", "second"):
        record_run(database, run, "drafting", digest="b" * 64)

    def draft(run: str) -> list[str]:
        with database.write() as connection:
            listed = duplicates_while_drafting(connection, run, WANTED, NOON)
            store_match_keys(connection, run, WANTED, NOON, is_first=False, is_hidden=False)
            if run == "first":
                started.append(pool.submit(draft, "second"))
                time.sleep(0.3)
                assert not started[0].done()
        return [one.workflow_id for one in listed]

    started: list[Future[list[str]]] = []
    with ThreadPoolExecutor(1) as pool:
        assert draft("first") == []
        assert started[0].result(timeout=WAIT_LIMIT) == ["first"]


def test_a_new_plan_replaces_the_previous_one(database: Database) -> None:
    record_run(database, "one", "in_review")
    with database.write() as connection:
        other = (MatchKey(step=1, tool="pay", same=(), digest="b" * 64),)
        store_match_keys(connection, "one", other, NOON, is_first=False, is_hidden=False)
    assert found(database) == []


def test_the_name_of_a_restricted_run_is_omitted(database: Database) -> None:
    record_run(database, "secret", "executed", is_hidden=True, done={"act": "done"})
    assert [(one.workflow_id, one.state, one.same) for one in found(database)] == [
        ("", "executed", ("payment",))
    ]


def test_only_the_newest_are_listed(database: Database) -> None:
    for number in range(MOST_DUPLICATES + 5):
        record_run(database, f"run-{number:02}", "in_review", days=1 + number / 10)
    listed = [one.workflow_id for one in found(database)]
    assert listed == [f"run-{number:02}" for number in range(MOST_DUPLICATES)]


def test_many_harmless_duplicates_do_not_hide_one_that_was_done_or_another_step(database: Database) -> None:
    record_run(database, "paid", "executed", days=9, done={"act": "done"})
    for number in range(MOST_DUPLICATES + 5):
        record_run(database, f"open-{number:02}", "in_review", days=1)
    record_run(database, "other", "rejected", digest="b" * 64)
    wanted = (*WANTED, MatchKey(step=2, tool="note", same=(), digest="b" * 64))
    with database.write() as connection:
        listed = duplicates_of(connection, "this", wanted, NOON)
    assert [(one.step, one.workflow_id) for one in listed][:2] == [(1, "paid"), (1, "open-00")]
    assert (listed[-1].step, listed[-1].workflow_id) == (2, "other")
    assert len(listed) == MOST_DUPLICATES


def test_each_step_of_a_long_plan_has_its_first_duplicate(database: Database) -> None:
    wanted = tuple(MatchKey(step=number, tool="pay", same=(), digest="a" * 64) for number in range(1, 31))
    record_run(database, "one", "in_review")
    with database.write() as connection:
        assert [one.step for one in duplicates_of(connection, "this", wanted, NOON)] == list(range(1, 31))


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("likenesses", "at", "garbage"),
        ("likenesses", "step", "x"),
        ("likenesses", "step", 1.5),
        ("likenesses", "step", -1),
        ("likenesses", "same", b"\xff"),
        ("likenesses", "digest", b"\xff"),
        ("likenesses", "is_hidden", "x"),
        ("runs", "closed_at", "garbage"),
        ("runs", "state", b"\xff"),
    ],
)
@pytest.mark.parametrize("run", ["this", "twin"])
def test_a_damaged_row_breaks_neither_a_draft_nor_a_page(
    tmp_path: Path, table: str, column: str, value: object, run: str
) -> None:
    sqlite = fresh_records(tmp_path / "records.db")
    for each in ("this", "twin", "third"):
        record_run(sqlite, each, "in_review")
    with sqlite.write() as connection:
        connection.exec_driver_sql(
            f"update {table} set {column} = ? where workflow_id = ?",
            (value, run),
        )
    with sqlite.read() as connection:
        seen = duplicates_now(connection, "this", ["pay"])
    with sqlite.write() as connection:
        duplicates_of(connection, "this", WANTED, NOON)
    sqlite.close()
    assert seen is None or {one.workflow_id for one in seen} <= {"twin", "third", ""}


def test_an_index_without_the_plan_or_its_rows_returns_none(database: Database) -> None:
    record_run(database, "twin", "in_review")
    with database.read() as connection:
        assert duplicates_now(connection, "this", ["pay"]) is None
    record_run(database, "this", "in_review")
    with database.read() as connection:
        assert duplicates_now(connection, "this", []) is None
        assert [one.workflow_id for one in duplicates_now(connection, "this", ["pay"]) or ()] == ["twin"]
