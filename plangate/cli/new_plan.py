"""Read the new plan of an edit. Its tools complete it, so that the comparison shows what will run."""

from pathlib import Path

from plangate.cli.application import declared_tools, has_tools
from plangate.cli.plan_file import read_plan_file
from plangate.domain.plans.drafting import as_proposed_plan, check_plan
from plangate.domain.plans.plan import ProposedPlan


def read_new_plan(path: Path, max_steps: int) -> ProposedPlan:
    """Return the plan in a file, with complete arguments if the tools are known here.

    Raises:
        WrongUsage: the file cannot be opened.
        PlanFileFaults: it does not contain a plan that can run.
    """
    tools = declared_tools() if has_tools() else None
    value = read_plan_file(path, tools, max_steps)
    return as_proposed_plan(value) if tools is None else check_plan(value, tools, max_steps).proposed()
