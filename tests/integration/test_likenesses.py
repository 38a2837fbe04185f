"""The records find the same steps in other runs, with their states."""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import insert, update

from plangate.domain.duplicates import MOST_DUPLICATES, Duplicate, Likeness
from plangate.records.database import Database
from plangate.records.likenesses import duplicates_of, enter_likenesses, likenesses_of
from plangate.records.tables import effects, runs
from tests.support.build import NOON

WANTED = (Likeness(step=1, tool="pay", same=("payment",), digest="a" * 64),)


def entered(
    database: Database,
    run: str,
    state: str,
    *,
    days: float = 1,
    step: int = 1,
    is_hidden: bool = False,
    done: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Enter a run with one equal step; ``done`` has the states of its effects (act, undo)."""
    at = NOON - timedelta(days=days)
    row: dict[str, Any] = {"workflow_id": run, "requester": "rita", "opened_at": at, "state": state}
    with database.write() as connection:
        connection.execute(insert(runs).values(chain_id="c", entry_count=0, head_hash="0" * 64, **row))
        if state in ("executed", "rejected", "failed", "expired", "withdrawn"):
            connection.execute(update(runs).where(runs.c.workflow_id == run).values(closed_at=at))
        found = [Likeness(step=step, tool="pay", same=(), digest="a" * 64)]
        enter_likenesses(connection, run, found, at, is_first=True, is_hidden=is_hidden)
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
def test_open_and_rejected_runs_count_and_others_if_the_step_may_have_happened(
    database: Database, state: str, done: dict[str, str], listed: tuple[bool, ...]
) -> None:
    entered(database, "one:undo", state, done=done)
    assert tuple(one.done for one in found(database)) == listed
    assert {one.state for one in found(database)} <= {state}


def test_a_run_is_no_duplicate_of_itself_and_duplicates_are_listed_for_a_month(
    database: Database,
) -> None:
    entered(database, "this", "in_review")
    entered(database, "old", "executed", days=30.1, done={"act": "done"})
    entered(database, "late", "executed", days=29.9, done={"act": "done"})
    assert [one.workflow_id for one in found(database)] == ["late"]


def test_a_new_plan_replaces_the_previous_one(database: Database) -> None:
    entered(database, "one", "in_review")
    with database.write() as connection:
        other = (Likeness(step=1, tool="pay", same=(), digest="b" * 64),)
        enter_likenesses(connection, "one", other, NOON, is_first=False, is_hidden=False)
    assert found(database) == []


def test_the_name_of_a_restricted_run_is_omitted(database: Database) -> None:
    entered(database, "secret", "executed", is_hidden=True, done={"act": "done"})
    assert [(one.workflow_id, one.state, one.same) for one in found(database)] == [
        ("", "executed", ("payment",))
    ]


def test_only_the_newest_are_listed(database: Database) -> None:
    for number in range(MOST_DUPLICATES + 5):
        entered(database, f"run-{number:02}", "in_review", days=1 + number / 10)
    listed = [one.workflow_id for one in found(database)]
    assert listed == [f"run-{number:02}" for number in range(MOST_DUPLICATES)]


def test_the_likenesses_of_a_run_are_read_as_they_were_entered(database: Database) -> None:
    alike = (
        Likeness(step=1, tool="pay", same=("payment", "amount"), digest="a" * 64),
        Likeness(step=3, tool="note", same=(), digest="b" * 64),
    )
    entered(database, "one", "in_review")
    with database.write() as connection:
        enter_likenesses(connection, "one", alike, NOON, is_first=False, is_hidden=False)
    with database.read() as connection:
        assert likenesses_of(connection, "one", ["pay", "mail", "note"]) == alike
        assert likenesses_of(connection, "one", ["pay"]) == alike[:1]
        assert likenesses_of(connection, "none", ["pay"]) == ()
