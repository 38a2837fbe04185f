"""The MCP server of `mcp_server` over streamable HTTP: ``python mcp_http_server.py FOLDER PORT``.

In its behaviour, ``+`` is followed by the status of the responses to notifications and replies.
"""

import gzip
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from mcp_server import (  # type: ignore[import-not-found]
    HEADERS,
    HUGE,
    STATUSES,
    append,
    behaviour,
    other_status,
    written,
)

OTHER_RECEIVED = threading.Event()
ASKED = (
    {"jsonrpc": "2.0", "id": "p", "method": "ping"},
    {
        "jsonrpc": "2.0",
        "id": "s",
        "method": "sampling/createMessage",
        "params": {"messages": [], "maxTokens": 1},
    },
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # the client died in the middle of its request
            self.close_connection = True
            return
        message = json.loads(body)
        is_call = message.get("method") == "tools/call"
        HEADERS.update(self.headers.items())
        how = behaviour() if is_call else ""
        if how in STATUSES:
            append("calls", message["params"])
            self._send(STATUSES[how], b"", {"Retry-After": "7"})
            return
        sent = written(message)
        if behaviour() == "moved" or how.startswith("redirects"):
            self._send(int(how[-3:] or 308), b"", {"Location": "/elsewhere?token=x"})
        elif not sent:
            self._send(other_status(), b"", {})
            if message.get("method") != "notifications/initialized":
                OTHER_RECEIVED.set()
        elif how in ("opens", "asks"):
            self._begin_a_stream(ASKED if how == "asks" else ())
        elif how == "cut":
            self._send(200, sent, {"Content-Length": str(2 * len(sent))})
            self.close_connection = True
        elif how == "endless":
            self._send(200, b"", {"Transfer-Encoding": "chunked"}, length=False)
            while True:
                self.wfile.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        elif how == "bomb":
            self._send(200, gzip.compress(b" " * HUGE + sent), {"Content-Encoding": "gzip"})
        else:
            self._send(200, sent, {})
        if how == "leaves":
            os._exit(0)

    def _begin_a_stream(self, asked: Any) -> None:
        """Begin a response, query the client, and disconnect after a message that is not a request."""
        OTHER_RECEIVED.clear()
        stream = {"Content-Type": "text/event-stream", "Connection": "close"}
        self._send(200, b"", stream, length=False)
        for one in asked:
            self.wfile.write(b"event: message\ndata: " + json.dumps(one).encode() + b"\n\n")
        OTHER_RECEIVED.wait(5)

    def do_GET(self) -> None:
        self._send(405, b"", {})

    do_DELETE = do_GET  # noqa: N815  http.server's name

    def _send(self, status: int, body: bytes, headers: dict[str, str], *, length: bool = True) -> None:
        self.send_response(status)
        whole = {"Content-Type": "application/json", **({"Content-Length": str(len(body))} if length else {})}
        for name, value in {**whole, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # as when a client is killed
            super().handle_error(request, client_address)


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()
