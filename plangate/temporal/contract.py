"""The names that clients use to reach a run or request a stop; a change to any of them breaks all clients."""

from typing import Final

WORKFLOW_TYPE: Final = "PlanApproval"
STATUS: Final = "status"  # a query
STOP_TYPE: Final = "PlangateStop"  # a workflow: one request to stop or to release
DELEGATION_TYPE: Final = "PlangateDelegation"  # a workflow: one request to start or end a delegation
LOOK_TYPE: Final = "PlangateLook"  # a workflow: one access by an auditor, or one export
SETTLEMENT_TYPE: Final = "PlangateSettlement"  # a workflow: looks up the settlements of a run
DECIDE: Final = "decide"  # an update
CHECK_PLAN: Final = "check_plan"  # an activity without a workflow: checks a plan with the tools
