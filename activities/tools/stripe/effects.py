"""Make one change at Stripe under one key: send it once, repeat it while Stripe keeps the key, or find it.

Stripe keeps an idempotency key for at least 24 hours. The key is also kept in the metadata of the object
that it created. No list can be filtered by metadata, so a look-up reads all pages of one payment's refunds,
or of one customer's payments, and compares.
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from activities.tools.stripe.failures import CallFailed
from activities.tools.stripe.payments import mismatches, short_text
from plangate.domain.errors import ToolRefused
from plangate.tool import EffectStatus, NotFound, Repeatable, Unknown

if TYPE_CHECKING:
    from activities.tools.stripe.client import Json

METADATA: Final = "plangate"
KEY_LIFE: Final = timedelta(hours=23)  # an hour less, because of clock differences and requests in progress
SETTLES_WITHIN: Final = timedelta(days=30)
Answer = TypeVar("Answer")
_MAX_PAGES: Final = 50  # pages of 100 entries


def stripe_key(idempotency_key: str) -> str:
    """Return the key for Stripe, hashed because it contains a workflow id, which may be any text."""
    return f"plangate-{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def metadata_for(key: str) -> dict[str, str]:
    """Return the metadata for an object that is created under a Stripe key."""
    return {METADATA: key}


async def change(call: Awaitable[Answer]) -> Answer:
    """Await a call that changes something.

    Raises:
        ToolUnavailable, ToolRefused, EffectUnknown: see `failures`.
    """
    return await _await_call(call, is_change=True)


async def read(call: Awaitable[Answer]) -> Answer:
    """Await a call that changes nothing.

    Raises:
        ToolUnavailable, ToolRefused: see `failures`.
    """
    return await _await_call(call, is_change=False)


async def _await_call(call: Awaitable[Answer], *, is_change: bool) -> Answer:
    try:
        return await call
    except CallFailed as error:
        failure = error.failure
    # The cause is omitted, because it may quote the response, which may contain the key.
    raise (failure.of_change() if is_change else failure.of_read()) from None


def _key_of(entity: "Json") -> object:
    metadata = entity.get("metadata")
    return metadata.get(METADATA) if isinstance(metadata, Mapping) else None


async def find(
    pages: "AsyncGenerator[list[Json], None]", key: str, where: str, expected: Mapping[str, object]
) -> "Json | EffectStatus":
    """Return the object that was created under a Stripe key, or else the status of the effect.

    Args:
        pages: all objects that may include it.
        key: the Stripe key.
        where: where a person can look if it is not found.
        expected: the expected fields of the object.

    Raises:
        ToolUnavailable: Stripe is currently unavailable.
    """
    reason = f"Look for {METADATA} = {key} in the metadata of {where} in Stripe's Dashboard."
    pages_left = _MAX_PAGES
    try:
        async with aclosing(pages) as open_pages:
            while pages_left and (page := await read(anext(open_pages, None))) is not None:
                for one in page:
                    if _key_of(one) == key:
                        differing = ", ".join(mismatches(one, expected))
                        another = (
                            f"{short_text(one['id'])} has this key, but a different {differing}. {reason}"
                        )
                        return Unknown(another) if differing else one
                pages_left -= 1
    except ToolRefused as error:
        return Repeatable(within=KEY_LIFE, later=Unknown(f"{error} {reason}"))
    # If a complete look-up finds nothing and no earlier request can still arrive, the effect did not happen.
    later = NotFound(None, reason) if pages_left else Unknown(reason)
    return Repeatable(within=KEY_LIFE, later=later)
