"""Make a blocking attempt in its own thread, and wait for it at most until its time limit.

A thread cannot be stopped. If it is still running at the limit, it may have sent its message. Until it ends,
no other attempt for the same address starts, so an address that never responds blocks only one thread.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from plangate.notifications.failures import shown_address
from plangate.notifications.notice import Attempted, Delivery
from plangate.notifications.timeouts import TIMEOUTS, Timeouts


class Attempts:
    """Makes attempts in threads, all with the same time limit."""

    def __init__(self, timeouts: Timeouts = TIMEOUTS) -> None:
        self.timeouts = timeouts
        self._overdue: dict[str, Future[Attempted]] = {}

    async def make(self, address: str, attempt: Callable[[], Attempted]) -> Attempted:
        """Return the result of the attempt; never raises its errors."""
        overdue = self._overdue.get(address)
        if overdue is not None and not overdue.done():
            reason = f"{shown_address(address)} has not responded to an earlier attempt yet."
            return Attempted(delivery=Delivery.LATER, reason=reason)
        self._overdue.pop(address, None)
        outcome = _begun(address, attempt)
        try:
            async with asyncio.timeout(self.timeouts.whole):
                return await asyncio.wrap_future(outcome)
        except TimeoutError:
            self._overdue[address] = outcome
            limit = f"{self.timeouts.whole:g} seconds"
            reason = f"{shown_address(address)} did not respond within {limit}; the message may have arrived."
            return Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True)


def _begun(address: str, attempt: Callable[[], Attempted]) -> Future[Attempted]:
    outcome: Future[Attempted] = Future()
    outcome.set_running_or_notify_cancel()  # nothing can cancel it from here on

    def work() -> None:
        try:
            outcome.set_result(attempt())
        except Exception as error:  # noqa: BLE001  a library's text may contain secrets
            reason = (
                f"{shown_address(address)} cannot be used: the library failed with {type(error).__name__}."
            )
            outcome.set_result(Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True))

    threading.Thread(target=work, name="notice", daemon=True).start()
    return outcome
