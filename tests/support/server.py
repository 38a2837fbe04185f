"""Temporal servers for tests, in addition to the one in `plangate.testing.server`."""

import sys
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from plangate.temporal.connection import DATA_CONVERTER

TEMPORAL = Path(sys.executable).parent / "temporal"


async def start_plain_server(*search_attributes: str) -> WorkflowEnvironment:
    """Start a server with other search attributes than Plangate's, or with none."""
    flags = [flag for attribute in search_attributes for flag in ("--search-attribute", attribute)]
    return await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=[*flags, "--log-level", "error"],
    )
