"""The Temporal servers for the scenarios: the embedded one, and one on which runs often continue as new."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from temporalio.client import Client

from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.search_attributes import KEYS

FIRST_PORT = 24233  # not a port used by a user's own server or by the servers of other tests
_WAIT_LIMIT = 30.0


class Server(Protocol):
    """A Temporal server that can be killed."""

    async def start(self) -> str:
        """Start it, or restart it with the same files and ports; return its address."""

    async def kill_9(self) -> None:
        """Kill it with SIGKILL."""

    async def stop(self) -> None:
        """Stop it permanently."""


class EmbeddedServer:
    """The embedded server, as ``make worker`` starts it."""

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir

    async def start(self) -> str:
        """Start the server."""
        return (await embedded_server.ensure_running(self._var_dir, first_port=FIRST_PORT)).address

    async def kill_9(self) -> None:
        """Kill it, and wait until it is dead."""
        server = embedded_server.running(self._var_dir)
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        while embedded_server.running(self._var_dir) is not None:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it: a graceful shutdown takes a second, and its files are deleted anyway."""
        if embedded_server.running(self._var_dir) is not None:
            await self.kill_9()


class ShortHistoryServer:
    """A server with a low limit on history length, so that runs often continue as new."""

    def __init__(self, folder: Path, *, events: int) -> None:
        self._folder = folder
        self._events = events
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> str:
        """Start it, and wait until it responds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(sys.executable).with_name("temporal")), *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        address = f"127.0.0.1:{self._port}"
        async with asyncio.timeout(_WAIT_LIMIT):
            while True:
                try:
                    client = await Client.connect(address, data_converter=DATA_CONVERTER)
                    await client.count_workflows("")
                except RuntimeError:
                    await asyncio.sleep(0.05)
                else:
                    return address

    async def kill_9(self) -> None:
        """Kill it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> None:
        """Kill it."""
        await self.kill_9()

    def _arguments(self) -> list[str]:
        return [
            "server", "start-dev", "--headless", "--ip=127.0.0.1", f"--port={self._port}",
            f"--db-filename={self._folder / 'temporal.db'}", "--sqlite-pragma=journal_mode=wal",
            "--sqlite-pragma=synchronous=normal",
            f"--dynamic-config-value=limit.historyCount.suggestContinueAsNew={self._events}",
            *(f"--search-attribute={key.name}=Keyword" for key in KEYS),
        ]  # fmt: skip


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
