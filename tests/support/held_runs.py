"""Runs with an edited plan that are held, being undone, or ended by a resolution; without records.

Rita's plan refunds, opens a ticket, sends a mail and writes a note. Dana edits it, Erik approves it, and its
third step is in doubt.
"""

from datetime import timedelta
from typing import Any

from plangate.domain.plans.plan import Plan, Step
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import ONE_APPROVAL, Requirement
from plangate.domain.runs.audit import Closed, Held, Outcome, StepDone, StepFailed, StepInDoubt, StepUndone
from plangate.domain.runs.lifecycle import executed_because, undone_because
from plangate.domain.runs.run import RunState
from tests.support.build import DEADLINE, HOUR, NOON, after, arrival, decide, drafted, state_after

REFUND = Step(
    tool="refund",
    arguments={"payment": "ch_3Px", "amount": "42.50"},
    reason="The cup arrived broken.",
    preview="Refund 42.50 EUR of payment ch_3Px",
    observation={"status": "paid", "refunded": "0.00"},
)
TICKET = Step(
    tool="create_ticket",
    arguments={"title": "Broken cup"},
    reason="So that the warehouse looks.",
    preview='Create a ticket in OPS: "Broken cup"',
    undoable=True,
)
MAIL = Step(
    tool="send_email",
    arguments={
        "to": ["ana@example.org"],
        "body": "Dear Ana,\n\nwe refund 42.50 EUR.\n\nRita",
        "ticket": {"from_step": 2, "field": "number"},
    },
    preview='Email 1 recipient: ana@example.org, subject "Your refund", 5 lines',
)
NOTE = Step(tool="note", arguments={"text": "done"}, preview='Note 1 line: "done"')
NEWEST = Plan(summary="Refund Ana, and tell her", steps=(REFUND, TICKET, MAIL, NOTE))
FIRST = Plan(
    summary="Refund Ana",
    steps=(
        NOTE,
        REFUND.model_copy(update={"arguments": {"payment": "ch_3Px", "amount": "4250"}}),
        MAIL.model_copy(
            update={"arguments": MAIL.arguments | {"body": "Dear Ana,\n\nwe refund 4250 EUR.\n\nRita"}}
        ),
        Step(tool="note", arguments={"text": "x"}, preview='Note 1 line: "x"'),
        TICKET,
    ),
)
WHY = "The mail server took the message, and the connection broke before it answered."


def edited(plan: Plan = NEWEST, requirement: Requirement = ONE_APPROVAL, first: Plan = FIRST) -> RunState:
    """Return the run in review after Dana's edit."""
    before = drafted(first)
    state = decide(state_after(before), arrival("edit", plan=before.fingerprint, new_plan={}, comment=""))
    second = drafted(plan, 2, author="dana", requirement=requirement, deadline=DEADLINE + timedelta(hours=71))
    return after(state, second)


def running(plan: Plan = NEWEST, requirement: Requirement = ONE_APPROVAL) -> RunState:
    """Return the run after Erik's approval and the first two steps."""
    state = edited(plan, requirement)
    state = decide(state, arrival(by="erik", plan=state.fingerprint, comment=""))
    receipts = Receipt(summary="Refunded 42.50 EUR (re_9)", details={"id": "re_9"}), Receipt(summary="OPS-17")
    return after(state, StepDone(step=1, receipt=receipts[0]), StepDone(step=2, receipt=receipts[1]))


def held(
    why: str = WHY,
    *,
    plan: Plan = NEWEST,
    requirement: Requirement = ONE_APPROVAL,
    in_doubt: bool = True,
) -> RunState:
    """Return the run held at its third step."""
    state = running(plan, requirement)
    stopped = StepInDoubt(step=3, reason=why) if in_doubt else StepFailed(step=3, reason=why)
    return after(state, stopped, hold(state, 3, why))


def hold(state: RunState, step: int, why: str, **more: Any) -> Held:
    return Held(
        step=step, fingerprint=state.fingerprint or "", why=why, held_at=NOON + HOUR,
        deadline=NOON + timedelta(hours=73), **more,
    )  # fmt: skip


def resolved(state: RunState, resolution: str, comment: str = "I called her") -> RunState:
    """Return the run after Erik's resolution."""
    assert state.held is not None
    return decide(
        state,
        arrival(
            "resolve", by="erik", plan=state.fingerprint, step=state.held.step, resolution=resolution,
            at=NOON + 2 * HOUR, comment=comment,
        ),
    )  # fmt: skip


def undoing() -> RunState:
    return resolved(held(), "undo")


def held_undo() -> RunState:
    """Return the run held because a step could not be undone."""
    state, why = undoing(), "The ticket is locked."
    return after(state, StepFailed(step=2, undo=True, reason=why), hold(state, 2, why, undo=True))


def undone(receipt: str = "Closed OPS-17") -> RunState:
    """Return the run that failed after its steps were undone; ``receipt`` is what the undo returned."""
    state = after(undoing(), StepUndone(step=2, receipt=Receipt(summary=receipt)))
    return after(state, Closed(outcome=Outcome.FAILED, reason=undone_because(state)))


def skipped() -> RunState:
    """Return the run that was executed without its third step."""
    state = after(resolved(held(), "skip"), StepDone(step=4, receipt=Receipt(summary="Noted")))
    return after(state, Closed(outcome=Outcome.EXECUTED, reason=executed_because(state)))
