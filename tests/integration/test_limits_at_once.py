"""Concurrent claims, on both databases: a limit admits as many as it would for sequential claims."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from activities.requirement_check import Requiring
from activities.rolling_totals import Reserved, StricterRequirement
from plangate.records.database import Database
from tests.support.limit_claimers import ROUNDS, claim_in, claim_together, drafted_run, limit
from tests.support.record_writer import exit_codes, in_processes
from tests.support.wait_limit import WAIT_LIMIT


def test_only_one_of_several_concurrent_claims_passes_the_limit(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    database.close()  # created, and empty
    log = tmp_path / "passed"
    assert exit_codes(in_processes(3, claim_together, database_url, str(log))) == [0, 0, 0]
    assert Counter(log.read_text().split()) == dict.fromkeys(map(str, range(ROUNDS)), 1)


def test_a_claim_waits_for_an_uncommitted_claim(database: Database) -> None:
    requiring = Requiring(limit())
    for run in ("first", "second"):
        drafted_run(database, run, requiring)

    def second() -> Reserved | StricterRequirement:
        with database.write() as connection:
            return claim_in(connection, "second", requiring)

    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            assert isinstance(claim_in(connection, "first", requiring), Reserved)
            other = pool.submit(second)
            time.sleep(0.3)
            assert not other.done()
        assert isinstance(other.result(timeout=WAIT_LIMIT), StricterRequirement)
