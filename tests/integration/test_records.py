"""The trail and the ledger are written, refuse conflicts, and are read, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select

from plangate.domain.decisions.decision import Choice, Verdict, Via, read_arrival
from plangate.domain.errors import IdInUse, NotApproved, RecordsMissing, RequestInvalid, ToolRefused
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import Closed, Decided, Outcome, StepDone
from plangate.records.database import Database
from plangate.records.ledger import Effect, EffectState, claim_effect, end_claim, find_effect
from plangate.records.queries import open_on_record, pending_on_record, status_on_record
from plangate.records.records import Records
from plangate.records.tables import runs
from plangate.records.trail import OpenTrail, open_trail, read_state
from tests.support.build import NOON
from tests.support.record_writer import (
    KEY,
    assert_unbroken,
    claim,
    effect,
    end,
    new_claim,
    note,
    run_ref,
    trail,
    write_down,
)

LONGEST_IDS = ["x" * 1000, "😀" * 250, "日本語" * 111, "".join(chr(0x21 + n % 93) for n in range(1000))]
HOSTILE = "a\x00b \u202e\u200b\x1b[31m 😀 𝔘𐍈 \ufeff \\u0000 % :name ' \" `` \r\n\t\x7f\ufffe"
RECEIPT = Receipt(summary=HOSTILE, details={"text": HOSTILE, "number": 1.5, "big": 2**53 - 1, "none": None})


def test_the_first_append_starts_the_trail_with_the_request(database: Database) -> None:
    (written,) = write_down(database, run_ref(), note("one"))
    first, second = trail(database)
    assert first.event == run_ref().requested
    assert (first.key, first.actor, first.at) == ("requested", "rita", NOON)
    assert second == written


def test_the_same_event_is_recorded_once_and_the_first_version_is_kept(database: Database) -> None:
    earlier = write_down(database, run_ref(), note("one", actor="first"), note("two"))
    later = write_down(database, run_ref(), note("one", actor="second"), note("three"), note("three"))
    assert later[0] == earlier[0]
    assert later[1] == later[2]
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two", "three"]
    assert_unbroken(trail(database))


@pytest.mark.parametrize("keys", [[], ["b"], ["a", "c"], ["c", "c"], ["a", "x"], ["x", "c", "b"]])
def test_only_entries_with_the_given_keys_are_found(database: Database, keys: list[str]) -> None:
    a, b, c = write_down(database, run_ref(), note("a"), note("b"), note("c"))
    there = {"a": a, "b": b, "c": c}
    with database.write() as connection:
        found = open_trail(connection, run_ref()).find(keys)
    assert found == {key: there[key] for key in keys if key in there}


def test_a_trail_is_closed_in_the_transaction_that_closes_it(database: Database) -> None:
    closed = note("closed").model_copy(update={"event": Closed(outcome=Outcome.FAILED, reason="why")})
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        assert not opened.is_closed
        opened.append(closed)
        assert opened.is_closed
    with database.write() as connection:
        assert open_trail(connection, run_ref()).is_closed


def test_an_id_of_another_chain_is_refused_and_nothing_is_written(database: Database) -> None:
    write_down(database, run_ref(), note("one"))
    before = trail(database)
    with pytest.raises(IdInUse, match="plan-1 belongs to an earlier request"):
        write_down(database, run_ref(chain_id="chain-2"), note("two"))
    with pytest.raises(IdInUse):
        write_down(database, run_ref(chain_id="chain-2"))
    assert trail(database) == before


def test_a_failed_transaction_writes_nothing(database: Database) -> None:
    write_down(database, run_ref(), note("one"))

    def write_and_fail() -> None:
        with database.write() as connection:
            open_trail(connection, run_ref()).append(note("two"))
            open_trail(connection, run_ref("plan-2")).append(note("one"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert [entry.key for entry in trail(database)] == ["requested", "one"]
    assert trail(database, "plan-2") == ()


def test_only_its_holder_can_end_a_claim(database: Database) -> None:
    claim(database, "first")
    claim(database, "second")
    assert not end(database, "first", EffectState.DONE, RECEIPT)
    assert not end(database, "nobody", EffectState.IN_DOUBT)
    assert effect(database) == Effect(
        idempotency_key=KEY, workflow_id="plan-1", fingerprint="f" * 64, step=1, state=EffectState.BEGUN,
        holder="second", attempts=2,
    )  # fmt: skip
    assert end(database, "second", EffectState.DONE, RECEIPT)
    ended = effect(database)
    assert ended is not None
    assert (ended.state, ended.receipt) == (EffectState.DONE, RECEIPT)


def test_a_holder_may_end_its_claim_again_only_with_the_same_result(
    database: Database,
) -> None:
    claim(database, "me")
    assert end(database, "me", EffectState.DONE, RECEIPT)
    assert end(database, "me", EffectState.DONE, RECEIPT)
    assert not end(database, "me", EffectState.DONE, Receipt(summary="something else"))
    assert not end(database, "me", EffectState.RELEASED)
    ended = effect(database)
    assert ended is not None
    assert ended.receipt == RECEIPT


def test_an_unclaimed_effect_cannot_get_a_result(database: Database) -> None:
    write_down(database, run_ref())
    assert effect(database) is None
    assert not end(database, "me", EffectState.DONE, RECEIPT)
    assert effect(database) is None


@pytest.mark.parametrize("workflow_id", LONGEST_IDS, ids=["latin", "emoji", "kanji", "signs"])
def test_ids_of_the_maximum_length_in_temporal_are_stored_completely(
    database: Database, workflow_id: str
) -> None:
    assert len(workflow_id.encode()) <= 1000 < len(workflow_id.encode()) + 3
    run, key = run_ref(workflow_id), f"{workflow_id}:{'f' * 64}:200"
    write_down(database, run, note("one"))
    with database.write() as connection:
        opened = open_trail(connection, run)
        claim_effect(opened, None, new_claim("me", key, workflow_id))
        end_claim(opened, key, "me", EffectState.DONE, RECEIPT)
        found = find_effect(opened, key)
    assert found is not None
    assert found.workflow_id == workflow_id
    assert [entry.workflow_id for entry in trail(database, workflow_id)] == [workflow_id] * 2
    assert_unbroken(trail(database, workflow_id))


def test_two_ids_that_only_look_the_same_are_two_runs(database: Database) -> None:
    for workflow_id in ("a", "A", "a ", "\u0430", "a\u0301", "\u00e1"):
        write_down(database, run_ref(workflow_id), note(f"of {workflow_id}"))
        assert len(trail(database, workflow_id)) == 2


@pytest.mark.parametrize("workflow_id", ["a\x00b", "a\ud800b"])
def test_an_id_that_cannot_be_stored_is_refused_and_not_found(database: Database, workflow_id: str) -> None:
    with pytest.raises(RequestInvalid, match=r"cannot be stored; start again with another id"):
        write_down(database, run_ref("ab").model_copy(update={"workflow_id": workflow_id}), note("one"))
    assert trail(database, workflow_id) == ()
    assert status_on_record(database, workflow_id) is None


def test_hostile_text_is_stored_unchanged_and_the_chain_stays_valid(database: Database) -> None:
    arrival = read_arrival(
        key="s1", via=Via.SIGNAL, name=HOSTILE, choice=Choice.APPROVE,
        inputs=[{"by": "dana 😀", "plan": "f" * 64, "comment": HOSTILE}], received_at=NOON,
    )  # fmt: skip
    decided = Decided(arrival=arrival, verdict=Verdict(accepted=False, reason=HOSTILE))
    written = write_down(
        database,
        run_ref(request=HOSTILE),
        note("s1", decided, actor="dana 😀"),
        note("done", StepDone(step=1, receipt=RECEIPT)),
    )
    entries = trail(database)
    assert entries[1:] == written
    assert [entry.event for entry in entries] == [
        run_ref(request=HOSTILE).requested, decided, StepDone(step=1, receipt=RECEIPT),
    ]  # fmt: skip
    assert_unbroken(entries)


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=14))]
)
def test_times_are_returned_aware_and_in_utc(database: Database, zone: timezone) -> None:
    moment = datetime(2026, 3, 29, 1, 59, 59, 999999, tzinfo=UTC)
    (written,) = write_down(database, run_ref(), note("one", at=moment.astimezone(zone)))
    read = trail(database)[-1]
    assert written.at == read.at == moment
    assert [at.isoformat() for at in (written.at, read.at)] == [moment.isoformat()] * 2
    assert_unbroken(trail(database))


def test_rows_survive_the_process_that_wrote_them(database: Database, database_url: str) -> None:
    write_down(database, run_ref(), note("one"))
    claim(database, "me")
    end(database, "me", EffectState.DONE, RECEIPT)
    before = trail(database), effect(database)
    database.close()
    again = Database(database_url)
    again.migrate()
    assert (trail(again), effect(again)) == before
    again.close()


def test_a_closed_run_is_no_longer_open(database: Database) -> None:
    for workflow_id in ("open", "closed"):
        write_down(database, run_ref(workflow_id), note("one"))
    write_down(database, run_ref("closed"), note("end", Closed(outcome=Outcome.EXPIRED)))
    assert open_on_record(database).known.keys() == {"open"}
    with database.read() as connection:
        assert read_state(connection, "closed").state == "expired"


def test_a_reader_creates_no_database(database_url: str, tmp_path: Path) -> None:
    reader = Database(database_url)
    with pytest.raises(RecordsMissing, match="start a worker first"):
        pending_on_record(reader)
    assert status_on_record(reader, "plan-1") is None
    reader.close()
    assert list(tmp_path.iterdir()) == []


def test_a_reader_creates_no_tables_in_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "records.db").touch()
    reader = Database(f"sqlite:///{tmp_path / 'records.db'}")
    with pytest.raises(RecordsMissing):
        pending_on_record(reader)
    reader.close()


def test_a_reader_sees_the_previous_state_while_a_writer_holds_the_lock(database: Database) -> None:
    write_down(database, run_ref(), note("one"))
    with database.write() as connection:
        open_trail(connection, run_ref()).append(note("two"))
        assert [entry.key for entry in trail(database)] == ["requested", "one"]
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]


def test_a_reader_sees_a_snapshot_while_others_write(database: Database) -> None:
    write_down(database, run_ref(), note("one"))
    with database.read() as connection:
        before = read_state(connection, "plan-1")
        write_down(database, run_ref(), note("end", Closed(outcome=Outcome.EXPIRED)))
        write_down(database, run_ref("plan-2"))
        assert read_state(connection, "plan-1") == before
        assert connection.scalar(select(func.count()).select_from(runs)) == 1
    assert open_on_record(database).known.keys() == {"plan-2"}


async def test_an_exception_in_a_transaction_rolls_it_back(database: Database) -> None:
    def append_and_fail(opened: OpenTrail) -> None:
        opened.append(note("one"))
        raise ToolRefused("No.")

    with pytest.raises(ToolRefused):
        await Records(database).transact(run_ref(), append_and_fail)
    assert trail(database) == ()


async def test_an_unrecorded_run_starts_its_trail_only_with_its_request(database: Database) -> None:
    records, without = Records(database), run_ref().model_copy(update={"requested": None})
    with pytest.raises(NotApproved, match="The run plan-1 is not recorded"):
        await records.transact(without, lambda opened: opened.append(note("one")))
    assert trail(database) == ()
    await records.transact(run_ref(), lambda opened: opened.append(note("one")))
    await records.transact(without, lambda opened: opened.append(note("two")))
    assert [entry.key for entry in trail(database)] == ["requested", "one", "two"]
