"""Which messages go out now: notices for one address, alone or together, and not too many in an hour."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from plangate.notifications.notice import Attempted, Delivery
from plangate.records.deliveries import Due, Result
from plangate.records.notices import DeliveryState

HOUR: Final = timedelta(hours=1)
Reader = tuple[str, str]
"""A person and one of their addresses."""
MOST_ALONE: Final = 5
"""More than so many notices for one address go as one message."""
TRIED_FOR: Final = timedelta(days=1)
FEWEST_TRIES: Final = 14
"""So many tries take more than four hours, in which this host was awake; it may have slept for the day."""
MOST_COPIES: Final = 4
"""So often a message may have arrived without an answer; it is not sent again then."""
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to one address of a person as one message; its ``message_id`` stays for each attempt.

    ``zone`` is the reader's time zone.
    """

    person: str
    address: str
    message_id: str
    parts: tuple[Due, ...]
    zone: str = "UTC"

    @property
    def is_repeat(self) -> bool:
        """Whether it may have arrived already."""
        return any(part.is_repeat for part in self.parts)


@dataclass(frozen=True, slots=True)
class Postponed:
    """What is not sent now, because the address had enough messages in an hour, and until when."""

    ids: tuple[int, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What goes out now, and what has to wait."""

    messages: tuple[Message, ...]
    postponed: tuple[Postponed, ...]


def outgoing(
    due: Sequence[Due], sent: Mapping[Reader, Sequence[datetime]], now: datetime, *, per_hour: int, mark: str
) -> Outgoing:
    """Return which messages go out now.

    One that was tried before goes again as it was. Of the others, several for one address go one by one if
    they are few; as one message if they are many, more than the hour leaves room for, or waited for that.

    Args:
        due: what is to be sent.
        sent: when messages were sent to each address within the last hour, the oldest first.
        now: the time.
        per_hour: how many messages an address gets in an hour at most.
        mark: of this installation, for message ids.
    """
    messages, postponed = [], []
    for reader, parts in _by_reader(due).items():
        begun: dict[str, list[Due]] = defaultdict(list)
        for part in parts:
            begun[part.message_id].append(part)
        new = begun.pop("", [])
        messages += [Message(*reader, name, tuple(again)) for name, again in begun.items()]
        times = sent.get(reader, ())
        room = per_hour - len(times) - len(begun)
        if not new:
            continue
        if room <= 0:
            until = (times[0] if times else now) + HOUR
            postponed.append(Postponed(tuple(part.id for part in new), max(until, now + _FIRST_PAUSE)))
        elif len(new) > min(room, MOST_ALONE) or any(part.next_at > part.due_at for part in new):
            messages.append(Message(*reader, _name_of(mark, new), tuple(new)))
        else:
            messages += [Message(*reader, _name_of(mark, [part]), (part,)) for part in new]
    return Outgoing(tuple(messages), tuple(postponed))


def results_of(message: Message, attempted: Attempted, now: datetime, chance: float) -> tuple[Result, ...]:
    """Return what becomes of each part of a message after an attempt.

    Args:
        message: that was tried.
        attempted: what the channel says.
        now: the time.
        chance: from 0 to 1, so that many messages are not tried again at one moment.
    """
    return tuple(_result(part, attempted, now, chance) for part in message.parts)


def _result(part: Due, attempted: Attempted, now: datetime, chance: float) -> Result:
    state, next_at = _after(part, attempted, now, chance)
    return Result(
        id=part.id,
        state=state,
        reason=attempted.reason,
        next_at=next_at,
        is_repeat=part.is_repeat or attempted.is_in_doubt,
    )


def _after(
    part: Due, attempted: Attempted, now: datetime, chance: float
) -> tuple[DeliveryState, datetime | None]:
    """Return the state after an attempt, and when the next one is."""
    match attempted.delivery:
        case Delivery.SENT:
            return DeliveryState.SENT, None
        case Delivery.REFUSED:
            return DeliveryState.REFUSED, None
        case Delivery.LATER:
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(part.attempts, 20)) * (0.5 + chance)
            next_at = max(now + pause, attempted.retry_at or now)
            tries = part.attempts + 1
            is_over = next_at > (part.tried_at or now) + TRIED_FOR and tries >= FEWEST_TRIES
            is_over |= part.is_repeat and attempted.is_in_doubt and tries >= MOST_COPIES
            return DeliveryState.GIVEN_UP if is_over else DeliveryState.WAITING, next_at
        case _:
            assert_never(attempted.delivery)


def _by_reader(due: Sequence[Due]) -> dict[Reader, list[Due]]:
    found: dict[Reader, list[Due]] = defaultdict(list)
    for part in due:
        found[part.person, part.address].append(part)
    return found


def _name_of(mark: str, parts: Sequence[Due]) -> str:
    return f"{mark}.{parts[0].id}"
