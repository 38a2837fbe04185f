"""Stripe's API through its official SDK; the only module that imports it, and httpx.

One call is one request: the SDK's own retries are off, because the step decides on each retry. The API
version is pinned, so an SDK upgrade does not change the responses. No connection is kept between calls,
because a connection that was lost unnoticed would put a step in doubt. Responses are uncompressed, and are
limited in size and time.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, cast

import httpx
import stripe

from activities.tools.stripe.failures import CallFailed, Failure
from activities.tools.stripe.payments import PAYMENT, REFUND, mismatches

API_VERSION: Final = "2026-10-28.endive"
PUBLIC_BASE: Final = "https://api.stripe.com"
CALL_SECONDS: Final = 45.0
_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_MAX_ANSWER: Final = 4 * 1024 * 1024  # bytes; a page of 100 payments takes about 10% of this
_PAGE: Final = 100
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)

Json = dict[str, Any]
"""An object in Stripe's API."""


class _AnswerTooLarge(Exception):
    pass


class _BoundedClient(stripe.HTTPXClient):
    """The SDK's client for httpx, with a limit on the size of a response."""

    def __init__(self) -> None:
        super().__init__(timeout=_TIMEOUT)
        self._client_async = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send one request and return body, status and headers in the SDK's form."""
        plain = {**headers, "Accept-Encoding": "identity", "Connection": "close"}
        try:
            async with self._client_async.stream(
                method, url, headers=plain, content=post_data or None, timeout=_TIMEOUT
            ) as answer:
                body, status, headers_received = await _read(answer), answer.status_code, answer.headers
        except Exception as error:  # noqa: BLE001  the SDK has one class for all, with the cause
            self._handle_request_error(error)
        if (
            status == HTTPStatus.TOO_MANY_REQUESTS
        ):  # the body may come from a gateway, in which case there are no headers
            raise stripe.RateLimitError(
                "too many requests", http_status=status, headers=dict(headers_received)
            )
        return body, status, headers_received


async def _read(answer: httpx.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity") != "identity":
        raise _AnswerTooLarge("it is compressed, which was not requested")
    body = b""
    async for part in answer.aiter_raw():
        body += part
        if len(body) > _MAX_ANSWER:
            raise _AnswerTooLarge(f"it has more than {_MAX_ANSWER:,} bytes")
    return body


def _entries(page: Json, expected: Mapping[str, object]) -> list[Json]:
    """Return the entries of a page of a list; all match the request, and only the last page may be empty.

    Raises:
        CallFailed: the response is not such a page, so missing objects may still exist.
    """
    entries, has_more = page.get("data"), page.get("has_more")
    is_list = page.get("object") == "list" and isinstance(has_more, bool)
    if not is_list or not isinstance(entries, list) or (has_more and not entries):
        raise CallFailed(Failure(HTTPStatus.OK, "it is not a page of a list"))
    for one in entries:
        if not isinstance(one, dict) or mismatches(one, expected) or not isinstance(one.get("id"), str):
            raise CallFailed(Failure(HTTPStatus.OK, "the list has an entry that was not requested"))
    return entries


class StripeApi:
    """The calls that the payment tools make; each is one request and may raise `CallFailed`."""

    def __init__(self, key: str, base: str = PUBLIC_BASE) -> None:
        self._key = key
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": base},
            stripe_version=API_VERSION,
            max_network_retries=0,
            http_client=_BoundedClient(),
        )

    async def payment(self, payment: str) -> Json:
        """Return a payment with its last charge, its payment method and its customer."""
        expanded = {"expand": ["latest_charge", "payment_method", "customer"]}
        return await self._call(
            lambda: self._client.v1.payment_intents.retrieve_async(payment, cast("Any", expanded))
        )

    async def payment_method(self, method: str) -> Json:
        """Return a saved payment method with its customer."""
        expanded = {"expand": ["customer"]}
        return await self._call(
            lambda: self._client.v1.payment_methods.retrieve_async(method, cast("Any", expanded))
        )

    async def create_payment(self, parameters: Json, key: str) -> Json:
        """Create a payment under an idempotency key."""
        return await self._call(
            lambda: self._client.v1.payment_intents.create_async(
                cast("Any", parameters), {"idempotency_key": key}
            )
        )

    async def cancel_payment(self, payment: str, key: str) -> Json:
        """Cancel a payment that was not captured."""
        return await self._call(
            lambda: self._client.v1.payment_intents.cancel_async(payment, {}, {"idempotency_key": key})
        )

    async def create_refund(self, parameters: Json, key: str) -> Json:
        """Create a refund under an idempotency key."""
        return await self._call(
            lambda: self._client.v1.refunds.create_async(cast("Any", parameters), {"idempotency_key": key})
        )

    async def refund(self, refund: str) -> Json:
        """Return a refund."""
        return await self._call(lambda: self._client.v1.refunds.retrieve_async(refund))

    def refunds_of(self, payment: str) -> AsyncGenerator[list[Json], None]:
        """Yield all refunds of a payment, page by page."""
        return self._pages(self._client.v1.refunds.list_async, REFUND, {"payment_intent": payment})

    def payments_of(self, customer: str) -> AsyncGenerator[list[Json], None]:
        """Yield all payments of a customer, page by page."""
        return self._pages(self._client.v1.payment_intents.list_async, PAYMENT, {"customer": customer})

    async def _pages(
        self, listing: Callable[..., Awaitable[Any]], kind: str, filters: Json
    ) -> AsyncGenerator[list[Json], None]:
        after: Json = {}
        while True:
            parameters = {**filters, "limit": _PAGE, **after}
            page = await self._call(lambda: listing(parameters))  # noqa: B023  awaited immediately
            entries = _entries(page, {"object": kind, **filters})
            yield entries
            if not page["has_more"]:
                return
            after = {"starting_after": entries[-1]["id"]}

    async def _call(self, send: Callable[[], Awaitable[Any]]) -> Json:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return cast("Json", (await send()).to_dict())
        except stripe.StripeError as error:
            failure = self._failure_of(error)
        except TimeoutError:
            failure = Failure(None, f"it took more than {CALL_SECONDS:.0f} seconds")
        except Exception as error:  # noqa: BLE001  the SDK failed on a response, so the request was sent
            failure = Failure(None, f"the response could not be parsed ({type(error).__name__})")
        # The cause is omitted, because it may quote the response, which may contain the key.
        raise CallFailed(failure) from None

    def _failure_of(self, error: stripe.StripeError) -> Failure:
        if isinstance(error, stripe.APIConnectionError):
            cause = error.__cause__
            message = str(cause) if isinstance(cause, _AnswerTooLarge) else type(cause).__name__
            return Failure(None, message, was_sent=not isinstance(cause, _NOT_SENT))
        kind = str(error.error.type or "") if error.error else ""
        # Without Stripe's own error, the SDK quotes the body, which may contain anything.
        message = str(error.user_message or "") if error.error else "the answer is not Stripe's"
        headers = {str(name).lower(): str(value) for name, value in (error.headers or {}).items()}
        return Failure(
            error.http_status,
            message.replace(self._key, "[key]"),
            kind=kind,
            code=str(error.code or ""),
            headers=headers,
        )
