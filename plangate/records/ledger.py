"""Keep the effects ledger: one row per effect, claimed before the action, with the result after it.

A row is ``begun`` while an attempt runs, ``released`` if the attempt certainly had no effect, ``done`` with
its receipt, or ``in_doubt``. Only the holder of a claim may record its result. A worker that finds a row
``begun`` looks up the result before it repeats anything (`activities/effect_once.py`).

The ledger is used with the run's trail open, under that trail's lock: a second lock could cause deadlocks.
"""

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update

from plangate.domain.base import Frozen
from plangate.domain.plans.tool import Receipt
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import effects
from plangate.records.trail import OpenTrail


class EffectState(StrEnum):
    """The state of an effect."""

    BEGUN = "begun"
    RELEASED = "released"
    DONE = "done"
    IN_DOUBT = "in_doubt"


_NAMED: Final = effects.c.idempotency_key == bindparam("effect")
_FIND: Final = Prepared(select(effects).where(_NAMED))
_CLAIM: Final = Prepared(insert(effects))
_TAKE_OVER: Final = Prepared(update(effects).where(_NAMED))
_END_CLAIM: Final = Prepared(
    update(effects).where(
        _NAMED, effects.c.holder == bindparam("by"), effects.c.state == EffectState.BEGUN.value
    )
)


class Effect(Frozen):
    """One effect in the ledger. ``attempts`` counts the claims, including the current one."""

    idempotency_key: str
    workflow_id: str
    fingerprint: str
    step: int
    state: EffectState
    holder: str
    attempts: int
    receipt: Receipt | None = None


def find_effect(trail: OpenTrail, key: str) -> Effect | None:
    """Return the effect under ``key``, if any."""
    row = _FIND(trail.connection, {"effect": key}).one_or_none()
    return None if row is None else _effect(row)


def claim_effect(trail: OpenTrail, found: Effect | None, claim: Effect) -> Effect:
    """Claim a new effect, or take over the ``found`` one; return the claimed effect."""
    if found is None:
        _CLAIM(trail.connection, claim.model_dump(mode="json"))
        return claim
    attempts = found.attempts + 1
    _TAKE_OVER(
        trail.connection,
        {
            "effect": claim.idempotency_key,
            "state": claim.state.value,
            "holder": claim.holder,
            "attempts": attempts,
        },
    )
    return found.model_copy(update={"state": claim.state, "holder": claim.holder, "attempts": attempts})


def end_claim(
    trail: OpenTrail, key: str, holder: str, state: EffectState, receipt: Receipt | None = None
) -> bool:
    """Record the result of a begun effect; return False if another attempt holds the claim.

    If the same result is recorded again, return True: the holder may not know that the first commit
    succeeded.
    """
    updated = _END_CLAIM(
        trail.connection, {"effect": key, "by": holder, "state": state.value, "receipt": _written(receipt)}
    )
    if updated.changed:
        return True
    found = find_effect(trail, key)
    return found is not None and (found.holder, found.state, found.receipt) == (holder, state, receipt)


def _written(receipt: Receipt | None) -> str | None:
    return receipt.model_dump_json() if receipt else None


def _effect(row: Any) -> Effect:
    return Effect(
        idempotency_key=row.idempotency_key,
        workflow_id=row.workflow_id,
        fingerprint=row.fingerprint,
        step=row.step,
        state=EffectState(row.state),
        holder=row.holder,
        attempts=row.attempts,
        receipt=Receipt.model_validate_json(row.receipt) if row.receipt else None,
    )
