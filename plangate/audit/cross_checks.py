"""What stands beside a trail and must agree with it: the run's row, its seals, effects and used tokens.

Each function yields sentences about one run, without its name. The rows are as they are stored, by anybody.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from sqlalchemy import Row

from plangate.domain.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Released,
    Reopened,
    Requested,
    RulesInForce,
    StepDone,
    StepFailed,
    StepInDoubt,
    WrittenEntry,
)
from plangate.domain.checkpoint import Seal
from plangate.domain.escaping import one_line
from plangate.domain.fold import fold
from plangate.domain.plan import idempotency_key
from plangate.domain.tool import Receipt
from plangate.records.ledger import EffectState
from plangate.records.used_signatures import name_of_token


def moment(stored: str | datetime | None) -> datetime | None:
    """Return a time as it is stored, which on SQLite is text without a zone.

    Raises:
        ValueError: it is no time.
        TypeError: nor is it a text.
    """
    if stored is None:
        return None
    if not isinstance(stored, str | datetime):
        raise TypeError("a time is stored as something else")
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def wrong_row(
    row: Row[Any],
    entries: Sequence[WrittenEntry],
    trail: Sequence[AuditEntry],
    sealed: Sequence[tuple[Seal, int]],
) -> Iterator[str]:
    """Compare the run's row with its entries, with as many of them as could be read, and with its seals."""
    if not entries:
        yield "has no entry at all, not even its request"
    if row.entry_count != len(entries):
        yield f"has {len(entries)} entries; it had {row.entry_count} when the last one was written"
    elif entries and row.head_hash != entries[-1].hash:
        yield f"ends with another entry than the one that was written last, entry {row.entry_count}"
    if row.sealed_count != max((seal.number for seal, _ in sealed), default=0):
        yield f"is called sealed up to entry {row.sealed_count}, and no checkpoint says so"
    closed = next((one.at for one in trail if isinstance(one.event, Closed)), None)
    if moment(row.closed_at) != closed:
        yield "is listed as closed at another time than its trail says"
    if trail and moment(row.opened_at) != trail[0].at:
        yield "is listed as requested at another time than its trail says"
    first = trail[0].event if trail else None
    if trail and row.chain_id != (first.chain_id if isinstance(first, Requested) else ""):
        yield "belongs to other Temporal runs than its trail says"
    if trail and row.requester != trail[0].actor:
        yield f"is listed under another requester, {one_line(row.requester)}"
    if trail and row.state is not None:
        state = fold(trail[0].workflow_id, (entry.event for entry in trail))
        if row.state != state.state:
            yield f"is listed as {one_line(str(row.state))}; by its trail it is {state.state}"
        elif moment(row.deadline) != state.deadline:
            yield "is listed with another deadline than its trail says"
    elif row.deadline is not None:
        yield "is listed with a deadline and no state"


def wrong_seals(entries: Sequence[WrittenEntry], sealed: Sequence[tuple[Seal, int]]) -> Iterator[str]:
    """Compare the trail with what checkpoints sealed of it."""
    hashes = {entry.number: entry.hash for entry in entries}
    for seal, checkpoint in sealed:
        if seal.number not in hashes:
            yield f"has no entry {seal.number}, which checkpoint {checkpoint} sealed"
        elif hashes[seal.number] != seal.hash:
            yield f"has another entry {seal.number} than the one that checkpoint {checkpoint} sealed"


def wrong_effects(workflow_id: str, rows: Sequence[Row[Any]], trail: Sequence[AuditEntry]) -> Iterator[str]:
    """Compare the effects ledger with the trail: they are written together."""
    told: dict[str, _Told] = {}
    steps: dict[int, _Told] = {}  # of the plan that is executed
    for event in (entry.event for entry in trail):
        match event:
            case Drafted():
                steps = {}
            case Claimed():
                effect = steps[event.step] = told.setdefault(event.idempotency_key, _Told())
                effect.claims += 1
                effect.end = EffectState.BEGUN
            case StepDone() | Released() | StepFailed() | StepInDoubt():
                if event.step in steps:
                    steps[event.step].end = _ENDS[type(event)]
                    steps[event.step].receipt = event.receipt if isinstance(event, StepDone) else None
            case Requested() | Decided() | Reopened() | Closed() | RulesInForce():
                pass
            case _:
                assert_never(event)
    known = {row.idempotency_key: row for row in rows}
    for key in sorted({*told, *known}):
        what = _wrong_effect(workflow_id, known.get(key), told.get(key) or _Told())
        if what:
            yield f"the effect {one_line(key)} {what}"


_ENDS: Final = {
    StepDone: EffectState.DONE,
    Released: EffectState.RELEASED,
    StepFailed: EffectState.RELEASED,
    StepInDoubt: EffectState.IN_DOUBT,
}


@dataclass
class _Told:
    """What the trail tells of one effect."""

    claims: int = 0
    end: EffectState = EffectState.BEGUN
    receipt: Receipt | None = None


def _wrong_effect(workflow_id: str, row: Row[Any] | None, told: _Told) -> str | None:
    if row is None:
        return "is on the trail and not in the ledger"
    if row.idempotency_key != idempotency_key(workflow_id, row.fingerprint, row.step):
        return "is in the ledger under another plan or step"
    if row.attempts != told.claims:
        return f"was begun {row.attempts} times by the ledger, {told.claims} times by the trail"
    if row.state != told.end:
        return f"is {one_line(str(row.state))} in the ledger, and {told.end} on the trail"
    if not _is_receipt(row.receipt, told.receipt):
        return "has another receipt in the ledger than on the trail"
    return None


def _is_receipt(stored: object, receipt: Receipt | None) -> bool:
    """Compare by meaning, for a later release may write a receipt otherwise."""
    if receipt is None or not isinstance(stored, str):
        return stored is receipt is None
    try:
        return Receipt.model_validate_json(stored) == receipt
    except ValueError:
        return False


def wrong_tokens(rows: Sequence[Row[Any]], trail: Sequence[AuditEntry]) -> Iterator[str]:
    """Compare the signed decisions that count as used with those on the trail, in both directions."""
    told: dict[str, str] = {}
    for entry in trail:
        event = entry.event
        if isinstance(event, Decided) and event.approver:
            token = name_of_token(event.approver)
            if token is not None:
                told[entry.key] = token
    used = {str(row.arrival_key): str(row.token_id) for row in rows}
    for key in sorted({*told, *used}):
        if key not in used:
            yield f"the signed decision {one_line(told[key])} is not among those that count as used"
        elif key not in told:
            yield f"a signed decision counts as used that is not on the trail ({one_line(used[key])})"
        elif used[key] != told[key]:
            yield f"another signed decision counts as used than {one_line(told[key])}"
