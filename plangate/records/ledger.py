"""The effects ledger: one row for each effect, claimed before it acts and settled after.

A row is ``begun`` while somebody acts under it, ``released`` when an attempt is known to have done nothing,
``done`` with its receipt, or ``in_doubt``. Only the holder of a claim may settle it.

The ledger is used with the run's trail open: its lock is the one lock of all writers, for two locks would be
taken in two orders.
"""

from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select, update

from plangate.domain.model import Frozen
from plangate.domain.tool import Receipt
from plangate.records.tables import effects
from plangate.records.trail import OpenTrail

_NAMED: Final = effects.c.idempotency_key == bindparam("effect")
_FIND: Final = select(effects).where(_NAMED)
_CLAIM: Final = insert(effects)
_SETTLE: Final = update(effects).where(_NAMED)


class EffectState(StrEnum):
    """How far an effect has come."""

    BEGUN = "begun"
    RELEASED = "released"
    DONE = "done"
    IN_DOUBT = "in_doubt"


class Effect(Frozen):
    """One effect as the ledger has it. ``attempts`` counts the claims, the present one included."""

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
    row = trail.connection.execute(_FIND, {"effect": key}).one_or_none()
    return None if row is None else _effect(row)


def claim_effect(trail: OpenTrail, found: Effect | None, claim: Effect) -> Effect:
    """Take the claim on an effect, new or ``found`` as another attempt left it; return it so."""
    if found is None:
        trail.connection.execute(_CLAIM, claim.model_dump(mode="json"))
        return claim
    effect = found.model_copy(
        update={"state": claim.state, "holder": claim.holder, "attempts": found.attempts + 1}
    )
    _store(trail, effect)
    return effect


def settle_effect(
    trail: OpenTrail, found: Effect | None, holder: str, state: EffectState, receipt: Receipt | None = None
) -> bool:
    """Settle a begun effect; return False, changing nothing, where somebody else holds the claim by now.

    To settle it once more in the same way is no fault: the holder did not hear that it was done.
    """
    if found is None or found.holder != holder:
        return False
    if found.state is not EffectState.BEGUN:
        return found.state is state and found.receipt == receipt
    _store(trail, found.model_copy(update={"state": state, "receipt": receipt}))
    return True


def _store(trail: OpenTrail, effect: Effect) -> None:
    trail.connection.execute(
        _SETTLE,
        {
            "effect": effect.idempotency_key,
            "state": effect.state.value,
            "holder": effect.holder,
            "attempts": effect.attempts,
            "receipt": effect.receipt.model_dump_json() if effect.receipt else None,
        },
    )


def _effect(row: Row[Any]) -> Effect:
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
