"""An HTTP service whose address is known before it starts, so that workers may be set up to call it."""

import socket
from typing import Final

from tests.support.faulty_server import Answer, FaultyServer


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


_PORT: Final = _free_port()
ADDRESS: Final = f"127.0.0.1:{_PORT}"
"""HOST:PORT for the service of this process; the workers of the acceptance tests may call it."""


def http_service() -> FaultyServer:
    """Return the service; it opens a ticket for every request."""
    return FaultyServer(answer=lambda _: Answer(201, {"ticket": "T-1"}), port=_PORT)
