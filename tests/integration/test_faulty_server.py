"""The server of the fault matrix injects the planned faults, and counts the requests."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.faulty_server import (
    Answer,
    ByteByByte,
    Cut,
    Dies,
    Dropped,
    Fault,
    FaultyServer,
    Huge,
    Says,
    Slow,
    garbage,
    too_many,
)


@pytest.fixture
def upstream() -> Iterator[FaultyServer]:
    with FaultyServer(answer=lambda request: Answer(201, {"got": request.body.decode()})) as server:
        yield server


@pytest.fixture
def server(upstream: FaultyServer) -> Iterator[FaultyServer]:
    with FaultyServer(upstream=upstream.url) as server:
        yield server


def test_a_request_without_a_fault_succeeds(server, upstream):
    answer = httpx.post(f"{server.url}/v1/refunds?a=1", content="amount=1")

    assert (answer.status_code, answer.json()) == (201, {"got": "amount=1"})
    assert server.count("POST", "/v1/refunds") == upstream.count("POST", "/v1/refunds") == 1
    assert server.effects() == 1


def test_a_planned_answer_is_returned_once_for_its_path_only(server):
    server.plan(too_many("3"), method="POST", path="/v1/refunds")

    assert httpx.post(f"{server.url}/v1/payments").status_code == 201
    refused = httpx.post(f"{server.url}/v1/refunds")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
    assert httpx.post(f"{server.url}/v1/refunds").status_code == 201
    assert server.effects("POST", "/v1/refunds") == 1


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("kind", [Cut, Dropped, Dies])
def test_when_a_connection_closes_the_server_knows_whether_the_effect_happened(
    server, upstream, kind: type[Fault], after_effect
):
    server.plan(kind(after_effect=after_effect))

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.post(f"{server.url}/v1/refunds")

    assert (server.count(), server.effects(), upstream.count()) == (1, after_effect, after_effect)


def test_a_dead_server_refuses_connections_and_returns_on_its_port(server):
    server.plan(Dies())
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(server.url)
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)

    server.start()

    assert httpx.get(server.url).status_code == 201


@pytest.mark.parametrize("sent", [b"", b"amou"])
def test_a_request_that_the_client_did_not_finish_is_not_counted(server, upstream, sent):
    with socket.create_connection(("127.0.0.1", urlsplit(server.url).port)) as client:
        client.sendall(b"POST /v1/refunds HTTP/1.1\r\nContent-Length: 8\r\n\r\n" + sent)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""

    assert (server.count(), server.effects(), upstream.count()) == (0, 0, 0)


def test_a_stopped_server_drops_idle_connections(server):
    with httpx.Client() as client:
        client.get(server.url)
        server.stop()
        with pytest.raises(httpx.HTTPError):
            client.get(server.url)


def test_slow_answers_cause_a_read_timeout_and_answers_sent_byte_by_byte_do_not(server, upstream):
    server.plan(Slow())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(server.url, timeout=0.1)
    assert upstream.count() == 0

    server.plan(ByteByByte(pause=0.01))
    assert httpx.post(server.url, content="a", timeout=0.1).json() == {"got": "a"}


def test_garbage_and_huge_answers_have_the_declared_content(server):
    server.plan(garbage(after_effect=True))
    assert httpx.post(server.url).text.startswith("<html>")
    server.plan(Huge(size=1_000_000))
    assert len(httpx.post(server.url).content) == 1_000_000
    server.reset_counts()
    server.plan(Huge(size=1_000_000, compressed=True))
    assert len(httpx.post(server.url).content) > 1_000_000
    assert server.bytes_sent < 10_000


def test_a_standalone_server_answers_by_a_function():
    with FaultyServer(answer=lambda request: Answer(404, {"no": request.path})) as server:
        server.plan(Says(answer=Answer(500)), times=None)
        assert httpx.post(server.url).status_code == 500
        server.clear_faults()
        assert httpx.post(f"{server.url}/x").json() == {"no": "/x"}
        assert server.effects() == 0
