"""The Temporal server of the tests: the real one, with time that a test may skip."""

import sys
from pathlib import Path

from temporalio.testing import TimeSkippingConfig, WorkflowEnvironment

from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.search_attributes import PLANGATE_REQUESTER, PLANGATE_STATE

TEMPORAL = Path(sys.executable).parent / "temporal"


async def start_server() -> WorkflowEnvironment:
    """Start a server of its own, in memory. Time is skipped only where a test asks for it."""
    return await WorkflowEnvironment.start_time_skipping_v2(
        ts_config=TimeSkippingConfig(enabled=False),
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=[
            "--dynamic-config-value",
            "frontend.WorkflowTimeSkippingEnabled=true",
            # What a test drops is gone at once, not when the server's queues have been acknowledged (1 min).
            "--dynamic-config-value",
            "history.transferProcessorEnsureCloseBeforeDelete=false",
            "--dynamic-config-value",
            "history.visibilityProcessorEnsureCloseBeforeDelete=false",
            "--search-attribute",
            f"{PLANGATE_STATE.name}=Keyword",
            "--search-attribute",
            f"{PLANGATE_REQUESTER.name}=Keyword",
            "--log-level",
            "error",
        ],
    )


async def start_plain_server(*search_attributes: str) -> WorkflowEnvironment:
    """Start a server that nobody has prepared for Plangate, with other search attributes or none."""
    flags = [flag for attribute in search_attributes for flag in ("--search-attribute", attribute)]
    return await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=str(TEMPORAL),
        dev_server_extra_args=[*flags, "--log-level", "error"],
    )
