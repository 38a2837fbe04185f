"""Settlements: the later results of effects whose receipts are not final, looked up after the run.

The outcome of the run does not change: each settlement is added to its trail, one entry for each step.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, assert_never

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.runs.audit import Settlement, StepReversed, StepSettled, StepUnsettled
from plangate.domain.runs.run import StepProgress

_SUFFIX: Final = ":settlement"


class SettlementState(StrEnum):
    """The state of the look-up of an accepted effect."""

    OPEN = "open"
    SETTLED = "settled"
    REVERSED = "reversed"
    UNKNOWN = "unknown"


class SettlementStatus(Frozen):
    """The final result of an accepted effect.

    Attributes:
        state: the result of the look-up so far.
        summary: the tool's sentence, or why the result is not known; empty while it is open.
        at: when the result was found; None while it is open.
        until: when the look-up ends.
    """

    state: SettlementState
    summary: str = ""
    at: AwareDatetime | None = None
    until: AwareDatetime


def settlement_of(progress: StepProgress) -> SettlementStatus | None:
    """Return a step's settlement; None if its receipt was final, or the step was undone or not done."""
    if progress.settles_until is None:
        return None
    found, until = progress.settlement, progress.settles_until
    if found is None:
        return SettlementStatus(state=SettlementState.OPEN, until=until) if progress.is_unsettled else None
    return SettlementStatus(state=state_of(found), summary=found.summary, at=found.found_at, until=until)


def state_of(found: Settlement) -> SettlementState:
    """Return the state in an entry of the trail."""
    match found:
        case StepSettled():
            return SettlementState.SETTLED
        case StepReversed():
            return SettlementState.REVERSED
        case StepUnsettled():
            return SettlementState.UNKNOWN
        case _:
            assert_never(found)


def entry_for(state: SettlementState, step: int, summary: str, at: AwareDatetime) -> Settlement:
    """Return the entry that records a step's settlement.

    Raises:
        ValueError: it is still open.
    """
    match state:
        case SettlementState.SETTLED:
            return StepSettled(step=step, summary=summary, found_at=at)
        case SettlementState.REVERSED:
            return StepReversed(step=step, summary=summary, found_at=at)
        case SettlementState.UNKNOWN:
            return StepUnsettled(step=step, summary=summary, found_at=at)
        case SettlementState.OPEN:
            raise ValueError("an open settlement is not recorded")
        case _:
            assert_never(state)


def worst_of(states: Iterable[SettlementState]) -> SettlementState:
    """Return the settlement state of a run's steps that matters most to operators."""
    found = set(states)
    order = (SettlementState.REVERSED, SettlementState.UNKNOWN, SettlementState.OPEN)
    return next((one for one in order if one in found), SettlementState.SETTLED)


def settlement_id(workflow_id: str) -> str:
    """Return the id of the workflow that looks up the settlements of a run."""
    return f"{workflow_id}{_SUFFIX}"


def run_of(settlement: str) -> str | None:
    """Return the id of the run whose settlements this workflow looks up; None if it is another workflow."""
    return settlement.removesuffix(_SUFFIX) if settlement.endswith(_SUFFIX) else None
