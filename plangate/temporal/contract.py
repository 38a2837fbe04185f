"""The names by which clients reach a run; changing one breaks every client."""

from typing import Final

WORKFLOW_TYPE: Final = "PlanApproval"
STATUS: Final = "status"  # a query
DECIDE: Final = "decide"  # an update
