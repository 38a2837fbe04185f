"""Simulated objects that may change between a plan and its steps, and whether the precondition still holds.

One or two steps change each object. Its kind determines the observation when the plan is drafted, the change
during the review, and the observation just before the step. `perform` runs plans for such objects through a
complete test instance. The test suite runs hundreds of them, chaos thousands.
"""

import asyncio
import copy
import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from unittest.mock import patch

from pydantic import JsonValue

from activities import execution, observing
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.tool import DidNotHappen, EffectStatus, same_observation
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT

Document = dict[str, Any]
MAX_CONCURRENT: Final = 8  # runs
MAX_STEPS: Final = 20  # of one run


@dataclass
class ChangingObject:
    """One changing object.

    Attributes:
        kind: the kind of the change.
        thing: its name.
        document: the observed document.
        change: the change of the document after the draft.
        failure: the error or result of the observation before the step, if it fails.
        once: whether only the first of these observations fails.
        changes_between: whether another program changes it right after each act.
        amounts: the amounts of the steps on it.
        holds: for each step, whether it may act, provided that each step that may not is skipped.
    """

    kind: str
    thing: str
    document: Document
    change: Callable[[Document], Document] = lambda document: document
    failure: Callable[[Document], Any] | None = None
    once: bool = False
    changes_between: bool = False
    amounts: tuple[int, ...] = (7,)
    holds: tuple[bool, ...] = (True,)


class MoveArguments(ToolArguments):
    """By how much a thing is moved."""

    thing: str
    amount: int


class Mover:
    """A tool that moves things; it expects the moves of its own run."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="move", description="Move a thing.", arguments=MoveArguments, retry_safety=RetrySafety.LOOK_UP
    )

    def __init__(self) -> None:
        self.objects: dict[str, ChangingObject] = {}
        self.stepping: set[str] = set()
        self.effects: list[tuple[str, int]] = []

    def objection(self, arguments: MoveArguments) -> str | None:  # noqa: ARG002
        return None

    async def observe(self, arguments: MoveArguments) -> JsonValue:
        item = self.objects[arguments.thing]
        if arguments.thing in self.stepping and item.failure is not None:
            failure = item.failure
            if item.once:
                item.failure = None
            answer: JsonValue = await _answer_of(failure, item.document)
            return answer
        return copy.deepcopy(item.document)

    def still_holds(
        self, arguments: MoveArguments, seen: JsonValue, now: JsonValue, receipts: Sequence[Receipt]
    ) -> bool:
        own = sum(
            int(str(one.details["amount"])) for one in receipts if one.details["thing"] == arguments.thing
        )
        if not own or not isinstance(seen, dict):
            return same_observation(seen, now)
        return same_observation({**seen, "balance": int(str(seen["balance"])) + own}, now)

    async def act(self, arguments: MoveArguments, idempotency_key: str) -> Receipt:  # noqa: ARG002
        item = self.objects[arguments.thing]
        self.effects.append((arguments.thing, arguments.amount))
        item.document["balance"] += arguments.amount + (1 if item.changes_between else 0)
        return Receipt(summary="moved", details={"thing": arguments.thing, "amount": arguments.amount})

    async def find_out(self, arguments: MoveArguments, idempotency_key: str) -> EffectStatus:  # noqa: ARG002
        return DidNotHappen()


async def _answer_of(failure: Callable[[Document], Any], document: Document) -> Any:
    answer = failure(document)
    return await answer if asyncio.iscoroutine(answer) else answer


# The documents, and their changes


def _document(rng: random.Random) -> Document:
    return {
        "balance": rng.randint(0, 10_000),
        "status": rng.choice(["open", "Paid", "IN REVIEW"]),
        "place": rng.choice(["Málaga", "Zürich", "Orléans"]),
        "etag": f'"{rng.randrange(16**8):08x}"',
        "lines": [{"article": name, "count": rng.randint(2, 9)} for name in rng.sample("abcdef", 3)],
        "paid": rng.random() < 0.5,
        "rate": rng.choice([1, 2, 600]),
        "note": None,
    }


def _set(**fields: Any) -> Callable[[Document], Document]:
    return lambda document: {**document, **fields}


def _reordered(document: Document) -> Document:
    return {
        name: [dict(reversed(line.items())) for line in value] if name == "lines" else value
        for name, value in reversed(document.items())
    }


def _raising(error: Exception) -> Callable[[Document], Any]:
    def failure(document: Document) -> Any:  # noqa: ARG001
        raise error

    return failure


async def _slow(document: Document) -> Document:
    await asyncio.sleep(30)
    return document


def _put(name: str, make: Callable[[Any], Any]) -> Callable[[Document], Document]:
    return lambda document: {**document, name: make(document[name])}


def _decomposed(text: str) -> str:
    return unicodedata.normalize("NFD", text)


HOLDS: Final[dict[str, dict[str, Any]]] = {
    "nothing happens": {},
    "the names are in another order": {"change": _reordered},
    "a number is written differently": {"change": _put("rate", float)},
    "it changes and changes back": {"change": lambda document: {**_set(status="gone")(document), **document}},
    "it cannot be observed for a moment": {"failure": _raising(ToolUnavailable("busy")), "once": True},
    "two steps": {"amounts": (7, 5), "holds": (True, True)},
}
STALE: Final[dict[str, dict[str, Any]]] = {
    "a text differs": {"change": _set(status="refunded")},
    "the case of a letter differs": {"change": _put("status", str.swapcase)},
    "a number differs": {"change": _put("balance", lambda balance: balance + 1)},
    "a number is now a string": {"change": _put("rate", str)},
    "a boolean is now a number": {"change": _put("paid", int)},
    "the normal form differs": {"change": _put("place", _decomposed)},
    "the order of a list differs": {"change": _put("lines", lambda lines: lines[::-1])},
    "a field is new": {"change": _set(dispute="lost")},
    "a field is gone": {"change": lambda document: {name: document[name] for name in sorted(document)[:-1]}},
    "a value is now empty": {"change": _set(lines=[])},
    "it can never be observed": {"failure": _raising(ToolRefused("There is no such thing any more."))},
    "it cannot be observed": {"failure": _raising(ToolUnavailable("It does not answer."))},
    "its tool has a bug": {"failure": _raising(KeyError("balance"))},
    "it is slow": {"failure": _slow},
    "it is huge": {"failure": _put("note", lambda _note: "x" * 20_000)},
    "it is not JSON": {"failure": _set(rate=float("nan"))},
    "it is gone": {"failure": lambda _document: None},
    "two steps, and it changes before": {
        "change": _set(status="gone"),
        "amounts": (7, 5),
        "holds": (False, False),
    },
    "two steps, with another change between": {
        "changes_between": True,
        "amounts": (7, 5),
        "holds": (True, False),
    },
}
# Each takes a second, because the server waits before it retries.
_RETRIED: Final = frozenset({
    "it cannot be observed for a moment", "it cannot be observed", "its tool has a bug", "it is slow",
})  # fmt: skip


def objects(rng: random.Random, count: int) -> Iterator[ChangingObject]:
    """Yield that many objects, of every kind, half of them stale."""
    for number in range(count):
        kinds, usual = (STALE, (False,)) if rng.random() < 0.5 else (HOLDS, (True,))
        kind = rng.choice(list(kinds))
        if kind in _RETRIED and rng.random() < 0.7:
            kind = rng.choice(sorted(kinds.keys() - _RETRIED))
        yield ChangingObject(kind, f"thing-{number}", _document(rng), **{"holds": usual, **kinds[kind]})


# The runs


async def perform(gate: Gate, rng: random.Random, count: int) -> tuple[int, list[str]]:
    """Run plans for that many objects; return the number of steps, and the errors."""
    mover = Mover()
    gate.tools["move"] = mover
    pending = list(objects(rng, count))
    plans: list[list[ChangingObject]] = []
    while pending:
        size = rng.randint(1, MAX_STEPS // 2)
        plans.append(pending[:size])
        pending = pending[size:]
    limit = asyncio.Semaphore(MAX_CONCURRENT)

    async def one(plan: list[ChangingObject]) -> list[str]:
        async with limit:
            return await _run(gate, mover, plan)

    with _limit_observations():
        async with gate.worker():
            found = await asyncio.gather(*(one(plan) for plan in plans))
    steps = sum(len(item.amounts) for plan in plans for item in plan)
    return steps, [fault for faults in found for fault in faults]


@contextmanager
def _limit_observations() -> Iterator[None]:
    """Limit observations to a short time, and to two attempts."""
    with patch.object(observing, "OBSERVE_SECONDS", 0.2), patch.object(execution, "STEP_TRIES", 2):
        yield


async def _run(gate: Gate, mover: Mover, plan: list[ChangingObject]) -> list[str]:
    """Draft a plan for these objects, change them, approve it, and skip each held step; return the errors."""
    mover.objects.update({item.thing: item for item in plan})
    steps = [
        (item, amount, holds) for item in plan for amount, holds in zip(item.amounts, item.holds, strict=True)
    ]
    proposed = [
        {"tool": "move", "arguments": {"thing": item.thing, "amount": amount}, "reason": item.kind}
        for item, amount, _ in steps
    ]
    request = PlanRequest(requester="rita", plan={"summary": "Move things", "steps": proposed})
    status = await gate.until("in_review", await gate.api.submit(request))
    for item in plan:
        item.document = item.change(item.document)
        mover.stepping.add(item.thing)
    await gate.decide(status)
    held: dict[int, str] = {}
    faults: list[str] = []
    while (status := await _stopped(gate, status.workflow_id, len(held))).state == "held":
        assert status.held is not None
        number = status.held.step
        item, amount, _ = steps[number - 1]
        held[number] = status.held.why
        if (item.thing, amount) in mover.effects:
            faults.append(f"{item.kind}: step {number} acted before it was held")
        reason, hold = "the object has changed", status.held.number
        await gate.decide(status, "resolve", step=number, hold=hold, resolution="skip", comment=reason)
    if status.state != "executed":
        faults.append(f"the run ended as {status.state}: {status.reason}")
    for number, (item, amount, holds) in enumerate(steps, start=1):
        acted = mover.effects.count((item.thing, amount))
        if acted != holds or (number in held) is holds:
            faults.append(f"{item.kind}: step {number} acted {acted} times; held: {held.get(number)}")
        if number in held and not is_explained(held[number]):
            faults.append(f"{item.kind}: held without saying why: {held[number]}")
    return faults


def is_explained(why: str) -> bool:
    """Whether the reason of a hold contains the old and the new state, or the error of the observation."""
    return (" was " in why and " is now " in why) or any(
        words in why for words in ("no such thing", "does not answer", "could not observe", "observed")
    )


async def _stopped(gate: Gate, workflow_id: str, held: int) -> Status:
    """Wait until the run is held again, or has ended."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            status = await gate.api.status(workflow_id)
            skipped = sum(step.state == "skipped" for step in status.steps)
            if status.state == "held" and skipped == held:
                return status
            if status.state not in ("held", "executing", "in_review", "drafting"):
                return status
            await asyncio.sleep(0.02)
