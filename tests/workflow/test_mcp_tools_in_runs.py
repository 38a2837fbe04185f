"""A changed tool of an MCP server is not called (P1), and no tool in doubt is called again (P3)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from activities.tools.live import Live
from activities.tools.mcp.servers import McpServers
from plangate.settings import Settings
from tests.support.gate import Gate
from tests.support.mcp_servers import PAY, McpServer, over_http, written


@dataclass
class Bank:
    """A server whose tools a worker uses."""

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
    """A test instance whose tools are those of the bank."""
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
async def test_a_change_holds_the_run_immediately_whether_the_worker_has_noticed_it_or_not(
    gate: Gate, bank: Bank, is_known: bool
) -> None:
    status = await in_review(gate, 5)
    bank.server.lists({**PAY, "description": "Pay another person."})
    if is_known:  # as after a restart of the worker
        await bank.listed.list_all()
    await gate.decide(status)
    held = await gate.held(status.workflow_id)
    assert "changed" in held.held.why  # type: ignore[union-attr]
    assert "It was not called" in held.held.why or "it was not called" in held.held.why  # type: ignore[union-attr]
    assert (held.steps[0].state, bank.server.calls) == ("failed", [])
    await gate.resolve(status.workflow_id, "abort")


async def test_the_change_is_reverted_and_the_step_retried(gate: Gate, bank: Bank) -> None:
    status = await in_review(gate, 5)
    bank.server.lists({**PAY, "description": "Pay another person."})
    await gate.decide(status)
    await gate.held(status.workflow_id)
    bank.server.lists(PAY)
    await bank.listed.list_all()
    await gate.resolve(status.workflow_id, "retry")
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert bank.server.effects == [{"amount": 5}]


@asynccontextmanager
async def run_with(gate: Gate, server: McpServer, **trusted: Any) -> AsyncIterator[Any]:
    """Give a worker the tools of a server, and yield a run whose payment was approved."""
    entry = {**server.entry, "plangate": {"seconds": 1, **trusted}}
    path = written(gate.settings.var_dir / f"{uuid4()}.json", {"bank": entry})
    listed = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=server.folder), ())
    await listed.list_all()
    gate.tools = Live(listed.tools)  # type: ignore[assignment]
    async with gate.worker():
        status = await in_review(gate, 5)
        await gate.decide(status)
        yield status


@pytest.mark.parametrize("status", [404, 429, 403])
async def test_a_server_that_refuses_the_clients_notification_is_called_once(
    idle_gate: Gate, tmp_path: Path, status: int
) -> None:
    """The call had its effect and then hung: it is in doubt, and not repeated."""
    with over_http(tmp_path / "bank") as server:
        server.behave(f"opens+{status}")
        async with run_with(idle_gate, server) as run:
            held = await idle_gate.held(run.workflow_id)
            assert held.steps[0].state == "in_doubt"
            assert (server.effects, len(server.calls)) == ([{"amount": 5}], 1)
            await idle_gate.resolve(run.workflow_id, "abort")


async def test_after_its_key_expired_a_call_is_not_repeated(idle_gate: Gate, tmp_path: Path) -> None:
    server = McpServer(tmp_path / "bank")
    server.behave("fails")
    keyed = {"retry_safety": {"pay": "vendor_key"}, "key_seconds": 0}
    async with run_with(idle_gate, server, **keyed) as run:
        held = await idle_gate.held(run.workflow_id)
        assert held.steps[0].state == "in_doubt"
        assert "the key in its _meta was" in held.held.why  # type: ignore[union-attr]
        assert len(server.calls) == 1
        await idle_gate.resolve(run.workflow_id, "abort")


async def test_a_retry_after_a_refusal_has_the_same_key_if_the_server_honours_keys(
    idle_gate: Gate, tmp_path: Path
) -> None:
    server = McpServer(tmp_path / "bank")
    server.behave("refuse")
    async with run_with(idle_gate, server, retry_safety={"pay": "vendor_key"}) as run:
        held = await idle_gate.held(run.workflow_id)
        assert held.steps[0].state == "failed"
        server.behave("ok")
        await idle_gate.resolve(run.workflow_id, "retry")
        assert (await idle_gate.result(run.workflow_id)).outcome == "executed"
    first, second = (call["_meta"]["plangate/idempotency-key"] for call in server.calls)
    assert first == second
