"""Read the notices that are due, and record the result of each attempt."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from sqlalchemy import Connection, Row, Select, and_, case, func, or_, select, update

from plangate.domain.base import AwareDatetime, Frozen
from plangate.records.notices import DeliveryState
from plangate.records.tables import deliveries, notices

AT_ONCE: Final = 500
HELD_BACK: Final = "held back by the hourly limit"
"""The reason for a delivery that waits for the hourly limit before its first attempt."""
DAMAGED: Final = "held back, because the trail of the run is damaged"
"""The reason for a delivery that waits until the trail of its run is intact again."""
_WAITS: Final = deliveries.c.state == DeliveryState.WAITING
_CLOCKS_DIFFER_BY: Final = timedelta(minutes=5)
_LONGEST_WAIT: Final = timedelta(days=2)
"""The longest delay before an attempt; a longer one means that a clock was ahead."""
_Kept = TypeVar("_Kept", bound=Frozen)
_MANY: Final = 1_000_000  # more attempts than any delivery has
_UNDELIVERED: Final = (DeliveryState.REFUSED, DeliveryState.GIVEN_UP)


class DueDelivery(Frozen):
    """One notice for one address, as recorded.

    Attributes:
        id: the id of the delivery.
        due_at: when it was first due.
        next_at: when it may be sent; later than ``due_at`` if it waited for other notices or for a limit.
        attempts: the number of attempts so far.
        tried_at: when the first attempt started; None before that.
        is_repeat: whether an earlier attempt may have been delivered.
        message_id: the id of the message that contains it; empty before the first attempt.
    """

    id: int
    workflow_id: str
    person: str
    event: str
    kind: str
    facts: str
    entered_at: AwareDatetime
    address: str
    due_at: AwareDatetime
    next_at: AwareDatetime
    attempts: int
    tried_at: AwareDatetime | None
    is_repeat: bool
    message_id: str


class DeliveryResult(Frozen):
    """The result of an attempt: the new state, the reason, and the time of the next attempt, if any."""

    id: int
    state: DeliveryState
    reason: str = ""
    next_at: AwareDatetime | None = None
    is_repeat: bool = False


class Undelivered(Frozen):
    """A notice that was not delivered; its ``state`` is waiting if it will be retried or is held back."""

    workflow_id: str
    person: str
    kind: str
    address: str
    state: DeliveryState
    reason: str
    attempts: int
    next_at: AwareDatetime
    ended_at: AwareDatetime | None


def due_now(
    connection: Connection, now: datetime, busy: Collection[str], full: Collection[str] = ()
) -> tuple[DueDelivery, ...]:
    """Return the deliveries to be sent now, ordered by due time.

    If one is due for an address, the result includes those that wait to be combined with it.

    Args:
        connection: a connection to the records.
        now: the current time.
        busy: addresses to which a message is being sent; their deliveries wait.
        full: schemes whose deliveries wait, because the maximum number of messages is already being sent.
    """
    others = [~deliveries.c.address.startswith(f"{scheme}:", autoescape=True) for scheme in full]
    may_go = [_WAITS, deliveries.c.address.not_in(list(busy)), *others]
    # Two queries, each with its own index: with one condition, SQLite would also read all later reminders.
    is_over = deliveries.c.next_at <= now
    is_postponed_too_long = and_(deliveries.c.due_at <= now, deliveries.c.next_at > now + _LONGEST_WAIT)
    first = [
        row
        for time, goes_now in ((deliveries.c.next_at, is_over), (deliveries.c.due_at, is_postponed_too_long))
        for row in connection.execute(
            select(deliveries.c.address).where(*may_go, goes_now).order_by(time).limit(AT_ONCE)
        )
    ]
    addresses = list(dict.fromkeys(row.address for row in first))[:AT_ONCE]
    if not addresses:
        return ()
    goes = or_(
        is_over, is_postponed_too_long, and_(deliveries.c.due_at <= now, deliveries.c.message_id == "")
    )
    query = _joined().where(_WAITS, deliveries.c.address.in_(addresses), deliveries.c.due_at <= now, goes)
    rows = connection.execute(query.order_by(deliveries.c.due_at, deliveries.c.id).limit(AT_ONCE * 4))
    return tuple(_readable(DueDelivery, rows))


def messages_since(
    connection: Connection, people: Iterable[str], since: datetime, now: datetime
) -> dict[tuple[str, str], list[datetime]]:
    """Return when messages were sent to each address of these people since that time, oldest first.

    Times from a clock that was far ahead are ignored.
    """
    # A condition on the state would make SQLite read all sent deliveries instead of these people's.
    sent_at = case((deliveries.c.state == DeliveryState.SENT, deliveries.c.ended_at))
    at = func.min(sent_at, type_=deliveries.c.ended_at.type)
    query = (
        select(deliveries.c.person, deliveries.c.address, at.label("at"))
        .where(
            deliveries.c.person.in_(set(people)),
            deliveries.c.ended_at > since,
            deliveries.c.ended_at <= now + _CLOCKS_DIFFER_BY,
        )
        .group_by(deliveries.c.person, deliveries.c.address, deliveries.c.message_id)
        .having(at.is_not(None))
    )
    found: dict[tuple[str, str], list[datetime]] = {}
    for row in connection.execute(query):
        found.setdefault((row.person, row.address), []).append(row.at)
    return {reader: sorted(times) for reader, times in found.items()}


def begin_sending(connection: Connection, ids: Sequence[int], message_id: str, now: datetime) -> None:
    """Record that these deliveries are about to be sent as one message.

    A count of attempts that no worker can have written, such as a negative one, is reset to a valid number.
    Otherwise, the delays before the next attempts would remain wrong.
    """
    counted = deliveries.c.attempts
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(
            state=DeliveryState.SENDING,
            message_id=message_id,
            attempts=case((counted < 0, 1), (counted < _MANY, counted + 1), else_=_MANY),
            tried_at=func.coalesce(deliveries.c.tried_at, now, type_=deliveries.c.tried_at.type),
        )
    )


def record_results(connection: Connection, results: Iterable[DeliveryResult], now: datetime) -> None:
    """Record the results of attempts."""
    for one in results:
        is_over = one.state is not DeliveryState.WAITING
        values: dict[str, Any] = {
            "state": one.state,
            "reason": _storable(one.reason),
            "ended_at": now if is_over else None,
            "is_repeat": int(one.is_repeat),
        }
        if one.next_at is not None:
            values["next_at"] = one.next_at
        under_way = (DeliveryState.SENDING, DeliveryState.WAITING)
        ended = update(deliveries).where(deliveries.c.id == one.id, deliveries.c.state.in_(under_way))
        connection.execute(ended.values(**values))


def _storable(text: str) -> str:
    """Return a service's text without the characters that databases cannot store: NUL and lone surrogates."""
    return text.replace("\0", "�").encode(errors="replace").decode()


def postpone(connection: Connection, ids: Sequence[int], until: datetime, reason: str = HELD_BACK) -> None:
    """Delay these deliveries, by default because their address has reached the hourly limit."""
    if not ids:
        return
    values = {"next_at": until, "reason": reason}
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))


def try_now(connection: Connection, now: datetime) -> None:
    """Retry all due deliveries now, because the clock was set back after their delays were computed."""
    delayed = (_WAITS, deliveries.c.due_at <= now, deliveries.c.next_at > now)
    connection.execute(update(deliveries).where(*delayed).values(next_at=now))


def being_sent(connection: Connection) -> tuple[int, ...]:
    """Return the deliveries that are recorded as being sent."""
    query = select(deliveries.c.id).where(deliveries.c.state == DeliveryState.SENDING)
    return tuple(connection.scalars(query))


def requeue(connection: Connection, ids: Sequence[int], now: datetime, *, is_repeat: bool) -> None:
    """Set the state of these deliveries back to waiting, and mark those that may have been sent."""
    values: dict[str, Any] = {"state": DeliveryState.WAITING, "next_at": now}
    values |= {"is_repeat": 1} if is_repeat else {}
    connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))


def undelivered(connection: Connection, workflow_id: str | None = None) -> tuple[Undelivered, ...]:
    """Return the undelivered notices, newest first: refused, given up, to be retried, or held back."""
    columns = [notices.c.workflow_id, notices.c.kind]
    names = ("person", "address", "state", "reason", "attempts", "next_at", "ended_at")
    is_late = or_(deliveries.c.attempts > 0, deliveries.c.reason.in_((HELD_BACK, DAMAGED)))
    query = (
        select(*columns, *(deliveries.c[name] for name in names))
        .join_from(deliveries, notices, deliveries.c.notice == notices.c.id)
        .where(or_(deliveries.c.state.in_(_UNDELIVERED), and_(_WAITS, is_late)))
        .order_by(deliveries.c.id.desc())
        .limit(AT_ONCE)
    )
    if workflow_id is not None:
        query = query.where(notices.c.workflow_id == workflow_id)
    return tuple(_readable(Undelivered, connection.execute(query)))


def _readable(model: type[_Kept], rows: Iterable[Row[Any]]) -> Iterator[_Kept]:
    """Yield the rows as objects of this model, leaving out rows that were edited into an invalid form."""
    for row in rows:
        try:
            yield model(**row._asdict())
        except ValidationError:
            continue


def _joined() -> Select[Any]:
    of_notice = ("workflow_id", "event", "kind", "facts", "entered_at")
    of_delivery = [one for one in DueDelivery.model_fields if one not in (*of_notice, "is_repeat")]
    is_repeat = (deliveries.c.is_repeat != 0).label("is_repeat")
    return select(
        *(notices.c[name] for name in of_notice), *(deliveries.c[name] for name in of_delivery), is_repeat
    ).join_from(deliveries, notices, deliveries.c.notice == notices.c.id)
