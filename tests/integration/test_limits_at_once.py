"""Claims at the same moment, on both databases: a limit lets as many pass as it would one after the other."""

from collections import Counter
from pathlib import Path

from plangate.records.database import Database
from tests.support.limit_claimers import ROUNDS, claim_together
from tests.support.record_writer import ends_of, in_processes


def test_of_plans_that_are_claimed_at_once_one_passes(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    database.close()  # made, and empty
    log = tmp_path / "passed"
    assert ends_of(in_processes(3, claim_together, database_url, str(log))) == [0, 0, 0]
    assert Counter(log.read_text().split()) == dict.fromkeys(map(str, range(ROUNDS)), 1)
