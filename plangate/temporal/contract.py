"""The names by which clients reach a run or order a stop; a change to any of them breaks every client."""

from typing import Final

WORKFLOW_TYPE: Final = "PlanApproval"
STATUS: Final = "status"  # a query
STOP_TYPE: Final = "PlangateStop"  # a workflow: one order to stop or to release
DELEGATION_TYPE: Final = "PlangateDelegation"  # a workflow: one order to lend roles, or to end a loan
LOOK_TYPE: Final = "PlangateLook"  # a workflow: one look by an auditor, or one export
SETTLEMENT_TYPE: Final = "PlangateSettlement"  # a workflow: looks up how the accepted effects of a run end
DECIDE: Final = "decide"  # an update
CHECK_PLAN: Final = "check_plan"  # an activity without a workflow: checks a plan with the tools
