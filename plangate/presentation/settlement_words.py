"""Describe the outcome of accepted effects, for the page of a run, the Web UI's page, lists and bundles.

Workflows import this module: it is deterministic and needs no terminal.
"""

from collections.abc import Sequence
from typing import assert_never

from plangate.domain.runs.audit import OUTCOMES
from plangate.domain.runs.run import StepState
from plangate.domain.runs.settlements import SettlementState, SettlementStatus
from plangate.domain.runs.status import StepStatus
from plangate.presentation.clock import moment
from plangate.presentation.page import LABEL_WIDTH, Page


def settlement_words(step: StepStatus) -> str:
    """Return the outcome of a done step's effect, in one line; empty if its receipt was final."""
    settlement = step.settlement
    if settlement is None:
        is_final = step.state is not StepState.DONE or step.receipt is None or step.receipt.final
        return "" if is_final else "accepted, not final"
    match settlement.state:
        case SettlementState.OPEN:
            return "accepted, not final: it may still be reversed"
        case SettlementState.SETTLED:
            return f"settled: {settlement.summary}"
        case SettlementState.REVERSED:
            return f"reversed: {settlement.summary}"
        case SettlementState.UNKNOWN:
            return f"it is not known how it ended: {settlement.summary}"
        case _:
            assert_never(settlement.state)


def settlement_style(state: SettlementState) -> str:
    """Return the style that highlights a settlement."""
    match state:
        case SettlementState.OPEN:
            return "yellow"
        case SettlementState.SETTLED:
            return "green"
        case SettlementState.REVERSED:
            return "bold red"
        case SettlementState.UNKNOWN:
            return "bold yellow"
        case _:
            assert_never(state)


def reversed_steps(steps: Sequence[StepStatus]) -> tuple[StepStatus, ...]:
    """Return the steps whose effects the remote system has reversed."""
    return tuple(step for step in steps if _is(step, SettlementState.REVERSED))


def add_settlements(page: Page, state: str, steps: Sequence[StepStatus], width: int = LABEL_WIDTH) -> None:
    """For a run that has ended, add at the top of its page which accepted effects are not settled."""
    if state not in OUTCOMES:
        return
    for step in steps:
        if step.settlement is not None and not _is(step, SettlementState.SETTLED):
            found = step.settlement.state
            words = f"step {step.number}, {step.tool}: {_top_words(step.settlement)}"
            page.field(found.value, words, settlement_style(found), width=width)


def _is(step: StepStatus, state: SettlementState) -> bool:
    return step.settlement is not None and step.settlement.state is state


def _top_words(settlement: SettlementStatus) -> str:
    match settlement.state:
        case SettlementState.OPEN:
            return f"accepted, and may still be reversed; it is looked up until {moment(settlement.until)}"
        case SettlementState.REVERSED | SettlementState.SETTLED:
            found = f" (found {moment(settlement.at)})" if settlement.at else ""
            return f"{settlement.summary}{found}"
        case SettlementState.UNKNOWN:
            return f"{settlement.summary}; it is not looked up again, so check it yourself"
        case _:
            assert_never(settlement.state)
