"""Forged edits, holds, resolutions and undos, written into a real database: the auditor finds each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from shutil import copyfile

import pytest
from sqlalchemy import insert

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.runs.audit import Requested, RunRef
from plangate.records.database import Database
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_trail
from tests.support.hold_attacks import DECISIONS, TRAILS
from tests.support.recorded_history import AUDIENCE, LISTED, RunHistory, valid_history


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records with empty tables."""
    path = tmp_path_factory.mktemp("records") / "empty.db"
    with opened(path) as database:
        database.migrate()
    return path


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


def write(database: Database, history: RunHistory) -> None:
    """Append the events of a scenario to the trail of its run, with their keys, times and actors."""
    first, *rest = history.entries
    assert isinstance(first.event, Requested)
    requested = first.event.model_copy(update={"chain_id": "chain-1"})
    notes = [Note(key=one.key, at=one.at, actor=one.actor, event=one.event) for one in rest]
    with database.write() as connection:
        connection.execute(insert(rule_texts), [one.model_dump() for one in history.texts()])
        ref = RunRef(workflow_id=history.run, chain_id="chain-1", requested=requested)
        open_trail(connection, ref).append(*notes)


def found(history: RunHistory, empty: Path, path: Path) -> list[str]:
    """Return the auditor's findings in records with only this run."""
    copyfile(empty, path)
    with opened(path) as database:
        write(database, history)
        with database.read() as connection:
            inspection = inspect_all(connection, Trust(people=LISTED), lambda *_: None)
    return [one.what for one in inspection.findings]


def test_each_kind_of_attack_is_detected_in_the_records(empty: Path, tmp_path: Path) -> None:
    for number, attack in enumerate((*DECISIONS, *TRAILS)):
        history, expected = attack(Random(attack.__name__))
        findings = found(history, empty, tmp_path / f"{number}.db")
        assert any(expected in one for one in findings), (attack.__name__, expected, findings)


def test_the_only_findings_about_an_intact_run_are_outside_it(empty: Path, tmp_path: Path) -> None:
    """The run is from another installation, and no worker has used its rules."""
    findings = found(valid_history(Random(1)), empty, tmp_path / "valid_history.db")
    assert len(findings) == 3
    assert {one.partition(" (")[0] for one in findings} == {
        f"its plan was made for the installation {AUDIENCE.installation}",
        "used a policy that was never in effect on any worker",
        "used a list of people that was never in effect on any worker",
    }
