"""Calls whose first attempt ends without a result, and a state that changes before the repeat.

A slot contains a value that one call replaces. The case determines whether the first attempt did so, which
value another program writes before the next observation, and the result of that observation. `perform` runs
such cases through a complete test instance.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from pydantic import JsonValue

from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.request import PlanRequest
from plangate.settings import Settings
from plangate.testing.tools import as_tool
from plangate.tool import EffectStatus, Observes, Repeatable, Tool, tool
from tests.support.gate import Gate

OLD, NEW, OTHER = "old", "new", "other"
MAX_CONCURRENT: Final = 12  # runs
WAIT_LIMIT: Final = 60  # seconds on a busy machine

Kind = Literal["plain", "sees", "decorated"]


@dataclass
class Slot:
    """One slot.

    Attributes:
        kind: the kind of tool: it observes, it also recognises its effect, or it is a decorated function.
        is_done: whether the first attempt had its effect.
        overwritten_with: the value that another program writes before the next observation, if any.
        failure: the first error of that observation, if any.
        value: the current value.
        acts: the value before each call, in order.
        done: the keys of the effects that happened.
        observations: the number since the first attempt.
    """

    kind: Kind
    is_done: bool
    overwritten_with: str | None
    failure: type[Exception] | None
    value: str = OLD
    acts: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    observations: int = 0

    @property
    def end(self) -> str:
        """The required outcome of the run."""
        if self.failure is ToolRefused:
            return "held"
        if self.observed_value == OLD:
            return "executed"
        return "executed" if self.kind == "sees" and self.observed_value == NEW else "held"

    @property
    def observed_value(self) -> str:
        return self.overwritten_with or (NEW if self.is_done else OLD)

    @property
    def final_value(self) -> str:
        is_repeated = len(self.calls) > 1
        return NEW if is_repeated and not self.is_done else self.observed_value

    @property
    def calls(self) -> list[str]:
        """The required value at each call: always the approved one."""
        is_repeated = self.end == "executed" and self.observed_value == OLD
        return [OLD, OLD] if is_repeated else [OLD]

    def act(self, key: str) -> None:
        """Cause the effect, once for each key; the first call returns no result."""
        self.acts.append(self.value)
        is_first = len(self.acts) == 1
        if key not in self.done and (self.is_done or not is_first):
            self.done.append(key)
            self.value = NEW
        if is_first:
            self.value = self.observed_value
            raise EffectUnknown("The connection was lost.")

    def observed(self) -> str:
        if self.acts:
            self.observations += 1
            if self.failure is not None and (self.observations == 1 or self.failure is ToolRefused):
                raise self.failure("It cannot be observed.")
        return self.value


def slots(rng: random.Random, count: int) -> Iterator[Slot]:
    """Yield this number of slots, each with its own case."""
    kinds: tuple[Kind, ...] = ("plain", "sees", "decorated")
    for _ in range(count):
        yield Slot(
            kind=rng.choice(kinds),
            is_done=rng.random() < 0.5,
            overwritten_with=rng.choice([None, None, OTHER, OLD, NEW]),
            failure=rng.choice([None, None, None, ToolUnavailable, OSError, ToolRefused]),
        )


class PutArguments(ToolArguments):
    """Which slot is replaced."""

    slot: int


class Put(Observes):
    """A tool that replaces the value of a slot; the remote system keeps the key."""

    def __init__(self, name: str, all_slots: Sequence[Slot]) -> None:
        self.declaration = ToolDeclaration(
            name=name,
            description="Replace it.",
            arguments=PutArguments,
            retry_safety=RetrySafety.VENDOR_KEY,
        )
        self.slots = all_slots

    def objection(self, arguments: PutArguments) -> str | None:
        del arguments
        return None

    async def observe(self, arguments: PutArguments) -> JsonValue:
        return self.slots[arguments.slot].observed()

    async def act(self, arguments: PutArguments, idempotency_key: str) -> Receipt:
        self.slots[arguments.slot].act(idempotency_key)
        return Receipt(summary="replaced")

    async def find_out(self, arguments: PutArguments, idempotency_key: str) -> EffectStatus:
        del arguments, idempotency_key
        return Repeatable()


class ObservablePut(Put):
    """The same tool, which can also recognize its effect."""

    def effect_seen(self, arguments: PutArguments, now: JsonValue, idempotency_key: str) -> Receipt | None:
        del arguments, idempotency_key
        return Receipt(summary="replaced, as observed") if now == NEW else None


def decorated_put(all_slots: Sequence[Slot]) -> Tool:
    """Return `Put` as a decorated function."""

    @tool(retry_safety="vendor_key")
    def decorated(slot: int, idempotency_key: str) -> dict[str, JsonValue]:
        """Replace it."""
        all_slots[slot].act(idempotency_key)
        return {"slot": slot}

    @decorated.observe
    def seen(slot: int) -> str:
        return all_slots[slot].observed()

    return as_tool(decorated, Settings)


async def perform(gate: Gate, all_slots: Sequence[Slot]) -> list[str]:
    """Run a plan for each slot; return the errors."""
    made: tuple[Tool, ...] = (
        Put("plain", all_slots),
        ObservablePut("sees", all_slots),
        decorated_put(all_slots),
    )
    gate.tools.update({one.declaration.name: one for one in made})
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(number: int, slot: Slot) -> list[str]:
        async with limit:
            return [f"slot {number}, {slot}: {fault}" for fault in await _run(gate, number, slot)]

    async with gate.worker():
        found = await asyncio.gather(*(one(number, slot) for number, slot in enumerate(all_slots)))
    return [fault for faults in found for fault in faults]


async def _run(gate: Gate, number: int, slot: Slot) -> list[str]:
    step = {"tool": slot.kind, "arguments": {"slot": number}, "reason": "r"}
    request = PlanRequest(requester="rita", plan={"summary": "Replace it", "steps": [step]})
    status = await gate.until("in_review", await gate.api.submit(request))
    assert (await gate.decide(status)).accepted
    run = status.workflow_id
    async with asyncio.timeout(WAIT_LIMIT):
        while (status := await gate.api.status(run)).state not in ("held", "executed", "failed"):
            await asyncio.sleep(0.1)
    ended = status.steps[0].state
    checks = {
        f"the run ended as {status.state}": status.state == slot.end,
        f"the step ended as {ended}": ended == ("in_doubt" if slot.end == "held" else "done"),
        f"it was called at the values {slot.acts}": slot.acts == slot.calls,
        f"it was done {len(slot.done)} times": len(slot.done) <= 1,
        f"the final value is {slot.value}": slot.value == slot.final_value,
    }
    return [error for error, is_correct in checks.items() if not is_correct]
