"""The audit finds every change that was made to the records or a bundle without the private keys."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import Connection
from temporalio.testing import WorkflowEnvironment

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.audit.inspection import Inspection, inspect_all, inspect_run
from plangate.audit.rule_references import referenced_rules
from plangate.audit.trust_anchors import Trust
from plangate.records.checkpoints import newest_seal
from plangate.records.database import Database
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from tests.support.audit_edits import EDITS, all_ids, disable_guards, edit_bundle
from tests.support.gate import build_gate
from tests.support.postgres import PostgresServer
from tests.support.sealed_records import people, sealed_runs
from tests.support.times import times

# The suite makes each kind of edit a few times; PLANGATE_TEST_TIMES=10 makes more than 2,000 edits.
ON_SQLITE, ON_POSTGRESQL, OF_BUNDLES = times(5 * len(EDITS)), times(len(EDITS)), times(280)


class Records:
    """Sealed records, and the keys that an auditor trusts."""

    def __init__(self, database: Database, trust: Trust) -> None:
        self.database = database
        self.trust = trust

    def examined(self, connection: Connection) -> Inspection:
        return inspect_all(connection, self.trust, lambda *_: None)

    @contextmanager
    def changed(self) -> Iterator[Connection]:
        """A transaction with full access, which is rolled back."""
        with self.database.write() as connection:
            disable_guards(connection)
            yield connection
            connection.rollback()


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["sqlite", "postgresql"])
async def records(
    request: pytest.FixtureRequest, env: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Records]:
    url: str | None = None
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.new_records()
    folder: Path = tmp_path_factory.mktemp("sealed")
    gate = build_gate(env, folder, f"sealed-{uuid4().hex[:12]}", database_url=url)
    yield Records(gate.database, await sealed_runs(gate))
    gate.database.close()


def test_unchanged_records_have_no_finding(records: Records) -> None:
    with records.database.read() as connection:
        inspection = records.examined(connection)
        assert inspection.findings == ()
        assert (inspection.runs, inspection.unsealed, inspection.checkpoints) == (6, 0, 3)
        for run in all_ids(connection):
            assert inspect_run(connection, run, records.trust).findings == ()


def test_every_edit_of_the_records_is_detected(records: Records) -> None:
    rng, missed = Random(7), []
    count = ON_SQLITE if records.database.is_sqlite else ON_POSTGRESQL
    for number in range(count):
        with records.changed() as connection:
            said = EDITS[number % len(EDITS)](connection, rng)
            if not records.examined(connection).findings:
                missed.append(said)
    assert missed == []


def bundles(records: Records) -> list[dict[str, Any]]:
    with records.database.read() as connection:
        ids = all_ids(connection)
        newest = {run: newest_seal(connection, run) for run in ids}
        sealed = {run: (seal,) for run, seal in newest.items() if seal}
        entries = {run: read_trail(connection, run) for run in ids}
        texts = {run: texts_of(connection, referenced_rules(entries[run])) for run in ids}
    return [bundle_of(run, entries[run], sealed[run], texts[run]).model_dump(mode="json") for run in ids]


def findings(raw: dict[str, Any], records: Records) -> list[str]:
    try:
        bundle = read_bundle(json.dumps(raw))
    except ValueError:
        return ["it is not a bundle"]
    trusted = records.trust.sealers
    return [str(one) for one in bundle_findings(bundle, trusted=trusted, people=people())]


def test_a_bundle_proves_its_run_without_the_records(records: Records) -> None:
    for raw in bundles(records):
        assert findings(raw, records) == []


def test_every_edit_of_a_bundle_is_detected(records: Records) -> None:
    rng, missed = Random(11), []
    valid = bundles(records)
    for _ in range(OF_BUNDLES if records.database.is_sqlite else 20):
        raw = json.loads(json.dumps(rng.choice(valid)))
        said = edit_bundle(raw, rng)
        if not findings(raw, records):
            missed.append(said)
    assert missed == []
