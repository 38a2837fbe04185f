"""A call reaches only allowed servers, and its result is inferred only from what the response proves."""

import asyncio
import inspect
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpcore
import pytest

from activities.effect_once import EarlierState, act_once
from activities.tools.http import exchange as http_exchange
from activities.tools.http import tool as http_request
from activities.tools.http.call import Answer, failure_of
from activities.tools.http.exchange import MEANINGS, Exchange, error_for
from activities.tools.http.hosts import HostList, HttpServer, resolve, server_of
from activities.tools.http.tool import HttpRequest, HttpRequestArguments, header_key
from activities.tools.http.wire import Call
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.settings import Settings
from plangate.tool import DidNotHappen, Repeatable, Unknown
from tests.integration.certificates import certificate_for

KEY = "plan-ü\r\n:3f9a12bc4d5e:1"
OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"id": 471}'


@dataclass(frozen=True)
class Seen:
    """One request as received over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A real server that sends raw bytes, so that it can misbehave; None means to disconnect."""

    answer: Callable[[Seen], bytes | None] = lambda _: OK
    silence: float = 0
    linger: float = 0
    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {
                name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.seen.append(Seen(method, target, headers, body))
            answer = self.answer(self.seen[-1])
            await asyncio.sleep(self.silence)
            writer.write(answer or b"")
            await writer.drain()
            await asyncio.sleep(self.linger)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def running(
    answer: Callable[[Seen], bytes | None] | bytes | None = OK,
    *,
    silence: float = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Server]:
    server = Server(answer if callable(answer) else lambda _: answer, silence)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def status(line: str, *headers: str, body: str = "") -> bytes:
    head = [f"HTTP/1.1 {line}", *headers, "Content-Type: text/plain", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", body]).encode()


def tool(server: Server, **settings: Any) -> HttpRequest:
    """Return the tool as an operator would configure it for a server on this machine."""
    here = (f"127.0.0.1:{server.port}",)
    return HttpRequest.from_settings(
        Settings(**{"http_allowed_hosts": here, "http_private_hosts": here, **settings})
    )


def named(
    host: str, server: Server, addresses: Sequence[str], *, private: bool = True, **more: Any
) -> HttpRequest:
    """Return the tool for a host with exactly these addresses, independent of the machine's resolver."""

    async def known(name: str, port: int) -> Sequence[str]:
        assert (name, port) == (host, server.port)
        return addresses

    hosts = (f"{host}:{server.port}",)
    return HttpRequest(
        Exchange(**more),
        allowed=HostList("PLANGATE_HTTP_ALLOWED_HOSTS", hosts),
        private=HostList("PLANGATE_HTTP_PRIVATE_HOSTS", hosts if private else ()),
        idempotent=HostList("PLANGATE_HTTP_IDEMPOTENT_HOSTS", ()),
        resolve=known,
    )


def to(server: Server, method: str = "POST", path: str = "/v1", **more: Any) -> HttpRequestArguments:
    arguments = {"method": method, "url": f"http://127.0.0.1:{server.port}{path}", **more}
    return HttpRequestArguments.model_validate(arguments)


# A call that works


async def test_a_call_is_sent_as_approved_and_its_response_is_the_receipt():
    async with running() as server:
        receipt = await tool(server).act(
            to(server, path="/v1/a%20b?x=1", json_body={"n": 1}, headers={"Authorization": "Bearer t"}), KEY
        )

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/a%20b?x=1", b'{"n":1}')
    assert seen.headers["host"] == f"127.0.0.1:{server.port}"
    assert seen.headers["authorization"] == "Bearer t"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["idempotency-key"] == header_key(KEY)
    assert receipt.summary.endswith("was answered 200 OK")
    assert receipt.details == {
        "method": "POST",
        "etag": "",
        "status": 200,
        "url": f"http://127.0.0.1:{server.port}/v1/a%20b?x=1",
        "content_type": "application/json",
        "body": '{"id": 471}',
        "body_is_whole": True,
        "idempotency_key": header_key(KEY),
    }


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method_sends_the_same_key_at_every_attempt(method):
    async with running() as server:
        await tool(server).act(to(server, method), KEY)
        await tool(server).act(to(server, method), KEY)

    assert [(seen.method, seen.headers["idempotency-key"]) for seen in server.seen] == [
        (method, header_key(KEY)),
        (method, header_key(KEY)),
    ]


async def test_proxies_from_the_environment_are_not_used(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with running() as server:
        await tool(server).act(to(server), KEY)

    assert len(server.seen) == 1


async def test_only_part_of_a_long_response_is_read_and_kept():
    async with running(status("200 OK", body="x" * 1_000_000)) as server:
        receipt = await tool(server).act(to(server), KEY)

    assert receipt.details["body"] == "x" * 2_000
    assert receipt.details["body_is_whole"] is False


async def test_a_response_that_breaks_off_after_its_status_is_still_used():
    async with running(
        b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nhalf"
    ) as server:
        receipt = await tool(server).act(to(server), KEY)

    assert (receipt.details["status"], receipt.details["body"]) == (201, "half")
    assert receipt.details["body_is_whole"] is False


async def test_a_binary_body_is_not_kept():
    async with running(
        b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG"
    ) as server:
        receipt = await tool(server).act(to(server), KEY)

    assert (receipt.details["body"], receipt.details["content_type"]) == ("", "image/png")


# The allowed addresses


async def test_a_host_that_is_not_allowed_is_reported_in_the_draft_and_refused_at_execution():
    async with running() as server:
        closed = tool(server, http_allowed_hosts=("api.example.org",))
        objection = closed.objection(to(server))
        with pytest.raises(ToolRefused, match="PLANGATE_HTTP_ALLOWED_HOSTS"):
            await act_once(closed, to(server), KEY, earlier=EarlierState.NOTHING)

    assert objection
    assert "PLANGATE_HTTP_ALLOWED_HOSTS" in objection
    assert server.seen == []


async def test_another_port_of_an_allowed_host_is_not_allowed():
    async with running() as server:
        elsewhere = tool(server, http_allowed_hosts=("127.0.0.1",))
        with pytest.raises(ToolRefused):
            await act_once(elsewhere, to(server), KEY, earlier=EarlierState.NOTHING)

    assert server.seen == []


async def test_a_private_address_is_refused_unless_its_host_is_allowed_explicitly():
    async with running() as server:
        without_private = tool(server, http_private_hosts=())
        assert "PLANGATE_HTTP_PRIVATE_HOSTS" in (without_private.objection(to(server)) or "")
        with pytest.raises(ToolRefused, match="PLANGATE_HTTP_PRIVATE_HOSTS"):
            await without_private.act(to(server), KEY)

    assert server.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "198.18.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%1",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ],
)
async def test_one_private_address_among_public_ones_is_refused(address):
    async with running() as server:
        public = ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"]
        mixed = named("api.test", server, [*public, address], private=False)
        arguments = to(server).model_copy(update={"url": f"http://api.test:{server.port}/"})
        with pytest.raises(ToolRefused, match="not public"):
            await mixed.act(arguments, KEY)

    assert server.seen == []


async def test_the_checked_address_is_used_even_if_the_name_resolves_differently_later():
    asked = []

    async def rebinding(name: str, port: int) -> Sequence[str]:  # noqa: ARG001
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.66"]

    async with running() as server:
        hosts = HostList("PLANGATE_HTTP_ALLOWED_HOSTS", [f"api.test:{server.port}"])
        pinned = HttpRequest(Exchange(), allowed=hosts, private=hosts, idempotent=hosts, resolve=rebinding)
        arguments = to(server).model_copy(update={"url": f"http://api.test:{server.port}/v1"})
        await pinned.act(arguments, KEY)

    assert asked == ["api.test"]
    assert server.seen[0].headers["host"] == f"api.test:{server.port}"


async def test_the_next_address_is_tried_if_the_first_does_not_answer():
    async with running() as server:
        arguments = to(server).model_copy(update={"url": f"http://api.test:{server.port}/v1"})
        await named("api.test", server, ["::1", "127.0.0.1"]).act(arguments, KEY)

    assert len(server.seen) == 1


async def test_tls_is_verified_against_the_name_and_not_the_address(tmp_path):
    certificate = certificate_for("api.test", tmp_path)
    asked_for = []
    certificate.server.sni_callback = lambda _, name, __: asked_for.append(name)
    async with running(tls=certificate.server) as server:
        for host in ("api.test", "other.test"):
            arguments = to(server).model_copy(update={"url": f"https://{host}:{server.port}/v1"})
            calling = named(host, server, ["127.0.0.1"], trust=certificate.client)
            if host == "api.test":
                await calling.act(arguments, KEY)
            else:
                with pytest.raises(ToolUnavailable, match="certificate"):
                    await calling.act(arguments, KEY)

    assert asked_for == ["api.test", "other.test"]
    assert [seen.headers["host"] for seen in server.seen] == [f"api.test:{server.port}"]


async def test_the_system_resolver_is_used_by_default():
    assert "127.0.0.1" in await resolve("localhost", 80)
    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        await resolve("no-such-host.invalid", 80)


# Only the approved bytes are sent


@pytest.mark.parametrize(
    "change",
    [
        {"method": b"DELETE"},
        {"target": b"/refunds"},
        {"headers": [(b"x-original-url", b"/refunds")]},
        {"headers": [(b"Host", b"evil.example")]},
        {"content": b'{"n":2}'},
    ],
    ids=str,
)
async def test_a_client_that_changes_the_request_sends_nothing(monkeypatch, change):
    compose = http_exchange._request  # noqa: SLF001  to simulate another client

    def composed(call: Call, server: HttpServer, address: str) -> httpcore.Request:
        made = compose(call, server, address)
        named = {name.lower() for name, _ in change.get("headers", ())}
        url = made.url
        return httpcore.Request(
            change.get("method", made.method),
            httpcore.URL(
                scheme=url.scheme, host=url.host, port=url.port, target=change.get("target", url.target)
            ),
            headers=[one for one in made.headers if one[0].lower() not in named] + change.get("headers", []),
            content=change.get("content", call.content),
            extensions=made.extensions,
        )

    monkeypatch.setattr(http_exchange, "_request", composed)
    async with running() as server:
        with pytest.raises(ToolRefused, match="differs from the approved call"):
            await tool(server).act(to(server, json_body={"n": 1}), KEY)

    assert server.seen == []


async def test_a_large_body_is_sent_completely():
    async with running() as server:
        await tool(server).act(to(server, body="\u20ac" * 200_000), KEY)

    assert server.seen[0].body == "\u20ac".encode() * 200_000


# Redirects


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "line", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_a_redirect_on_the_same_server_is_not_followed(method, line):
    async with running(status(line, "Location: /new?x=1")) as server:
        with pytest.raises(ToolRefused, match="not followed; put the target in the plan \\(/new\\?x=1"):
            await tool(server).act(to(server, method), KEY)

    assert [seen.target for seen in server.seen] == ["/v1"]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_redirect_to_another_host_is_never_followed(scheme):
    async with running() as other, running() as server:
        server.answer = lambda _: status("301 Moved", f"Location: {scheme}://127.0.0.1:{other.port}/")
        allowing = tool(
            server,
            http_allowed_hosts=(f"127.0.0.1:{server.port}", f"127.0.0.1:{other.port}"),
            http_private_hosts=(f"127.0.0.1:{server.port}", f"127.0.0.1:{other.port}"),
        )
        with pytest.raises(ToolRefused, match=f"target in the plan .{scheme}://127.0.0.1:{other.port}/"):
            await allowing.act(to(server, "GET"), KEY)

    assert other.seen == []


@pytest.mark.parametrize("line", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect"])
async def test_a_redirect_of_a_call_with_effects_is_not_followed(line):
    async with running(status(line, "Location: /done")) as server:
        with pytest.raises(ToolRefused if line.startswith("307") else EffectUnknown):
            await tool(server).act(to(server), KEY)

    assert len(server.seen) == 1


# The meaning of responses


def judged(method: str, code: int, *headers: str, honours_keys: bool = False) -> str:
    answer = Answer(code, dict.fromkeys(headers, "1"), b"", is_whole=True)
    failure = failure_of(Call(method, "https://example.org/", {}), answer, honours_keys=honours_keys)
    return "done" if failure is None else type(failure).__name__


def test_only_a_success_status_is_a_success():
    done = {code for code in range(100, 1000) if judged("POST", code) == "done"}

    assert done == set(range(200, 300))


def test_a_call_counts_as_not_done_only_if_the_response_says_so():
    unknown = {code for code in range(300, 600) if judged("POST", code) == "EffectUnknown"}
    later = {code for code in range(300, 600) if judged("POST", code) == "ToolUnavailable"}

    assert unknown == set(range(300, 400)) - {307, 308} | set(range(500, 600)) - {501, 505}
    assert later == {408, 425, 429}


def test_a_503_with_retry_after_means_that_the_call_was_not_executed():
    assert judged("POST", 503, "retry-after") == "ToolUnavailable"
    assert judged("POST", 503) == "EffectUnknown"


DATED = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize("code", [408, 425, 429, 503])
@pytest.mark.parametrize(
    ("asked", "dated", "wait"),
    [
        ("7", "", timedelta(seconds=7)),
        (" 0 ", "", timedelta()),
        ("9" * 40, "", timedelta(seconds=999_999_999)),
        ("Thu, 26 Nov 2026 12:01:30 GMT", DATED, timedelta(seconds=90)),
        ("Thu, 26 Nov 2026 11:00:00 GMT", DATED, timedelta()),
        ("Thu, 26 Nov 2026 12:01:30 GMT", "", None),
        ("-7", DATED, None),
        ("1.5", DATED, None),
        ("\u0667", DATED, None),
        ("soon", DATED, None),
    ],
)
def test_the_next_attempt_waits_as_long_as_the_server_asks(code, asked, dated, wait):
    answer = Answer(code, {"retry-after": asked, "date": dated}, b"", is_whole=True)
    for method in ("GET", "POST"):
        failure = failure_of(Call(method, "https://example.org/", {}), answer, honours_keys=False)
        assert isinstance(failure, ToolUnavailable)
        assert failure.after == wait


def test_a_conflict_may_stem_from_an_earlier_attempt_if_keys_are_honoured():
    assert judged("POST", 409, honours_keys=True) == "EffectUnknown"
    assert judged("POST", 409) == "ToolRefused"


@pytest.mark.parametrize(
    "line", ["500 Oops", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"]
)
async def test_a_server_error_leaves_a_post_in_doubt_and_retries_a_get(line):
    async with running(status(line, body="out of order")) as server:
        with pytest.raises(EffectUnknown, match="out of order"):
            await tool(server).act(to(server, "POST"), KEY)
        with pytest.raises(EffectUnknown):
            await tool(server).act(to(server, "PUT"), KEY)
        with pytest.raises(ToolUnavailable):
            await tool(server).act(to(server, "GET"), KEY)


async def test_a_refusal_quotes_the_server_and_shows_control_characters():
    async with running(status("422 Unprocessable", body="no such\n\x1b[2Jfield")) as server:
        with pytest.raises(ToolRefused, match="422") as caught:
            await tool(server).act(to(server), KEY)

    assert "no such⏎⟨U+001B⟩[2Jfield" in str(caught.value)


# The meaning of failures


async def test_a_missing_server_is_retried_later():
    async with running() as server:
        pass

    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        await tool(server).act(to(server), KEY)


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 2", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"])
async def test_a_connection_that_breaks_after_the_request_leaves_the_call_in_doubt(answer):
    async with running(answer) as server:
        with pytest.raises(EffectUnknown, match="No valid answer"):
            await tool(server).act(to(server), KEY)
        with pytest.raises(ToolUnavailable, match="No valid answer"):
            await tool(server).act(to(server, "GET"), KEY)

    assert len(server.seen) == 2


async def test_a_server_that_never_answers_leaves_the_call_in_doubt(monkeypatch):
    monkeypatch.setattr(http_request, "CALL_SECONDS", 0.2)
    async with running(silence=1) as server:
        with pytest.raises(EffectUnknown, match="did not answer"):
            await tool(server).act(to(server), KEY)


async def test_an_endless_body_is_abandoned_in_time(monkeypatch):
    monkeypatch.setattr(http_exchange, "BODY_SECONDS", 0.2)
    endless = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    )

    async with running(endless) as server:
        server.linger = 1
        receipt = await tool(server).act(to(server), KEY)

    assert (receipt.details["body"], receipt.details["body_is_whole"]) == ("half", False)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_after_a_crash_a_safe_method_starts_over(method):
    server = Server(port=8080)

    assert await tool(server).find_out(to(server, method), KEY) == DidNotHappen()


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("honours", [True, False])
async def test_after_a_crash_an_idempotent_method_is_repeated_at_any_time(method, honours):
    server = Server(port=8080)
    here = ("127.0.0.1:8080",) if honours else ()

    calling = tool(server, http_idempotent_hosts=here, http_key_seconds=0)
    assert await calling.find_out(to(server, method), KEY) == Repeatable()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_after_a_crash_any_other_method_is_repeated_only_if_keys_are_honoured(method):
    server = Server(port=8080)
    honouring = tool(server, http_idempotent_hosts=("127.0.0.1:8080",))

    repeatable = await honouring.find_out(to(server, method), KEY)
    assert isinstance(repeatable, Repeatable)
    assert repeatable.within == timedelta(hours=23)
    assert isinstance(repeatable.later, Unknown)
    assert header_key(KEY) in repeatable.later.reason
    finding = await tool(server).find_out(to(server, method), KEY)
    assert isinstance(finding, Unknown)
    assert header_key(KEY) in finding.reason


def exceptions_of_the_client() -> list[type[Exception]]:
    return [
        value
        for value in vars(httpcore).values()
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning)
    ]


def test_every_error_of_the_client_is_classified():
    assert len(exceptions_of_the_client()) >= 14
    assert set(exceptions_of_the_client()) <= set(MEANINGS)


def test_only_a_failure_to_connect_or_to_start_means_that_nothing_happened():
    place = server_of("https://example.org/")
    harmless = {
        kind.__name__
        for kind in MEANINGS
        if not isinstance(error_for(kind.__new__(kind), place), EffectUnknown)
    }

    assert harmless == {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
        "LocalProtocolError",
    }
