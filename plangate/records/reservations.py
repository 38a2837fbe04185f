"""Reserve the amounts that steps add to rolling totals at a plan's first claim, and follow the trail.

A row is ``reserved`` while its step may still run, and is then part of the sum in every window. It is
``spent`` once the step is done or in doubt; it is then part of the sum as long as the time when this happened
is in the window. It is ``free``, and not part of any sum, if the step had no effect or was undone. If a run
was terminated without an entry in the records, its rows stay reserved: they are part of the sums for
`RESERVED_FOR` after the last claim. A step that is claimed later is reserved again.

Rows follow the trail: `OpenTrail` passes every new entry of a run with rows to `update_reservations`, in the
same transaction. A claim that reserves holds a lock for each tool, so that two claims always see each other's
reservations.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never

from sqlalchemy import Connection, bindparam, delete, exists, insert, or_, select, update

from plangate.domain.base import OutsideRun
from plangate.domain.decisions.decision import Choice
from plangate.domain.policies.rolling_totals import (
    RESERVED_FOR,
    RecentSum,
    Scope,
    UnknownSum,
    summed,
    window_start,
    written,
)
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
)
from plangate.domain.runs.run import Phase, RunState, StepState
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import effects, reservations, runs

_BEGUN: Final = "begun"  # `plangate.records.ledger.EffectState.BEGUN`, which is built on the trail


class ReservationState(StrEnum):
    """Whether a step's amount is part of the sums."""

    RESERVED = "reserved"
    SPENT = "spent"
    FREE = "free"


class Reservation(Scope):
    """The amount that one step adds to one sum; None if it is not known before the step runs."""

    step: int
    amount: Decimal | None


_OTHERS: Final = Prepared(
    select(reservations.c.amount).where(
        reservations.c.tool == bindparam("of_tool"),
        reservations.c.argument == bindparam("of_argument"),
        reservations.c.scope == bindparam("of_scope"),
        or_(reservations.c.workflow_id != bindparam("run"), reservations.c.fingerprint != bindparam("plan")),
        or_(
            (reservations.c.state == ReservationState.SPENT.value)
            & (reservations.c.at >= bindparam("since")),
            (reservations.c.state == ReservationState.RESERVED.value)
            & or_(
                reservations.c.at >= bindparam("since"),
                reservations.c.at > bindparam("reserved_since"),
            ),
        ),
    )
)
_OF_RUN: Final = reservations.c.workflow_id == bindparam("run")
_OF_PLAN: Final = _OF_RUN & (reservations.c.fingerprint == bindparam("plan"))
_IS_RESERVED: Final = reservations.c.state == ReservationState.RESERVED.value
_RESERVED: Final = Prepared(
    select(reservations.c.step)
    .distinct()
    .where(_OF_PLAN, _IS_RESERVED, reservations.c.at > bindparam("after"))
)


def with_others(
    connection: Connection, sums: Iterable[RecentSum], *, run: str, plan: str, now: datetime
) -> tuple[RecentSum, ...]:
    """Return these sums with the amounts that all other plans reserved or spent in their windows."""
    of_others = ((one, _others(connection, one, run=run, plan=plan, now=now)) for one in sums)
    return tuple(one.model_copy(update={"others": others}) for one, others in of_others)


def _others(connection: Connection, wanted: RecentSum, *, run: str, plan: str, now: datetime) -> str | None:
    try:
        since = window_start(wanted.window, now)
    except UnknownSum:
        return None
    found = _OTHERS(
        connection,
        {
            "of_tool": wanted.tool,
            "of_argument": wanted.argument,
            "of_scope": wanted.id,
            "run": run,
            "plan": plan,
            "since": since,
            "reserved_since": now - RESERVED_FOR,
        },
    )
    amounts = [row.amount for row in found.rows]
    return None if None in amounts else written(summed(map(Decimal, amounts)))


def reserved_steps(connection: Connection, *, run: str, plan: str, now: datetime) -> frozenset[int]:
    """Return the steps of a plan whose reservations are currently part of the sums."""
    found = _RESERVED(connection, {"run": run, "plan": plan, "after": now - RESERVED_FOR})
    return frozenset(row.step for row in found.rows)


def reserve(
    connection: Connection, rows: Sequence[Reservation], *, run: str, plan: str, now: datetime
) -> None:
    """Reserve these rows, replacing their steps' previous rows, and renew the plan's reservations."""
    steps = sorted({row.step for row in rows})
    connection.execute(
        update(reservations).where(_OF_PLAN, _IS_RESERVED).values(at=now), {"run": run, "plan": plan}
    )
    if not rows:
        return
    connection.execute(
        delete(reservations).where(_OF_PLAN, reservations.c.step.in_(steps)), {"run": run, "plan": plan}
    )
    connection.execute(
        insert(reservations),
        [
            {
                "workflow_id": run,
                "fingerprint": plan,
                "step": row.step,
                "argument": row.argument,
                "scope": row.id,
                "tool": row.tool,
                "amount": None if row.amount is None else written(row.amount),
                "state": ReservationState.RESERVED.value,
                "at": now,
            }
            for row in rows
        ],
    )
    connection.execute(update(runs).where(runs.c.workflow_id == run).values(reserves=1))


def update_reservations(connection: Connection, entry: AuditEntry, state: RunState) -> None:
    """Update the rows of a run after a new entry of its trail; ``state`` is the state after it."""
    event = entry.event
    match event:
        case StepDone() | StepInDoubt(undo=False):
            _set_state(connection, state, event.step, ReservationState.SPENT, entry.at)
        case StepFailed(undo=False) | StepUndone() | StepReversed():
            _set_state(connection, state, event.step, ReservationState.FREE, entry.at)
        case Decided():
            step = _resolved_step(event)
            progress = state.steps[step - 1].state if 1 <= step <= len(state.steps) else None
            if progress in (StepState.DONE, StepState.UNDONE):
                is_done = progress is StepState.DONE
                _set_state(
                    connection,
                    state,
                    step,
                    ReservationState.SPENT if is_done else ReservationState.FREE,
                    entry.at,
                )
            if state.phase not in (Phase.EXECUTING, Phase.HELD):  # no more steps start
                _free_reserved(connection, entry)
        case Drafted() | Reopened() | Closed():
            _free_reserved(connection, entry)
        case (
            Requested()
            | Claimed()
            | Released()
            | StepInDoubt()
            | StepFailed()
            | Held()
            | StepSettled()
            | StepUnsettled()
            | OutsideRun()
        ):
            pass
        case _:
            assert_never(event)


def _resolved_step(event: Decided) -> int:
    """Return the step that an accepted resolution resolves; 0 for any other event."""
    decision = event.arrival.decision
    is_one = event.verdict.accepted and decision is not None and decision.decision is Choice.RESOLVE
    return (decision.step or 0) if is_one and decision is not None else 0


def _set_state(
    connection: Connection, state: RunState, step: int, new_state: ReservationState, at: datetime
) -> None:
    connection.execute(
        update(reservations)
        .where(_OF_PLAN, reservations.c.step == step)
        .values(state=new_state.value, at=at),
        {"run": state.workflow_id, "plan": state.fingerprint or ""},
    )


def _free_reserved(connection: Connection, entry: AuditEntry) -> None:
    """Free all reservations, except those of started steps with an unknown result: they may have run."""
    begun = exists().where(
        effects.c.workflow_id == reservations.c.workflow_id,
        effects.c.fingerprint == reservations.c.fingerprint,
        effects.c.step == reservations.c.step,
        effects.c.state == _BEGUN,
    )
    reserved = update(reservations).where(_OF_RUN, _IS_RESERVED)
    for change, new_state in (
        (reserved.where(begun), ReservationState.SPENT),
        (reserved, ReservationState.FREE),
    ):
        connection.execute(change.values(state=new_state.value, at=entry.at), {"run": entry.workflow_id})
