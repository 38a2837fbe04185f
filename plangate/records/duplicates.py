"""Find duplicate steps in other runs, using a hash of each step of each run's newest plan.

The hashes are stored when a plan is drafted, in the transaction that records it. The state of the other run
is read from its row and from the ledger of effects at that time. The table is an index and not part of the
trail; the duplicates that were found are recorded with the plan. While the plan is in review, they are looked
up again for display, because other runs may have been drafted or executed since.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import Connection, and_, bindparam, delete, exists, func, insert, or_, select

from plangate.domain.plans.duplicates import (
    DUPLICATES_WITHIN,
    MOST_DUPLICATES,
    MOST_STEPS,
    Duplicate,
    MatchKey,
)
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.run import Phase
from plangate.records.named_locks import Locked, lock_names
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import effects, match_keys, runs

_log = structlog.get_logger(__name__)
_LISTED: Final = (*(phase.value for phase in Phase if phase is not Phase.CLOSED), Outcome.REJECTED.value)
"""The states of runs whose steps are duplicates even if they were not done."""
_OF_STEP: Final = and_(effects.c.workflow_id == match_keys.c.workflow_id, effects.c.step == match_keys.c.step)
_BEFORE_STEP: Final = (
    67  # position of the step number after the workflow id in an idempotency key: a colon, 64 digits, a colon
)
_IS_UNDO: Final = func.substr(
    effects.c.idempotency_key, func.length(effects.c.workflow_id) + _BEFORE_STEP
).contains(":undo")
# `plangate.records.ledger.EffectState`, which is built on the trail. A prepared statement accepts no lists.
_HAPPENED: Final = or_(effects.c.state == "done", effects.c.state == "in_doubt")
_DONE: Final = and_(
    exists().where(_OF_STEP, ~_IS_UNDO, _HAPPENED),
    ~exists().where(_OF_STEP, _IS_UNDO, effects.c.state == "done"),
)


_OTHERS: Final = (
    select(
        match_keys.c.workflow_id,
        match_keys.c.step,
        match_keys.c.at,
        match_keys.c.is_hidden,
        runs.c.state,
        runs.c.closed_at,
        _DONE.label("done"),
    )
    .join(runs, runs.c.workflow_id == match_keys.c.workflow_id)
    .where(
        match_keys.c.digest == bindparam("of_digest"),
        match_keys.c.workflow_id != bindparam("run"),
        match_keys.c.at > bindparam("since"),
    )
    .order_by(match_keys.c.at.desc(), match_keys.c.workflow_id, match_keys.c.step)
    .limit(MOST_DUPLICATES)
)
_EQUAL: Final = Prepared(_OTHERS.where(or_(*(runs.c.state == state for state in _LISTED), _DONE)))
_EQUAL_AND_DONE: Final = Prepared(_OTHERS.where(_DONE))
_THIS: Final = match_keys.alias()
_HIDDEN: Final = (
    select(match_keys.c.workflow_id)
    .distinct()
    .join(_THIS, _THIS.c.digest == match_keys.c.digest)
    .join(runs, runs.c.workflow_id == match_keys.c.workflow_id)
    .where(
        _THIS.c.workflow_id == bindparam("run"),
        _THIS.c.step == bindparam("step"),
        match_keys.c.workflow_id != bindparam("run"),
        match_keys.c.is_hidden == 1,
        match_keys.c.step == bindparam("its_step"),
        or_(match_keys.c.at == bindparam("at"), runs.c.closed_at == bindparam("at")),
    )
    .order_by(match_keys.c.workflow_id)
    .limit(MOST_DUPLICATES)
)
_OWN: Final = (
    select(match_keys.c.step, match_keys.c.digest, match_keys.c.same, match_keys.c.at)
    .where(match_keys.c.workflow_id == bindparam("run"))
    .order_by(match_keys.c.step)
)
_FORGET: Final = Prepared(delete(match_keys).where(match_keys.c.workflow_id == bindparam("run")))
_INSERT: Final = Prepared(insert(match_keys))


def store_match_keys(
    connection: Connection,
    workflow_id: str,
    found: Sequence[MatchKey],
    at: datetime,
    *,
    is_first: bool,
    is_hidden: bool,
) -> None:
    """Store the steps of a run's newest plan, replacing those of the previous plan.

    `duplicates_while_drafting` has locked them. ``is_first``: there is no previous plan. ``is_hidden``: not
    everyone in the list of people may see the run.
    """
    if not is_first:
        _FORGET(connection, {"run": workflow_id})
    if found:
        shared = {"workflow_id": workflow_id, "at": at, "is_hidden": int(is_hidden)}
        rows = ({"step": one.step, "digest": one.digest, "same": "\n".join(one.same)} for one in found)
        _INSERT(connection, *({**shared, **row} for row in rows))


def duplicates_now(
    connection: Connection, workflow_id: str, tools: Sequence[str]
) -> tuple[Duplicate, ...] | None:
    """Return the steps of other runs that now equal those of a run's newest plan.

    As when it was drafted, the other plans may be up to 30 days older than it. ``tools`` contains the tools
    of its steps. Return None if the stored match keys are missing or damaged.
    """
    try:
        rows = connection.execute(_OWN, {"run": workflow_id}).all()
        own = [
            MatchKey(
                step=row.step,
                tool=tools[row.step - 1],
                same=tuple((row.same or "").splitlines()),
                digest=row.digest,
            )
            for row in rows
        ]
        drafted_at = min((row.at for row in rows), default=None)
    except (ValueError, TypeError, IndexError):
        _log.warning("The match keys of a run are damaged.", action="duplicates", workflow_id=workflow_id)
        return None
    return None if drafted_at is None else duplicates_of(connection, workflow_id, own, drafted_at)


def duplicates_while_drafting(
    connection: Connection, workflow_id: str, wanted: Sequence[MatchKey], now: datetime
) -> tuple[Duplicate, ...]:
    """Return the steps of other runs that equal these, which `store_match_keys` stores in this transaction.

    Until it ends, no other draft looks for equal steps: of two equal plans, the later one finds the other.
    """
    lock_names(connection, Locked.EQUAL_STEPS, (one.digest for one in wanted))
    return duplicates_of(connection, workflow_id, wanted, now)


def duplicates_of(
    connection: Connection, workflow_id: str, wanted: Sequence[MatchKey], drafted_at: datetime
) -> tuple[Duplicate, ...]:
    """Return the steps of other runs that equal these: steps of open and rejected runs, and completed steps.

    They are ordered by step; for each step, completed ones come first, then the newest. The result has about
    `MOST_DUPLICATES` items and includes the first one of each step, so that many harmless duplicates do not
    hide the others. Damaged rows are left out: a plan is then drafted and shown as if they did not exist.
    """
    # One query per step: the index returns the newest duplicates without sorting all of them.
    asked = {"run": workflow_id, "since": drafted_at - DUPLICATES_WITHIN}
    equal = {digest: _equal(connection, digest, asked) for digest in {one.digest for one in wanted}}
    found = ([_duplicate(one, row) for row in equal[one.digest]] for one in wanted)
    ranked = [(rank, one) for of_step in found for rank, one in enumerate(filter(None, of_step))]
    ranked.sort(key=lambda one: (one[0], not one[1].done))  # a stable sort: then by step
    first = sum(rank == 0 for rank, _ in ranked)
    kept = ranked[: max(MOST_DUPLICATES, min(first, MOST_STEPS))]
    return tuple(sorted((one for _, one in kept), key=lambda one: one.step))


def _equal(connection: Connection, digest: str, asked: Mapping[str, object]) -> Sequence[Any]:
    """Return the rows of equal steps: first the completed ones, then the others, both newest first."""
    wanted = {**asked, "of_digest": digest}
    try:
        rows = sorted(_EQUAL(connection, wanted).rows, key=lambda one: not one.done)
        if len(rows) == MOST_DUPLICATES and not rows[-1].done:  # older ones may have been done
            done = _EQUAL_AND_DONE(connection, wanted).rows
            rows = [*done, *(one for one in rows if not one.done)]
        return rows[:MOST_DUPLICATES]
    except (ValueError, TypeError):
        _log.warning("A row of the step index is damaged.", action="duplicates", digest=digest)
        return ()


def _duplicate(one: MatchKey, row: Any) -> Duplicate | None:
    try:
        return Duplicate(
            step=one.step,
            tool=one.tool,
            same=one.same,
            workflow_id="" if row.is_hidden else row.workflow_id,
            its_step=row.step,
            state=row.state,
            done=bool(row.done),
            at=row.closed_at or row.at,
        )
    except ValueError:
        return None


def unnamed_runs(connection: Connection, workflow_id: str, one: Duplicate) -> tuple[str, ...]:
    """Return the runs to which a duplicate without a name may belong, if they can still be found.

    Not everyone may see these runs: show each one only to people who may see it.
    """
    asked = {"run": workflow_id, "step": one.step, "its_step": one.its_step, "at": one.at}
    return tuple(connection.execute(_HIDDEN, asked).scalars())
