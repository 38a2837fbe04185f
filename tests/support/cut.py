"""A network connection between a worker and the server that can be cut and restored."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio.client import Client

from plangate.temporal.connection import DATA_CONVERTER


class Network:
    """Forwards bytes in both directions; bytes that are sent while it is cut arrive once it is restored."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._connected = asyncio.Event()
        self._connected.set()

    def cut(self) -> None:
        self._connected.clear()

    def restore(self) -> None:
        self._connected.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection(self._host, int(self._port))
        await asyncio.gather(self._copy(reader, upstream[1]), self._copy(upstream[0], writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await reader.read(65_536):
                await self._connected.wait()
                writer.write(content)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def client_behind_network(client: Client) -> AsyncIterator[tuple[Client, Network]]:
    """Yield a client of the same server and namespace, and the network that connects it."""
    network = Network(client.service_client.config.target_host)
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        behind_network = await Client.connect(
            f"127.0.0.1:{port}", namespace=client.namespace, data_converter=DATA_CONVERTER
        )
        try:
            yield behind_network, network
        finally:
            network.restore()
