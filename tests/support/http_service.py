"""A small HTTP service with responses set by a test: it accepts, refuses, or closes the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BREAK_OFF = 0


def _free_place() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "{}:{}".format(*listener.getsockname())


PLACE = _free_place()
"""HOST:PORT for the service of this process; the workers of the acceptance tests may call it."""


@dataclass
class HttpService:
    """The service; ``answers`` maps a path to its status, or to `BREAK_OFF`; other paths get a 201."""

    place: str
    answers: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.place}{path}"


@contextmanager
def open_http_service() -> Iterator[HttpService]:
    """Serve at `PLACE` while the block runs."""
    service = HttpService(PLACE)
    host, port = PLACE.split(":")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.calls.append(self.path)
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status = service.answers.get(self.path, HTTPStatus.CREATED)
            if status == BREAK_OFF:
                self.close_connection = True
                return
            content = b'{"ticket": "T-1"}'
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, int(port)), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
