"""The demo's ticket service: a small third-party HTTP service that counts its calls.

It supports ``Idempotency-Key``, as such services do: the same key always returns the same ticket.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

HOST: Final = "127.0.0.1"
_PATH: Final = "/tickets"
_MAX_BODY: Final = 1_000_000


@dataclass(slots=True)
class TicketService:
    """The calls and the tickets of the service. ``Any`` is a ticket as JSON.

    Attributes:
        place: HOST:PORT.
        calls: the number of calls to open a ticket, including repeated ones.
        tickets: the opened tickets.
    """

    place: str = ""
    calls: int = 0
    tickets: list[dict[str, Any]] = field(default_factory=list)
    _by_key: dict[str, dict[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """The URL that opens a ticket when it gets a POST request."""
        return f"http://{self.place}{_PATH}"

    def open_ticket(self, key: str | None, content: Any) -> dict[str, Any]:
        """Return the ticket for this key, and open it if the key is new; without a key, open a new ticket."""
        with self._lock:
            self.calls += 1
            if key is not None and key in self._by_key:
                return self._by_key[key]
            ticket = {"ticket": f"T-{len(self.tickets) + 1}", "content": content}
            self.tickets.append(ticket)
            if key is not None:
                self._by_key[key] = ticket
            return ticket


@contextmanager
def open_ticket_service() -> Iterator[TicketService]:
    """Run the service on a free port while the block runs."""
    service = TicketService()
    server = ThreadingHTTPServer((HOST, 0), _handler_of(service))
    service.place = f"{HOST}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler_of(service: TicketService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if self.path != _PATH or not 0 <= length <= _MAX_BODY:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "not found"})
                return
            try:
                content = json.loads(self.rfile.read(length) or b"null")
            except ValueError:
                self._answer(HTTPStatus.BAD_REQUEST, {"error": "the body must be JSON"})
                return
            ticket = service.open_ticket(self.headers.get("Idempotency-Key"), content)
            self._answer(HTTPStatus.CREATED, ticket)

        def do_GET(self) -> None:
            self._answer(HTTPStatus.OK, {"tickets": service.tickets})

        def _answer(self, status: HTTPStatus, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Discard the log line, so that requests do not appear on the demo's screen."""

    return Handler
