"""A small HTTP service with responses set by a test: it accepts, refuses, or closes the connection."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DISCONNECT = 0


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "{}:{}".format(*listener.getsockname())


ADDRESS = _free_address()
"""HOST:PORT for the service of this process; the workers of the acceptance tests may call it."""


@dataclass
class HttpService:
    """The service; ``answers`` maps a path to its status, or to `DISCONNECT`; other paths get a 201."""

    address: str
    answers: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.address}{path}"


@contextmanager
def open_http_service() -> Iterator[HttpService]:
    """Serve at `ADDRESS` while the block runs."""
    service = HttpService(ADDRESS)
    host, port = ADDRESS.split(":")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.calls.append(self.path)
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status = service.answers.get(self.path, HTTPStatus.CREATED)
            if status == DISCONNECT:
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
