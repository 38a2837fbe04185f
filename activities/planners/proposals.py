"""The tools of one draft: a call notes a step of the plan, or reads; nothing acts.

Each call is validated by the tool's own model. An invalid one is answered with its faults, so that the
planner can correct it. The limits are kept here, whatever the planner is made of. May import the domain.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn

import structlog
from pydantic import JsonValue

from plangate.domain.audit import ModelUse
from plangate.domain.drafting import check_arguments, complete
from plangate.domain.errors import DraftUnusable, PlangateError, PlanInvalid, ToolError
from plangate.domain.escaping import cut, one_line
from plangate.domain.faults import Fault
from plangate.domain.plan import MAX_REASON, Step, canonical_json, uncanonical
from plangate.domain.plurals import counted
from plangate.domain.reads import MAX_READ_ARGUMENTS, MAX_READS, MAX_READS_BYTES, Read, read_of
from plangate.domain.tool import REASON_ARGUMENT, ToolArguments, ToolDeclaration
from plangate.planner import PlannerTool

_log = structlog.get_logger(__name__)

MAX_BAD_CALLS: Final = 10
MOST_PROPOSALS: Final = 5  # times the steps that a plan may have: those that are forgotten count too
_REASON_SCHEMA: Final = {
    "type": "string",
    "description": "why this step is needed, for the person who approves it",
    "minLength": 1,
}
_MAX_FAULTS: Final = 20
_MAX_FAULT_LENGTH: Final = 300
_MAX_QUOTE: Final = 300
_ENDED: Final = "The draft has ended, and its tools with it."
_NO_MORE: Final = "Not read: no more can be read for one plan; propose the steps, or finish."
_READS: Final = "This only reads: it runs at once, and records no step."

Reader = Callable[[ToolArguments], Awaitable[JsonValue]]
"""What a tool that only reads does with its arguments."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one draft.

    Attributes:
        seconds: time.
        max_steps: of the plan.
        turns: answers of the model, as far as the planner reports them.
        tokens: of prompts and answers, as far as they are reported; None for no limit.
        cost: as far as it is reported; None for no limit.
    """

    seconds: float
    max_steps: int
    turns: int = 100
    tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is answered; ``is_error`` if it was not carried out."""

    text: str
    is_error: bool = False


class Proposals:
    """Notes what one planner proposes and reads; implements `plangate.planner.PlannerTools`.

    Attributes:
        steps: noted so far, in the order of the calls.
        reads: carried out so far.
        failed: set when the draft has failed.
        failure: why it failed; a planner may have swallowed the exception.
    """

    def __init__(
        self,
        tools: Mapping[str, ToolDeclaration],
        limits: Limits,
        readers: Mapping[str, Reader] | None = None,
        seen: tuple[Read, ...] = (),
    ) -> None:
        """Offer these tools; those that only read need a reader. ``seen`` was read for an earlier plan."""
        self._readers = dict(readers or {})
        self._tools = {
            name: one for name, one in tools.items() if not one.reads_only or name in self._readers
        }
        self._limits = limits
        self._offered = [self._offer(one) for one in self._tools.values()]
        self._in_this_answer: dict[str, int] | None = None
        self._proposed = self._bad_calls = self._turns = 0
        self._use = ModelUse(model="")
        self._cost = Decimal(0)
        self._is_closed = False
        self._seen = seen
        self._reads: list[Read | None] = []
        self._reading: set[asyncio.Task[object]] = set()
        self.steps: tuple[Step, ...] = ()
        self.failed = asyncio.Event()
        self.failure: PlangateError | None = None

    def __iter__(self) -> Iterator[PlannerTool]:
        return iter(self._offered)

    @property
    def reads(self) -> tuple[Read, ...]:
        """What was read for this plan and the ones before, in the order of the calls."""
        return (*self._seen, *(one for one in self._reads if one is not None))

    @property
    def limits(self) -> Limits:
        """The limits of this draft."""
        return self._limits

    def usage(self, model: str) -> ModelUse:
        """Return the reported use; ``model`` is the name if none was reported."""
        cost = f"{self._cost:f}" if self._cost else ""
        return self._use.model_copy(update={"model": self._use.model or model, "cost": cost})

    def turn(
        self, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost: Decimal = Decimal(0)
    ) -> None:
        """Count one answer of a model; the calls that follow belong to it.

        The same call twice in one answer is usually a fault of the model or server, and an approver may not
        notice the repetition. The second one is therefore not recorded, and the model is asked to repeat
        it in a later answer if it is intended.

        Raises:
            DraftUnusable: it is one too many.
        """
        self._in_this_answer = {}
        self._turns += 1
        self._cost += max(cost, Decimal(0)) if cost.is_finite() else 0
        self._use = ModelUse(
            model=cut(one_line(model), _MAX_QUOTE),
            prompt_tokens=self._use.prompt_tokens + max(prompt_tokens, 0),
            completion_tokens=self._use.completion_tokens + max(completion_tokens, 0),
        )
        tokens, limits = self._use.prompt_tokens + self._use.completion_tokens, self._limits
        if self._turns > limits.turns:
            self.fail(f"The draft took more than {limits.turns} turns of the model", "PLANGATE_DRAFT_TURNS")
        if limits.tokens is not None and tokens > limits.tokens:
            self.fail(f"The draft took {tokens:,} tokens, over {limits.tokens:,}", "PLANGATE_DRAFT_TOKENS")
        if limits.cost is not None and self._cost > limits.cost:
            self.fail(f"The draft cost {self._cost:f}, over {limits.cost:f}", "PLANGATE_DRAFT_COST")

    def start_over(self) -> None:
        """Forget the steps; what was read is kept."""
        self.steps = ()
        self._in_this_answer = None if self._in_this_answer is None else {}

    def close(self) -> None:
        """End the draft and its reads: a call from a task that was left behind changes nothing."""
        self._is_closed = True
        for reading in self._reading:
            reading.cancel()

    def fail(self, what: str, setting: str = "") -> NoReturn:
        """Give the draft up.

        Raises:
            DraftUnusable: always.
        """
        advice = f"; simplify the request, or raise {setting}." if setting else "."
        self.failure = self.failure or DraftUnusable(f"{what}{advice}")
        self.failed.set()
        raise self.failure

    async def call(self, name: str, arguments: object) -> str:
        """Carry out one call, or answer with its faults.

        Raises:
            DraftUnusable: a limit is reached.
        """
        return (await self.answer(name, arguments)).text

    async def answer(self, name: str, arguments: object) -> Answer:
        """Carry out one call, or answer with its faults, and say which of both.

        Nothing is awaited before a step is recorded: AutoGen starts the calls of one message in order and
        runs them concurrently, and the steps must keep that order.

        Raises:
            DraftUnusable: a limit is reached.
        """
        if self._is_closed:
            raise DraftUnusable(_ENDED)
        if self.failure is not None:
            raise self.failure
        if name in self._tools and self._tools[name].reads_only:
            answer = await self._read(name, arguments)
        else:
            answer = self._propose(name, arguments)
        if answer.is_error:
            self.count_bad_call(answer.text)
        return answer

    def count_bad_call(self, answer: str) -> None:
        """Count a call that was not carried out.

        Raises:
            DraftUnusable: it is one too many.
        """
        self._bad_calls += 1
        if self._bad_calls > MAX_BAD_CALLS:
            said = cut(one_line(answer), _MAX_QUOTE)
            self.fail(f"The model made {self._bad_calls} invalid calls; the last was answered: '{said}'")

    def _propose(self, name: str, arguments: object) -> Answer:
        own = _object(arguments)
        faults = [] if own else [Fault((), "has no arguments, or they are not one readable JSON object")]
        why = own.pop(REASON_ARGUMENT, None)
        faults += _faults_of_why(why)
        checked: dict[str, JsonValue] = {}
        try:
            checked = complete(self._checked(name, own))
        except PlanInvalid as error:
            faults.extend(error.faults)
        except PlangateError:
            raise
        except Exception as error:  # noqa: BLE001  of the tool's model, as it writes its arguments
            self._is_broken(name, error)
        if faults:
            return Answer(_correction(f"Not recorded: {one_line(name)}", faults), is_error=True)
        assert isinstance(why, str)
        return self._note(Step(tool=name, arguments=checked, reason=why))

    def _note(self, step: Step) -> Answer:
        same, number = json.dumps([step.tool, step.arguments], sort_keys=True), len(self.steps) + 1
        if self._in_this_answer is not None and same in self._in_this_answer:
            return Answer(
                f"Not recorded: it is the same as step {self._in_this_answer[same]}. If it is to be done "
                "twice, call it again in your next answer; otherwise continue."
            )
        most, self._proposed = self._limits.max_steps, self._proposed + 1
        if number > most or self._proposed > MOST_PROPOSALS * most:
            again = "" if number > most else " again and again"
            self.failure = DraftUnusable(
                f"The model proposed more steps than the limit of {most}{again}; ask for less at once, "
                "or raise PLANGATE_MAX_STEPS."
            )
            self.failed.set()
            raise self.failure
        if self._in_this_answer is not None:
            self._in_this_answer[same] = number
        self.steps = (*self.steps, step)
        return Answer(
            f"step {number} recorded: {step.tool}. Nothing has been done yet; it runs after the "
            "approval, exactly as recorded. Propose the next step, or finish with the summary."
        )

    async def _read(self, name: str, arguments: object) -> Answer:
        own, checked = _object(arguments), None
        try:
            checked = self._checked(name, own)
            values = complete(checked)
            faults = list(uncanonical(values))
            if not faults and len(canonical_json(values)) > MAX_READ_ARGUMENTS:
                faults = [Fault((), f"the arguments have more than {MAX_READ_ARGUMENTS:,} bytes")]
        except PlanInvalid as error:
            faults = list(error.faults)
        if faults or checked is None:
            return Answer(_correction(f"Not read: {name}", faults), is_error=True)
        place = len(self._reads)
        if len(self._seen) + place >= MAX_READS or self._room <= 0:
            return Answer(_NO_MORE, is_error=True)
        self._reads.append(None)
        found = await self._found(name, checked)
        room = self._room
        if room <= 0:
            return Answer(_NO_MORE, is_error=True)
        try:
            read = read_of(name, values, found, room)
        except (TypeError, ValueError):
            read = read_of(name, values, f"{name} returned what is not JSON.", room)
        self._reads[place] = read
        return Answer(_given(read))

    @property
    def _room(self) -> int:
        """How many bytes of further results can be kept."""
        return MAX_READS_BYTES - sum(one.kept for one in self.reads)

    async def _found(self, name: str, arguments: ToolArguments) -> object:
        """Return what a tool found, or a sentence about why it found nothing.

        It reads in a task of its own, which ends with the draft: a planner may leave its own tasks behind,
        and a client of a dead server may cancel the task that calls it.

        Raises:
            DraftUnusable: the draft has ended.
        """
        reading = asyncio.create_task(self._looked(name, arguments))
        self._reading.add(reading)
        try:
            await asyncio.wait((reading,))
        finally:
            reading.cancel()
            self._reading.discard(reading)
        if self._is_closed:
            raise DraftUnusable(_ENDED)
        return f"Not read: {name} was cancelled." if reading.cancelled() else reading.result()

    async def _looked(self, name: str, arguments: ToolArguments) -> object:
        seconds = self._tools[name].seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._readers[name](arguments)
        except ToolError as error:
            return f"Not read: {error}"
        except TimeoutError:
            return f"Not read: {name} did not answer within {seconds} seconds."
        except Exception as error:  # noqa: BLE001  a tool's bug is an answer, too
            _log.exception("A tool could not read.", action="read", tool=name)
            return f"Not read: {name} failed ({type(error).__name__})."

    def _checked(self, name: str, arguments: Mapping[str, Any]) -> ToolArguments:
        """Validate arguments by their tool's model.

        Raises:
            PlanInvalid: they are wrong, or there is no such tool.
            DraftUnusable: the model itself is broken, which no planner can correct.
        """
        try:
            return check_arguments(name, arguments, self._tools)
        except PlanInvalid as error:
            if not isinstance(error.__cause__, Exception):
                raise
            self._is_broken(name, error.__cause__)

    def _is_broken(self, name: str, error: Exception) -> NoReturn:
        _log.error("A tool could not check its arguments.", action="propose", tool=name, exc_info=error)
        self.fail(
            f"The check of the arguments of {name} failed ({type(error).__name__}), so its steps cannot be "
            "proposed; report this to its author"
        )

    def _offer(self, declaration: ToolDeclaration) -> PlannerTool:
        name = declaration.name

        async def call(arguments: object) -> str:
            return await self.call(name, arguments)

        reads = f" {_READS}" if declaration.reads_only else ""
        return PlannerTool(
            name=name,
            description=declaration.description + reads,
            schema=_schema(declaration),
            reads_only=declaration.reads_only,
            call=call,
        )


def _object(arguments: object) -> dict[str, Any]:
    """Return the arguments of a call, which may be JSON text; empty if they are no object."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return {}
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _given(read: Read) -> str:
    """Return what the planner gets of a read: no more than is kept, as JSON, which it cannot leave."""
    given: dict[str, object] = {"read": read.tool, "result": read.result}
    if read.is_cut:
        given["cut"] = f"these are the first {read.kept:,} of {read.size:,} bytes; read less at once"
    return json.dumps(given, ensure_ascii=False)


def _faults_of_why(why: object) -> list[Fault]:
    at = (REASON_ARGUMENT,)
    if not isinstance(why, str) or not why.strip():
        return [Fault(at, "is missing; say why this step is needed, for the person who approves it")]
    if len(why) > MAX_REASON:
        return [Fault(at, f"has {len(why)} characters, more than the limit of {MAX_REASON}")]
    return list(uncanonical(why, at))


def _correction(said: str, faults: list[Fault]) -> str:
    lines = [cut(one_line(str(fault)), _MAX_FAULT_LENGTH) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        lines.append(f"and {counted(len(faults) - _MAX_FAULTS, 'more fault')}")
    return "\n".join([f"{said}. Fix this and call it again:", *lines])


def _schema(declaration: ToolDeclaration) -> dict[str, Any]:
    """Return the schema of a call: the tool's own, and the reason for a step."""
    raw = declaration.schema()
    schema = _inlined(raw, raw.get("$defs", {}))
    why = {} if declaration.reads_only else {REASON_ARGUMENT: _REASON_SCHEMA}
    return {
        "type": "object",
        "properties": {**why, **schema.get("properties", {})},
        "required": [*why, *schema.get("required", [])],
        "additionalProperties": False,
    }


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
