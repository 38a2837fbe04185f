"""A limit over time is never exceeded and every reservation ends, according to a simple model.

`python -m chaos limits limits-postgres` runs thousands of these cases; this test runs a few on each database.
"""

from plangate.records.database import Database
from tests.support.compared_limits import faults

CASES = 8


async def test_concurrent_runs_agree_with_a_simple_model_of_the_rules(database: Database) -> None:
    results = [await faults(database, seed) for seed in range(CASES)]
    assert [one for wrong, _ in results for one in wrong] == []
    assert sum(effects for _, effects in results) > CASES
