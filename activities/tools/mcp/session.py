"""Use an MCP server through the official SDK: list its tools, and call one. Imports `mcp` and `httpx2`.

Each call has its own client in its own task: if a server over HTTP dies, its client's task is cancelled, and
a client over stdio never reconnects (docs/decisions/0058). The client declares no capabilities, so a server
always lists the same tools.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx2
from mcp import Client, MCPError
from mcp import types as wire
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT
from pydantic import JsonValue

from activities.tools.mcp.config import SHUTDOWN_SECONDS, START_SECONDS, ServerConfig
from activities.tools.mcp.http import BoundedTransport
from activities.tools.mcp.process import MAX_MESSAGE, Watch, running
from activities.tools.mcp.refusals import LATER, REFUSED, is_refusal
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.logs.redaction import redact_text

KEY_IN_META: Final = "plangate/idempotency-key"
_MAX_PAGES: Final = 50
_MAX_TOOLS: Final = 1_000
_LONGEST: Final = 300
Found = TypeVar("Found")

# The SDK logs messages, which contain arguments and may contain secrets.
for _name in ("mcp", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool as its server lists it; ``Any`` stands for JSON."""

    name: str
    description: str
    schema: dict[str, Any]
    output: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a call: texts, structured content, and whether it reports a failure."""

    text: str
    structured: JsonValue
    is_error: bool


@dataclass(slots=True)
class _Exchange:
    """The progress of an exchange: ``call_sent`` is set just before the call to ``tool`` is sent."""

    server: ServerConfig
    watch: Watch
    call_sent: asyncio.Event
    tool: str

    def description(self, error: object) -> str:
        """Return a one-line description of the failure, without secrets.

        If a server exited before the call, its output usually contains the reason. After the call, its output
        may contain arguments.
        """
        is_servers = isinstance(error, MCPError) and error.code not in (CONNECTION_CLOSED, REQUEST_TIMEOUT)
        raw = _first(error) if is_servers else self.watch.failure or _first(error)
        if self.watch.errors and not self.call_sent.is_set():
            raw = f"{raw}: {self.watch.last_error}"
        return cut(one_line(redact_text(self.server.secrets.hide(raw))), _LONGEST)


async def list_tools(server: ServerConfig) -> list[Offered]:
    """Return the server's tools.

    Raises:
        ToolUnavailable: it cannot be started or reached, or does not list them.
    """

    async def work(client: Client, exchange: _Exchange) -> list[Offered]:  # noqa: ARG001  the same signature
        return await _listed(client)

    return await _exchange(server, work)


async def call_tool(
    server: ServerConfig,
    name: str,
    arguments: dict[str, JsonValue],
    idempotency_key: str,
    check: Callable[[Sequence[Offered]], None],
) -> Answer:
    """List the server's tools, pass them to ``check``, and call one in the same session.

    Raises:
        ToolUnavailable: the call was not sent, or was refused for now.
        ToolRefused: raised by ``check``, or the server refused the call before it ran the tool.
        EffectUnknown: the call was sent, and there was no valid response.
    """

    async def work(client: Client, exchange: _Exchange) -> Answer:
        check(await _listed(client))
        exchange.call_sent.set()
        meta: Any = {KEY_IN_META: idempotency_key} if idempotency_key else None
        request = wire.CallToolRequest(
            params=wire.CallToolRequestParams(name=name, arguments=arguments, _meta=meta)
        )
        # Not `call_tool`, which raises if the response does not match the output schema, though the tool has
        # run.
        return _answer(await client.session.send_request(request, wire.CallToolResult))

    return await _exchange(server, work, name)


async def _exchange(
    server: ServerConfig, work: Callable[[Client, _Exchange], Awaitable[Found]], tool: str = ""
) -> Found:
    """Run ``work`` with a client in its own task, within the server's limits.

    The result is used even if the session then cannot be closed.
    """
    exchange = _Exchange(server, Watch(), asyncio.Event(), tool)
    result: asyncio.Future[Found] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with _client(server, exchange.watch) as client:
            result.set_result(await work(client, exchange))

    task = asyncio.create_task(run())
    try:
        await _supervised(task, result, exchange)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=SHUTDOWN_SECONDS)
        error = _error_of(task)  # retrieved here, because asyncio would log it otherwise
    if result.done():
        return result.result()
    # Raised without its cause, because the log would show the cause's text, which comes from the server.
    raise _failure(error, exchange)


async def _supervised(task: "asyncio.Task[None]", result: "asyncio.Future[Any]", exchange: _Exchange) -> None:
    """Wait for the task: `START_SECONDS` until the call is sent, then the limit for the call and shutdown."""
    call_sent = asyncio.create_task(exchange.call_sent.wait())
    try:
        seconds = START_SECONDS
        await asyncio.wait({task, result, call_sent}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if exchange.call_sent.is_set() and not task.done():
            seconds = exchange.server.trusted.seconds
            await asyncio.wait({task, result}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if result.done():
            await asyncio.wait({task}, timeout=SHUTDOWN_SECONDS)
        elif not task.done():
            exchange.watch.failure = exchange.watch.failure or f"it did not answer within {seconds} seconds"
    finally:
        call_sent.cancel()


def _error_of(task: "asyncio.Task[None]") -> BaseException:
    """Return the error that made a task fail. Only the SDK can have cancelled it."""
    if not task.done():
        return TimeoutError("it could not be ended")
    if task.cancelled():
        return ConnectionError("the connection was lost")
    return task.exception() or ConnectionError("the connection ended")


def _failure(error: BaseException, exchange: _Exchange) -> ToolError:
    """Return the tool error for a failure, according to what it means for the effect."""
    name, was_sent = _quoted(exchange.server), exchange.call_sent.is_set()
    inner = _innermost(error)
    if isinstance(inner, ToolRefused):  # raised by the check
        return inner
    description, status = exchange.description(inner), exchange.watch.status
    if not was_sent:
        return ToolUnavailable(f"The MCP server {name} cannot be used ({description}); nothing was called.")
    if status in LATER:
        return ToolUnavailable(
            f"The MCP server {name} refused the call for now (HTTP {status}).", exchange.watch.retry_after
        )
    if status in REFUSED:
        return ToolRefused(
            f"The MCP server {name} refused the call (HTTP {status}: {description}); nothing was run."
        )
    if isinstance(inner, MCPError) and is_refusal(inner.code, inner.message, exchange.tool):
        return ToolRefused(f"The MCP server {name} refused the call before it ran the tool: {description}")
    return EffectUnknown(f"No valid answer came from the MCP server {name} ({description}).")


@asynccontextmanager
async def _client(server: ServerConfig, watch: Watch) -> AsyncIterator[Client]:
    if server.command:
        async with Client(running(server, watch), mode="legacy", cache=None) as client:
            yield client
        return
    timeout = httpx2.Timeout(START_SECONDS, read=server.trusted.seconds + START_SECONDS)
    headers = {"Accept-Encoding": "identity", **server.variables}
    transport = BoundedTransport(watch)
    async with httpx2.AsyncClient(transport=transport, headers=headers, timeout=timeout) as http:
        over_http = streamable_http_client(server.url, http_client=http, max_sse_event_size=MAX_MESSAGE)
        async with Client(over_http, mode="legacy", cache=None) as client:
            yield client


async def _listed(client: Client) -> list[Offered]:
    result: list[Offered] = []
    cursor: str | None = None
    for _ in range(_MAX_PAGES):
        request = wire.ListToolsRequest(params=wire.PaginatedRequestParams(cursor=cursor))
        page = await client.session.send_request(request, wire.ListToolsResult)
        result += [
            Offered(one.name, one.description or one.title or "", one.input_schema, one.output_schema)
            for one in page.tools
        ]
        cursor = page.next_cursor
        if not cursor:
            break
    if cursor or len(result) > _MAX_TOOLS:
        raise ValueError(f"it lists more than {_MAX_TOOLS:,} tools, or its list does not end")
    return result


def _answer(result: wire.CallToolResult) -> Answer:
    texts = [_in_words(block) for block in result.content]
    return Answer("\n".join(texts), result.structured_content, bool(result.is_error))


def _in_words(block: wire.ContentBlock) -> str:
    match block:
        case wire.TextContent():
            return block.text
        case wire.ImageContent() | wire.AudioContent():
            return f"({block.mime_type}, {len(block.data):,} characters of Base64)"
        case wire.ResourceLink():
            return f"(a link to {block.uri})"
        case wire.EmbeddedResource(resource=wire.TextResourceContents() as resource):
            return f"({resource.uri}) {resource.text}"
        case _:
            return "(content that is not text)"


def _quoted(server: ServerConfig) -> str:
    return cut(one_line(server.name), 100)


def _innermost(error: BaseException) -> BaseException:
    """Return the first error in nested groups, but prefer an error raised by the check."""
    flat = _flat(error)
    return next((one for one in flat if isinstance(one, ToolRefused)), flat[0])


def _flat(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [inner for one in error.exceptions for inner in _flat(one)]
    return [error]


def _first(error: object) -> str:
    """Return an error's text, or only its kind for a failed validation, whose text contains the response."""
    if isinstance(error, MCPError | OSError | TimeoutError | ConnectionError | httpx2.HTTPError):
        return str(error) or type(error).__name__
    if type(error) is ValueError:
        return str(error)
    return f"its answer breaks the protocol ({type(error).__name__})"
