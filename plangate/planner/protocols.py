"""The tools that a planner gets, and the result that it returns."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pydantic import JsonValue

from plangate.planner.brief import Brief


@dataclass(frozen=True, slots=True)
class PlannerTool:
    """A tool as a planner sees it.

    Attributes:
        name: its name in calls.
        description: its description for the model.
        schema: the JSON schema of the arguments. A tool that proposes steps also has ``why``, the reason for
            the step.
        reads_only: whether a call runs immediately and returns its result; otherwise it proposes a step.
        call: takes the arguments, as an object or its JSON text, and returns the response for the model.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    reads_only: bool
    call: Callable[[object], Awaitable[str]]

    def as_function(self) -> Any:
        """Return the JSON object for ``tools`` in an OpenAI chat completions request."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.schema)}
        return {"type": "function", "function": function}


class PlannerTools(Protocol):
    """The tools that are available for one draft; if a call exceeds a limit, it and the draft fail."""

    def __iter__(self) -> Iterator[PlannerTool]:
        """Yield each tool."""

    async def call(self, name: str, arguments: object) -> str:
        """Call a tool and return the response for the model: the recorded step, the read value or the errors.

        For a wrong name or wrong arguments, the response contains the errors, and no exception is raised.
        Steps are recorded in the order in which the calls begin.
        """

    def start_over(self) -> None:
        """Discard all proposed steps."""

    def turn(
        self, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost: Decimal = Decimal(0)
    ) -> None:
        """Report a model's response, before making its calls.

        It counts towards the limits on turns, tokens and cost. If a response contains two identical calls,
        the second is not recorded.
        """


@dataclass(frozen=True, slots=True)
class PlannerResult:
    """A summary of the plan, with the planner's state.

    Attributes:
        summary: a summary for the approver; if there are no steps, the reason why none was proposed.
        state: returned to the planner if changes to this plan are requested; at most 512 KiB of JSON, without
            credentials.
    """

    summary: str
    state: JsonValue = None


PlanFunction = Callable[[Brief, PlannerTools], Awaitable[str | PlannerResult]]
