"""MCP servers that refuse, hang, crash, change or send garbage: the right error, one call per attempt."""

import asyncio
import resource
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.tools.mcp import named
from activities.tools.mcp.servers import McpServers
from activities.tools.mcp.session import list_tools
from activities.tools.mcp.tool import McpTool, ReadingMcpTool, hashed, tool_of
from activities.tools.mcp.turns import Turns
from plangate.domain.errors import EffectUnknown, FileInvalid, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.tool import Receipt
from plangate.settings import Settings, environment_with
from plangate.temporal.worker_agreement import hash_of_tools
from plangate.tool import Repeatable, Unknown, arguments_for
from tests.support.mcp_server import AFTER, BEFORE
from tests.support.mcp_servers import (
    PAY,
    McpServer,
    over_http,
    port_of,
    reference_entry,
    serve,
    unserved,
    until_it_answers,
    written,
)

STDIO = {
    "ok": Receipt,
    "structured": Receipt,
    "unstructured": Receipt,
    "long": Receipt,
    "refuse": ToolRefused,
    "no_method": EffectUnknown,  # a tool may return our own refusal of its server's request
    "fails": EffectUnknown,
    "broken": EffectUnknown,
    "slow": EffectUnknown,
    "cut": EffectUnknown,
    "garbage": EffectUnknown,
    "wrong": EffectUnknown,
    "huge": EffectUnknown,
    "endless": EffectUnknown,
    "dies": EffectUnknown,
    "dies_first": EffectUnknown,
    "stays": Receipt,  # the server has responded, and does not exit
}
HTTP = {how: STDIO[how] for how in ("ok", "refuse", "slow", "cut", "garbage", "huge", "endless", "dies")} | {
    "401": ToolRefused,
    "403": ToolRefused,
    "413": ToolRefused,
    "404": ToolUnavailable,
    "429": ToolUnavailable,
    **{f"redirects_{status}": EffectUnknown for status in (301, 302, 303, 307, 308)},
    "503": EffectUnknown,
    "500": EffectUnknown,
    "bomb": EffectUnknown,
    "leaves": Receipt,  # it has responded
}


async def listed(server: McpServer, **more: Any) -> McpTool:
    config = server.config(**{"seconds": 1, **more})
    (offered,) = await list_tools(config)
    return tool_of(config, offered, Turns(config.name))


def arguments(tool: McpTool, **values: Any) -> Any:
    return arguments_for(tool.declaration, values or {"amount": 5})


async def outcome(tool: McpTool) -> Receipt | ToolError:
    try:
        return await tool.act(arguments(tool), "run/1/key")
    except ToolError as error:
        return error


def check(how: str, expected: type, found: Receipt | ToolError, server: McpServer) -> None:
    assert type(found) is expected, (how, found)
    assert len(server.calls) == 1  # one for each attempt
    if expected in (ToolRefused, ToolUnavailable):
        assert server.effects == []
    said = found.summary if isinstance(found, Receipt) else str(found)
    assert "bank" in said
    assert len(said) < 800
    assert "\n" not in said


@pytest.mark.parametrize(("how", "expected"), STDIO.items())
async def test_a_fault_over_stdio_is_classified_after_one_call(
    how: str, expected: type, tmp_path: Path
) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    server.behave(how)
    check(how, expected, await outcome(tool), server)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpServer]:
    """An HTTP server for all faults that do not terminate it."""
    with over_http(tmp_path_factory.mktemp("http")) as server:
        yield server


@pytest.mark.parametrize(("how", "expected"), HTTP.items())
async def test_a_fault_over_http_is_classified_after_one_call(
    how: str, expected: type, served: McpServer, tmp_path: Path
) -> None:
    with over_http(tmp_path) if how in ("dies", "leaves") else nullcontext(served) as server:
        server.reset()
        tool = await listed(server)
        server.behave(how)
        check(how, expected, await outcome(tool), server)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
@pytest.mark.parametrize("how", ["slow", "opens", "asks"])
async def test_only_the_response_to_the_call_can_rule_out_an_effect(
    how: str, status: int, served: McpServer
) -> None:
    """The effect happened, and then the server refuses our notification or reply, not the call."""
    served.reset()
    config = served.config()
    config = replace(config, trusted=config.trusted.model_copy(update={"seconds": 0.3}))
    (offered,) = await list_tools(config)
    tool = tool_of(config, offered, Turns("bank"))
    served.behave(f"{how}+{status}")
    found = await outcome(tool)
    assert isinstance(found, EffectUnknown), found
    assert served.effects == [{"amount": 5}]
    assert len(served.calls) == 1


async def test_a_server_with_retry_after_is_called_again_later(served: McpServer) -> None:
    served.reset()
    tool = await listed(served)
    served.behave("429")
    found = await outcome(tool)
    assert isinstance(found, ToolUnavailable)
    assert found.after == timedelta(seconds=7)


async def test_a_redirect_is_reported_and_not_followed(served: McpServer) -> None:
    served.reset()
    tool = await listed(served)
    served.behave("moved")
    found = await outcome(tool)
    assert isinstance(found, ToolUnavailable)
    moved = served.url.replace("/mcp", "/elsewhere")
    assert f"it redirects to {moved}; redirects are not followed: give the final address" in str(found)
    assert served.calls == []


@pytest.mark.parametrize("suffix", ["", "_reported"])
async def test_a_refusal_is_recognized_by_the_sdks_messages_and_not_by_its_code(
    suffix: str, served: McpServer
) -> None:
    """The SDKs use the same code before they run a tool and when its result is invalid."""
    served.reset()
    tool = await listed(served)
    for expected, cases in ((ToolRefused, BEFORE), (EffectUnknown, AFTER)):
        for how in cases:
            served.reset()
            served.behave(f"{how}{suffix}")
            found = await outcome(tool)
            check(how, expected, found, served)
            assert len(served.effects) == (expected is EffectUnknown)


async def test_a_receipt_contains_the_result_truncated_to_one_line(tmp_path: Path) -> None:
    server = McpServer(
        tmp_path, [{**PAY, "outputSchema": {"type": "object", "properties": {"n": {"type": "number"}}}}]
    )
    tool = await listed(server)
    server.behave("structured")
    receipt = await tool.act(arguments(tool), "key")
    assert receipt.summary == 'bank answered: done {"amount": 5}'
    assert receipt.details == {
        "server": "bank",
        "tool": "pay",
        "text": 'done {"amount": 5}',
        "structured": {"n": 7},
    }
    server.behave("unstructured")
    note = "done, but the answer does not have the form that the tool declares"
    receipt = await tool.act(arguments(tool), "key")
    assert (receipt.details["note"], receipt.summary) == (
        note,
        f'bank answered: done {{"amount": 5}} ({note})',
    )
    server.behave("ok")
    assert "is missing the structure" in (await tool.act(arguments(tool), "key")).summary
    server.behave("long")
    receipt = await tool.act(arguments(tool), "key")
    assert "99,700 more characters" in receipt.summary
    assert len(str(receipt.details)) < 5_000


async def test_huge_results_need_little_memory(tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for how in ("huge", "endless"):
        server.behave(how)
        assert isinstance(await outcome(tool), EffectUnknown)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20_000 if sys.platform == "linux" else 20_000_000


async def test_a_dead_server_is_restarted_for_the_next_call(tmp_path: Path) -> None:
    with over_http(tmp_path) as server:
        tool = await listed(server)
        server.behave("dies")
        assert isinstance(await outcome(tool), EffectUnknown)
        assert isinstance(await outcome(tool), ToolUnavailable)
        server.behave("ok")
        again = serve(server)
        try:
            assert isinstance(await outcome(tool), Receipt)
        finally:
            again.kill()
            again.wait()
    stdio = McpServer(tmp_path / "stdio")
    tool = await listed(stdio)
    stdio.behave("slow")
    assert isinstance(await outcome(tool), EffectUnknown)
    stdio.behave("ok")
    assert isinstance(await outcome(tool), Receipt)


async def test_no_server_process_is_left_running(tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    for how in ("ok", "slow", "endless", "hangs"):
        server.behave(how)
        if how == "hangs":
            task = asyncio.create_task(outcome(tool))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await outcome(tool)
        # An abandoned call also waits for its server to exit: a retry must not find it running.
        left = [one for one in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(one)]
        assert left == [], how


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Pay an amount to another person."},
        {
            "inputSchema": {
                "type": "object",
                "properties": {"amount": {"type": "integer"}},
                "required": ["amount"],
            }
        },
        {"name": "pay2"},
    ],
)
async def test_a_tool_that_changed_is_not_called(change: dict[str, Any], tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    server.lists({**PAY, **change})
    found = await outcome(tool)
    assert isinstance(found, ToolRefused)
    assert "since the plan was made; it was not called" in str(found)
    assert server.calls == []


async def test_a_call_that_detects_a_change_updates_the_offered_tools(tmp_path: Path) -> None:
    bank = McpServer(tmp_path / "bank")
    path = written(tmp_path / "mcp.json", {"bank": bank.entry})
    servers = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "var"), ())
    await servers.list_all()
    before = servers.tools()["bank_pay"]
    bank.lists({**PAY, "description": "Pay another person."}, {**PAY, "name": "book"})
    assert isinstance(await outcome(before), ToolRefused)
    assert list(servers.tools()) == ["bank_pay", "bank_book"]
    now = servers.tools()["bank_pay"]
    assert now.declaration.definition() != before.declaration.definition()
    assert isinstance(await outcome(now), Receipt)


async def test_the_key_is_sent_and_the_operator_decides_whether_a_repeat_is_safe(tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    await tool.act(arguments(tool), "run/1/key")
    (call,) = server.calls
    assert call["_meta"] == {"plangate/idempotency-key": hashed("run/1/key")}
    unknown = await tool.find_out(arguments(tool), "run/1/key")
    assert isinstance(unknown, Unknown)
    assert hashed("run/1/key") in unknown.reason
    keyed = await listed(server, retry_safety={"pay": "vendor_key"})
    assert await keyed.find_out(arguments(keyed), "run/1/key") == Repeatable(timedelta(hours=23), unknown)
    longer = await listed(server, retry_safety={"pay": "vendor_key"}, key_seconds=60)
    found = await longer.find_out(arguments(longer), "run/1/key")
    assert isinstance(found, Repeatable)
    assert found.within == timedelta(minutes=1)


@pytest.mark.parametrize(("safety", "keys"), [("vendor_key", 1), ("unknowable", 2)])
async def test_a_server_that_honours_keys_gets_one_key_for_all_attempts_of_a_step(
    safety: str, keys: int, tmp_path: Path
) -> None:
    """It may report a refusal although it ran the call; a person's retry must not run it again."""
    server = McpServer(tmp_path)
    tool = await listed(server, retry_safety={"pay": safety})
    sent = [idempotency_key("run:r1", "f" * 64, 2, resolution=number) for number in (0, 1)]
    sent += [idempotency_key("run:r1", "f" * 64, 1)]
    for one in (sent[0], sent[-1]):  # another step has another key
        assert tool._sent_key(one) == hashed(one)  # noqa: SLF001  the server's view
    for one in sent[:2]:
        await tool.act(arguments(tool), one)
    assert len({call["_meta"]["plangate/idempotency-key"] for call in server.calls}) == keys


async def test_a_server_that_fails_before_the_call_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server)
    (tmp_path / "tools.json").write_text('[{"name": 5}]')
    found = await outcome(tool)
    assert isinstance(found, ToolUnavailable)
    assert "nothing was called" in str(found)
    assert server.calls == []


async def test_a_failed_read_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    tool = await listed(server, reads=["pay"])
    assert isinstance(tool, ReadingMcpTool)
    assert tool.declaration.reads_only
    assert await tool.read(arguments(tool)) == 'done {"amount": 5}'
    server.behave("fails")
    with pytest.raises(ToolRefused, match="half of it failed"):
        await tool.read(arguments(tool))
    server.behave("dies")
    with pytest.raises(ToolUnavailable):
        await tool.read(arguments(tool))


async def test_a_servers_secrets_are_in_none_of_its_messages(tmp_path: Path) -> None:
    canary = 'canary-"7%/é+&\\'
    server = McpServer(tmp_path)
    config = server.config(variables={"TOKEN": canary})
    (offered,) = await list_tools(config)
    tool = tool_of(config, offered, Turns("bank"))
    server.behave("environment")
    receipt = await tool.act(arguments(tool), "key")
    assert "canary" not in receipt.model_dump_json()
    assert '"TOKEN": "[redacted]"' in str(receipt.details["text"])
    server.lists(
        {**PAY, "description": f"It has {canary}.", "inputSchema": {"type": "object", "title": canary}}
    )
    (offered,) = await list_tools(config)
    evil = tool_of(config, offered, Turns("bank"))
    assert "canary" not in f"{evil.declaration.description}{evil.declaration.schema()}"


@pytest.mark.parametrize("how", ["leaks_in_error", "leaks_in_result"])
async def test_secrets_are_in_no_logged_error(how: str, tmp_path: Path) -> None:
    server = McpServer(tmp_path)
    config = server.config(variables={"TOKEN": "canary-88"})
    (offered,) = await list_tools(config)
    tool = tool_of(config, offered, Turns("bank"))
    server.behave(how)
    with pytest.raises(EffectUnknown) as caught:
        await tool.act(arguments(tool), "key")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_headers_are_in_none_of_a_servers_messages(tmp_path: Path) -> None:
    with over_http(tmp_path) as server:
        config = server.config(variables={"Authorization": "Bearer canary-1234"})
        (offered,) = await list_tools(config)
        server.behave("headers")
        tool = tool_of(config, offered, Turns("bank"))
        receipt = await tool.act(arguments(tool), "key")
    assert "[redacted]" in receipt.model_dump_json()
    assert "canary" not in receipt.model_dump_json()


async def test_an_unavailable_server_is_not_offered_until_it_responds(tmp_path: Path) -> None:
    bank, gone = McpServer(tmp_path / "bank"), McpServer(tmp_path / "gone")
    path = written(tmp_path / "mcp.json", {"bank": bank.entry, "gone": gone.entry})
    settings = Settings(mcp_config_file=path, var_dir=tmp_path / "var")
    first = McpServers.from_settings(settings, ())
    await first.list_all()
    assert [tool.lacks() for tool in first.tools().values()] == [None, None]
    (gone.folder / "tools.json").unlink()  # the server dies when it lists them
    again = McpServers.from_settings(settings, ())
    await again.list_all()
    tools = again.tools()
    assert list(tools) == ["bank_pay", "gone_pay"]  # known from the last list
    assert tools["bank_pay"].lacks() is None
    assert "cannot be used" in (tools["gone_pay"].lacks() or "")
    assert tools["gone_pay"].declaration.definition() == first.tools()["gone_pay"].declaration.definition()
    gone.lists(PAY)
    await again.list_all()
    assert again.tools()["gone_pay"].lacks() is None


async def test_the_reference_server_also_works_over_http(tmp_path: Path) -> None:
    program = reference_entry("everything")["command"]
    server = unserved(tmp_path, [])
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "streamableHttp"],
            env=environment_with({"PORT": str(port_of(server))}, without=("PLANGATE_",)),
            stdout=log,
            stderr=log,
        )
    try:
        await asyncio.to_thread(until_it_answers, server)
        config = server.config("everything", seconds=20)
        offered = {one.name: one for one in await list_tools(config)}
        assert len(offered) == 13
        tool = tool_of(config, offered["get-sum"], Turns("everything"))
        receipt = await tool.act(arguments(tool, a=1, b=2), "key")
        assert receipt.summary == "everything answered: The sum of 1 and 2 is 3."
    finally:
        process.kill()
        process.wait()


async def test_a_file_that_mentions_an_unknown_tool_is_refused(tmp_path: Path) -> None:
    bank = McpServer(tmp_path / "bank")
    entry = {**bank.entry, "plangate": {"reads": ["pay"], "retry_safety": {"pya": "vendor_key"}}}
    path = written(tmp_path / "mcp.json", {"bank": entry})
    servers = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "var"), ())
    with pytest.raises(FileInvalid) as caught:
        await servers.list_all()
    assert [str(fault) for fault in caught.value.faults] == [
        "mcpServers.bank.plangate.retry_safety: contains 'pya', but the server has no such tool; it has: pay"
    ]


async def test_a_server_that_cannot_start_says_why_without_its_secrets(tmp_path: Path) -> None:
    program = "import os, sys; sys.exit('Error: no database for ' + os.environ['TOKEN'])"
    variables = {"TOKEN": "canary-77"}
    config = replace(McpServer(tmp_path).config(variables=variables), command=(sys.executable, "-c", program))
    with pytest.raises(
        ToolUnavailable, match=r"\(it ended: Error: no database for \[redacted\]\); nothing was"
    ):
        await list_tools(config)


def test_the_tools_of_a_server_can_be_passed_to_check_tool_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "mcp.json", {"bank": McpServer(tmp_path / "bank").entry})
    monkeypatch.setenv("PLANGATE_MCP_CONFIG", str(path))
    monkeypatch.setenv("PLANGATE_VAR_DIR", str(tmp_path / "var"))
    assert named.bank_pay.declaration.name == "bank_pay"
    assert not hasattr(named, "bank_steal")
    assert not (tmp_path / "var").exists()  # only a worker saves its list


async def test_workers_compare_the_configuration_file_and_not_the_listed_tools(tmp_path: Path) -> None:
    bank = McpServer(tmp_path / "bank")

    async def hash_with(**trusted: Any) -> str:
        entry = {**bank.entry, "env": {"TOKEN": "${NO_SUCH_VARIABLE:-a}"}, "plangate": trusted}
        path = written(tmp_path / "mcp.json", {"bank": entry})
        servers = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "var"), ())
        await servers.list_all()
        return hash_of_tools([], servers.shared)

    first = await hash_with()
    bank.lists({**PAY, "description": "Other."})
    assert await hash_with() == first
    (bank.folder / "tools.json").unlink()
    assert await hash_with() == first  # it is unavailable
    assert await hash_with(seconds=5) != first


async def test_a_server_that_hangs_delays_the_others_only_until_its_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.tools.mcp.session.START_SECONDS", 5)  # the others start within it
    bank, hung = McpServer(tmp_path / "bank"), McpServer(tmp_path / "hung")
    hung.behave("hangs")
    path = written(tmp_path / "mcp.json", {"bank": bank.entry, "hung": hung.entry})
    servers = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "var"), ())
    await servers.list_all()
    assert list(servers.tools()) == ["bank_pay"]
    assert [one.lacks for one in servers.listed()][1].endswith(
        "(it did not answer within 5 seconds); nothing was called."
    )
