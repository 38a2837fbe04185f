"""The inbox of a test instance: a real web server, in this process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from plangate.settings import Settings
from plangate.web.app import build_app
from plangate.web.gate import Gate as WebGate
from tests.support.gate import Gate

NO_TLS = False  # no URL uses https, and loading the CA certificates takes longer than a page


@dataclass(frozen=True)
class Inbox:
    """A running web server.

    Attributes:
        url: the address that users type.
    """

    url: str

    def visitor(self) -> httpx.AsyncClient:
        """Return a browser without scripts, with its own cookies."""
        return httpx.AsyncClient(base_url=self.url, follow_redirects=True, verify=NO_TLS, timeout=60)

    async def signed_in(self, name: str) -> httpx.AsyncClient:
        """Return a browser without scripts, signed in with a typed name."""
        visitor = self.visitor()
        answer = await visitor.post("/sign-in", data={"name": name, "next": "/"})
        assert answer.status_code == httpx.codes.OK, answer.text
        return visitor


@asynccontextmanager
async def open_inbox(gate: Gate, **more: object) -> AsyncIterator[Inbox]:
    """Serve the inbox of this test instance while the block runs, on a free port, with further settings."""
    async with open_inbox_on(None, gate, **more) as inbox:
        yield inbox


@asynccontextmanager
async def open_inbox_on(free: socket.socket | None, gate: Gate, **more: object) -> AsyncIterator[Inbox]:
    """Serve the inbox on this socket, or on a free port."""

    async def connected() -> object:
        return gate.client

    settings = gate.settings.model_copy(update=more)
    web_gate = WebGate(connected, settings.task_queue, gate.database)  # type: ignore[arg-type]
    async with serving(settings, web_gate, free) as inbox:
        yield inbox


@asynccontextmanager
async def serving(
    settings: Settings, gate: WebGate, free: socket.socket | None = None
) -> AsyncIterator[Inbox]:
    """Serve the inbox on a free port while the block runs."""
    with free or socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"http://localhost:{port}"
        place = {"web_url": url, "web_address": f"127.0.0.1:{port}"}
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(settings.model_copy(update=place), gate),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            yield Inbox(url)
        finally:
            server.should_exit = True
            await running
