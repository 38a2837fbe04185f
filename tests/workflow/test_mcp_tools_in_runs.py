"""A tool of an MCP server that has changed since the plan was made is not called: the run is held (P1)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from activities.tools.live import Live
from activities.tools.mcp.servers import McpServers
from plangate.settings import Settings
from tests.support.gate import Gate
from tests.support.mcp_servers import PAY, McpServer, written


@dataclass
class Bank:
    """A server with the tools that a worker has of it."""

    server: McpServer
    listed: McpServers


@pytest_asyncio.fixture(loop_scope="session")
async def bank(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[Bank]:
    server = McpServer(tmp_path / "bank")
    path = written(tmp_path / "mcp.json", {"bank": server.entry})
    listed = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "mcp-var"), ())
    await listed.list_all()
    idle_gate.tools = Live(listed.tools)  # type: ignore[assignment]
    async with idle_gate.worker():
        yield Bank(server, listed)


@pytest.fixture
def gate(idle_gate: Gate, bank: Bank) -> Gate:
    """A gate whose tools are those of the bank."""
    del bank
    return idle_gate


def pay(amount: int) -> dict[str, Any]:
    step = {"tool": "bank_pay", "arguments": {"amount": amount}, "reason": "so"}
    return {"summary": "Pay", "steps": [step]}


async def in_review(gate: Gate, amount: int) -> Any:
    return await gate.in_review(plan=pay(amount))


async def test_an_approved_call_is_made_once(gate: Gate, bank: Bank) -> None:
    status = await in_review(gate, 5)
    assert status.plan.steps[0].preview == "bank, an MCP server: pay with amount 5"
    await gate.decide(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert bank.server.effects == [{"amount": 5}]


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_change_holds_the_run_at_once_whether_the_worker_knows_of_it_or_not(
    gate: Gate, bank: Bank, is_known: bool
) -> None:
    status = await in_review(gate, 5)
    bank.server.lists({**PAY, "description": "Pay somebody else."})
    if is_known:  # as after a restart of the worker
        await bank.listed.list_all()
    await gate.decide(status)
    held = await gate.held(status.workflow_id)
    assert "changed" in held.held.why  # type: ignore[union-attr]
    assert "It was not called" in held.held.why or "it was not called" in held.held.why  # type: ignore[union-attr]
    assert (held.steps[0].state, bank.server.calls) == ("failed", [])
    await gate.resolve(status.workflow_id, "abort")


async def test_the_change_is_undone_and_the_step_retried(gate: Gate, bank: Bank) -> None:
    status = await in_review(gate, 5)
    bank.server.lists({**PAY, "description": "Pay somebody else."})
    await gate.decide(status)
    await gate.held(status.workflow_id)
    bank.server.lists(PAY)
    await bank.listed.list_all()
    await gate.resolve(status.workflow_id, "retry")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert bank.server.effects == [{"amount": 5}]
