"""The claim of an effect, and what earlier claims permit: to act, or only to look up the result.

`activities.effect_once` explains how this prevents an effect from being repeated after a crash.
"""

import secrets
from datetime import datetime
from typing import assert_never

from pydantic import JsonValue
from temporalio import activity

from activities.effect_once import EarlierState
from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.plans.tool import Receipt, StepReceipt
from plangate.domain.runs.audit import Claimed, Held, Released, StepInDoubt
from plangate.records.ledger import Effect, EffectState
from plangate.records.trail import OpenTrail


class Claim(Frozen):
    """The result of claiming an effect: the attempt may act, or at least look up what happened.

    Attributes:
        effect: the claimed effect.
        earlier: the state of the effect after earlier attempts.
        began_at: when the first attempt without a known result began.
        arguments: the arguments of the step, with the values of its references.
        receipt: the receipt of the step, if it is to be undone.
        receipts: the receipts of this run's steps so far.
        unmet: why the tool must not act, although the effect may have happened.
        why_not_repeat: why an earlier attempt's effect must not be repeated now; empty if it may be.
    """

    effect: Effect
    earlier: EarlierState
    began_at: AwareDatetime
    arguments: dict[str, JsonValue]
    receipt: Receipt | None = None
    receipts: tuple[StepReceipt, ...] = ()
    unmet: str | None = None
    why_not_repeat: str = ""


class Unready(Frozen):
    """The step must not begin: a person has to decide. The reason is recorded."""

    reason: str


def earlier_state_of(trail: OpenTrail, found: Effect | None) -> EarlierState:
    """Return the state of the effect after earlier attempts, according to the records."""
    if found is None:
        return EarlierState.NOTHING
    match found.state:
        case EffectState.BEGUN:
            return EarlierState.BEGUN
        case EffectState.IN_DOUBT:
            return EarlierState.RULED_OUT
        case EffectState.RELEASED if _was_taken_over(trail, found.idempotency_key):
            return EarlierState.RULED_OUT
        case EffectState.RELEASED | EffectState.DONE:
            return EarlierState.NOTHING
        case _:
            assert_never(found.state)


def _was_taken_over(trail: OpenTrail, key: str) -> bool:
    """Return whether the last released claim had taken over another one.

    The attempt with the other claim may have been slow, not dead, and may have acted since, so the tool looks
    up the result.
    """
    claims, was_taken_over = 0, False
    for entry in trail.entries():
        event = entry.event
        if isinstance(event, Claimed) and event.idempotency_key == key:
            claims += 1
        elif isinstance(event, Released | StepInDoubt | Held) and claims:
            claims, was_taken_over = 0, claims > 1
    return was_taken_over


def began_at(trail: OpenTrail, key: str) -> datetime:
    """Return when the first claim without a known result was made."""
    begun: list[datetime] = []
    for entry in trail.entries():
        event = entry.event
        if isinstance(event, Claimed) and event.idempotency_key == key:
            begun.append(entry.at)
        elif isinstance(event, Released | StepInDoubt | Held):
            begun.clear()
    return begun[0]


def holder_of(info: activity.Info) -> str:
    """Return a unique name for one attempt of one activity.

    It contains the time at which the server started the attempt. The attempt's number is not unique, because
    an operator may reset it (`temporal activity reset`).
    """
    started = int(info.started_time.timestamp() * 1_000_000)
    return f"{info.workflow_run_id}:{info.activity_id}:{started}:{secrets.token_hex(8)}"


def is_newer(holder: str, than: str) -> bool:
    """Return whether one claim holder is a later attempt at the same activity than another."""
    *theirs, their_start, _ = holder.split(":")
    *ours, our_start, _ = than.split(":")
    return theirs == ours and int(their_start) > int(our_start)
