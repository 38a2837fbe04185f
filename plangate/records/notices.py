"""Keep the ledger of notices: one notice per person and event of a run.

All workers share it. Its rows are written in the transaction that stores how far the trails have been read.
So a crash neither loses nor repeats a notice.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.people.people import recipient_of
from plangate.records.tables import deliveries, notices

KEPT_FOR: Final = timedelta(days=90)
"""How long notices are kept after the end of their run."""
_REMOVED_AT_ONCE: Final = 500

AddressesOf = Callable[[str], Sequence[str]]


class DeliveryState(StrEnum):
    """The state of the delivery of one notice to one address."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    CANCELLED = "cancelled"


_UNSENT: Final = (DeliveryState.WAITING, DeliveryState.REFUSED, DeliveryState.GIVEN_UP)
_ARRIVED: Final = (DeliveryState.SENDING, DeliveryState.SENT)


class NoticeEntry(Frozen):
    """A notice to be recorded; ``facts`` is JSON that the records do not interpret.

    It waits for other notices no longer than until ``gather_until``; None if it can wait as long as the
    setting allows.
    """

    person: str
    event: str
    kind: str
    due_at: AwareDatetime
    facts: str
    gather_until: AwareDatetime | None = None

    def next_at(self, gather: timedelta) -> datetime:
        """Return when it will be sent if notices are collected for this long."""
        until = self.due_at + gather
        return until if self.gather_until is None else min(until, self.gather_until)


class EarlierNotice(Frozen):
    """A run's notice that a person received or will receive; ``is_sent`` if it may have been delivered."""

    person: str
    event: str
    kind: str
    is_sent: bool


class SendTimes(Frozen):
    """When new notices are sent; each waits up to ``gather`` for others to the same address."""

    now: AwareDatetime
    gather: timedelta = timedelta()


class _New(NamedTuple):
    """An unrecorded notice, and the end of its retention, which is None while its run is open."""

    workflow_id: str
    keep_until: datetime | None
    entry: NoticeEntry


class Change(Frozen):
    """The result of `bring_up_to_date`: the numbers of notices recorded and of deliveries cancelled."""

    entered: int = 0
    cancelled: int = 0


def earlier_notices(
    connection: Connection, workflow_ids: Sequence[str]
) -> dict[str, tuple[EarlierNotice, ...]]:
    """Return the notices that people received or will receive about each of these runs, in order."""
    found: dict[str, list[EarlierNotice]] = defaultdict(list)
    for rows in _by_notice(connection, workflow_ids).values():
        first = rows[0]
        told = EarlierNotice(
            person=first.person,
            event=first.event,
            kind=first.kind,
            is_sent=any(row.state in _ARRIVED or row.is_repeat for row in rows),
        )
        found[first.workflow_id].append(told)
    return {workflow_id: tuple(found[workflow_id]) for workflow_id in workflow_ids}


def bring_up_to_date(
    connection: Connection,
    wanted: Mapping[str, tuple[Sequence[NoticeEntry], AwareDatetime | None]],
    addresses_of: AddressesOf,
    times: SendTimes,
) -> Change:
    """Record the notices that runs need now, and cancel those that they no longer need.

    Sent notices do not change. A cancelled notice that is needed again is sent after all. A waiting notice
    gets its newest facts and time, and is sent to the person's current addresses.

    Args:
        connection: a connection to the records.
        wanted: the notices of each run, and the end of their retention; None while the run is open.
        addresses_of: the addresses of a person.
        times: when the notices are sent.
    """
    known: dict[str, dict[tuple[str, str], list[Any]]] = defaultdict(dict)
    for rows in _by_notice(connection, list(wanted)).values():
        known[rows[0].workflow_id].setdefault(_name_of(rows[0]), []).extend(rows)
    new: list[_New] = []
    dropped: list[int] = []
    for workflow_id, (entries, keep_until) in wanted.items():
        asked, told = {_name_of(one): one for one in entries}, known[workflow_id]
        dropped += [row.delivery for key, rows in told.items() if key not in asked for row in _waiting(rows)]
        new += [_New(workflow_id, keep_until, one) for key, one in asked.items() if key not in told]
        for key in asked.keys() & told.keys():
            _refresh(connection, told[key], asked[key], addresses_of(asked[key].person), times)
        if keep_until is not None and any(rows[0].keep_until is None for rows in told.values()):
            ended = update(notices).where(
                notices.c.workflow_id == workflow_id, notices.c.keep_until.is_(None)
            )
            connection.execute(ended.values(keep_until=keep_until))
    cancel(connection, dropped, times.now)
    return Change(entered=_enter(connection, new, addresses_of, times), cancelled=len(dropped))


def record_other_notices(
    connection: Connection,
    wanted: Sequence[NoticeEntry],
    addresses_of: AddressesOf,
    now: datetime,
) -> int:
    """Record these notices, which are not about a run, unless they are recorded; return how many are new."""
    events = {one.event for one in wanted}
    query = select(notices.c.person, notices.c.event).where(
        notices.c.workflow_id == "", notices.c.event.in_(events)
    )
    known = {_name_of(row) for row in connection.execute(query)}
    new = [_New("", now + KEPT_FOR, one) for one in wanted if _name_of(one) not in known]
    return _enter(connection, new, addresses_of, SendTimes(now=now))


def _name_of(notice: Any) -> tuple[str, str]:
    """Return the identity of a notice within a run: its person, regardless of spelling, and its event."""
    return recipient_of(notice.person), notice.event


def remove_old(connection: Connection, now: datetime) -> int:
    """Remove some of the notices whose retention has ended; return how many."""
    old = select(notices.c.id).where(notices.c.keep_until <= now).limit(_REMOVED_AT_ONCE)
    ids = connection.scalars(old).all()
    if ids:
        connection.execute(delete(deliveries).where(deliveries.c.notice.in_(ids)))
        connection.execute(delete(notices).where(notices.c.id.in_(ids)))
    return len(ids)


def _by_notice(connection: Connection, workflow_ids: Sequence[str]) -> Mapping[int, list[Any]]:
    query = (
        select(
            notices.c.id.label("notice"),
            *(notices.c[name] for name in ("workflow_id", "person", "event", "kind", "facts", "keep_until")),
            deliveries.c.id.label("delivery"),
            *(deliveries.c[name] for name in ("address", "state", "due_at", "is_repeat", "attempts")),
        )
        .join_from(notices, deliveries, deliveries.c.notice == notices.c.id)
        .where(notices.c.workflow_id.in_(workflow_ids))
        .order_by(notices.c.id, deliveries.c.id)
    )
    found: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.notice].append(row)
    return found


def _enter(connection: Connection, new: Iterable[_New], addresses_of: AddressesOf, times: SendTimes) -> int:
    """Record new notices; a person without an address gets them once they have one."""
    reached = [(one, found) for one in new if (found := tuple(dict.fromkeys(addresses_of(one.entry.person))))]
    if not reached:
        return 0
    ids = connection.scalars(
        insert(notices).returning(notices.c.id, sort_by_parameter_order=True),
        [
            {
                "workflow_id": one.workflow_id,
                "keep_until": one.keep_until,
                "entered_at": times.now,
                **one.entry.model_dump(exclude={"due_at", "gather_until"}),
            }
            for one, _ in reached
        ],
    ).all()
    connection.execute(
        insert(deliveries),
        [
            _delivery(notice, one.entry, address, times)
            for notice, (one, addresses) in zip(ids, reached, strict=True)
            for address in addresses
        ],
    )
    return len(ids)


def _delivery(notice: int, one: NoticeEntry, address: str, times: SendTimes) -> dict[str, object]:
    return {
        "notice": notice,
        "person": one.person,
        "address": address,
        "state": DeliveryState.WAITING,
        "due_at": one.due_at,
        "next_at": one.next_at(times.gather),
        "attempts": 0,
        "is_repeat": 0,
        "reason": "",
        "message_id": "",
    }


def _refresh(
    connection: Connection,
    rows: Sequence[Row[Any]],
    one: NoticeEntry,
    addresses: Sequence[str],
    times: SendTimes,
) -> None:
    """Update a recorded notice, unless it was delivered to an address.

    Addresses that were removed from the list get no more notices; one that is added again is treated as new.
    A notice whose delivery was abandoned is retried once the person has another address.
    """
    if any(
        row.state in _ARRIVED
        or (row.is_repeat and row.state != DeliveryState.GIVEN_UP and row.address in addresses)
        for row in rows
    ):
        return
    if (rows[0].facts, rows[0].kind) != (one.facts, one.kind):
        changed = update(notices).where(notices.c.id == rows[0].notice)
        connection.execute(changed.values(facts=one.facts, kind=one.kind))
    left = [row.delivery for row in rows if row.state in _UNSENT and row.address not in addresses]
    cancel(connection, left, times.now)
    known = {row.address for row in rows}
    has_more = not known.issuperset(addresses)
    again = [
        row.delivery
        for row in rows
        if row.address in addresses
        and (
            row.state == DeliveryState.CANCELLED
            or (row.state == DeliveryState.GIVEN_UP and has_more and not row.is_repeat)
            or (row.state == DeliveryState.WAITING and not row.attempts and row.due_at != one.due_at)
        )
    ]
    if again:
        revived = update(deliveries).where(deliveries.c.id.in_(again))
        due = {"due_at": one.due_at, "next_at": one.next_at(times.gather), "reason": "", "ended_at": None}
        new = {"attempts": 0, "tried_at": None, "message_id": ""}
        connection.execute(revived.values(state=DeliveryState.WAITING, **due, **new))
    more = [address for address in dict.fromkeys(addresses) if address not in known]
    if more:
        made = [_delivery(rows[0].notice, one, address, times) for address in more]
        connection.execute(insert(deliveries), made)


def _waiting(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    return [row for row in rows if row.state == DeliveryState.WAITING]


_CANCEL: Final = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("one"))
    .values(state=DeliveryState.CANCELLED, ended_at=bindparam("now"))
)


def cancel(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Cancel these deliveries, unless they are needed again."""
    if ids:
        connection.execute(_CANCEL, [{"one": one, "now": now} for one in ids])
