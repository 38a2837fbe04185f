"""Hooks between an activity and its transactions that tests use to make workers wait, fail and die."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio import activity

from plangate.records.records import Records

Before = Callable[[], Awaitable[None]]
After = Callable[[Any, bool], Awaitable[None]]


def hook_transactions(
    patch: pytest.MonkeyPatch, activity_type: str, *, before: Before | None = None, after: After | None = None
) -> None:
    """Call ``before`` before each transaction of these activities, and ``after`` after its commit.

    ``after`` gets the result of the transaction, and whether it stored the result of an effect.
    """
    transact = Records.transact

    async def hooked(self: Records, *arguments: Any, receipt: bool = False) -> Any:
        if activity.info().activity_type != activity_type:
            return await transact(self, *arguments, receipt=receipt)
        if before:
            await before()
        result = await transact(self, *arguments, receipt=receipt)
        if after:
            await after(result, receipt)
        return result

    patch.setattr(Records, "transact", hooked)


def refuse_transactions(patch: pytest.MonkeyPatch, activity_type: str, error: Exception) -> None:
    """Make each transaction of these activities raise ``error`` without writing anything."""

    async def refuse() -> None:
        raise error

    hook_transactions(patch, activity_type, before=refuse)
