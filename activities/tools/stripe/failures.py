"""Classify a failed call to Stripe by its effect. Imports neither the SDK nor a client.

    what happened                                   a call that changes      a call that reads
    ----------------------------------------------  -----------------------  -----------------
    not connected: nothing was sent                 unavailable              unavailable
    interrupted, timed out, unusable response       unknown                  unavailable
    2xx that is not Stripe's JSON                   unknown                  unavailable
    409: the same key is still in use               unknown                  unavailable
    429: too many requests                          unavailable (*)          unavailable (*)
    5xx, 408                                        unknown                  unavailable
    400 ``idempotency_error``: other parameters     unknown                  (not possible)
    401, 403: the key                               refused                  refused
    any other 4xx: Stripe refused                   refused                  refused

(*) with the delay that Stripe requests

The SDK has the same class for a refused connection and for a truncated response, so the cause is checked.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.logs.redaction import recordable

KEY_SETTING: Final = "PLANGATE_STRIPE_API_KEY"
BASE_SETTING: Final = "PLANGATE_STRIPE_API_BASE"
_LONGEST: Final = 300
_MASKED_KEY: Final = re.compile(r"\b[a-z]{2}_(?:test|live)_[\w*]+")
_PERMISSION: Final = re.compile(r"\brak_\w{1,60}")
_CLIENT_ERRORS: Final = range(400, 500)
_SERVER_ERRORS: Final = range(500, 600)
_LONGEST_WAIT: Final = 86_400


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call.

    Attributes:
        status: the status of the response; None if there was no response.
        message: Stripe's message, or a description of the failure.
        kind: Stripe's error type; empty if it gave none.
        code: its code, such as ``charge_already_refunded``.
        was_sent: whether anything may have reached Stripe.
        headers: the headers of the response, with names in lower case.
    """

    status: int | None
    message: str
    kind: str = ""
    code: str = ""
    was_sent: bool = True
    headers: Mapping[str, str] | None = None

    def of_change(self) -> ToolError:
        """Return the error for a call that changes something."""
        definite = self._definite()
        if definite is not None:
            return definite
        return EffectUnknown(f"{self._what()} Whether it was carried out is not known.")

    def of_read(self) -> ToolError:
        """Return the error for a call that changes nothing."""
        return self._definite() or ToolUnavailable(self._what())

    def _definite(self) -> ToolError | None:
        """Return the error for a call that certainly changed nothing; None if something may have changed."""
        status = self.status
        if not self.was_sent:
            return ToolUnavailable(f"Stripe cannot be reached, so nothing was sent: {self._text()}.")
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            after = self._retry_after()
            wait = f" It asks to wait {after.total_seconds():.0f} seconds." if after is not None else ""
            return ToolUnavailable(f"Stripe refused for now: too many requests (429).{wait}", after)
        if status == HTTPStatus.UNAUTHORIZED:
            return ToolRefused(f"Stripe refuses the key (401); check {KEY_SETTING}, then retry the step.")
        if status == HTTPStatus.FORBIDDEN:
            missing = _PERMISSION.search(self.message)
            named = f" {missing[0]}" if missing else ""
            return ToolRefused(
                f"The key has no permission for this call (403); give the key in {KEY_SETTING} the "
                f"permission{named}, then retry the step."
            )
        if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY):
            return None
        if status in _CLIENT_ERRORS and self.kind != "idempotency_error":
            code = f" ({self.code})" if self.code else f" ({status})"
            return ToolRefused(f"Stripe refused{code}: {self._text()}.")
        return None

    def _what(self) -> str:
        match self.status:
            case None:
                return f"Stripe did not answer: {self._text()}."
            case HTTPStatus.CONFLICT:
                return "Stripe is still busy with an earlier request under the same key (409)."
            case status if status in _SERVER_ERRORS:
                return f"Stripe failed ({status})."
            case status if self.kind == "idempotency_error":
                return f"Stripe already received the key with other parameters ({status})."
            case status:
                return f"Stripe's answer cannot be used ({status}): {self._text()}."

    def _text(self) -> str:
        message = _MASKED_KEY.sub("[key]", self.message)
        return recordable(message, _LONGEST).rstrip(". ") or "no reason given"

    def _retry_after(self) -> timedelta | None:
        """Return the seconds in ``Retry-After``; Stripe does not use its other form, a date."""
        asked = (self.headers or {}).get("retry-after", "").strip()
        is_number = asked.isascii() and asked.isdigit()
        return timedelta(seconds=min(int(asked[:10]), _LONGEST_WAIT)) if is_number else None


class CallFailed(Exception):
    """A failed call; ``failure`` describes the failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
