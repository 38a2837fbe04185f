"""Many concurrent writers of the records: threads, processes, and a process killed in a transaction."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, get_ident

import pytest

from plangate.domain.errors import IdInUse, RecordsUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.records.database import Database, LockHeld
from plangate.records.ledger import EffectState, claim_effect, end_claim, find_effect
from plangate.records.records import Records
from plangate.records.tool_descriptions import keep_descriptions
from plangate.records.trail import Note, OpenTrail, open_trail
from tests.support.fresh_records import fresh_records
from tests.support.record_writer import (
    KEY,
    append_many,
    assert_unbroken,
    claim,
    effect,
    end,
    exit_codes,
    in_a_process_that_holds_a_transaction,
    in_processes,
    new_claim,
    note,
    run_ref,
    trail,
    write_down,
)
from tests.support.wait_limit import WAIT_LIMIT

RECEIPT = Receipt(summary="done")


def run_concurrently(count: int, act: Callable[[int], object]) -> list[object]:
    """Start this many threads at the same time; return the result or the error of each."""
    barrier = Barrier(count)

    def one(number: int) -> object:
        barrier.wait(WAIT_LIMIT)
        try:
            return act(number)
        except (IdInUse, RecordsUnavailable) as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


def test_concurrent_threads_open_a_run_once_and_lose_nothing(database: Database) -> None:
    answers = run_concurrently(8, lambda number: write_down(database, run_ref(), note(f"of {number}")))
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    entries = trail(database)
    assert Counter(entry.key for entry in entries) == Counter(["requested", *(f"of {n}" for n in range(8))])
    assert_unbroken(entries)


def test_concurrent_threads_record_the_same_event_once(database: Database) -> None:
    answers = run_concurrently(
        8, lambda number: write_down(database, run_ref(), note("it", actor=f"thread {number}"))
    )
    assert len({repr(answer) for answer in answers}) == 1
    assert [entry.key for entry in trail(database)] == ["requested", "it"]


def test_the_first_of_two_concurrent_chains_gets_the_id_and_the_other_is_refused(
    database: Database,
) -> None:
    answers = run_concurrently(
        6, lambda number: write_down(database, run_ref(chain_id=f"chain-{number}"), note("it"))
    )
    refused = [answer for answer in answers if isinstance(answer, IdInUse)]
    assert len(refused) == 5
    assert [entry.key for entry in trail(database)] == ["requested", "it"]


def test_only_the_last_of_several_concurrent_holders_can_end_the_claim(database: Database) -> None:
    run_concurrently(6, lambda number: claim(database, f"holder-{number}"))
    last = effect(database)
    assert last is not None
    assert last.attempts == 6
    ended = run_concurrently(6, lambda number: end(database, f"holder-{number}", EffectState.DONE, RECEIPT))
    assert [f"holder-{number}" for number, was in enumerate(ended) if was] == [last.holder]


def test_drafts_that_store_the_same_descriptions_wait_for_each_other_without_a_deadlock(
    database: Database,
) -> None:
    """Two plans may have the same tools in a different order."""
    described = [b"tool %d" % number for number in range(100)]

    def draft(number: int) -> None:
        with database.write() as connection:
            keep_descriptions(connection, described[:: -1 if number else 1])

    assert run_concurrently(2, draft) == [None, None]


def test_a_holder_that_does_not_know_of_its_commit_records_its_result_again(database: Database) -> None:
    for state, receipt in ((EffectState.RELEASED, None), (EffectState.DONE, RECEIPT)):
        claim(database, "first")
        ended = [end(database, holder, state, receipt) for holder in ("first", "first", "second")]
        assert ended == [True, True, False]


def test_a_receipt_and_a_concurrent_claim_wait_for_each_other_without_a_deadlock(
    database: Database,
) -> None:
    claim(database, "first")

    def finish() -> bool:
        with database.write() as connection:
            opened = open_trail(connection, run_ref())
            ended = end_claim(opened, KEY, "first", EffectState.DONE, RECEIPT)
            opened.append(note("done"))
            return ended

    with ThreadPoolExecutor(1) as other:
        with database.write() as connection:
            opened = open_trail(connection, run_ref())
            finishing = other.submit(finish)
            with pytest.raises(TimeoutError):
                finishing.result(timeout=0.3)  # it waits for us, and has no lock that we need
            claim_effect(opened, find_effect(opened, KEY), new_claim("second"))
        assert finishing.result(timeout=WAIT_LIMIT) is False
    claimed = effect(database)
    assert claimed is not None
    assert (claimed.holder, claimed.state) == ("second", EffectState.BEGUN)


def test_processes_that_write_to_one_run_keep_the_chain_and_all_entries(
    database: Database, database_url: str
) -> None:
    writers = in_processes(3, append_many, database_url, 25)
    run_concurrently(
        2, lambda number: [write_down(database, run_ref(), note(f"thread {number}:{n}")) for n in range(10)]
    )
    assert exit_codes(writers) == [0, 0, 0]
    entries = trail(database)
    assert Counter(entry.actor for entry in entries) == {
        "rita": 1, "worker@here": 20, "process 0": 25, "process 1": 25, "process 2": 25,
    }  # fmt: skip
    assert_unbroken(entries)


def test_a_killed_writer_leaves_no_partial_write_and_no_lock(database: Database, database_url: str) -> None:
    write_down(database, run_ref(), note("one"))
    writer = in_a_process_that_holds_a_transaction(database_url)
    writer.kill()
    assert exit_codes([writer]) == [-signal.SIGKILL]
    write_down(database, run_ref(), note("two"))
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]
    assert_unbroken(trail(database))


def test_a_lock_timeout_is_reported(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plangate.records.database.LOCK_WAIT_SECONDS", 1)
    database = Database(database_url)
    database.migrate()
    write_down(database, run_ref(), note("one"))
    with database.write() as connection:
        open_trail(connection, run_ref()).append(note("two"))
        (answer,) = run_concurrently(1, lambda _: write_down(database, run_ref(), note("three")))
    assert isinstance(answer, RecordsUnavailable)
    assert "lock" in str(answer)
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]
    database.close()


async def test_a_writer_that_waits_for_sqlites_lock_blocks_no_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    database = Database(url)
    database.migrate()
    records = Records(database)
    threads = [await records.transact(run_ref(), write_and_return_thread(note("one")))]
    holder = in_a_process_that_holds_a_transaction(url)
    writing = asyncio.create_task(records.transact(run_ref(), write_and_return_thread(note("two"))))
    await asyncio.sleep(0.3)  # if this thread waited for the lock, the write would have failed by then
    assert not writing.done()
    holder.kill()
    holder.join()
    threads.append(await writing)
    assert threads[0] == get_ident() != threads[1]
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]
    assert_unbroken(trail(database))
    database.close()


async def test_a_receipt_takes_precedence_over_other_waiting_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    database = Database(url)
    database.migrate()
    holder = in_a_process_that_holds_a_transaction(url)
    records = Records(database)
    keys = ["first", "claim 1", "claim 2", "receipt"]
    writing = [
        asyncio.create_task(
            records.transact(run_ref(), write_and_return_thread(note(key)), receipt=key == "receipt")
        )
        for key in keys
    ]
    await asyncio.sleep(0.05)
    holder.kill()
    holder.join()
    await asyncio.gather(*writing)
    assert [entry.key for entry in trail(database)][1:] == ["first", "receipt", "claim 1", "claim 2"]
    database.close()


def write_and_return_thread(entry: Note) -> Callable[[OpenTrail], int]:
    def act(trail: OpenTrail) -> int:
        trail.append(entry)
        return get_ident()

    return act


async def test_a_function_that_encounters_a_lock_itself_is_not_called_again(tmp_path: Path) -> None:
    database = fresh_records(tmp_path / "records.db")
    calls: list[OpenTrail] = []

    def encounter_lock(trail: OpenTrail) -> None:
        calls.append(trail)
        raise LockHeld

    with pytest.raises(LockHeld):
        await Records(database).transact(run_ref(), encounter_lock)
    assert len(calls) == 1
    database.close()
