"""What a planner is given to work with, and what it returns."""

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
        name: what a call names.
        description: for the model.
        schema: the JSON schema of the arguments. That of a tool that proposes has ``why``, the reason for
            the step.
        reads_only: whether a call runs at once and returns what it found; otherwise it notes a step.
        call: takes the arguments, an object or its JSON text, and returns what to answer the model.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    reads_only: bool
    call: Callable[[object], Awaitable[str]]

    def as_function(self) -> Any:
        """Return it as an entry of ``tools`` in a request for OpenAI's chat completions, a JSON object."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.schema)}
        return {"type": "function", "function": function}


class PlannerTools(Protocol):
    """The tools of one draft. A call that breaks a limit raises, and the draft has failed."""

    def __iter__(self) -> Iterator[PlannerTool]:
        """Yield each tool."""

    async def call(self, name: str, arguments: object) -> str:
        """Call a tool and return the answer for the model: what was noted, what was read, or the faults.

        A wrong name or wrong arguments are answered, not raised. The steps are noted in the order in which
        the calls begin.
        """

    def start_over(self) -> None:
        """Forget the steps that were noted."""

    def turn(
        self, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost: Decimal = Decimal(0)
    ) -> None:
        """Report one answer of a model, before the calls that it made.

        It counts against the limits on turns, tokens and cost. Of two identical calls in one answer, the
        second is not noted.
        """


@dataclass(frozen=True, slots=True)
class PlannerResult:
    """A summary with a state.

    Attributes:
        summary: for the approver; without a step, why none was proposed.
        state: what the planner wants to be given if changes to this plan are requested, at most 512 KiB of
            JSON, without credentials.
    """

    summary: str
    state: JsonValue = None


PlanFunction = Callable[[Brief, PlannerTools], Awaitable[str | PlannerResult]]
