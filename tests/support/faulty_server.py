"""A local HTTP server with the faults of a network: the fault matrix of the tools that call a vendor.

It is a proxy for a real upstream (``upstream="http://127.0.0.1:8420"``) or answers with a function
(``answer``). Each request is recorded and counted; the client gets the `Fault` planned for it instead of
the answer.
A fault comes *before* the effect (the upstream never gets the request) or *after* it (``after_effect=True``:
the upstream has answered, but the client does not get the answer).

    with FaultyServer(upstream=url) as server:
        server.plan(Cut(after_effect=True), method="POST", path="/v1/refunds")
        ...                                             # the code under test calls server.url
        assert server.count("POST", "/v1/refunds") == 1
        assert server.effects("POST", "/v1/refunds") == 1

`stop` refuses connections and drops the open ones; `start` listens on the same port again.
"""

import gzip
import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

_CHUNK: Final = b"a" * 64 * 1024
_SUCCESS: Final = range(200, 300)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "host", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Request:
    """A received request: ``path`` without the query, names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


@dataclass(frozen=True)
class Answer:
    """A server's answer; a body that is neither text nor bytes is sent as JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        match self.body:
            case bytes():
                return self.body
            case str():
                return self.body.encode()
            case _:
                return json.dumps(self.body).encode()


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault; if ``after_effect``, it occurs after the upstream has answered."""

    after_effect: bool = False


@dataclass(frozen=True, kw_only=True)
class Says(Fault):
    """A response that differs from the upstream's: 4xx, 429 with Retry-After, 5xx, or 200 with garbage."""

    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Slow(Fault):
    """The response is sent after ``seconds``, or never if the server stops first."""

    seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class ByteByByte(Fault):
    """The response is sent byte by byte, ``pause`` seconds apart, so that no single read times out."""

    pause: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Cut(Fault):
    """The connection is closed in the middle of the response."""


@dataclass(frozen=True, kw_only=True)
class Dropped(Fault):
    """The connection is reset after the request has been read, before any byte of the response."""


@dataclass(frozen=True, kw_only=True)
class Dies(Fault):
    """Like `Dropped`, but the server also refuses all further connections until `FaultyServer.start`."""


@dataclass(frozen=True, kw_only=True)
class Huge(Fault):
    """A response of ``size`` bytes that begins like JSON; ``compressed``: a compressed one."""

    size: int = 200_000_000
    status: int = 200
    compressed: bool = False


def too_many(retry_after: str = "7", body: Any = None) -> Says:
    """Return a 429 with Retry-After."""
    return Says(answer=Answer(429, {} if body is None else body, {"Retry-After": retry_after}))


def garbage(*, after_effect: bool = False) -> Says:
    """Return a 200 whose body is not JSON."""
    answer = Answer(200, "<html>It works!</html>", {"Content-Type": "text/html"})
    return Says(answer=answer, after_effect=after_effect)


Answering = Callable[[Request], Answer]
Watching = Callable[[str, Request], None]
"""Called with ``received`` when a request arrives, and with ``answered`` when its answer has been sent."""


@dataclass
class _Planned:
    fault: Fault
    method: str | None
    path: str | None
    left: int | None  # how many times; None for no limit

    def fits(self, request: Request) -> bool:
        if self.left == 0 or (self.method is not None and request.method != self.method):
            return False
        return self.path is None or request.path.startswith(self.path)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # with 5, a sixth concurrent connection waits a second until the network retries


class FaultyServer:
    """Forwards requests or answers them, unless a fault is planned."""

    def __init__(
        self,
        *,
        upstream: str | None = None,
        answer: Answering | None = None,
        watch: Watching = lambda _moment, _request: None,
        port: int = 0,
    ) -> None:
        """Listen on ``port``; 0 for a free one."""
        self._upstream = upstream
        self._watch = watch
        self._answer = answer or (lambda _: Answer())
        self._lock = threading.Lock()
        self._life = threading.RLock()  # wait until a server that died has stopped
        self._planned: list[_Planned] = []
        self._effects: list[Request] = []
        self._sockets: set[socket.socket] = set()
        self._ended = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._port = port
        self.requests: list[Request] = []
        self.bytes_sent = 0

    @property
    def url(self) -> str:
        """The address at which it listens, which stays the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    # ---- start and stop -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the previous port."""
        with self._life:
            if self._server is not None:
                return
            self._ended = threading.Event()
            self._server = _Server(("127.0.0.1", self._port), self._handler())
            self._server.daemon_threads = True
            self._port = self._server.server_address[1]
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Refuse new connections, and drop the open ones."""
        with self._life:
            server, thread = self._server, self._thread
            if server is None or thread is None:
                return
            self._server = None
            self._ended.set()
            server.shutdown()
            thread.join()
            server.server_close()  # first, so that a client whose connection is reset cannot connect again
            with self._lock:
                for one in self._sockets:
                    _reset(one)

    # ---- faults ---------------------------------------------------------------------------------

    def plan(
        self, fault: Fault, *, method: str | None = None, path: str | None = None, times: int | None = 1
    ) -> None:
        """Plan ``fault`` for the next requests with this method and path prefix; ``times=None``: for all."""
        with self._lock:
            self._planned.append(_Planned(fault, method, path, times))

    def clear_faults(self) -> None:
        """Forget the planned faults."""
        with self._lock:
            self._planned.clear()

    # ---- requests -------------------------------------------------------------------------------

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """Return how many requests of this method and path arrived, answered or not."""
        return len(self.seen(method, path))

    def seen(self, method: str | None = None, path: str | None = None) -> list[Request]:
        """Return the requests of this method and path, in order."""
        with self._lock:
            return [one for one in self.requests if _is(one, method, path)]

    def effects(self, method: str | None = None, path: str | None = None) -> int:
        """Return how many requests that change something were executed by the upstream (it answered 2xx)."""
        with self._lock:
            return sum(_is(one, method, path) for one in self._effects)

    def reset_counts(self) -> None:
        """Reset the counts."""
        with self._lock:
            self.requests.clear()
            self._effects.clear()
            self.bytes_sent = 0

    # ---- one request ----------------------------------------------------------------------------

    def _fault_for(self, request: Request) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            for one in self._planned:
                if one.fits(request):
                    one.left = None if one.left is None else one.left - 1
                    return one.fault
        return None

    def _ask(self, request: Request) -> Answer:
        answer = self._answer(request) if self._upstream is None else forwarded(self._upstream, request)
        if request.method not in _SAFE_METHODS and answer.status in _SUCCESS:
            with self._lock:
                self._effects.append(request)
        return answer

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer, ended = self, self._ended

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # otherwise head and body are 40 ms apart

            def setup(self) -> None:
                super().setup()
                with outer._lock:
                    outer._sockets.add(self.connection)

            def finish(self) -> None:
                with outer._lock:
                    outer._sockets.discard(self.connection)
                with suppress(OSError):  # the connection was dropped on purpose
                    super().finish()

            def handle(self) -> None:
                with suppress(OSError):  # the client or the test closed the connection
                    super().handle()

            def _serve(self) -> None:
                request = self._read()
                outer._watch("received", request)
                fault = outer._fault_for(request)
                if fault is None:
                    self._send(outer._ask(request))
                    outer._watch("answered", request)
                    return
                answer = outer._ask(request) if fault.after_effect else None
                match fault:
                    case Says(answer=said):
                        self._send(said)
                    case Slow(seconds=seconds):
                        self.close_connection = ended.wait(seconds)
                        if not self.close_connection:
                            self._send(answer or outer._ask(request))
                    case ByteByByte(pause=pause):
                        self._send_slowly(answer or outer._ask(request), pause)
                    case Cut():
                        self._cut(answer or Answer(200, {"id": "cut off"}))
                    case Huge() as huge:
                        self._send_huge(huge)
                    case Dropped() | Dies():
                        self.close_connection = True
                        if isinstance(fault, Dies):
                            stopping = threading.Thread(target=outer.stop, daemon=True)
                            stopping.start()
                            stopping.join()
                        _reset(self.connection)
                    case _:
                        raise AssertionError(f"no such fault: {fault}")

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

            def _read(self) -> Request:
                parts = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                length = int(headers.get("content-length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    raise ConnectionAbortedError  # the client has disconnected; the request is incomplete
                return Request(self.command, parts.path, parts.query, headers, body)

            def _head(self, answer: Answer, length: int) -> None:
                headers = {"Content-Type": "application/json", **answer.headers}
                self.send_response(answer.status)
                for name, value in headers.items():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(length))
                self.end_headers()

            def _send(self, answer: Answer) -> None:
                self._head(answer, len(answer.raw))
                if self.command != "HEAD":
                    self._write(answer.raw)

            def _cut(self, answer: Answer) -> None:
                self._head(answer, len(answer.raw))
                self._write(answer.raw[: len(answer.raw) // 2])
                self.close_connection = True

            def _send_slowly(self, answer: Answer, pause: float) -> None:
                self._head(answer, len(answer.raw))
                for byte in answer.raw:
                    if ended.wait(pause):
                        self.close_connection = True
                        return
                    self._write(bytes([byte]))

            def _send_huge(self, huge: Huge) -> None:
                if huge.compressed:
                    whole = gzip.compress(b'{"id": "' + b"a" * huge.size + b'"}', compresslevel=1)
                    self._send(Answer(huge.status, whole, {"Content-Encoding": "gzip"}))
                    return
                self._head(Answer(huge.status), huge.size)
                self._write(b'{"id": "')
                left = huge.size - 8
                while left > 0 and not ended.is_set():
                    self._write(_CHUNK[:left])
                    left -= len(_CHUNK)

            def _write(self, raw: bytes) -> None:
                with outer._lock:  # before the answer is sent: once a client has read it, it is counted
                    outer.bytes_sent += len(raw)
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name for it
                pass

        return Handler


def forwarded(upstream: str, request: Request) -> Answer:
    parts = urlsplit(upstream)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=60)
    headers = {name: value for name, value in request.headers.items() if name not in _HOP_BY_HOP}
    try:
        connection.request(request.method, parts.path + request.target, request.body or None, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(), dict(answer.getheaders()))
    except (OSError, http.client.HTTPException) as error:
        return Answer(502, {"error": {"message": f"the upstream does not answer: {error!r}"}})
    finally:
        connection.close()


def _is(request: Request, method: str | None, path: str | None) -> bool:
    return (method is None or request.method == method) and (path is None or request.path == path)


def _reset(connection: socket.socket) -> None:
    """Close a connection with a reset, even if there is unsent data."""
    with suppress(OSError):  # it has ended
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
