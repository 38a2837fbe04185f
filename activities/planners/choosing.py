"""Choose the planner: AutoGen's agent by default, or the planner in ``PLANGATE_PLANNER``.

The planner is imported in the worker's process, so only an operator may choose it. Each of its errors is
reported in one sentence when the worker starts.
"""

import inspect
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from activities.planners.function import FunctionPlanner
from activities.planners.limits import Limits
from activities.planners.reading import Reader
from activities.planners.without_model import WithoutModel
from plangate.domain.errors import PlannerInvalid, ToolInvalid
from plangate.domain.plans.tool import ToolDeclaration
from plangate.settings import Settings
from plangate.tool.loading import add_working_directory, imported
from plangate.tool.places import plain_function, shown, source_location

SETTING: Final = "PLANGATE_PLANNER"
FACTORY_PARAMETERS: Final = ("model_client", "workbench", "rules")
"""The values that a factory gets if it has parameters with these names: Plangate's model client, the
workbench that proposes and reads, and the rules of planning as a system message."""
_PLAN_PARAMETERS: Final = {"brief", "tools"}


def planner_of(
    settings: Settings, tools: Mapping[str, ToolDeclaration], readers: Mapping[str, Reader]
) -> FunctionPlanner:
    """Return the planner that the settings specify, with these tools.

    Raises:
        PlannerInvalid: the specified object does not exist, or is not a planner.
    """
    limits = Limits(
        settings.draft_seconds,
        settings.max_steps,
        settings.draft_turns,
        settings.draft_tokens,
        settings.draft_cost,
    )
    if settings.planner is None and not settings.has_model:
        return WithoutModel(limits)
    # These imports load AutoGen, which takes 20% of a worker's start time.
    from activities.planners.autogen.agents import AgentPlanner, is_runner  # noqa: PLC0415
    from activities.planners.autogen.model_client import model_client_factory  # noqa: PLC0415
    from activities.planners.autogen.planner import AutoGenPlanner  # noqa: PLC0415

    open_model = model_client_factory(settings)
    if settings.planner is None:
        return AutoGenPlanner(open_model, tools, limits, readers)
    name, found = settings.planner, _imported_planner(settings.planner)
    parameters = None if is_runner(found) else _parameters_of(found, name)
    if parameters is None or parameters <= set(FACTORY_PARAMETERS):
        return AgentPlanner(
            found, parameters, name=name, open_model=open_model, tools=tools, limits=limits, readers=readers
        )
    if parameters != _PLAN_PARAMETERS:
        _refuse(found, name, f"it has the parameters {', '.join(sorted(parameters))}; {_USAGE}")
    if not _is_async(found):
        _refuse(found, name, "it is not async; begin it with 'async def'.")
    return FunctionPlanner(
        lambda brief, proposals: found(brief=brief, tools=proposals), name, tools, limits, readers
    )


_USAGE: Final = (
    "write 'async def plan(brief, tools)', or a function that returns an AutoGen agent or team and has "
    f"none or some of the parameters {', '.join(FACTORY_PARAMETERS)}."
)


def _imported_planner(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise PlannerInvalid(f"{SETTING} is {name!r}; write it as MODULE:NAME, for example planners:plan.")
    add_working_directory()
    try:
        module = imported(module_name, SETTING)
    except ToolInvalid as error:
        raise PlannerInvalid(str(error)) from None
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            where = shown(getattr(module, "__file__", None) or module_name)
            raise PlannerInvalid(
                f"{where}: {SETTING} is {name}, but {module_name} has no {attribute}; correct the name."
            )
        found = getattr(found, part)
    return found


def _parameters_of(found: Any, name: str) -> set[str]:
    """Return the names of the parameters, which show what kind of function it is."""
    if not callable(found) or isinstance(found, type):
        what = "a class" if isinstance(found, type) else type(found).__name__
        raise PlannerInvalid(f"{SETTING} is {name}, which is {what}; {_USAGE}")
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        raise PlannerInvalid(f"{SETTING} is {name}, whose parameters cannot be read; {_USAGE}") from None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if any(one.kind is one.POSITIONAL_ONLY for one in parameters):
        _refuse(found, name, f"it has positional-only parameters; {_USAGE}")
    known = {*_PLAN_PARAMETERS, *FACTORY_PARAMETERS}
    return {
        one.name
        for one in parameters
        if one.kind in named and (one.default is one.empty or one.name in known)
    }


def _is_async(found: Any) -> bool:
    return inspect.iscoroutinefunction(found) or inspect.iscoroutinefunction(plain_function(found))


def _refuse(found: Any, name: str, problem: str) -> NoReturn:
    raise PlannerInvalid(f"{source_location(found)}: the planner {name} cannot be used: {problem}")
