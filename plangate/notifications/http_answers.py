"""Classify the response of a chat service or a webhook by its HTTP status.

If a service no longer has the address, or does not allow Plangate to write to it, the failure is permanent.
An overloaded or broken service may accept the message later.
"""

import re
from datetime import datetime, timedelta
from typing import Final

from plangate.http_dates import http_date
from plangate.notifications.failures import shown_address
from plangate.notifications.notice import Attempted, Delivery

_SUCCESS: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_CLIENT: Final = range(400, 500)
# Errors that neither the address nor the message caused: timeout, conflict, too early, too many requests.
_TRANSIENT: Final = frozenset({408, 409, 423, 425, 429})
_WORDS: Final = {
    401: "does not accept the token",
    403: "does not allow messages from Plangate",
    404: "no longer has this address",
    408: "timed out",
    410: "has revoked this address",
    413: "refuses the message as too long",
    429: "has received too many messages",
}
_LONGEST_PAUSE: Final = timedelta(days=1)
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")


def attempted(address: str, status: int, now: datetime, retry_after: str = "") -> Attempted:
    """Return the result of an attempt whose response has this status.

    Args:
        address: the address in the list of people; messages show only its kind, because a path may be a
            secret.
        status: the HTTP status.
        now: the current time.
        retry_after: the header with that name, or the seconds that a service gives elsewhere.
    """
    if status in _SUCCESS:
        return Attempted(delivery=Delivery.SENT)
    shown = shown_address(address)
    if status in _REDIRECTS:
        reason = f"{shown} redirects elsewhere ({status}), which is not followed; use the new address."
        return Attempted(delivery=Delivery.REFUSED, reason=reason)
    if status in _CLIENT and status not in _TRANSIENT:
        reason = f"{shown} {_WORDS.get(status, 'refuses the message')} ({status})."
        return Attempted(delivery=Delivery.REFUSED, reason=reason)
    reason = f"{shown} {_WORDS.get(status, 'cannot accept the message now')} ({status})."
    return Attempted(delivery=Delivery.LATER, reason=reason, retry_at=_moment(retry_after.strip(), now))


def _moment(retry_after: str, now: datetime) -> datetime | None:
    """Parse seconds or a date; return None if it is neither. The result is at most a day."""
    if _SECONDS.fullmatch(retry_after):
        return now + min(timedelta(seconds=float(retry_after)), _LONGEST_PAUSE)
    when = http_date(retry_after)
    return min(max(when, now), now + _LONGEST_PAUSE) if when is not None else None
