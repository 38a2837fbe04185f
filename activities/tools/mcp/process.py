"""Run an MCP server as a process and exchange size-limited lines with it. Imports only types from `mcp`.

The SDK's own transport reads lines without limit, and sends the server's errors to the worker's terminal.
This one closes the connection if a line or a session is too large, keeps the end of the server's standard
error, and kills the whole process group of a server that does not stop in time.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from activities.tools.mcp.config import ServerConfig

MAX_MESSAGE: Final = 1024 * 1024  # bytes; parsing takes 70 ms, and grows with the square of the size
MAX_SESSION: Final = 8 * 1024 * 1024
_KEPT_ERRORS: Final = 2_000
_END_SECONDS: Final = 2.0  # seconds for a server to stop after its input was closed
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


class Watch:
    """The observed state of a connection.

    Attributes:
        failure: the connection's error, as text; empty if there was none.
        errors: the end of the program's standard error.
        status: the HTTP status of the response to the call.
        retry_after: the delay that the response requests.
    """

    def __init__(self) -> None:
        self.failure = ""
        self.errors = b""
        self.status: int | None = None
        self.retry_after: timedelta | None = None

    @property
    def last_error(self) -> str:
        """The last line of the server's standard error that looks like an error."""
        lines = [line.strip() for line in self.errors.decode(errors="replace").splitlines() if line.strip()]
        return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")


@asynccontextmanager
async def running(server: ServerConfig, watch: Watch) -> AsyncIterator[Streams]:
    """Start the server; terminate it and its children when the block ends.

    Raises:
        OSError: the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *server.command,
        env={**get_default_environment(), **server.variables},
        cwd=server.cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_MESSAGE,
        start_new_session=True,
    )
    incoming, reading = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    writing, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_read(process, incoming, watch)),
        asyncio.create_task(_write(process, outgoing, incoming)),
        asyncio.create_task(_keep_errors(process, watch)),
    ]
    has_ended = False
    try:
        yield reading, writing
        has_ended = True
    finally:
        ending = asyncio.create_task(_end(process, tasks, grace=_END_SECONDS if has_ended else 0.0))
        for stream in (reading, writing, incoming, outgoing):
            stream.close()
        with suppress(asyncio.CancelledError):  # keep going; each wait below has its own time limit
            await asyncio.shield(ending)


async def _read(
    process: asyncio.subprocess.Process,
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
    watch: Watch,
) -> None:
    assert process.stdout is not None
    total = 0
    with incoming, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        while True:
            try:
                line = await process.stdout.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                watch.failure = watch.failure or "it ended"
                return
            except asyncio.LimitOverrunError:
                watch.failure = f"it sent a message of more than {MAX_MESSAGE:,} bytes"
                return
            total += len(line)
            if total > MAX_SESSION:
                watch.failure = f"it sent more than {MAX_SESSION:,} bytes"
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if not line.isspace():  # other output from the server, which may be part of the response
                    watch.failure = "it sent an invalid protocol message"
                continue
            await incoming.send(SessionMessage(message))


async def _write(
    process: asyncio.subprocess.Process,
    outgoing: MemoryObjectReceiveStream[SessionMessage],
    incoming: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    assert process.stdin is not None
    try:
        async for sent in outgoing:
            process.stdin.write(
                sent.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
            )
            await process.stdin.drain()
    except (anyio.ClosedResourceError, OSError):
        incoming.close()  # fails all requests that are waiting for a response


async def _keep_errors(process: asyncio.subprocess.Process, watch: Watch) -> None:
    assert process.stderr is not None
    while piece := await process.stderr.read(4096):
        watch.errors = (watch.errors + piece)[-_KEPT_ERRORS:]


async def _end(
    process: asyncio.subprocess.Process, tasks: list["asyncio.Task[None]"], *, grace: float
) -> None:
    """Stop the server: close its input, as the protocol requires, then kill its process group."""
    reader, writer, _ = tasks
    writer.cancel()
    assert process.stdin is not None
    process.stdin.close()
    if grace:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    with suppress(ProcessLookupError, PermissionError):  # also kills its children, even if it has exited
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _END_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.wait([reader, *tasks], timeout=_END_SECONDS)
