"""A run has the same result as a simple model, for random tools, people, times and crashes.

`make chaos` runs 6,000 of these cases; this test runs a few.
"""

from pathlib import Path

import pytest

from tests.support.compared_runs import differences
from tests.support.fresh_records import fresh_records


@pytest.mark.parametrize("first", range(0, 60, 20))
async def test_a_run_and_its_record_agree_with_a_simple_model_of_the_rules(
    first: int, tmp_path: Path
) -> None:
    database = fresh_records(tmp_path / "records.db")
    found = [one for seed in range(first, first + 20) for one in await differences(database, seed)]
    database.close()
    assert found == []
