"""Compare a run's trail with other tables: its row, its seals, its effects and its used signatures.

Each function yields findings as sentences without their subject, the run. The rows are not trusted, because
anyone may have changed them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from sqlalchemy import Row

from plangate.domain.base import OutsideRun
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.escaping import one_line
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import (
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Held,
    Released,
    Reopened,
    Requested,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepSettled,
    StepUndone,
    StepUnsettled,
    WrittenEntry,
)
from plangate.domain.runs.checkpoint import Seal
from plangate.domain.runs.fold import fold
from plangate.domain.runs.stops import StopDecided
from plangate.records.ledger import EffectState
from plangate.records.used_signatures import name_of_token


def moment(stored: str | datetime | None) -> datetime | None:
    """Return a stored time as an aware datetime; SQLite stores text without a zone.

    Raises:
        ValueError: the text is not a time.
        TypeError: it is neither text nor a time.
    """
    if stored is None:
        return None
    if not isinstance(stored, str | datetime):
        raise TypeError("a stored time is neither text nor a time")
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def wrong_row(
    row: Row[Any],
    entries: Sequence[WrittenEntry],
    trail: Sequence[AuditEntry],
    sealed: Sequence[tuple[Seal, int]],
) -> Iterator[str]:
    """Compare the run's row with its entries, the readable entries (``trail``) and its seals."""
    if not entries:
        yield "has no entries, not even its request"
    if row.entry_count != len(entries):
        yield f"has {len(entries)} entries; it had {row.entry_count} when the last one was written"
    elif entries and row.head_hash != entries[-1].hash:
        yield f"does not end with the entry that was written last, entry {row.entry_count}"
    if row.sealed_count != max((seal.number for seal, _ in sealed), default=0):
        yield f"is listed as sealed up to entry {row.sealed_count}, which no checkpoint confirms"
    closed = next((one.at for one in trail if isinstance(one.event, Closed)), None)
    if moment(row.closed_at) != closed:
        yield "is listed as closed at a different time than in its trail"
    if trail and moment(row.opened_at) != trail[0].at:
        yield "is listed as requested at a different time than in its trail"
    first = trail[0].event if trail else None
    if trail and row.chain_id != (first.chain_id if isinstance(first, Requested) else ""):
        yield "is listed with different Temporal runs than in its trail"
    if trail and row.requester != trail[0].actor:
        yield f"is listed under another requester, {one_line(row.requester)}"
    if trail and row.state is not None:
        state = fold(trail[0].workflow_id, (entry.event for entry in trail))
        if row.state != state.state:
            yield f"is listed as {one_line(str(row.state))}; according to its trail it is {state.state}"
        elif moment(row.deadline) != state.deadline:
            yield "is listed with a different deadline than in its trail"
    elif row.deadline is not None:
        yield "is listed with a deadline but no state"
    yield from _wrong_sums(row, trail)


def _wrong_sums(row: Row[Any], trail: Sequence[AuditEntry]) -> Iterator[str]:
    """Check that the run's row is marked as one with rolling totals if one of its claims has such sums."""
    has_summed = any(isinstance(one.event, Claimed) and one.event.recent for one in trail)
    if row.reserves not in ((1,) if has_summed else (0, 1)):
        yield "is not listed as counting in rolling totals, but a step in its trail does"


def wrong_seals(entries: Sequence[WrittenEntry], sealed: Sequence[tuple[Seal, int]]) -> Iterator[str]:
    """Compare the trail with the entries that checkpoints sealed."""
    hashes = {entry.number: entry.hash for entry in entries}
    for seal, checkpoint in sealed:
        if seal.number not in hashes:
            yield f"has no entry {seal.number}, which checkpoint {checkpoint} sealed"
        elif hashes[seal.number] != seal.hash:
            yield f"has an entry {seal.number} that differs from the one checkpoint {checkpoint} sealed"


def wrong_effects(workflow_id: str, rows: Sequence[Row[Any]], trail: Sequence[AuditEntry]) -> Iterator[str]:
    """Compare the ledger of effects with the trail; both are written in one transaction."""
    recorded: dict[str, _Effect] = {}
    steps: dict[tuple[int, bool], _Effect] = {}  # effects of the executed plan, by (step, is an undo)
    for event in (entry.event for entry in trail):
        match event:
            case Drafted():
                steps = {}
            case Claimed():
                effect = steps[event.step, event.undo] = recorded.setdefault(event.idempotency_key, _Effect())
                effect.claims += 1
                effect.end = EffectState.BEGUN
            case StepDone() | StepUndone():
                effect = steps.get((event.step, isinstance(event, StepUndone)), _Effect())
                effect.end, effect.receipt = EffectState.DONE, event.receipt
            case Released() | StepFailed() | StepInDoubt():
                effect = steps.get((event.step, event.undo), _Effect())
                effect.end, effect.receipt = _ENDS[type(event)], None
            case Held():
                steps = {}  # the step's next entry belongs to its next claim
            case (
                Requested()
                | Decided()
                | Reopened()
                | Closed()
                | StepSettled()
                | StepReversed()
                | StepUnsettled()
                | OutsideRun()
            ):
                pass
            case _:
                assert_never(event)
    known = {row.idempotency_key: row for row in rows}
    for key in sorted({*recorded, *known}):
        what = _wrong_effect(workflow_id, known.get(key), recorded.get(key) or _Effect())
        if what:
            yield f"the effect {one_line(key)} {what}"


_ENDS: Final = {
    Released: EffectState.RELEASED,
    StepFailed: EffectState.RELEASED,
    StepInDoubt: EffectState.IN_DOUBT,
}


_SUFFIX: Final = re.compile(r"(?::undo)?(?::r[1-9][0-9]{0,9})?")


@dataclass
class _Effect:
    """One effect according to the trail."""

    claims: int = 0
    end: EffectState = EffectState.BEGUN
    receipt: Receipt | None = None


def _wrong_effect(workflow_id: str, row: Row[Any] | None, recorded: _Effect) -> str | None:
    if row is None:
        return "is in the trail, but not in the ledger"
    named = idempotency_key(workflow_id, row.fingerprint, row.step)
    if not str(row.idempotency_key).startswith(named) or not _SUFFIX.fullmatch(
        str(row.idempotency_key)[len(named) :]
    ):
        return "is in the ledger under another plan or step"
    if row.attempts != recorded.claims:
        return f"began {row.attempts} times according to the ledger, but {recorded.claims} times in the trail"
    if row.state != recorded.end:
        return f"is {one_line(str(row.state))} in the ledger, but {recorded.end} in the trail"
    if not _is_receipt(row.receipt, recorded.receipt):
        return "has a receipt in the ledger that differs from the one in the trail"
    return None


def _is_receipt(stored: object, receipt: Receipt | None) -> bool:
    """Compare receipts as values: a later release may write them differently."""
    if receipt is None or not isinstance(stored, str):
        return stored is receipt is None
    try:
        return Receipt.model_validate_json(stored) == receipt
    except ValueError:
        return False


def wrong_tokens(rows: Sequence[Row[Any]], trail: Sequence[AuditEntry]) -> Iterator[str]:
    """Check that the signatures marked as used are exactly those of the signed decisions in the trail."""
    recorded: dict[str, str] = {}
    for entry in trail:
        event = entry.event
        if isinstance(event, Decided | KeyDecided | StopDecided | DelegationDecided) and event.approver:
            token = name_of_token(event.approver)
            if token is not None:
                recorded[entry.key] = token
    used = {str(row.arrival_key): str(row.token_id) for row in rows}
    for key in sorted({*recorded, *used}):
        if key not in used:
            yield f"the signed decision {one_line(recorded[key])} is not marked as used"
        elif key not in recorded:
            yield f"a signed decision is marked as used, but is not in the trail ({one_line(used[key])})"
        elif used[key] != recorded[key]:
            yield f"another signed decision is marked as used instead of {one_line(recorded[key])}"
