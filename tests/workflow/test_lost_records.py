"""While the records are lost, replaced or read-only, nothing is decided or done; then work continues."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gate import Gate
from tests.support.record_writer import assert_unbroken


def removed(records: Path, kept: Path) -> None:
    records.rename(kept)


def replaced(records: Path, kept: Path) -> None:
    shutil.copy(records, records.with_name("copy"))
    records.rename(kept)
    records.with_name("copy").rename(records)


def read_only(records: Path, kept: Path) -> None:
    kept.hardlink_to(records)
    records.chmod(0o400)


@pytest.mark.parametrize("damage", [removed, replaced, read_only])
async def test_without_the_records_no_decision_takes_effect_and_no_step_runs(
    gate: Gate, tmp_path: Path, damage: Callable[[Path, Path], None]
) -> None:
    records, kept = tmp_path / "records.db", tmp_path / "kept"
    status = await gate.in_review("one", "two")
    damage(records, kept)
    await gate.signal(status)
    await asyncio.sleep(0.5)  # ten times as long as the decision and the steps would take
    assert gate.notebook.texts() == []
    records.unlink(missing_ok=True)
    kept.rename(records)
    records.chmod(0o600)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
    trail = gate.api.trail(status.workflow_id)
    assert_unbroken(trail)
    assert [entry.event.kind for entry in trail][-1] == "closed"


async def test_a_step_whose_receipt_cannot_be_stored_is_not_executed_twice(
    gate: Gate, tmp_path: Path
) -> None:
    records, kept = tmp_path / "records.db", tmp_path / "kept"
    gate.notebook.gate.clear()
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    records.rename(kept)
    gate.notebook.gate.set()  # the step acts, but its receipt cannot be stored
    await asyncio.sleep(0.5)
    assert gate.notebook.texts() == ["one"]
    kept.rename(records)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one", "two"]
