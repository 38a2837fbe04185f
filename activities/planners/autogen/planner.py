"""Draft plans with an AutoGen agent.

May import the domain and AutoGen; it uses a vendor's client only through `guarded_client`.
"""

import logging
import warnings
from collections.abc import Mapping
from typing import Final

import structlog
from autogen_agentchat import EVENT_LOGGER_NAME as AGENT_EVENTS
from autogen_agentchat.agents import AssistantAgent
from autogen_core import EVENT_LOGGER_NAME as CORE_EVENTS
from autogen_core import ROOT_LOGGER_NAME as CORE_ROOT
from autogen_core import TRACE_LOGGER_NAME as CORE_TRACE

from activities.planner import Brief
from activities.planners.autogen.conversation import converse
from activities.planners.autogen.guarded_client import GuardedClient
from activities.planners.autogen.model_client import ModelOpener, no_model
from activities.planners.autogen.model_errors import planner_error
from activities.planners.autogen.workbench import ProposingWorkbench
from activities.planners.function import FunctionPlanner
from activities.planners.limits import Limits
from activities.planners.proposals import MAX_BAD_CALLS, Proposals
from activities.planners.reading import Reader
from plangate.domain.errors import ModelRefused, PlangateError
from plangate.domain.escaping import one_line
from plangate.domain.plans.reads import MAX_READS
from plangate.domain.plans.tool import ToolDeclaration
from plangate.planner import PlannerResult

_log = structlog.get_logger(__name__)

# Warnings from AutoGen's OpenAI client about unusual responses; two of them contain the model's text.
_NOISY_WARNINGS: Final = (
    "Resolved model mismatch",
    "Finish reason mismatch",
    "Tool call function arguments",
    "Pydantic serializer warnings",
    "Could not find <think>",
    "Found </think> before",
)


class AutoGenPlanner(FunctionPlanner):
    """Drafts plans with an AutoGen `AssistantAgent` whose tools only propose and read."""

    def __init__(
        self,
        open_model: ModelOpener,
        tools: Mapping[str, ToolDeclaration],
        limits: Limits,
        readers: Mapping[str, Reader] | None = None,
    ) -> None:
        super().__init__(self._converse, "AutoGen", tools, limits, readers)
        self._open_model = open_model

    @property
    def has_model(self) -> bool:
        """Whether a model is configured."""
        return self._open_model is not no_model

    async def try_model(self) -> None:
        """Open the configured model's client once, so that the worker does not start with an invalid setting.

        An unusable proxy is only logged: it is set for all programs, and approved plans need no model.

        Raises:
            SettingsInvalid: the configured model cannot be opened.
        """
        if self.has_model:
            suppress_warnings()
            try:
                await self._open_model().client.close()
            except ModelRefused as error:
                _log.warning(str(error), action="model_unreachable")

    def to_planner_error(self, error: BaseException) -> PlangateError:
        """Return the planner error for an error from AutoGen or from the model's client."""
        return error if isinstance(error, PlangateError) else planner_error(error)

    async def _converse(self, brief: Brief, proposals: Proposals) -> PlannerResult:
        suppress_warnings()
        opened = self._open_model()
        client = GuardedClient(opened.client)
        try:
            check_supports_tool_calls(client, opened.name)
            agent = AssistantAgent(
                "planner",
                client,
                workbench=ProposingWorkbench(proposals),
                system_message=brief.rules,
                # Enough rounds for the longest plan: one for each step, read and invalid call, one for its
                # earliest start, and one to finish.
                max_tool_iterations=brief.max_steps + MAX_BAD_CALLS + MAX_READS + 2,
                reflect_on_tool_use=False,
            )
            return await converse(agent, brief, proposals, opened.name)
        finally:
            await client.close()


def check_supports_tool_calls(client: GuardedClient, model: str) -> None:
    """Refuse a model that is known not to support tool calls.

    Raises:
        ModelRefused: it cannot call tools.
    """
    if not client.model_info["function_calling"]:
        raise ModelRefused(
            f"The model '{one_line(model)}' cannot call tools; choose another with PLANGATE_MODEL or "
            "PLANGATE_MODEL_CONFIG."
        )


def suppress_warnings() -> None:
    """Keep prompts and arguments, which AutoGen logs, out of the logs and off the terminal.

    Repeated for each draft, because these are process-wide settings that other code may change.
    """
    for name in (CORE_ROOT, CORE_EVENTS, CORE_TRACE, AGENT_EVENTS, "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for message in _NOISY_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=UserWarning)
