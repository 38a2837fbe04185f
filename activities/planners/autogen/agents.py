"""Draft plans with your AutoGen agent or team, or with an agent or team that your factory returns.

May import the domain and AutoGen.
"""

import asyncio
import inspect
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import structlog
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import ChatAgent, TaskRunner, Team
from autogen_core import CancellationToken
from autogen_core.tools import StaticWorkbench

from activities.planner import Brief
from activities.planners.autogen.conversation import converse
from activities.planners.autogen.guarded_client import GuardedClient
from activities.planners.autogen.model_client import ModelOpener, OpenModel, no_model
from activities.planners.autogen.planner import check_supports_tool_calls, suppress_warnings
from activities.planners.autogen.workbench import ProposingWorkbench
from activities.planners.function import FunctionPlanner
from activities.planners.limits import Limits
from activities.planners.proposals import Proposals
from activities.planners.reading import Reader
from plangate.domain.errors import (
    ModelRefused,
    NoModel,
    OperatorError,
    PlangateError,
    PlannerError,
    PlannerInvalid,
)
from plangate.domain.plans.tool import ToolDeclaration
from plangate.planner import PlannerResult
from plangate.tool.places import source_location

_log = structlog.get_logger(__name__)

_RAISE_ITERATIONS: Final = "raise max_tool_iterations of the agent that proposes"


def is_runner(value: object) -> bool:
    """Return whether this is an agent or a team."""
    return isinstance(value, ChatAgent | Team)


class AgentPlanner(FunctionPlanner):
    """Drafts plans with an agent or a team.

    Args:
        source: an agent, a team, or a function that returns one for each draft.
        parameters: the names of the function's parameters; None if ``source`` is not a function.
        name: its name as given in the setting.
        open_model: opens the configured model, if the function has a parameter for it.
        tools: the declarations of the tools.
        limits: the limits of each draft.
        readers: the readers of the read-only tools.
    """

    def __init__(
        self,
        source: Any,
        parameters: set[str] | None,
        *,
        name: str,
        open_model: ModelOpener,
        tools: Mapping[str, ToolDeclaration],
        limits: Limits,
        readers: Mapping[str, Reader],
    ) -> None:
        super().__init__(self._converse, name, tools, limits, readers)
        self._source = source
        self._parameters = parameters
        self._own_name = name
        self._open_model = open_model
        self._trial = Proposals(tools, limits, readers)
        self._in_use = asyncio.Lock()  # one object can have only one conversation at a time

    @property
    def has_model(self) -> bool:
        """Return whether it can draft: a factory with a parameter for the model needs a configured one."""
        return not self._needs_model or self._open_model is not no_model

    @property
    def _needs_model(self) -> bool:
        return self._parameters is not None and "model_client" in self._parameters

    async def try_model(self) -> None:
        """Create the agent once, so that the worker does not start with an invalid one.

        Raises:
            PlannerInvalid: it cannot be used.
            SettingsInvalid: the configured model cannot be opened.
        """
        suppress_warnings()
        if not self.has_model:
            return
        try:
            async with self._client() as (client, _):
                await self._try_to_make(client)
        except ModelRefused as error:
            _log.warning(str(error), action="model_unreachable")

    async def _try_to_make(self, client: GuardedClient | None) -> None:
        try:
            await self._make(client, Brief(request=""), self._trial)
        except PlangateError:
            raise
        except Exception as error:  # noqa: BLE001  the function may raise anything
            _log.exception("The planner failed.", action="planner_failed")
            self._refuse(f"it failed ({type(error).__name__}: {error}); fix it.")

    def to_planner_error(self, error: BaseException) -> PlangateError:
        """Return the planner error for an exception; an error from the model's client keeps its message."""
        if isinstance(error, OperatorError | NoModel):
            return error
        failure = getattr(error, "plangate_failure", None)
        return failure if isinstance(failure, PlannerError) else super().to_planner_error(error)

    async def _converse(self, brief: Brief, proposals: Proposals) -> PlannerResult:
        suppress_warnings()
        async with self._exclusive_use(), self._client() as (client, model):
            runner = await self._make(client, brief, proposals)
            try:
                return await converse(runner, brief, proposals, model, _RAISE_ITERATIONS)
            except Exception as error:
                if client is not None and client.failure is not None:
                    error.plangate_failure = client.failure  # type: ignore[attr-defined]
                raise

    @asynccontextmanager
    async def _exclusive_use(self) -> Any:
        if self._parameters is not None:
            yield
            return
        async with self._in_use:
            yield

    @asynccontextmanager
    async def _client(self) -> Any:
        """Open the configured model if the factory has a parameter for it; yield its client and name."""
        if not self._needs_model:
            yield None, self._own_name
            return
        opened: OpenModel = self._open_model()
        client = GuardedClient(opened.client)
        try:
            check_supports_tool_calls(client, opened.name)
            yield client, opened.name
        finally:
            await client.close()

    async def _make(self, client: GuardedClient | None, brief: Brief, proposals: Proposals) -> TaskRunner:
        """Return the agent or team for one draft, with the draft's tools."""
        workbench = ProposingWorkbench(proposals, starts_over=True)
        given = {"model_client": client, "workbench": workbench, "rules": brief.rules}
        candidate = self._source
        if self._parameters is not None:
            candidate = self._source(**{name: given[name] for name in self._parameters})
            candidate = await candidate if inspect.isawaitable(candidate) else candidate
            if not is_runner(candidate):
                self._refuse(f"it returns {type(candidate).__name__}, not an AutoGen agent or team; fix it.")
        agents = list(_assistants(candidate))
        for agent in agents:
            self._check_has_no_tools(agent)
        if self._parameters is None or "workbench" not in self._parameters:
            if not agents:
                self._refuse(
                    "no AssistantAgent in it could propose; write a function with the parameter workbench."
                )
            agents[0]._workbench = [workbench]  # noqa: SLF001  AutoGen has no public API for this
        if self._parameters is None:
            await _reset(candidate)
        runner: TaskRunner = candidate
        return runner

    def _check_has_no_tools(self, agent: AssistantAgent) -> None:
        """Refuse tools that would act while the agent drafts, without any approval."""
        has_own_tools = agent._tools or any(  # noqa: SLF001  as above
            not isinstance(one, ProposingWorkbench | StaticWorkbench)
            for one in agent._workbench  # noqa: SLF001
        )
        if has_own_tools:
            self._refuse(
                f"its agent {agent.name} has its own tools, which would act without any approval; make "
                "them tools of Plangate (docs/howto-add-a-tool.md), and give the agent the workbench."
            )

    def _refuse(self, problem: str) -> NoReturn:
        where = f"{source_location(self._source)}: the" if self._parameters is not None else "The"
        raise PlannerInvalid(f"{where} planner {self._own_name} cannot be used: {problem}")


def _assistants(runner: Any) -> Iterator[AssistantAgent]:
    """Yield every `AssistantAgent` of an agent or a team, at any depth."""
    if isinstance(runner, AssistantAgent):
        yield runner
    for one in getattr(runner, "_participants", ()) or ():
        yield from _assistants(one)
    inner = getattr(runner, "_team", None) or getattr(runner, "_agent", None)
    if is_runner(inner):
        yield from _assistants(inner)


async def _reset(runner: Any) -> None:
    """Reset an agent or a team that was used before."""
    if isinstance(runner, Team):
        await runner.reset()
    else:
        await runner.on_reset(CancellationToken())
