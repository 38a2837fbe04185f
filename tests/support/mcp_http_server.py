"""The MCP server of `mcp_server` over streamable HTTP, by ``python mcp_http_server.py FOLDER PORT``."""

import gzip
import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from mcp_server import HEADERS, HUGE, STATUSES, append, behaviour, written  # type: ignore[import-not-found]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_call = message.get("method") == "tools/call"
        HEADERS.update(self.headers.items())
        how = behaviour() if is_call else ""
        if how in STATUSES:
            append("calls", message["params"])
            self._send(STATUSES[how], b"", {"Retry-After": "1"})
            return
        sent = written(message)
        if not sent:
            self._send(202, b"", {})
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
