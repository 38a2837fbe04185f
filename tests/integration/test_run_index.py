"""No run is lost from the index of the inbox's lists if reading fails."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from plangate.domain.errors import RecordsUnavailable
from plangate.records.checkpoints import seal_changed_runs
from plangate.records.trail import read_trails
from plangate.signing.checkpoints import checkpoint_after
from plangate.web import run_index
from plangate.web.index_tables import lines
from plangate.web.run_index import RunIndex
from tests.support.fresh_records import fresh_records
from tests.support.record_writer import note, run_ref, write_down
from tests.support.sealed_records import SEAL_KEY

RUNS = 230
"""More than two batches of the index."""


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_a_database_error_leaves_no_sealed_run_out(
    fails_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = fresh_records(tmp_path / "records.db")
    for number in range(RUNS):
        run = run_ref(f"run-{number:03}", f"chain-{number}")
        write_down(database, run, note("requested", run.requested))
    with database.write() as connection:
        seal_changed_runs(connection, lambda last, seals, at: checkpoint_after(last, seals, at, SEAL_KEY))
    read, times = read_trails, iter(range(1, 1_000))

    def unavailable_once(*arguments: object) -> object:
        if next(times) == fails_at:
            raise RecordsUnavailable("The database does not answer.")
        return read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_index, "read_trails", unavailable_once)
    index = RunIndex(database, tmp_path / "lists.db")
    for _ in range(6):
        try:
            unread = await index.refresh()
        except RecordsUnavailable:
            continue
        if not unread:
            break
    assert index.read(select(func.count()).select_from(lines))[0][0] == RUNS
    index.close()
    database.close()
