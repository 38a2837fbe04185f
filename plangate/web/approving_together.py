"""Find the plans that a person may approve with one confirmation: opened, alike, and allowed by the rules.

Two plans are of one kind if they have the same tools in the same order. A plan with a mark must be approved
separately.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from sqlalchemy import select

from plangate.domain.decisions.decision import Choice
from plangate.domain.errors import RecordsMissing
from plangate.domain.plans.money import PLACES
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.what_runs import what_runs
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.amounts import amounts_in_arguments
from plangate.presentation.clock import now
from plangate.records.queries import statuses_on_record
from plangate.signing.batches import FEWEST, MOST
from plangate.web.index_tables import lines
from plangate.web.offered_decisions import offered
from plangate.web.run_view import RunView
from plangate.web.visitors import Visitor, Web

_NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Together:
    """Plans of one kind that a person may approve with one confirmation, earliest deadline first."""

    tools: tuple[str, ...]
    statuses: tuple[Status, ...]


def may_be_together(view: RunView) -> bool:
    """Return whether this visitor may approve this plan together with others, once they have opened it."""
    has_marks = bool(view.marks or view.status.repeated)
    return not has_marks and Choice.APPROVE.value in view.offers and _is_allowed(view.status)


def kind_of(status: Status) -> tuple[str, ...]:
    """Return a plan's tools in order."""
    return tuple(step.tool for step in status.steps)


def what_runs_in(statuses: Iterable[Status]) -> str:
    """Return a summary of all these plans in one line."""
    plans = [status.plan for status in statuses if status.plan is not None]
    steps = tuple(step for plan in plans for step in plan.steps)
    return what_runs(Plan(summary=plans[0].summary, steps=steps)) if plans else ""


@dataclass(frozen=True, slots=True)
class Money:
    """The amounts of the steps, as written in them.

    Attributes:
        sums: the sum and the number of amounts for each currency.
        without: how many steps have no amount with a currency.
    """

    sums: tuple[tuple[str, int], ...]
    without: int


def money_of(statuses: Iterable[Status]) -> Money:
    """Return the sums of the amounts of all these plans.

    A whole number may be in the smallest unit of its currency. Only its tool defines the unit, so the sums
    use the numbers as written.
    """
    found: dict[str, list[Decimal]] = defaultdict(list)
    without = 0
    for step in (step for status in statuses for step in status.steps):
        amounts = [one for one in amounts_in_arguments(step.arguments) if len(one.currencies) == 1]
        without += not amounts
        for one in amounts:
            found[next(iter(one.currencies))].append(max(one.values))
    return Money(tuple((_sum(code, each), len(each)) for code, each in sorted(found.items())), without)


def _sum(code: str, amounts: Sequence[Decimal]) -> str:
    places = max(PLACES[code], *(-int(one.as_tuple().exponent) for one in amounts))
    return f"{sum(amounts):,.{places}f} {code}"


async def ready_together(web: Web, visitor: Visitor) -> tuple[Together, ...]:
    """Return the plans that this visitor may approve with one confirmation now; at most ten of each kind.

    Marks are checked when a plan is opened, and again before it is approved.

    Raises:
        RecordsUnavailable: the database does not respond.
    """
    opened = await asyncio.to_thread(web.opened.of, visitor.session)
    if len(opened) < FEWEST:
        return ()
    statuses: list[Status] = []
    with suppress(RecordsMissing):
        statuses = await asyncio.to_thread(_in_review, web, set(opened.values()))
    kinds: dict[tuple[str, ...], list[Status]] = defaultdict(list)
    for status in statuses:
        if status.fingerprint in opened and _is_ready(status, visitor):
            kinds[kind_of(status)].append(status)
    return tuple(
        Together(tools, tuple(sorted(found, key=_soonest)[:MOST]))
        for tools, found in kinds.items()
        if len(found) >= FEWEST
    )


def _in_review(web: Web, workflow_ids: Collection[str]) -> list[Status]:
    """Return which of these runs are in review, according to the refreshed index."""
    query = select(lines.c.workflow_id).where(lines.c.workflow_id.in_(workflow_ids), lines.c.is_open)
    rows = web.index.read(query.where(lines.c.state == Phase.IN_REVIEW.value))
    return statuses_on_record(web.gate.database, [row.workflow_id for row in rows])


def _is_ready(status: Status, visitor: Visitor) -> bool:
    may_approve = Choice.APPROVE in offered(status, visitor.identified, now())
    return may_approve and _is_allowed(status) and visitor.rights.shows(status)


def _is_allowed(status: Status) -> bool:
    return status.state == Phase.IN_REVIEW and status.requirement is not None and status.requirement.batch


def _soonest(status: Status) -> tuple[datetime, str]:
    return status.deadline or _NEVER, status.workflow_id
