"""Workers seal runs in checkpoints, which reveal that records were restored to an older state."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.sealing import Sealing, seal_key
from plangate.audit.trust_anchors import Trust
from plangate.domain.errors import SettingsInvalid
from plangate.domain.runs.audit import FIRST_HASH
from plangate.domain.runs.checkpoint import Checkpoint, Seal, root_of
from plangate.records.checkpoints import all_numbers, checkpoint_of, seals_of_checkpoint
from plangate.records.database import Database
from plangate.signing.checkpoints import broken_checkpoint, claims_of, saved_checkpoint
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.signing.key_files import public_key_in
from tests.support.record_writer import (
    append_many,
    append_with_retries,
    exit_codes,
    in_processes,
    note,
    run_ref,
    trail,
    write_down,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.fixture
def sealing(database: Database, tmp_path: Path) -> Sealing:
    return Sealing(database, KEY, tmp_path / "kept.json", 0.1)


def stored(database: Database) -> list[Checkpoint]:
    with database.read() as connection:
        found = (checkpoint_of(connection, number) for number in all_numbers(connection))
        return [checkpoint for checkpoint in found if checkpoint]


def examined(database: Database, kept: Checkpoint | None = None) -> Inspection:
    with database.read() as connection:
        return inspect_all(connection, Trust(saved=kept), lambda *_: None)


def about_checkpoints(inspection: Inspection) -> list[str]:
    return [finding.what for finding in inspection.findings if "checkpoint" in finding.what]


def test_a_checkpoint_seals_every_changed_run_and_refers_to_the_previous_checkpoint(
    database: Database, sealing: Sealing
) -> None:
    write_down(database, run_ref(), note("one"))
    write_down(database, run_ref("plan-2"))
    first = sealing.seal()
    assert sealing.seal() is None
    write_down(database, run_ref("plan-2"), note("more"))
    second = sealing.seal()
    assert first is not None
    assert second is not None
    assert stored(database) == [first, second]
    assert (claims_of(first).number, claims_of(first).previous) == (1, FIRST_HASH)
    assert (claims_of(second).number, claims_of(second).previous) == (2, first.hash)
    ends = [
        Seal(workflow_id=run, number=2, hash=trail(database, run)[1].hash) for run in ("plan-1", "plan-2")
    ]
    with database.read() as connection:
        assert seals_of_checkpoint(connection, 2) == (ends[1],)
        assert ends[0] in seals_of_checkpoint(connection, 1)
    assert claims_of(second).root == root_of([ends[1].leaf()])
    assert examined(database).unsealed == 0


def test_entries_after_the_last_checkpoint_are_counted_as_not_sealed(
    database: Database, sealing: Sealing
) -> None:
    write_down(database, run_ref(), note("one"))
    sealing.seal()
    write_down(database, run_ref(), note("two"), note("three"))
    assert examined(database).unsealed == 2


def test_concurrent_seals_and_writes_leave_one_chain(database: Database, database_url: str) -> None:
    write_down(database, run_ref())
    assert exit_codes(in_processes(4, write_or_seal, database_url, 30)) == [0] * 4
    write_or_seal(1, database_url, 1)
    numbers = [one.number for one in stored(database)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1
    assert about_checkpoints(examined(database)) == []
    assert examined(database).unsealed == 0


def write_or_seal(number: int, url: str, times: int) -> None:
    if number % 2 == 0:
        append_many(number, url, 8 * times)
        return
    database = Database(url)
    with TemporaryDirectory() as folder:
        sealing = Sealing(database, KEY, Path(folder) / "kept.json", 1)
        for index in range(times):
            append_with_retries(database, note(f"sealer {number}:{index}"))
            sealing.seal()
    database.close()


def test_the_newest_checkpoint_is_kept_next_to_the_database_and_reveals_restored_records(
    database: Database, sealing: Sealing, tmp_path: Path
) -> None:
    write_down(database, run_ref())
    kept = sealing.seal()
    assert saved_checkpoint(tmp_path / "kept.json") == kept
    assert about_checkpoints(examined(database, kept)) == []
    later = Checkpoint(number=2, token="of records that were put back", public_key="k")
    assert about_checkpoints(examined(database, later)) == [
        "the checkpoints end with 1, but checkpoint 2 was kept elsewhere"
    ]
    other = Checkpoint(number=1, token="another one", public_key="k")
    assert about_checkpoints(examined(database, other)) == [
        "checkpoint 1 differs from the one that was kept elsewhere"
    ]
    with database.read() as connection:
        in_a_file = inspect_all(connection, Trust(saved=later, where="in kept.json"), lambda *_: None)
    assert about_checkpoints(in_a_file) == [
        "the checkpoints end with 1, but checkpoint 2 was kept in kept.json"
    ]


def test_a_worker_reports_once_that_sealed_records_are_missing_and_keeps_its_proof(
    database: Database, sealing: Sealing, tmp_path: Path
) -> None:
    lost = Checkpoint(number=8, token="lost", public_key="k")
    (tmp_path / "kept.json").write_text(lost.model_dump_json())
    with structlog.testing.capture_logs() as said:
        for number in range(3):
            write_down(database, run_ref(), note(str(number)))
            assert sealing.seal()
    assert [line["log_level"] for line in said] == ["error"]
    assert "restored or changed" in said[0]["event"]
    assert saved_checkpoint(tmp_path / "kept.json") == lost


def test_a_checkpoint_by_an_unauthorized_key_is_detected(database: Database, sealing: Sealing) -> None:
    write_down(database, run_ref())
    sealing.seal()
    with database.read() as connection:
        others = Trust(sealers=frozenset({"A" * 43}))
        findings = inspect_all(connection, others, lambda *_: None).findings
    said = [finding.what for finding in findings if "untrusted key" in finding.what]
    assert len(said) == 1
    assert "PLANGATE_SEALERS" in said[0]


def test_a_kept_checkpoint_may_have_a_byte_order_mark(
    database: Database, sealing: Sealing, tmp_path: Path
) -> None:
    write_down(database, run_ref())
    made = sealing.seal()
    assert made is not None
    (tmp_path / "kept.json").write_text(f"\ufeff{made.model_dump_json()}", encoding="utf-8")
    assert saved_checkpoint(tmp_path / "kept.json") == made


def test_the_seal_key_is_created_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "seal.pem"
    assert public_key_in(path) is None
    with capture_logs() as logs:
        first = seal_key(path)
        assert public_of(seal_key(path)) == public_of(first) == public_key_in(path)
    (line,) = logs
    assert line["action"] == "seal_key"
    assert f"add {PUBLIC_PREFIX}{public_of(first)} to PLANGATE_SEALERS" in line["event"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"]
)
def test_an_unusable_seal_key_is_reported_in_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seal.pem"
    path.write_text(content)
    with pytest.raises(SettingsInvalid, match="PLANGATE_SEAL_KEY") as caught:
        seal_key(path)
    assert "\n" not in str(caught.value)
    assert path.read_text() == content


def test_a_leaf_is_computed_as_documented() -> None:
    seal = Seal(workflow_id="plan-1", number=2, hash="ab" * 32)
    canonical = json.dumps(seal.model_dump(), sort_keys=True, separators=(",", ":"))
    assert canonical == '{"hash":"' + "ab" * 32 + '","number":2,"workflow_id":"plan-1"}'
    assert seal.leaf() == "fa2e95076817e483c5e1ed087254e7ff6a31473fe23317be97ff792e20928339"


async def test_a_stopping_worker_seals_the_remaining_entries(database: Database, tmp_path: Path) -> None:
    sealing = Sealing(database, KEY, tmp_path / "kept.json", 1_000)
    working = asyncio.create_task(sealing.keep_sealing())
    await asyncio.sleep(0)
    write_down(database, run_ref(), note("one"))
    working.cancel()
    await asyncio.wait((working,))
    assert examined(database).unsealed == 0


def test_a_replaced_checkpoint_is_reported(database: Database, sealing: Sealing) -> None:
    write_down(database, run_ref())
    sealed = sealing.seal()
    assert sealed is not None
    with database.read() as connection:
        leaves = [seal.leaf() for seal in seals_of_checkpoint(connection, 1)]
    assert broken_checkpoint(sealed, leaves) is None
    moved = sealed.model_copy(update={"number": 2})
    assert broken_checkpoint(moved, leaves) == "was written as checkpoint 1"
