"""A minimal gRPC server that refuses: it answers every call with a status, or not at all.

It implements HTTP/2 itself (RFC 9113): the client's frames are read but not decoded, because the responses
are sent in a fixed order. A response is only a status, or success with an empty message, so that the
connection succeeds and a later call gets the status.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

OK, NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE, UNAUTHENTICATED = 0, 5, 7, 14, 16
_PREFACE = 24  # bytes
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_EMPTY_MESSAGE = bytes(5)


class _Stub:
    """The responses in order; the last one is also used for all further calls."""

    def __init__(self, answers: tuple[int | None, ...]) -> None:
        self._answers = list(answers)
        self._lock = threading.Lock()

    def next_status(self) -> int | None:
        with self._lock:
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextmanager
def refusing(*answers: int | None) -> Iterator[str]:
    """Run a refusing server while the block runs, and yield its address.

    ``answers`` are the statuses of the calls, the last one for all further calls; None sends no response.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, _Stub(answers)), daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, stub: _Stub) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # the connection is closed: the test is over
            return
        threading.Thread(target=_serve, args=(connection, stub), daemon=True).start()


def _serve(connection: socket.socket, stub: _Stub) -> None:
    with connection, suppress(OSError, EOFError):
        _read(connection, _PREFACE)
        connection.sendall(_frame(_SETTINGS, 0, 0))
        while True:
            kind, flags, stream, payload = _next_frame(connection)
            if kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0))
            elif kind == _PING and not flags & _ACK:
                connection.sendall(_frame(_PING, _ACK, 0, payload))
            elif kind == _HEADERS:
                connection.sendall(_answer(stub.next_status(), stream))


def _answer(status: int | None, stream: int) -> bytes:
    if status is None:
        return b""
    opening = b"\x88" + _header("content-type", "application/grpc")  # 0x88 is ":status: 200"
    trailers = _header("grpc-status", str(status)) + _header("grpc-message", "said by the stub")
    if status != OK:
        return _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, opening + trailers)
    return (
        _frame(_HEADERS, _END_HEADERS, stream, opening)
        + _frame(_DATA, 0, stream, _EMPTY_MESSAGE)
        + _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, trailers)
    )


def _header(name: str, value: str) -> bytes:
    """Return a header as HPACK's literal without indexing (RFC 7541, 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _next_frame(connection: socket.socket) -> tuple[int, int, int, bytes]:
    head = _read(connection, 9)
    payload = _read(connection, int.from_bytes(head[:3]))
    return head[3], head[4], int.from_bytes(head[5:]) & 0x7FFF_FFFF, payload


def _read(connection: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        piece = connection.recv(count - len(read))
        if not piece:
            raise EOFError
        read += piece
    return read
