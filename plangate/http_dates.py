"""Parse the times of HTTP headers, such as ``Retry-After``; a server may send invalid values."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def http_date(text: str) -> datetime | None:
    """Return the time in a header, in UTC if it has no time zone; None if it is not a date."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def requested_delay(headers: Mapping[str, str]) -> timedelta | None:
    """Return the delay that ``retry-after`` requests, at least 0; None if there is no such header.

    A date is compared with the response's own ``date``, so that no clock is needed. Header names are in lower
    case.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return timedelta(seconds=int(asked[:9]))
    until, now = http_date(asked), http_date(headers.get("date", ""))
    return max(until - now, timedelta()) if until is not None and now is not None else None
