"""Record the state of the step at which a run stopped, according to the effects ledger.

A step that was never claimed has failed. A step that was claimed but has no result is in doubt: its worker
died. `activities.failed_step` records this when it holds the run, `activities.closing` when the run ends.
"""

from datetime import datetime
from typing import Final, NamedTuple, assert_never

from activities.heartbeat import this_worker
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import (
    Event,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepUndone,
    step_result_key,
)
from plangate.domain.runs.run import RunState, StepState, key_of
from plangate.records.ledger import EffectState, end_claim, find_effect
from plangate.records.trail import Note, OpenTrail

_NOT_BEGUN: Final = "it was not begun; the outcome of the run says why"


class Unfinished(NamedTuple):
    """A step of the newest plan, or its undo, at which a run stopped, at the time ``at``."""

    step: int
    undo: bool
    reason: str
    at: datetime


def notes_of(trail: OpenTrail, record: RunState, unfinished: Unfinished) -> list[Note]:
    """Return the event to record for an unfinished step; nothing if its end is already recorded.

    In the ledger, an effect that was begun is in doubt from now on.
    """
    step, undo, reason, at = unfinished
    progress = record.steps[step - 1]
    if progress.part(undo=undo).state is not StepState.PENDING:
        return []
    key = key_of(record, step, undo=undo)
    effect = find_effect(trail, key)

    def note(what: str, event: Event) -> Note:
        name = step_result_key(
            record.fingerprint or "", step, what, undo=undo, resolutions=record.resolutions
        )
        return Note(key=name, at=at, actor=this_worker(), event=event)

    if effect is None:
        # The run's reason may be forged, so it is omitted.
        return [note("failed", StepFailed(step=step, reason=_NOT_BEGUN, undo=undo))]
    if effect.receipt is not None:  # its worker died before Temporal received the result
        return [note("done", _done(step, effect.receipt, undo=undo))]
    if effect.state is EffectState.BEGUN:
        end_claim(trail, key, effect.holder, EffectState.IN_DOUBT)
    match effect.state:
        case EffectState.BEGUN | EffectState.IN_DOUBT:
            return [note("in_doubt", StepInDoubt(step=step, reason=reason, undo=undo))]
        case EffectState.RELEASED | EffectState.DONE:
            return [note("failed", StepFailed(step=step, reason=reason, undo=undo))]
        case _:
            assert_never(effect.state)


def _done(step: int, receipt: Receipt, *, undo: bool) -> StepDone | StepUndone:
    return StepUndone(step=step, receipt=receipt) if undo else StepDone(step=step, receipt=receipt)
