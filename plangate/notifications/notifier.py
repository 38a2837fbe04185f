"""Send the notices of an installation, in one of its processes at a time; the other processes wait.

At any time, at most one message is being sent to each address, and a limited number for each scheme. A slow
address therefore delays no other address, and a service that does not respond delays only its own messages.
"""

import asyncio
import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from plangate.domain.errors import RecordsMissing, RecordsUnavailable
from plangate.notifications.failures import shown_address
from plangate.notifications.ledger import Ledger, MessagesToSend
from plangate.notifications.notice import Attempted, Channel, Delivery, Sending
from plangate.notifications.outgoing import OutgoingMessage, notice_of, results_of
from plangate.records.deliveries import DeliveryResult
from plangate.records.notices import DeliveryState

MAX_IN_PROGRESS: Final = 200
"""The maximum number of messages in progress, across all schemes."""
_ATTEMPT_SECONDS: Final = 240.0
"""The time limit of an attempt in seconds; channels have their own, shorter limits."""
_CHECK_EVERY: Final = 1.0
"""Seconds between two reads of the records."""
_END_WITHIN: Final = 5.0
_log = structlog.get_logger(__name__)


class Notifier:
    """Records and sends notices while it has the lease.

    Args:
        ledger: the records.
        channel: sends one message to one address.
        sends: whether it ever takes the lease; otherwise it only records the problems that are reported to
            it, for the process that has the lease.
    """

    def __init__(self, ledger: Ledger, channel: Channel, *, sends: bool = True) -> None:
        self._ledger = ledger
        self._channel = channel
        self._sends = sends
        self._in_progress: dict[str, asyncio.Task[None]] = {}
        self._ended = asyncio.Event()
        self._last_error = ""

    def report_problem(self, what: str, happened: str) -> None:
        """Notify the operators of a problem: see `Ledger.report_problem`."""
        self._ledger.report_problem(what, happened)

    async def keep_notifying(self) -> None:
        """Record and send notices until cancelled; then release the lease."""
        try:
            while True:
                self._ended.clear()
                if not await self._tried_step():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_CHECK_EVERY):
                            await self._ended.wait()
        finally:
            await self._stop()

    async def step(self) -> MessagesToSend:
        """Do everything that is due now, and start sending.

        Raises:
            RecordsMissing: no worker has created the records yet.
            RecordsUnavailable: the database did not respond; the next call does the rest.
        """
        if not self._sends:
            return await asyncio.to_thread(self._ledger.record_without_lease)
        room = MAX_IN_PROGRESS - len(self._in_progress)
        claimed = await asyncio.to_thread(self._ledger.messages_to_send, list(self._in_progress), room)
        for message in claimed.messages:
            task = asyncio.create_task(self._deliver(message, claimed.now))
            self._in_progress[message.address] = task
        return claimed

    async def wait_until_idle(self) -> None:
        """Wait until no message is being sent."""
        while self._in_progress:
            await asyncio.wait(list(self._in_progress.values()))

    async def _tried_step(self) -> bool:
        """Do a step; return whether the next one follows immediately."""
        try:
            claimed = await self.step()
        except (RecordsUnavailable, RecordsMissing) as error:
            self._warn("Notices are waiting for the records.", str(error))
            return False
        except Exception as error:  # noqa: BLE001  no error may stop the notices
            self._warn("Notices could not be sent; Plangate tries again.", repr(error))
            return False
        self._last_error = ""
        return claimed.has_more and len(self._in_progress) < MAX_IN_PROGRESS

    def _warn(self, what: str, error: str) -> None:
        if error != self._last_error:
            _log.warning(what, action="notices", error=error)
        self._last_error = error

    async def _deliver(self, message: OutgoingMessage, now: datetime) -> None:
        try:
            results = await self._tried(message, now)
            if results:
                await asyncio.to_thread(self._ledger.record_results, results)
        except RecordsUnavailable:
            pass  # the next step records it
        finally:
            self._in_progress.pop(message.address, None)
            self._ended.set()

    async def _tried(self, message: OutgoingMessage, now: datetime) -> tuple[DeliveryResult, ...]:
        """Make one attempt; if another process may have the lease, make none and return no results."""
        if not self._ledger.has_lease:
            self._ledger.return_message(message)
            return ()
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                attempted = await self._channel.send(sending_of(message), now)
        except TimeoutError:
            reason = f"no response within {_ATTEMPT_SECONDS:g} seconds"
            attempted = Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True)
        except Exception as error:  # noqa: BLE001  the message is sent again
            _log.exception("A message could not be sent.", action="notice", person=message.person)
            reason = f"an error: {type(error).__name__}"
            attempted = Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True)
        results = results_of(message, attempted, now, _jitter_of(message))
        _log_results(message, attempted, results)
        return results

    async def _stop(self) -> None:
        tasks = list(self._in_progress.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_END_WITHIN)
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(self._ledger.release)


def sending_of(message: OutgoingMessage) -> Sending:
    """Return a message in the form that channels accept."""
    return Sending(
        address=message.address,
        person=message.person,
        notices=tuple(map(notice_of, message.parts)),
        zone=message.zone,
        is_repeat=message.is_repeat,
        message_id=message.message_id,
    )


def _jitter_of(message: OutgoingMessage) -> float:
    """Return a number from 0 to 1 that differs from message to message and from attempt to attempt."""
    name = f"{message.message_id}:{message.parts[0].attempts}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32


def _log_results(message: OutgoingMessage, attempted: Attempted, results: tuple[DeliveryResult, ...]) -> None:
    about = {
        "person": message.person,
        "kinds": sorted({part.kind for part in message.parts}),
        "runs": len({part.workflow_id for part in message.parts}),
    }
    state, reason = results[0].state, attempted.reason
    if state is DeliveryState.SENT:
        _log.info("A message was sent.", action="notice_sent", **about)
    elif state is DeliveryState.WAITING:
        _log.info("A message is sent later.", action="notice_later", reason=reason, **about)
    else:
        what = "was refused" if state is DeliveryState.REFUSED else "could not be sent for a day"
        where = shown_address(message.address)
        _log.warning(f"A message {what}.", action="notice_failed", address=where, reason=reason, **about)
