"""Offer the tools to a planning agent so that a call proposes a step instead of acting.

Each call is validated by the tool's own model and becomes one step of the plan; an invalid call is answered
with its faults, so that the agent can correct it. May import the domain and autogen_core.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from autogen_core import CancellationToken
from autogen_core.tools import ParametersSchema, TextResultContent, ToolResult, ToolSchema, Workbench
from pydantic import JsonValue

from plangate.domain.drafting import check_arguments, complete
from plangate.domain.errors import PlanInvalid
from plangate.domain.escaping import cut, one_line
from plangate.domain.faults import Fault
from plangate.domain.plan import MAX_REASON, Step, uncanonical
from plangate.domain.plurals import counted
from plangate.domain.tool import REASON_ARGUMENT, ToolDeclaration

_REASON_SCHEMA: Final = {
    "type": "string",
    "description": "why this step is needed, for the person who approves it",
    "minLength": 1,
}
_MAX_FAULTS: Final = 20
_MAX_FAULT_LENGTH: Final = 300


class ProposingWorkbench(Workbench):
    """A workbench whose tools record proposed steps.

    AutoGen swallows exceptions raised here, so failures are reported by attributes, which the planner reads
    after each round of calls.

    Attributes:
        over_limit: the agent proposed more steps than a plan may have; the extra ones were not recorded.
        broken_by: the error of a tool's own model, which no agent can correct.
    """

    def __init__(self, tools: Mapping[str, ToolDeclaration], max_steps: int) -> None:
        self._tools = tools
        self._max_steps = max_steps
        self._schemas = [_tool_schema(declaration) for declaration in tools.values()]
        self._steps: list[Step] = []
        self._in_this_answer: dict[str, int] = {}
        self.over_limit = False
        self.broken_by: Exception | None = None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps proposed so far, in the order of their calls."""
        return tuple(self._steps)

    def begin_answer(self) -> None:
        """Begin a new answer of the model; the calls that follow belong to it.

        The same call twice in one answer is usually a fault of the model or server, and an approver may not
        notice the repetition. The second one is therefore not recorded, and the model is asked to repeat
        it in a later answer if it is intended.
        """
        self._in_this_answer.clear()

    async def list_tools(self) -> list[ToolSchema]:
        """Return the schemas for function calling."""
        return self._schemas

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        cancellation_token: CancellationToken | None = None,  # noqa: ARG002 — AutoGen's signature; nothing waits here
        call_id: str | None = None,  # noqa: ARG002 — as above
    ) -> ToolResult:
        """Record one step, or answer with its faults.

        Nothing is awaited before the step is recorded: AutoGen starts the calls of one message in order and
        runs them concurrently, and the steps must keep that order.
        """
        try:
            return self._propose(name, arguments)
        except Exception as error:  # noqa: BLE001 — AutoGen hangs if a tool call raises
            self.broken_by = error
            return _answer(name, f"{name} cannot be proposed; the tool itself is broken.", is_error=True)

    def _propose(self, name: str, arguments: Mapping[str, Any] | None) -> ToolResult:
        own = dict(arguments) if isinstance(arguments, Mapping) else {}
        faults = [] if own else [Fault((), "has no arguments, or they are not one readable JSON object")]
        why = own.pop(REASON_ARGUMENT, None)
        faults += _faults_of_why(why)
        try:
            checked = complete(check_arguments(name, own, self._tools))
        except PlanInvalid as error:
            if isinstance(
                error.__cause__, Exception
            ):  # a bug of the tool's model, which no agent can correct
                raise error.__cause__ from None
            faults.extend(error.faults)
        if faults:
            return _answer(name, _correction(name, faults), is_error=True)
        same = json.dumps([name, checked], sort_keys=True)
        if same in self._in_this_answer:
            return _answer(
                name,
                f"Not recorded: it is the same as step {self._in_this_answer[same]}. If it is to be done "
                "twice, call it again in your next answer; otherwise continue.",
            )
        if len(self._steps) >= self._max_steps:
            self.over_limit = True
            return _answer(
                name, f"Not recorded: a plan may have at most {self._max_steps} steps.", is_error=True
            )
        self._in_this_answer[same] = len(self._steps) + 1
        self._steps.append(Step(tool=name, arguments=checked, reason=why))
        return _answer(
            name,
            f"step {len(self._steps)} recorded: {name}. Nothing has been done yet; it runs after the "
            "approval, exactly as recorded. Propose the next step, or finish with the summary.",
        )

    async def start(self) -> None:
        """Do nothing: no resources are held."""

    async def stop(self) -> None:
        """Do nothing: no resources are held."""

    async def reset(self) -> None:
        """Forget every step."""
        self._steps.clear()
        self._in_this_answer.clear()
        self.over_limit = False
        self.broken_by = None

    async def save_state(self) -> Mapping[str, Any]:
        """Return the steps as JSON."""
        return {"steps": [step.model_dump(mode="json") for step in self._steps]}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the steps from `save_state`."""
        self._steps = [Step.model_validate(step) for step in state["steps"]]


def _answer(name: str, text: str, *, is_error: bool = False) -> ToolResult:
    return ToolResult(name=name, result=[TextResultContent(content=text)], is_error=is_error)


def _faults_of_why(why: object) -> list[Fault]:
    at = (REASON_ARGUMENT,)
    if not isinstance(why, str) or not why.strip():
        return [Fault(at, "is missing; say why this step is needed, for the person who approves it")]
    if len(why) > MAX_REASON:
        return [Fault(at, f"has {len(why)} characters, more than the limit of {MAX_REASON}")]
    return list(uncanonical(why, at))


def _correction(name: str, faults: list[Fault]) -> str:
    lines = [cut(one_line(str(fault)), _MAX_FAULT_LENGTH) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        lines.append(f"and {counted(len(faults) - _MAX_FAULTS, 'more fault')}")
    return "\n".join([f"Not recorded: {name}. Fix this and call it again:", *lines])


def _tool_schema(declaration: ToolDeclaration) -> ToolSchema:
    raw = declaration.schema()
    schema = _inlined(raw, raw.get("$defs", {}))
    parameters = {
        "type": "object",
        "properties": {REASON_ARGUMENT: _REASON_SCHEMA, **schema.get("properties", {})},
        "required": [REASON_ARGUMENT, *schema.get("required", [])],
        "additionalProperties": False,
    }
    return ToolSchema(
        name=declaration.name,
        description=declaration.description,
        parameters=cast("ParametersSchema", parameters),
    )


def _inlined(node: Any, definitions: Mapping[str, JsonValue], within: tuple[str, ...] = ()) -> Any:
    """Return a JSON schema with its references inlined, because some compatible servers do not resolve them.

    A recursive model ends in an object of any shape; the tool's own validation still reports faults.
    """
    if isinstance(node, list):
        return [_inlined(item, definitions, within) for item in node]
    if not isinstance(node, dict):
        return node
    inlined = {
        key: _inlined(item, definitions, within)
        for key, item in node.items()
        if key not in ("$defs", "$ref") and not (key == "discriminator" and "mapping" in item)
    }
    if "$ref" not in node:
        return inlined
    name = str(node["$ref"]).removeprefix("#/$defs/")
    if name in within:
        return {"type": "object", **inlined}
    return {**_inlined(definitions[name], definitions, (*within, name)), **inlined}
