"""`audit export --from --until` and `verify-bundle`, as a user types them, over four hours of records."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from plangate.audit.sealing import Sealing
from plangate.records.database import Database
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.temporal.worker_process import in_background
from tests.support.fresh_records import fresh_records
from tests.support.periods import some_hours
from tests.support.program import Home, Typed
from tests.support.sealed_records import SEAL_KEY

PERIOD = ("--from", "2026-01-01T13:00", "--until", "2026-01-01T15:00")
SEALER = ("--sealer", PUBLIC_PREFIX + public_of(SEAL_KEY))


@pytest.fixture
def typed(tmp_path: Path, typing: Callable[[Home], Typed]) -> Typed:
    home = Home(tmp_path / "var", {"TEMPORAL_CONFIG_FILE": "/dev/null", "PLANGATE_SEAL_SECONDS": "1"})
    home.var_dir.mkdir()
    database = fresh_records(home.var_dir / "records.db")
    some_hours(database)
    database.close()
    return typing(home)


def test_a_period_is_exported_to_a_file_and_verified_offline(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "january.jsonl"
    written = typed("audit", "export", *PERIOD, "-o", str(file))
    assert (written.code, written.err) == (0, "")
    message = "5 runs (1 run was recorded outside it, and sealed together with them)."
    assert f"until 2026-01-01 15:00:00 UTC: {message}" in written.out
    verified = typed("verify-bundle", str(file), *SEALER)
    assert verified.code == 0, verified.out
    assert "Verified: the file contains every run of the period, unchanged." in verified.out
    assert "checkpoint 1 and checkpoint 4" in verified.out
    answer = json.loads(typed("verify-bundle", str(file), *SEALER, "--json").out)
    assert answer["totals"]["outcomes"] == {"executed": 4}
    assert answer["findings"] == []


def test_an_omitted_run_is_detected(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "january.jsonl"
    assert typed("audit", "export", *PERIOD, "-o", str(file)).code == 0
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(line for line in lines if '"workflow_id":"two"' not in line))
    verified = typed("verify-bundle", str(file), *SEALER)
    assert verified.code == 1
    assert "checkpoint 2 seals 1 trail that is not in this file as sealed" in verified.out


async def test_a_period_until_now_waits_until_a_worker_has_sealed_the_export_itself(
    typed: Typed, tmp_path: Path
) -> None:
    file, database = tmp_path / "so-far.jsonl", Database(tmp_path / "var" / "records.db")
    sealing = Sealing(database, SEAL_KEY, tmp_path / "kept.json", every=0.1)
    async with in_background(sealing.keep_sealing()):
        export = ("audit", "export", "--from", "2026-01-01T13:00", "-o", str(file))
        written = await asyncio.to_thread(typed, *export)
    database.close()
    assert (written.code, written.err) == (0, "")
    verified = typed("verify-bundle", str(file), *SEALER)
    assert verified.code == 0, verified.out


def test_a_period_without_a_closing_seal_must_be_allowed_explicitly(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "so-far.jsonl"
    written = typed("audit", "export", "--from", "2026-01-01T13:00", "-o", str(file))
    assert written.code == 0
    assert "The end of the period is not sealed yet" in written.err
    refused = typed("verify-bundle", str(file), *SEALER)
    assert refused.code == 1
    assert "the period is not sealed at its end" in refused.out
    allowed = typed("verify-bundle", str(file), *SEALER, "--allow-unsealed")
    assert allowed.code == 0
    assert "the period is not sealed at its end" in allowed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give the id of one run, or a period"),
        (("one", "--from", "1d"), "Give the id of one run, or a period"),
        (("--until", "1d"), "Give the id of one run, or a period"),
        (("--from", "2026-01-02", "--until", "2026-01-01", "-o", "x"), "ends before it begins"),
        (("--from", "2026-01-02", "--until", "3026-01-01", "-o", "x"), "ends in the future"),
        (("--from", "2026-01-01"), "give it with --output"),
        (("--from", "2026-01-01", "-o", "/dev/null"), "it is a device"),
        (("--from", "yesterday", "-o", "x"), "cannot be parsed"),
    ],
)
def test_an_impossible_export_is_reported_in_one_sentence(
    typed: Typed, words: tuple[str, ...], message: str
) -> None:
    ended = typed("audit", "export", *words)
    assert ended.code == 2
    assert message in ended.err


def test_a_period_that_is_too_long_for_one_file_is_refused(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plangate.cli.period_files.MAX_BYTES", 20_000)
    ended = typed("audit", "export", *PERIOD, "-o", str(tmp_path / "january.jsonl"))
    assert ended.code == 2
    assert "export it in parts, such as --until 2026-01-01T14:00:00+00:00" in ended.err
    assert list(tmp_path.glob("*january*")) == []
