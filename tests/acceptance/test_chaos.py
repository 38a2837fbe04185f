"""A small run of each scenario of `make chaos`: real processes and kills; effects counted externally."""

from pathlib import Path

import pytest

from chaos.__main__ import SCENARIOS, perform


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.in_suite])
async def test_the_scenario_passes_at_a_small_scale(name: str, tmp_path: Path) -> None:
    report = await perform(name, tmp_path, quick=True, seed=7, say=print)
    assert report.faults == []
