"""Run the web server until a signal stops it."""

import asyncio
import logging
import os
import sys
from socket import socket
from typing import Final

import structlog
import uvicorn

from plangate.domain.errors import OperatorError
from plangate.settings import Settings
from plangate.signing.trusted_keys import check_trusted_keys
from plangate.web.app import build_app
from plangate.web.gate import Gate
from plangate.web.public_address import web_address_of

GRACE: Final = 3
"""How many seconds open requests get at shutdown, because a stream of live updates would never end."""
_log = structlog.get_logger(__name__)


async def serve(settings: Settings, *, is_a_child: bool = False) -> None:
    """Serve pages and API until SIGTERM or SIGINT.

    Args:
        settings: the settings of this process.
        is_a_child: whether to stop when the standard input closes, as it does when a parent process exits.

    Raises:
        OperatorError: the address is in use, or cannot be used.
        SettingsInvalid: a setting cannot be used.
    """
    place = web_address_of(settings)
    check_trusted_keys(settings)
    logging.getLogger("uvicorn.error").addFilter(_is_shown)
    server = _Server(
        uvicorn.Config(
            build_app(settings, Gate.from_settings(settings)),
            host=place.host,
            port=place.port,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE,
        ),
        place.url,
    )
    if is_a_child:
        asyncio.get_running_loop().add_reader(sys.stdin, _end_with_stdin, server)
    try:
        await server.serve()
    except SystemExit:  # how uvicorn reports that it cannot listen
        raise OperatorError(
            f"The inbox cannot listen on {settings.web_address}: it is in use or not allowed; set "
            "PLANGATE_WEB_ADDRESS to another one."
        ) from None


def _is_shown(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn's log tells an operator more than Plangate's own lines.

    `serve` reports that it cannot listen. At shutdown, uvicorn logs how many requests it cancels, and a
    traceback for each of them.
    """
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, asyncio.CancelledError) and not isinstance(record.msg, OSError)


def _end_with_stdin(server: uvicorn.Server) -> None:
    if not os.read(sys.stdin.fileno(), 1_000):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        server.should_exit = True


class _Server(uvicorn.Server):
    """A server that logs the address that people type, once it listens."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start listening."""
        await super().startup(sockets)
        if self.started:
            _log.info(f"The inbox is at {self._url}", action="web_started")
