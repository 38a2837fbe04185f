"""The tools for one draft: a call proposes a step of the plan, or reads; no call has an effect.

Each call is validated by the tool's own model. The response to an invalid call lists its errors, so that the
planner can correct it. The limits are enforced here for every planner. May import the domain.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NoReturn

import structlog
from pydantic import JsonValue, ValidationError

from activities.planners.limits import MAX_QUOTE, Limits, Meter
from activities.planners.reading import ENDED, Reader, Reading
from activities.planners.schemas import schema_of_call
from plangate.domain.base import Typed
from plangate.domain.errors import DraftUnusable, PlangateError, PlanInvalid
from plangate.domain.escaping import cut, one_line
from plangate.domain.faults import Fault
from plangate.domain.plans.drafting import check_arguments, complete
from plangate.domain.plans.plan import MAX_REASON, Moment, Step, canonical_json, uncanonical
from plangate.domain.plans.reads import MAX_READ_ARGUMENTS, Read
from plangate.domain.plans.tool import REASON_ARGUMENT, ToolArguments, ToolDeclaration
from plangate.domain.plurals import counted
from plangate.domain.runs.audit import ModelUse
from plangate.domain.validation import faults_in
from plangate.planner import PlannerTool

_log = structlog.get_logger(__name__)

MAX_BAD_CALLS: Final = 10
MAX_PROPOSALS_FACTOR: Final = (
    5  # times the maximum number of steps in a plan, because discarded steps count too
)
_MAX_FAULTS: Final = 20
_MAX_FAULT_LENGTH: Final = 300
_NO_MORE: Final = "Not read: no more can be read for one plan; propose the steps, or finish."
_READS: Final = "This only reads: it runs immediately, and records no step."


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a call; ``is_error`` is true if the call was not executed."""

    text: str
    is_error: bool = False


class _EarliestStart(Typed):
    not_before: Moment


class Proposals:
    """Collects the proposals and reads of one planner; implements `plangate.planner.PlannerTools`.

    Attributes:
        steps: the steps proposed so far, in the order of the calls.
        not_before: the earliest start of the first step, if the planner proposed one.
        reads: the reads executed so far.
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
        """Offer these tools; read-only tools need a reader. ``seen``: the reads for an earlier plan."""
        known = readers or {}
        self._tools = {name: one for name, one in tools.items() if not one.reads_only or name in known}
        self._limits = limits
        self._offered = [self._offer(one) for one in self._tools.values()]
        self._in_this_answer: dict[str, int] | None = None
        self._proposed = self._bad_calls = 0
        self._meter = Meter(limits)
        self._is_closed = False
        self._reading = Reading(known, seen)
        self.steps: tuple[Step, ...] = ()
        self.not_before: datetime | None = None
        self.failed = asyncio.Event()
        self.failure: PlangateError | None = None

    def __iter__(self) -> Iterator[PlannerTool]:
        return iter(self._offered)

    @property
    def reads(self) -> tuple[Read, ...]:
        """The reads for this plan and earlier ones, in the order of the calls."""
        return self._reading.reads

    def usage(self, model: str) -> ModelUse:
        """Return the reported usage; ``model`` is the name to use if none was reported."""
        return self._meter.usage(model)

    def turn(
        self, model: str, *, prompt_tokens: int = 0, completion_tokens: int = 0, cost: Decimal = Decimal(0)
    ) -> None:
        """Count one model response; the calls that follow belong to it.

        If one response contains the same call twice, that is usually an error of the model or server, and an
        approver may not notice it. The second call is therefore not recorded, and the model is asked to
        repeat it in a later response if it is intended.

        Raises:
            DraftUnusable: it exceeds the limit.
        """
        self._in_this_answer = {}
        exceeded = self._meter.count(model, prompt_tokens, completion_tokens, Decimal(str(cost)))
        if exceeded is not None:
            self.fail(*exceeded)

    def start_over(self) -> None:
        """Discard the steps and their earliest start, but keep the reads."""
        self.steps = ()
        self.not_before = None
        self._in_this_answer = None if self._in_this_answer is None else {}

    def close(self) -> None:
        """End the draft and its reads: a later call from a leftover task has no effect."""
        self._is_closed = True
        self._reading.close()

    def fail(self, what: str, setting: str = "") -> NoReturn:
        """Abandon the draft.

        Raises:
            DraftUnusable: always.
        """
        advice = f"; simplify the request, or raise {setting}." if setting else "."
        self.failure = self.failure or DraftUnusable(f"{what}{advice}")
        self.failed.set()
        raise self.failure

    async def call(self, name: str, arguments: object) -> str:
        """Execute one call, or return its errors.

        Raises:
            DraftUnusable: a limit is reached.
        """
        return (await self.answer(name, arguments)).text

    async def answer(self, name: str, arguments: object) -> Answer:
        """Execute one call, or return its errors; the result shows which was done.

        Nothing is awaited before a step is recorded: AutoGen starts the calls of one message in order and
        runs them concurrently, and the steps must keep that order.

        Raises:
            DraftUnusable: a limit is reached.
        """
        self._check_is_open()
        if name in self._tools and self._tools[name].reads_only:
            answer = await self._read(name, arguments)
        else:
            answer = self._propose(name, arguments)
        if answer.is_error:
            self.count_bad_call(answer.text)
        return answer

    def set_not_before(self, arguments: object) -> Answer:
        """Set the earliest start of the first step: ``not_before``, a time with a time zone.

        Raises:
            DraftUnusable: a limit is reached.
        """
        self._check_is_open()
        try:
            self.not_before = _EarliestStart.model_validate(_object(arguments)).not_before
        except ValidationError as error:
            answer = Answer(_correction("Not recorded", faults_in(error)), is_error=True)
            self.count_bad_call(answer.text)
            return answer
        return Answer(
            f"Recorded: no step begins before {self.not_before.isoformat()}. Nothing has been done."
        )

    def _check_is_open(self) -> None:
        if self._is_closed:
            raise DraftUnusable(ENDED)
        if self.failure is not None:
            raise self.failure

    def count_bad_call(self, answer: str) -> None:
        """Count a call that was not executed.

        Raises:
            DraftUnusable: it exceeds the limit.
        """
        self._bad_calls += 1
        if self._bad_calls > MAX_BAD_CALLS:
            said = cut(one_line(answer), MAX_QUOTE)
            self.fail(f"The model made {self._bad_calls} invalid calls; the last was answered: '{said}'")

    def _propose(self, name: str, arguments: object) -> Answer:
        raw = _object(arguments)
        faults = [] if raw else [Fault((), "has no arguments, or they are not one readable JSON object")]
        why = raw.pop(REASON_ARGUMENT, None)
        faults += _reason_faults(why)
        checked: dict[str, JsonValue] = {}
        try:
            checked = complete(self._checked(name, raw))
        except PlanInvalid as error:
            faults.extend(error.faults)
        except PlangateError:
            raise
        except Exception as error:  # noqa: BLE001  the tool's model may fail to serialize its arguments
            self._fail_check(name, error)
        if faults:
            return Answer(_correction(f"Not recorded: {one_line(name)}", faults), is_error=True)
        assert isinstance(why, str)
        return self._record(Step(tool=name, arguments=checked, reason=why))

    def _record(self, step: Step) -> Answer:
        call_json, number = json.dumps([step.tool, step.arguments], sort_keys=True), len(self.steps) + 1
        if self._in_this_answer is not None and call_json in self._in_this_answer:
            return Answer(
                f"Not recorded: it is the same as step {self._in_this_answer[call_json]}. If it is to be "
                "done twice, call it again in your next answer; otherwise continue."
            )
        max_steps, self._proposed = self._limits.max_steps, self._proposed + 1
        if number > max_steps or self._proposed > MAX_PROPOSALS_FACTOR * max_steps:
            again = "" if number > max_steps else " repeatedly"
            self.failure = DraftUnusable(
                f"The model proposed more steps than the limit of {max_steps}{again}; ask for fewer steps, "
                "or raise PLANGATE_MAX_STEPS."
            )
            self.failed.set()
            raise self.failure
        if self._in_this_answer is not None:
            self._in_this_answer[call_json] = number
        self.steps = (*self.steps, step)
        return Answer(
            f"step {number} recorded: {step.tool}. Nothing has been done yet; it runs after the "
            "approval, exactly as recorded. Propose the next step, or finish with the summary."
        )

    async def _read(self, name: str, arguments: object) -> Answer:
        raw, checked = _object(arguments), None
        try:
            checked = self._checked(name, raw)
            values = complete(checked)
            faults = list(uncanonical(values))
            if not faults and len(canonical_json(values)) > MAX_READ_ARGUMENTS:
                faults = [Fault((), f"the arguments have more than {MAX_READ_ARGUMENTS:,} bytes")]
        except PlanInvalid as error:
            faults = list(error.faults)
        if faults or checked is None:
            return Answer(_correction(f"Not read: {name}", faults), is_error=True)
        read = await self._reading.read(self._tools[name], checked, values)
        return Answer(_NO_MORE, is_error=True) if read is None else Answer(_planner_text(read))

    def _checked(self, name: str, arguments: Mapping[str, Any]) -> ToolArguments:
        """Validate arguments with their tool's model.

        Raises:
            PlanInvalid: they are invalid, or there is no such tool.
            DraftUnusable: the model itself is broken, which no planner can correct.
        """
        try:
            return check_arguments(name, arguments, self._tools)
        except PlanInvalid as error:
            if not isinstance(error.__cause__, Exception):
                raise
            self._fail_check(name, error.__cause__)

    def _fail_check(self, name: str, error: Exception) -> NoReturn:
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
            schema=schema_of_call(declaration),
            reads_only=declaration.reads_only,
            call=call,
        )


def _object(arguments: object) -> dict[str, Any]:
    """Return the arguments of a call, which may be JSON text; empty if they are not an object."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return {}
    return dict(arguments) if isinstance(arguments, Mapping) else {}


def _planner_text(read: Read) -> str:
    """Return the part of a read that is given to the planner and recorded, as one JSON value."""
    shown: dict[str, object] = {"read": read.tool, "result": read.result}
    if read.is_cut:
        shown["cut"] = f"these are the first {read.kept:,} of {read.size:,} bytes; read less at once"
    return json.dumps(shown, ensure_ascii=False)


def _reason_faults(why: object) -> list[Fault]:
    at = (REASON_ARGUMENT,)
    if not isinstance(why, str) or not why.strip():
        return [Fault(at, "is missing; say why this step is needed, for the person who approves it")]
    if len(why) > MAX_REASON:
        return [Fault(at, f"has {len(why)} characters, more than the limit of {MAX_REASON}")]
    return list(uncanonical(why, at))


def _correction(said: str, faults: list[Fault]) -> str:
    lines = [cut(one_line(str(fault)), _MAX_FAULT_LENGTH) for fault in faults[:_MAX_FAULTS]]
    if len(faults) > _MAX_FAULTS:
        lines.append(f"and {counted(len(faults) - _MAX_FAULTS, 'more error')}")
    return "\n".join([f"{said}. Fix this and call it again:", *lines])
