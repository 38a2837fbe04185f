"""Find the result of a confirmed decision, in the worker's response or else in the records."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plangate.domain.decisions.decision import Via, update_key
from plangate.domain.errors import (
    PlangateError,
    RecordsMissing,
    RecordsUnavailable,
    RunNotFound,
    TrailDamaged,
)
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.records.queries import trail_on_record
from plangate.web.confirmations import Confirmation, Confirmations
from plangate.web.gate import Gate

_UNREAD: Final = (RecordsMissing, RecordsUnavailable, RunNotFound, TrailDamaged)


class ResultKind(StrEnum):
    """The result of a decision.

    Attributes:
        ACCEPTED: it takes effect.
        REFUSED: it has no effect.
        KEPT: the Temporal server keeps it until a worker runs.
        NOT_RECORDED: a worker has it, and cannot record it yet.
        UNKNOWN: it is not known whether it was received; it can be sent again, and takes effect once.
    """

    ACCEPTED = "accepted"
    REFUSED = "refused"
    KEPT = "kept"
    NOT_RECORDED = "not_recorded"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a decision, and its reason."""

    kind: ResultKind
    reason: str = ""


async def result_of(gate: Gate, one: Confirmation) -> Result:
    """Return the result of a confirmed decision."""
    answer = one.answer
    if answer is not None and answer.accepted is not None:
        return Result(ResultKind.ACCEPTED if answer.accepted else ResultKind.REFUSED, answer.reason)
    with suppress(*_UNREAD):
        recorded = await asyncio.to_thread(_recorded, gate, one)
        if recorded is not None:
            return recorded
    if answer is not None:
        return Result(ResultKind.NOT_RECORDED, answer.reason)
    return Result(ResultKind.KEPT if one.is_kept else ResultKind.UNKNOWN)


async def send(gate: Gate, confirmations: Confirmations, one: Confirmation) -> Result:
    """Send a confirmed decision, unless its result is already known, and return the result.

    It can be sent any number of times: its id identifies repeats.
    """
    before = await result_of(gate, one)
    if before.kind in (ResultKind.ACCEPTED, ResultKind.REFUSED):
        return before
    try:
        client = await gate.client()
        answer = await client.decide(one.workflow_id, one.decision, update_id=one.id)
    except PlangateError:
        after = await result_of(gate, one)
        if after.kind is ResultKind.UNKNOWN:
            raise
        return after
    await asyncio.to_thread(confirmations.record_answer, one, answer)
    if answer is None:
        return Result(ResultKind.KEPT)
    return await result_of(gate, one.model_copy(update={"answer": answer}))


def _recorded(gate: Gate, one: Confirmation) -> Result | None:
    """Return the recorded result; the accepted one if the decision was received more than once."""
    verdicts = [
        entry.event.verdict
        for entry in trail_on_record(gate.database, one.workflow_id)
        if isinstance(entry.event, Decided) and _is_this(entry.event, one)
    ]
    best = next((verdict for verdict in verdicts if verdict.accepted), verdicts[0] if verdicts else None)
    return (
        None
        if best is None
        else Result(ResultKind.ACCEPTED if best.accepted else ResultKind.REFUSED, best.reason)
    )


def _is_this(event: Decided, one: Confirmation) -> bool:
    arrival = event.arrival
    if arrival.decision is None:
        return False
    if arrival.key.endswith(update_key("", one.id)):
        return True
    if one.decision.signature is not None:
        return arrival.decision.signature == one.decision.signature
    since = one.sent_at or one.made_at
    is_later = arrival.received_at >= since - CLOCK_LEEWAY
    return arrival.via is Via.SIGNAL and is_later and arrival.decision == one.decision
