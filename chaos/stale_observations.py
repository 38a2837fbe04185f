"""Run plans in simulated environments that may change between a plan's draft and its steps.

A step must be held, without an effect, if and only if its precondition is no longer met. The environments and
the expected results are in tests/support/stale_objects.py.
"""

import logging
from dataclasses import dataclass
from random import Random

import structlog

from chaos.installation import Installation
from chaos.report import Report
from tests.support.gate import build_gate
from tests.support.stale_objects import perform

_IN_ONE_BATCH = 500


@dataclass(frozen=True)
class Size:
    """The number of environments."""

    worlds: int


FULL = Size(worlds=3_000)
QUICK = Size(worlds=100)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Run plans in the environments in batches, each with its own records."""
    # The worker runs in this process, and each held step is logged with its traceback.
    logging.disable(logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    steps = 0
    for number, first in enumerate(range(0, size.worlds, _IN_ONE_BATCH)):
        folder = installation.folder / f"stale-{number}"
        folder.mkdir()
        gate = build_gate(installation.client, folder, f"stale-{number}")
        count = min(_IN_ONE_BATCH, size.worlds - first)
        try:
            performed, faults = await perform(gate, Random(installation.rng.random()), count)
        finally:
            gate.database.close()
        steps += performed
        for fault in faults:
            report.record_error(fault)
        report.figure("steps", steps)
