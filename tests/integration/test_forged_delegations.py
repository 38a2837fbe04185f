"""No forged passkey token of a request to delegate is accepted: by a worker, an audit, or a list of people.

The suite tests a sample; `python -m chaos delegations` tests all of them.
"""

from pathlib import Path
from random import Random

import pytest

from plangate.records.database import Database
from tests.support.forged_delegations import EVERY, Admission, counted_again, examine, lists_without
from tests.support.fresh_records import fresh_records
from tests.support.times import times

SAMPLE = len(EVERY) * 2


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return fresh_records(tmp_path / "records.db")


async def test_a_worker_refuses_a_delegation_with_a_forged_passkey_and_says_why(database: Database) -> None:
    found = await Admission(database).judge(Random(23), times(SAMPLE))
    assert found.faults == []
    assert len(found.kinds) == len(EVERY)


def test_the_auditor_reports_every_forged_delegation_and_no_list_includes_it(database: Database) -> None:
    found = examine(database, Random(24), times(SAMPLE))
    assert found.faults == []
    assert len(found.kinds) == len(EVERY)


def test_an_ended_delegation_cannot_be_restored_with_its_signature() -> None:
    assert counted_again(Random(25), "ab" * 16) == []


def test_the_auditor_reports_a_list_without_an_allowed_delegation() -> None:
    without = "puts into effect a list of people without entry 1 of the delegation trail"
    assert lists_without(Random(26)) == {"a list": [without], "after a policy without delegations": []}
