"""Fixtures for several files of workflow tests: a test instance whose tool is an account."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.account_tool import Account
from tests.support.gate import Gate
from tests.support.holds import booking_gate


@pytest_asyncio.fixture(loop_scope="session")
async def account(idle_gate: Gate) -> AsyncIterator[Account]:
    """The account of a test instance with one worker."""
    account = booking_gate(idle_gate)
    async with idle_gate.worker():
        yield account
