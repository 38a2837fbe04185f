"""Use the records to send notices: take the lease, follow runs, claim messages to send, record results.

A message is claimed in the transaction that marks it as being sent. If a process is killed while it sends,
the next process claims the message again, marked as a repeat.
"""

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

import structlog
from sqlalchemy import Connection, func, select

from plangate.domain.errors import RecordsMissing, RecordsUnavailable
from plangate.elapsed import elapsed
from plangate.notifications.absences import absence_notices
from plangate.notifications.audience import Audience
from plangate.notifications.follower import BATCH_SIZE, Follower, TrailsRead, entry_of
from plangate.notifications.notice import Facts, Notice, NoticeKind
from plangate.notifications.outgoing import HOUR, OutgoingMessage, Reader, is_late, is_readable, outgoing
from plangate.presentation.clock import now as machine_time
from plangate.records.database import Database
from plangate.records.deliveries import (
    DAMAGED,
    DeliveryResult,
    DueDelivery,
    begin_sending,
    being_sent,
    due_now,
    messages_since,
    postpone,
    record_results,
    requeue,
    try_now,
)
from plangate.records.notices import cancel, record_other_notices, remove_old
from plangate.records.notifier_lease import HELD_FOR, current_lease, lock_lease, release_lease, take_lease
from plangate.records.tables import Moment

MAX_PER_SCHEME: Final = 20
"""The maximum number of messages in progress per scheme, so that a service that hangs blocks only its own."""
_RENEW_AFTER: Final = HELD_FOR.total_seconds() / 3
_LEASE_MARGIN: Final = 2.0  # minimum seconds that must remain of the lease when sending begins
_CHECK_VALID_FOR: Final = timedelta(minutes=1)  # a notice that waited longer is checked before it is sent
_AFTER_OTHERS: Final = (NoticeKind.VOIDED, NoticeKind.RELIEVED, NoticeKind.UNSTUCK)
_CLOCK_JUMP: Final = timedelta(seconds=30)  # synchronized clocks do not jump back by more than this
_CHECK_AGAIN: Final = timedelta(minutes=1)  # how long after its deadline a request is checked again
_HELD_FOR: Final = timedelta(minutes=10)  # after this time its run is checked again
_REMOVE_EVERY: Final = 3_600.0
_NOT_FOLLOWED: Final = (
    "The trail of a run is damaged, or has an entry that no worker writes, so notices about "
    "that run are held back. `plangate audit verify` reports the run, and so does the "
    "log of the process that sends notices."
)
_TIME: Final = select(func.clock_timestamp(type_=Moment))  # now() would be the start of the transaction
_log = structlog.get_logger(__name__)

Clock = Callable[[Connection], datetime]
AudienceNow = Callable[[Connection, datetime], Audience]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many messages a person gets.

    Attributes:
        per_hour: the limit of messages to one address.
        gather: how long a notice waits for others, to be sent with them.
    """

    per_hour: int = 20
    gather: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class MessagesToSend:
    """The messages to send now.

    Attributes:
        messages: the messages that are marked as being sent.
        now: the current time.
        has_more: whether there is more to do immediately.
        is_mine: whether this process has the lease.
    """

    messages: tuple[OutgoingMessage, ...]
    now: datetime
    has_more: bool = False
    is_mine: bool = True


def scheme_of(address: str) -> str:
    """Return the scheme of an address: ``mailto``, ``slack``."""
    return address.partition(":")[0]


def _full(busy: Collection[str]) -> list[str]:
    """Return the schemes that have the maximum number of messages in progress."""
    return [scheme for scheme, count in Counter(map(scheme_of, busy)).items() if count >= MAX_PER_SCHEME]


def shared_time(connection: Connection) -> datetime:
    """Return the time of the clock that all workers share: the database's, or this machine's.

    SQLite runs on this machine, and its own clock counts only whole seconds.
    """
    if connection.dialect.name == "sqlite":
        return machine_time()
    return connection.execute(_TIME).scalar_one()


class Ledger:
    """The records for a process that sends notices.

    Args:
        database: the records.
        audience: returns who can be notified now.
        pace: how many messages a person gets.
        clock: returns the time.
    """

    def __init__(
        self, database: Database, audience: AudienceNow, pace: Pace, clock: Clock = shared_time
    ) -> None:
        self._database = database
        self._audience = audience
        self._pace = pace
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._follower = Follower(pace.gather)
        self._renewed: float | None = None
        self._removed: float | None = None
        self._latest: datetime | None = None
        self._checked: dict[str, datetime] = {}
        self._results: dict[int, DeliveryResult] = {}
        self._in_progress: set[int] = set()
        self._damaged: set[str] = set()
        self._problems: dict[str, str] = {}
        self._lock = Lock()

    @property
    def has_lease(self) -> bool:
        """Whether this process certainly still has the lease; otherwise it must not send anything."""
        left = HELD_FOR.total_seconds() - _LEASE_MARGIN
        return self._renewed is not None and elapsed() - self._renewed < left

    def report_problem(self, what: str, happened: str) -> None:
        """Notify the operators of a problem, once a day for each message; any thread may call it.

        Args:
            what: the problem, such as ``sealing``.
            happened: what happened, in Plangate's own text, without a run's id, because not every operator
                may see that run.
        """
        with self._lock:
            self._problems[f"{what}:{_digest(happened)}"] = happened

    def messages_to_send(self, busy: Collection[str], room: int) -> MessagesToSend:
        """Follow the runs that changed, and return what to send now.

        Args:
            busy: the addresses to which a message is being sent.
            room: how many more messages may be sent now.

        Raises:
            RecordsUnavailable: the database did not respond; nothing was claimed.
        """
        with self._database.read() as connection:
            now, lease = self._clock(connection), current_lease(connection)
            is_free = lease.holder == self._holder or lease.is_free(now)
            audience = self._audience(connection, now)
            if lease.holder != self._holder:
                self._renewed = None
                self._follower.read_all_again()
            due = due_now(connection, now, busy, _full(busy)) if is_free else ()
            is_sweeping = lease.swept_to is not None or lease.audience != audience.key
            again = self._to_check_again(due, now, is_sweeping=is_sweeping)
            read = (
                self._follower.read_changes(connection, lease, audience, again) if is_free else TrailsRead()
            )
        self._report_damaged(read.damaged.values())
        if not is_free:
            self._record_remaining(audience, now)
            return MessagesToSend((), now, is_mine=False)
        is_left = self._results or self._problems
        if not (due or is_left or self._is_stale() or read.needs_recording(lease)):
            self._follower.mark_read(read)
            return MessagesToSend((), now, has_more=read.has_more)
        return self._record_and_claim(read, audience, busy, room)

    def record_without_lease(self) -> MessagesToSend:
        """Record the remaining results and the problems of this process, which another process sends.

        Raises:
            RecordsUnavailable: the database did not respond; the next call records them.
        """
        with self._database.read() as connection:
            now = self._clock(connection)
            audience = self._audience(connection, now)
        self._record_remaining(audience, now)
        return MessagesToSend((), now, is_mine=False)

    def record_results(self, results: Iterable[DeliveryResult]) -> None:
        """Record the results of attempts; if the database does not respond, the next call records them.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        with self._lock:
            self._results |= {one.id: one for one in results}
        with self._recording() as record, self._database.write() as connection:
            record(connection)

    def return_message(self, message: OutgoingMessage) -> None:
        """Release a claimed message that was not sent, so that a later call claims it again."""
        with self._lock:
            self._in_progress -= {part.id for part in message.parts}
        self._renewed = None  # the next call renews the lease

    def release(self) -> None:
        """Let another process take the lease immediately."""
        try:
            with self._recording() as record, self._database.write() as connection:
                record(connection)
                release_lease(connection, self._holder, self._clock(connection))
        except (RecordsMissing, RecordsUnavailable):
            pass  # the lease expires, and messages whose results were not recorded are sent again

    def _record_and_claim(
        self, read: TrailsRead, audience: Audience, busy: Collection[str], room: int
    ) -> MessagesToSend:
        began = elapsed()
        with self._recording() as record, self._database.write() as connection:
            before = lock_lease(connection)
            now = self._clock(connection)
            lease = take_lease(connection, before, self._holder, now)
            if lease is None:
                self._renewed = None
                return MessagesToSend((), now, is_mine=False)
            if self._latest is not None and now < self._latest - _CLOCK_JUMP:
                try_now(connection, now)
            self._latest = now
            record(connection)
            is_outdated = self._release_stalled(connection, now, is_mine=before.holder == self._holder)
            if is_outdated:
                read = TrailsRead()
            change, left_out = self._follower.record(connection, read, lease, audience, now)
            self._damaged -= {one.run.workflow_id for one in read.followed}
            self._damaged |= read.damaged.keys() | left_out.keys()
            if read.is_sweeping:  # people who have become absent in the meantime
                away = list(map(entry_of, absence_notices(audience)))
                record_other_notices(connection, away, audience.addresses_of, now)
            reported = self._enter_problems(connection, audience, now)
            is_time = self._removed is None or began - self._removed >= _REMOVE_EVERY
            removed = remove_old(connection, now) if is_time else 0
            messages = () if is_outdated else self._claim(connection, read, audience, busy, room)
        self._renewed = began
        self._removed = began if is_time and not removed else self._removed
        checked = {one.run.workflow_id for one in read.followed} | read.damaged.keys()
        # Only after the commit, because uncommitted notices are checked again.
        self._checked |= dict.fromkeys(checked, now)
        with self._lock:
            self._in_progress |= {part.id for message in messages for part in message.parts}
        self._forget_problems(reported)
        self._follower.mark_read(read)
        self._report_damaged(left_out.values())
        if change.entered or change.cancelled:
            _log.debug("Notices were recorded.", action="notices", **change.model_dump())
        has_more = is_outdated or read.has_more or len(messages) == room > 0
        return MessagesToSend(messages, now, has_more=has_more)

    def _record_remaining(self, audience: Audience, now: datetime) -> None:
        """Record results and problems without the lease, if there are any."""
        if self._results or self._problems:
            with self._recording() as record, self._database.write() as connection:
                record(connection)
                reported = self._enter_problems(connection, audience, now)
            self._forget_problems(reported)

    def _claim(
        self, connection: Connection, read: TrailsRead, audience: Audience, busy: Collection[str], room: int
    ) -> tuple[OutgoingMessage, ...]:
        """Mark the messages to send now as being sent: one per address, and a limited number per scheme.

        Messages to an address that the person no longer has are cancelled. Messages that are not yet checked
        against the current audience wait for that check. Notices about a run with a damaged trail are not
        sent.
        """
        now = self._clock(connection)
        in_progress = Counter(map(scheme_of, busy))
        due = due_now(connection, now, busy, _full(busy))
        obsolete = [
            one for one in due if one.address not in audience.addresses_of(one.person) or not is_readable(one)
        ]
        cancel(connection, [one.id for one in obsolete], now)
        due = tuple(one for one in due if one not in obsolete and read.has_checked(one.workflow_id))
        held = [one.id for one in due if one.workflow_id in self._damaged]
        postpone(connection, held, now + _HELD_FOR, DAMAGED)
        due = tuple(one for one in due if one.workflow_id not in self._damaged)
        late = [one.id for one in due if is_late(one, now)]
        postpone(connection, late, now + _CHECK_AGAIN, "")  # the run ends now, or a clock was ahead
        due = tuple(one for one in due if one.id not in late)
        if not due:
            return ()
        sent = messages_since(connection, {one.person for one in due}, now - HOUR, now)
        sent, due = _with_listed_names(sent, due, audience)
        mark = self._database.installation
        found = outgoing(due, sent, now, per_hour=self._pace.per_hour, mark=mark)
        for postponed in found.postponed:
            postpone(connection, postponed.ids, postponed.until)
        by_address: dict[str, OutgoingMessage] = {}
        for message in found.messages:
            scheme = scheme_of(message.address)
            if message.address not in by_address and in_progress[scheme] < MAX_PER_SCHEME:
                by_address[message.address] = replace(message, zone=audience.zone_of(message.person))
                in_progress[scheme] += 1
        begun = tuple(by_address.values())[:room]
        for message in begun:
            begin_sending(connection, [part.id for part in message.parts], message.message_id, now)
        return begun

    def _release_stalled(self, connection: Connection, now: datetime, *, is_mine: bool) -> bool:
        """Release messages that are marked as being sent, but are not being sent.

        They are repeats if another process had the lease. If this process had it, either the response to the
        commit that claimed them was lost, or they were returned. Return whether there were any. If so,
        sent notices that were read earlier are outdated.
        """
        with self._lock:
            in_progress = frozenset(self._in_progress) if is_mine else frozenset()
        left = [one for one in being_sent(connection) if one not in in_progress]
        if left:
            requeue(connection, left, now, is_repeat=not is_mine)
            _log.info(
                "Messages are claimed for sending.",
                action="notices_taken_up",
                count=len(left),
                again=not is_mine,
            )
        return bool(left)

    def _to_check_again(self, due: Sequence[DueDelivery], now: datetime, *, is_sweeping: bool) -> list[str]:
        """Return the runs to check again before notices about them are sent.

        A notice that has waited or was tried is checked, because its run may have changed. A notice that
        something is over is checked, because the earlier message about it may have failed. When rights have
        changed, all notices that would be sent first are checked.
        """
        self._checked = {one: at for one, at in self._checked.items() if at > now - _CHECK_VALID_FOR}
        old = {one.workflow_id for one in due if one.entered_at < now - _CHECK_VALID_FOR}
        moved = {one.workflow_id for one in due if one.attempts or one.kind in _AFTER_OTHERS}
        first = list(dict.fromkeys(one.workflow_id for one in due))[:BATCH_SIZE] if is_sweeping else ()
        return sorted((moved | (old - self._checked.keys()) | set(first)) - {""})

    def _is_stale(self) -> bool:
        return self._renewed is None or elapsed() - self._renewed >= _RENEW_AFTER

    @contextmanager
    def _recording(self) -> Iterator[Callable[[Connection], None]]:
        """Yield a function that records all current results; no other thread records the same ones.

        If the transaction fails, the next one records them.
        """
        taken: dict[int, DeliveryResult] = {}

        def record(connection: Connection) -> None:
            with self._lock:
                taken.update(self._results)
                self._results.clear()
            if taken:
                record_results(connection, taken.values(), self._clock(connection))

        try:
            yield record
        except BaseException:
            with self._lock:
                self._results = taken | self._results
            raise
        with self._lock:
            self._in_progress -= taken.keys()

    def _report_damaged(self, damaged: Iterable[str]) -> None:
        for why in damaged:
            _log.error("Notices about a run cannot be sent.", action="notices", error=why)
            self.report_problem(f"trail:{_digest(why)}", _NOT_FOLLOWED)

    def _enter_problems(self, connection: Connection, audience: Audience, now: datetime) -> list[str]:
        with self._lock:
            problems = dict(self._problems)
        entries = [
            entry_of(
                Notice(
                    person=person,
                    kind=NoticeKind.TROUBLE,
                    event=f"{what}:{now:%Y-%m-%d}",
                    due_at=now,
                    facts=Facts(happened=happened, link=f"{audience.inbox}/audit"),
                )
            )
            for what, happened in problems.items()
            for person in _in_place_of(audience.operators, audience)
        ]
        if entries:
            record_other_notices(connection, entries, audience.addresses_of, now)
        return list(problems)

    def _forget_problems(self, reported: Iterable[str]) -> None:
        with self._lock:
            for what in reported:
                self._problems.pop(what, None)


def _with_listed_names(
    sent: Mapping[Reader, Sequence[datetime]], due: Iterable[DueDelivery], audience: Audience
) -> tuple[dict[Reader, list[datetime]], tuple[DueDelivery, ...]]:
    """Return the notices with names as written in the current list, so that each reader has one name."""
    times: dict[Reader, list[datetime]] = {}
    for (person, address), some in sent.items():
        times.setdefault((audience.listed_name(person), address), []).extend(some)
    found = {reader: sorted(some) for reader, some in times.items()}
    return found, tuple(one.model_copy(update={"person": audience.listed_name(one.person)}) for one in due)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _in_place_of(names: Iterable[str], audience: Audience) -> list[str]:
    """Return who is notified instead of these people while they are away."""
    return list(
        dict.fromkeys(person for name in names for person in audience.recipients_instead_of(None, name))
    )
