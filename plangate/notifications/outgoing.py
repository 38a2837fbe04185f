"""Choose the messages to send now: notices for one address, alone or together, limited per hour.

The hourly limit never delays a request for a decision until it is too late. A notice that asks for a decision
ignores the limit if it would otherwise wait for more than 25% of the time to decide. Informational notices
are sent together, and use at most 50% of the hourly limit.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from plangate.notifications.notice import ASKING, INFORMING, Attempted, Delivery, Facts, Notice, NoticeKind
from plangate.records.deliveries import DeliveryResult, DueDelivery
from plangate.records.notices import DeliveryState

HOUR: Final = timedelta(hours=1)
Reader = tuple[str, str]
"""A person and one of their addresses."""
MAX_SEPARATE: Final = 5
"""If there are more notices than this for one address, they are sent as one message."""
MIN_GAP: Final = timedelta(minutes=5)
"""The time between two messages to one address that is above the hourly limit."""
RETRIED_FOR: Final = timedelta(days=1)
MIN_ATTEMPTS: Final = 14
"""This many attempts take more than four hours of uptime, even if this host was suspended in between."""
MAX_UNCONFIRMED_ATTEMPTS: Final = 4
"""After this many attempts without a response that may have been delivered, a message is not sent again."""
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """The notices that go to one address as one message; each attempt has the same ``message_id``.

    ``zone`` is the reader's time zone.
    """

    person: str
    address: str
    message_id: str
    parts: tuple[DueDelivery, ...]
    zone: str = "UTC"

    @property
    def is_repeat(self) -> bool:
        """Whether it may have been delivered already."""
        return any(part.is_repeat for part in self.parts)


@dataclass(frozen=True, slots=True)
class Postponed:
    """A notice that waits because its address has reached the hourly limit, and when its wait ends."""

    ids: tuple[int, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The messages to send now, and the notices that have to wait."""

    messages: tuple[OutgoingMessage, ...]
    postponed: tuple[Postponed, ...]


def outgoing(
    due: Sequence[DueDelivery],
    sent: Mapping[Reader, Sequence[datetime]],
    now: datetime,
    *,
    per_hour: int,
    mark: str,
) -> Outgoing:
    """Return which messages to send now.

    A message that was tried before is sent again unchanged. A few other notices for one address are sent
    separately. Many notices are sent as one message, as are those that exceed the hourly limit or waited to
    be sent together.

    Args:
        due: the notices to send.
        sent: when messages were sent to each address within the last hour, oldest first.
        now: the current time.
        per_hour: how many messages an address gets in an hour, unless a request cannot wait.
        mark: identifies this installation in message ids.
    """
    messages: list[OutgoingMessage] = []
    postponed: list[Postponed] = []
    for reader, parts in _by_reader(due).items():
        begun: dict[str, list[DueDelivery]] = defaultdict(list)
        for part in parts:
            begun[part.message_id].append(part)
        new = begun.pop("", [])
        messages += [OutgoingMessage(*reader, name, tuple(again)) for name, again in begun.items()]
        tried = sorted(again[0].tried_at or now for again in begun.values())
        hour = _Hour(sorted([*sent.get(reader, ()), *tried]), per_hour, now)
        waits = hour.waits(new)
        postponed += [Postponed(tuple(ids), until) for until, ids in waits.items()]
        waiting = {one for ids in waits.values() for one in ids}
        groups = _together([part for part in new if part.id not in waiting], hour)
        messages += [OutgoingMessage(*reader, _name_of(mark, group), tuple(group)) for group in groups]
    return Outgoing(tuple(messages), tuple(postponed))


@dataclass(frozen=True, slots=True)
class _Hour:
    """The messages to one address within the last hour, including those that are being retried."""

    times: Sequence[datetime]
    per_hour: int
    now: datetime

    @property
    def room(self) -> int:
        """How many messages may still be sent in this hour."""
        return self.per_hour - len(self.times)

    @property
    def is_half_full(self) -> bool:
        """Whether the rest of the limit is reserved for notices that ask for a decision."""
        return len(self.times) >= self._half

    @property
    def _half(self) -> int:
        return (self.per_hour + 1) // 2

    def waits(self, new: Sequence[DueDelivery]) -> dict[datetime, list[int]]:
        """Return the notices that must wait, by time; if one asks for a decision and is sent, send all."""
        if not new:
            return {}
        only_informs = all(part.kind in INFORMING for part in new)
        if self.room > 0 and not (only_informs and self.is_half_full):
            return {}
        slot = self._slot(self._half if only_informs else self.per_hour)
        until = {part.id: min(slot, self._latest(part, slot)) for part in new}
        if min(until.values()) <= self.now:
            return {}
        found: dict[datetime, list[int]] = defaultdict(list)
        for one, at in until.items():
            found[at].append(one)
        return found

    def _slot(self, allowed: int) -> datetime:
        """Return the time from which the last hour contains fewer than ``allowed`` messages."""
        freed = self.times[len(self.times) - allowed] if 0 < allowed <= len(self.times) else self.now
        return max(freed + HOUR, self.now + _FIRST_PAUSE)

    def _latest(self, part: DueDelivery, slot: datetime) -> datetime:
        """Return when a part is sent; one that asks for a decision is not delayed too long by the limit."""
        deadline = Facts.model_validate_json(part.facts).deadline if part.kind in ASKING else None
        if deadline is None or deadline <= self.now:
            return slot
        left = deadline - part.due_at
        if part.due_at + left / 4 >= slot:
            return slot
        spaced = self.times[-1] + MIN_GAP if self.times else self.now
        return min(spaced, part.due_at + left / 2)


def _together(new: Sequence[DueDelivery], hour: _Hour) -> list[list[DueDelivery]]:
    """Group the notices for one address into messages."""
    asking = [part for part in new if part.kind not in INFORMING]
    informing = [part for part in new if part.kind in INFORMING]
    groups = [[part] for part in asking] + ([informing] if informing else [])
    has_waited = any(part.next_at > part.due_at for part in new)
    saves_one = bool(asking and informing) and hour.is_half_full
    if len(groups) > 1 and (has_waited or saves_one or len(groups) > min(hour.room, MAX_SEPARATE)):
        return [list(new)]
    return groups


def results_of(
    message: OutgoingMessage, attempted: Attempted, now: datetime, jitter: float
) -> tuple[DeliveryResult, ...]:
    """Return the new state of each part of a message after an attempt.

    Args:
        message: the message that was tried.
        attempted: the channel's result.
        now: the current time.
        jitter: a random number from 0 to 1; spreads the retries of many messages over time.
    """
    return tuple(_result(part, attempted, now, jitter) for part in message.parts)


def _result(part: DueDelivery, attempted: Attempted, now: datetime, jitter: float) -> DeliveryResult:
    state, next_at = _after(part, attempted, now, jitter)
    return DeliveryResult(
        id=part.id,
        state=state,
        reason=attempted.reason,
        next_at=next_at,
        is_repeat=part.is_repeat or attempted.is_in_doubt,
    )


def _after(
    part: DueDelivery, attempted: Attempted, now: datetime, jitter: float
) -> tuple[DeliveryState, datetime | None]:
    """Return the state after an attempt, and the time of the next attempt."""
    match attempted.delivery:
        case Delivery.SENT:
            return DeliveryState.SENT, None
        case Delivery.REFUSED:
            return DeliveryState.REFUSED, None
        case Delivery.LATER:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(part.attempts, 20)) * (0.5 + jitter)
            next_at = max(now + pause, attempted.retry_at or now)
            tries = part.attempts + 1
            is_over = next_at > (part.tried_at or now) + RETRIED_FOR and tries >= MIN_ATTEMPTS
            is_over |= part.is_repeat and attempted.is_in_doubt and tries >= MAX_UNCONFIRMED_ATTEMPTS
            return DeliveryState.GIVEN_UP if is_over else DeliveryState.WAITING, next_at
        case _:
            assert_never(attempted.delivery)


def notice_of(due: DueDelivery) -> Notice:
    """Return the notice in a part of a message.

    Raises:
        ValueError: its row was edited and is no longer valid.
    """
    return Notice(
        person=due.person,
        kind=NoticeKind(due.kind),
        event=due.event,
        due_at=due.due_at,
        facts=Facts.model_validate_json(due.facts),
    )


def is_readable(due: DueDelivery) -> bool:
    """Return whether its row is valid; an invalid row must not prevent a message with other notices."""
    try:
        notice_of(due)
    except ValueError:
        return False
    return True


def is_late(due: DueDelivery, now: datetime) -> bool:
    """Return whether a notice asks for a decision after the deadline."""
    if due.kind not in ASKING:
        return False
    deadline = Facts.model_validate_json(due.facts).deadline
    return deadline is not None and deadline <= now


def _by_reader(due: Sequence[DueDelivery]) -> dict[Reader, list[DueDelivery]]:
    found: dict[Reader, list[DueDelivery]] = defaultdict(list)
    for part in due:
        found[part.person, part.address].append(part)
    return found


def _name_of(mark: str, parts: Sequence[DueDelivery]) -> str:
    return f"{mark}.{parts[0].id}"
