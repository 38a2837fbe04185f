"""No forged proof of a decision is accepted, neither by a worker nor by the audit of a real database.

The suite tests a sample; `python -m chaos proofs` tests all of them.
"""

from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from plangate.domain.decisions.decision import Choice
from plangate.domain.people.assurance import Assurance
from plangate.records.database import Database
from tests.support.forged_proofs import EVERY, Case, Forgery
from tests.support.fresh_records import fresh_records
from tests.support.proof_runs import ARRIVED
from tests.support.proof_trials import Admission, examine, unreported_key_requests
from tests.support.times import times

SAMPLE = len(EVERY) * 2


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return fresh_records(tmp_path / "records.db")


async def test_a_worker_refuses_forged_proofs_and_says_why(database: Database) -> None:
    admission = Admission(database, Random(17))
    found = await admission.judge(times(SAMPLE))
    assert found.faults == []
    assert len(found.kinds) == len(EVERY)
    assert await admission.accept_all() == []


def test_the_auditor_reports_every_forged_proof_in_a_database(database: Database) -> None:
    found = examine(database, Random(18), times(SAMPLE))
    assert found.faults == []
    assert len(found.kinds) == len(EVERY)


@pytest.mark.parametrize("least", [Assurance.LOGIN, Assurance.SIGNED])
async def test_a_recorded_decision_that_the_run_lost_is_accepted_again_even_if_its_copy_is_late(
    database: Database, least: Assurance
) -> None:
    admission = Admission(database, Random(20))
    run = admission.new_run(Choice.APPROVE, least)
    before, case = admission.state(run), Case(Random(21), run)
    sent = Forgery("", case.decision(case.token(case.claims())), (), "")
    first = await admission.admit(run, sent)
    again = await admission.admit(run, sent, at=ARRIVED + timedelta(hours=3), behind=before)
    assert (first.verdict.accepted, again.verdict.accepted) == (True, True)
    assert again.approver == first.approver
    assert not (await admission.admit(run, sent, at=ARRIVED + timedelta(hours=3))).verdict.accepted


def test_the_auditor_reports_every_key_added_in_the_database(database: Database) -> None:
    assert unreported_key_requests(database, Random(19), times(27)) == []
