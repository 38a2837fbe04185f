"""`json_answer` reports for each failed request whether it may have had an effect."""

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest

from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.tool import json_answer, web_call


@dataclass
class Vendor:
    """A server that sends one response to every request, or disconnects, and records the requests."""

    url: str = ""
    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    """The number of idempotency keys of each request."""


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    one = Vendor()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            one.keys.append(len(self.headers.get_all("idempotency-key", [])))
            one.got.append(
                (self.command, {name.lower(): text for name, text in self.headers.items()}, content)
            )
            if one.closes:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(one.status)
            for name, text in {**one.headers, "content-length": str(len(one.body))}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(one.body)

        do_GET = do_POST  # noqa: N815  a name from the standard library

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    one.url = f"http://127.0.0.1:{server.server_port}/refunds"
    serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    serving.start()
    try:
        yield one
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_a_form_is_sent_with_its_key_and_the_json_response_is_returned(vendor: Vendor) -> None:
    vendor.body = b'{"number": "R-1"}'
    form = {"payment": "P-1", "amount": 42}
    assert json_answer("post", vendor.url, form=form, idempotency_key="k") == {"number": "R-1"}
    ((method, headers, content),) = vendor.got
    assert (method, headers["idempotency-key"]) == ("POST", "k")
    assert parse_qs(content.decode()) == {"payment": ["P-1"], "amount": ["42"]}


def test_a_body_is_sent_as_json_and_an_empty_response_becomes_none(vendor: Vendor) -> None:
    vendor.status, vendor.body = 201, b""
    answer = json_answer("POST", vendor.url, body={"a": [1]}, headers={"Authorization": "Bearer x"})
    assert answer is None
    ((_, headers, content),) = vendor.got
    assert (json.loads(content), headers["authorization"]) == ({"a": [1]}, "Bearer x")
    assert "idempotency-key" not in headers


@pytest.mark.parametrize(
    ("status", "after_post"),
    [
        *((status, ToolRefused) for status in (400, 401, 403, 404, 422, 451)),
        *((status, EffectUnknown) for status in (301, 302, 307, 408, 409, 500, 502, 503, 599)),
        (429, ToolUnavailable),
    ],
)
def test_a_status_determines_whether_the_effect_may_have_happened(
    vendor: Vendor, status: int, after_post: type[ToolError]
) -> None:
    vendor.status, vendor.headers = status, {"location": vendor.url}
    with pytest.raises(after_post, match=f"127.0.0.1 answered {status}"):
        json_answer("POST", vendor.url, form={})
    after_get = ToolUnavailable if after_post is EffectUnknown else after_post
    with pytest.raises(after_get):
        json_answer("GET", vendor.url)
    assert len(vendor.got) == 2, "a redirect was followed, or a request repeated"


def test_retry_after_is_passed_on(vendor: Vendor) -> None:
    vendor.status, vendor.headers = 429, {"Retry-After": "90"}
    with pytest.raises(ToolUnavailable) as caught:
        json_answer("POST", vendor.url, form={})
    assert caught.value.after == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "P-1 has less left."}, "answered 422: P-1 has less left."),
        ({"error": {"message": "too much", "code": 7}}, "answered 422: too much."),
        ({"detail": "a\u202eb"}, "answered 422: a⟨U+202E⟩b."),
        ({"error": {}, "title": "no"}, "answered 422: no."),
        ({"error": "x" * 5_000}, "answered 422: xxx"),
        ({"error": 7}, "answered 422."),
        ([1], "answered 422."),
        ("no", "answered 422."),
    ],
)
def test_the_reason_for_a_refusal_is_quoted_in_one_short_line(vendor: Vendor, body: Any, said: str) -> None:
    vendor.status, vendor.body = 422, json.dumps(body).encode()
    with pytest.raises(ToolRefused) as caught:
        json_answer("POST", vendor.url, form={})
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_deeply_nested_response_is_unusable_and_a_refusal_with_it_is_still_a_refusal(
    vendor: Vendor,
) -> None:
    vendor.body = b"[" * 200_000
    with pytest.raises(EffectUnknown, match="is not JSON"):
        json_answer("POST", vendor.url, form={})
    vendor.status = 422
    with pytest.raises(ToolRefused, match="answered 422"):
        json_answer("POST", vendor.url, form={})


def test_a_lost_or_unusable_response_leaves_the_effect_in_doubt(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor.body = b"<html>"
    with pytest.raises(EffectUnknown, match="is not JSON"):
        json_answer("POST", vendor.url, form={})
    monkeypatch.setattr(web_call, "MAX_ANSWER", 5)
    with pytest.raises(EffectUnknown, match="more than 5 bytes"):
        json_answer("POST", vendor.url, form={})
    vendor.closes = True
    with pytest.raises(EffectUnknown, match="No valid answer"):
        json_answer("POST", vendor.url, form={})
    with pytest.raises(ToolUnavailable, match="No valid answer"):
        json_answer("GET", vendor.url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://127.0.0.1:1/"])
def test_an_unsent_request_did_not_happen(url: str) -> None:
    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        json_answer("POST", url, form={})


def test_a_server_without_tls_received_nothing(vendor: Vendor) -> None:
    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        json_answer("POST", vendor.url.replace("http", "https", 1), form={})
    assert vendor.got == []


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://127.0.0.1/", "no url", "http://[::/", "http://a..b/", "http://.example/", "http://a\ud800/"),
        *(f"http://{'a' * 64}.example/", "https://user:s3cret/word@shop.example/x"),
    ],
)
def test_an_invalid_url_is_refused_without_quoting_its_password(url: str) -> None:
    with pytest.raises(ToolRefused, match="nothing was sent") as caught:
        json_answer("POST", url, form={})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "foo://bad:1"),
        ("HTTP_PROXY", "http://me:secret@host:abc"),
        ("SSL_CERT_FILE", "/nonexistent"),
    ],
)
@pytest.mark.parametrize("form", [{"amount": "5"}, {"amount": "\ud800"}])
def test_an_unusable_proxy_or_certificate_file_of_the_environment_means_that_nothing_happened(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, name: str, value: str, form: dict[str, str]
) -> None:
    for one in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(ToolUnavailable, match="nothing was sent") as caught:
        json_answer("POST", vendor.url, form=form)
    assert "secret" not in str(caught.value)
    assert vendor.got == []


def test_a_non_ascii_method_is_refused(vendor: Vendor) -> None:
    with pytest.raises(ToolRefused, match="nothing was sent"):
        json_answer("P\xd6ST", vendor.url)
    assert vendor.got == []


@pytest.mark.parametrize("headers", [{"X-Name": "Jos\u00e9-secret"}, {"X-Nam\u00e9": "secret"}])
def test_a_non_ascii_header_is_refused_by_name_and_nothing_is_sent(
    vendor: Vendor, headers: dict[str, str]
) -> None:
    with pytest.raises(ToolRefused, match=r"non-ASCII.*nothing was sent") as caught:
        json_answer("POST", vendor.url, form={}, headers=headers, idempotency_key="k")
    assert f"The header {next(iter(headers))} of the request to 127.0.0.1 has" in str(caught.value)
    assert "secret" not in str(caught.value), "a header may be a password"
    assert vendor.got == []


@pytest.mark.parametrize(
    "parts",
    [
        {"body": {"a": "\ud800"}},
        {"body": float("nan")},
        {"body": {"a": object()}},
        {"form": {"a": "\ud800"}},
        {"headers": {"X-Count": 7}},
        {"headers": {"X-Name": "a\nb"}},
        {"headers": {"Content-Length": "3"}, "body": {"a": 1}},
        {"headers": {"transfer-encoding": "chunked"}, "form": {"a": 1}},
        {"form": {"a": 10**5_000}},
        {"body": _nested(100_000)},
    ],
)
def test_an_unserializable_request_is_refused_and_nothing_is_sent(
    vendor: Vendor, parts: dict[str, Any]
) -> None:
    with pytest.raises(ToolRefused, match="nothing was sent"):
        json_answer("POST", vendor.url, **parts)
    assert vendor.got == []


@pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key"])
def test_the_key_of_the_step_replaces_a_key_of_the_tool(vendor: Vendor, name: str) -> None:
    json_answer("POST", vendor.url, form={}, headers={name: "own"}, idempotency_key="k")
    json_answer("POST", vendor.url, form={}, headers={name: "own"})
    assert [headers["idempotency-key"] for _, headers, _ in vendor.got] == ["k", "own"]
    assert vendor.keys == [1, 1], "no request has two keys"
