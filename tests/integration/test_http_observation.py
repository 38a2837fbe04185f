"""A call is held if and only if its observed URL has changed since the plan was drafted."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from activities.tools.http import tool as http_request
from activities.tools.http.tool import HttpRequest
from plangate.domain.errors import ToolRefused, ToolUnavailable
from plangate.settings import Settings
from plangate.tool import Receipt, Tool
from tests.integration.test_http_request import KEY, Seen, running, status, to, tool


def answer(*, body: str = "{}", etag: str = "", kind: str = "application/json") -> bytes:
    head = ["HTTP/1.1 200 OK", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *([f"ETag: {etag}"] if etag else []), "", body]).encode()


async def holds(
    before: bytes | None, after: bytes | None, *, receipts: tuple[Receipt, ...] = (), **more: Any
) -> bool:
    """Observe a URL at the draft and before the step; return whether the first observation is still valid."""
    answers = [before, after]
    async with running(lambda _: answers.pop(0)) as server:
        calling = tool(server)
        arguments = to(server, **{"method": "PUT", "json_body": 1, **more})
        seen = await calling.observe(arguments)
        now = await calling.observe(arguments)
        return calling.still_holds(arguments, seen, now, receipts)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_call_that_changes_a_url_observes_that_url_and_changes_nothing(method):
    async with running(answer(etag='"v1"')) as server:
        seen = await tool(server).observe(to(server, method, headers={"authorization": "Bearer t"}))

    assert seen == {
        "url": f"http://127.0.0.1:{server.port}/v1",
        "status": 200,
        "etag": '"v1"',
        "bytes": 2,
        "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    }
    (asked,) = server.seen
    assert (asked.method, asked.target, asked.body) == ("GET", "/v1", b"")
    assert asked.headers["authorization"] == "Bearer t"
    assert "idempotency-key" not in asked.headers


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
async def test_any_other_call_observes_only_the_url_in_its_observe_argument(method):
    async with running(answer()) as server:
        assert await tool(server).observe(to(server, method)) is None
        assert server.seen == []
        other = f"http://127.0.0.1:{server.port}/tickets/7"
        seen = await tool(server).observe(to(server, method, observe=other))

    assert seen is not None
    assert [one.target for one in server.seen] == ["/tickets/7"]


async def test_conditions_and_keys_of_the_call_are_not_part_of_the_observation():
    async with running(answer()) as server:
        headers = {"if-match": '"v1"', "content-type": "text/plain", "accept": "application/json"}
        await tool(server).observe(to(server, "PUT", body="x", headers=headers))

    (asked,) = server.seen
    assert asked.headers["accept"] == "application/json"
    assert not {"if-match", "content-type", "content-length"} & asked.headers.keys()


NOT_FOUND = status("404 Not Found", body="no such ticket")
FORBIDDEN = status("403 Forbidden")
SAME = [
    (answer(etag='"v1"'), answer(etag='"v1"')),
    (answer(etag='"v1"'), answer(etag='W/"v1"')),
    (answer(etag='"v1"', body="1"), answer(etag='"v1"', body="2")),
    (answer(etag='"on-host-a"'), answer(etag='"on-host-b"')),
    (answer(body='{"a": 1, "b": 2.0}'), answer(body='{"b":2,\n"a":1}')),
    (answer(body="x" * 100_000, kind="text/plain"), answer(body="x" * 100_000, kind="text/plain")),
    (NOT_FOUND, status("410 Gone")),
    (FORBIDDEN, answer()),
    (FORBIDDEN, FORBIDDEN),
]
CHANGED = [
    (answer(etag='"v1"', body="1"), answer(etag='"v2"', body="2")),
    (answer(body='{"a": [1, 2]}'), answer(body='{"a": [2, 1]}')),
    (answer(body='{"a": 1}'), answer(body='{"a": "1"}')),
    (answer(body="a b", kind="text/plain"), answer(body="a  b", kind="text/plain")),
    (answer(), NOT_FOUND),
    (NOT_FOUND, answer()),
    (answer(), FORBIDDEN),
    (answer(), status("302 Found", "Location: /elsewhere")),
    (answer(body="1"), answer(body="x" * 1_100_000)),
]


@pytest.mark.parametrize(("before", "after"), SAME)
async def test_an_unchanged_url_does_not_hold_the_run(before, after):
    assert await holds(before, after)


@pytest.mark.parametrize(("before", "after"), CHANGED)
async def test_a_changed_url_fails_the_precondition(before, after):
    assert not await holds(before, after)


@pytest.mark.parametrize("line", ["500 Oops", "503 Service Unavailable", "429 Too Many", "408 Timeout"])
async def test_a_server_that_is_unavailable_is_retried_later(line):
    async with running(status(line)) as server:
        with pytest.raises(ToolUnavailable, match=line.split(" ", maxsplit=1)[0]):
            await tool(server).observe(to(server, "DELETE"))


async def test_a_slow_server_is_retried_later(monkeypatch):
    monkeypatch.setattr(http_request, "OBSERVE_SECONDS", 0.1)
    async with running(answer(), silence=5) as server:
        with pytest.raises(ToolUnavailable, match="did not answer within"):
            await tool(server).observe(to(server, "DELETE"))


async def test_a_huge_body_is_read_in_part_and_its_etag_is_still_recorded():
    async with running(answer(body="x" * 1_100_000, etag='"v1"')) as server:
        seen = await tool(server).observe(to(server, "PUT"))

    assert isinstance(seen, dict)
    assert seen["etag"] == '"v1"'
    assert "sha256" not in seen


@pytest.mark.parametrize("body", [FORBIDDEN, answer(body="x" * 1_100_000), status("302 Found")])
async def test_a_plan_cannot_rely_on_an_observe_url_that_cannot_be_read(body):
    async with running(body) as server:
        with pytest.raises(ToolRefused, match="observe another URL"):
            await tool(server).observe(to(server, observe=f"http://127.0.0.1:{server.port}/x"))


async def test_an_observation_follows_the_same_host_rules_as_the_call():
    async with running(answer()) as server, running(answer()) as other:
        calling = tool(server)
        arguments = to(server, observe=f"http://127.0.0.1:{other.port}/x")

        assert "may not be reached" in str(calling.objection(arguments))
        with pytest.raises(ToolRefused, match="may not be reached"):
            await calling.observe(arguments)
        inner = tool(server, http_private_hosts=())
        with pytest.raises(ToolRefused, match="not public"):
            await inner.observe(to(server, "PUT"))

    assert server.seen == other.seen == []


# Two steps on one URL


class Shelf:
    """A server with one document, which PUT and PATCH replace and DELETE removes."""

    def __init__(self, *, etags: bool) -> None:
        self.etags = etags
        self.document: bytes | None = b'{"v": 1}'

    def __call__(self, seen: Seen) -> bytes:
        match seen.method:
            case "PUT" | "PATCH":
                self.document = seen.body
            case "DELETE":
                self.document = None
                return status("200 OK")
        if self.document is None:
            return NOT_FOUND
        body = self.document.decode()
        return answer(body=body, etag=f'"{hash(body)}"' if self.etags else "")


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("second", ["PUT", "DELETE"])
async def test_this_runs_own_changes_of_the_url_do_not_hold_it(etags, second):
    async with running(Shelf(etags=etags)) as server:
        calling = tool(server)
        first, then = to(server, "PUT", json_body={"v": 2}), to(server, second)
        seen = await calling.observe(then)
        receipt = await calling.act(first, KEY)
        now = await calling.observe(then)

    assert calling.still_holds(then, seen, now, [receipt])
    assert not calling.still_holds(then, seen, now, [])


async def test_a_later_change_by_others_is_detected_if_the_server_returned_an_etag():
    shelf = Shelf(etags=True)
    async with running(shelf) as server:
        calling = tool(server)
        then = to(server, "DELETE")
        seen = await calling.observe(then)
        receipt = await calling.act(to(server, "PUT", json_body={"v": 2}), KEY)
        shelf.document = b'{"v": 3}'
        now = await calling.observe(then)

    assert not calling.still_holds(then, seen, now, [receipt])


@pytest.mark.parametrize(
    ("path", "is_explained"),
    [("/tickets/7/close", True), ("/tickets/7?close=1", True), ("/tickets/71", False), ("/tickets", False)],
)
async def test_only_a_call_below_the_url_explains_a_change(path, is_explained):
    before, after = answer(body="1"), answer(body="2")
    answers = [status("204 No Content"), before, after]
    async with running(lambda _: answers.pop(0)) as server:
        calling = tool(server)
        receipt = await calling.act(to(server, "POST", path=path), KEY)
        arguments = to(server, "PUT", path="/tickets/7")
        seen, now = await calling.observe(arguments), await calling.observe(arguments)

    assert calling.still_holds(arguments, seen, now, [receipt]) is is_explained


# The result of a call


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize(
    "call",
    [
        {"method": "DELETE"},
        {"method": "PUT", "json_body": {"b": [1.0, "u"], "a": None}},
        {"method": "PUT", "body": '{"a": 1,\n "b": 2}', "headers": {"content-type": "application/json"}},
        {"method": "PUT", "body": "not json"},
    ],
    ids=str,
)
async def test_a_call_is_recognized_only_by_the_state_it_leaves(etags, call):
    shelf = Shelf(etags=etags)
    async with running(shelf) as server:
        calling, arguments = tool(server), to(server, **call)
        seen = await calling.observe(arguments)
        assert calling.effect_seen(arguments, seen, KEY) is None
        await calling.act(arguments, KEY)
        left = await calling.observe(arguments)
        receipt = calling.effect_seen(arguments, left, KEY)
        shelf.document = b'{"v": "of another person"}'
        others = await calling.observe(arguments)

    assert receipt is not None
    assert isinstance(left, dict)
    assert receipt.details.get("etag", "") == left.get("etag", "")
    assert receipt.summary.startswith(f"{call['method']} {arguments.url} got no response, but")
    assert calling.still_holds(arguments, seen, left, [receipt])
    assert calling.effect_seen(arguments, others, KEY) is None


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_a_call_is_not_recognized_by_another_url_or_state(method):
    async with running(Shelf(etags=True)) as server:
        calling = tool(server)
        elsewhere = to(server, method, path="/other", observe=to(server, "GET").url, body="x")
        server.answer = lambda _: answer(body="x", kind="text/plain")
        assert calling.effect_seen(elsewhere, await calling.observe(elsewhere), KEY) is None
        if method in ("POST", "PATCH"):
            here = to(server, method, observe=to(server, "GET").url, body="x")
            assert calling.effect_seen(here, await calling.observe(here), KEY) is None
        server.answer = lambda _: NOT_FOUND
        assert calling.effect_seen(elsewhere, await calling.observe(elsewhere), KEY) is None


async def test_a_url_with_retry_after_is_observed_later():
    async with running(status("503 Busy", "Retry-After: 40")) as server:
        with pytest.raises(ToolUnavailable) as caught:
            await tool(server).observe(to(server, "PUT"))

    assert caught.value.after == timedelta(seconds=40)


# Text for approvers and the planner


def at(**more: Any) -> Any:
    arguments = {"method": "POST", "url": "https://api.example.org/tickets", **more}
    return HttpRequest.declaration.arguments.model_validate(arguments)


def configured(**settings: Any) -> Tool:
    return HttpRequest.from_settings(Settings(**settings))


HERE = configured(http_allowed_hosts=("b.example.org:8443", "api.example.org"))
SEEN = {"url": "https://api.example.org/tickets", "status": 200, "bytes": 812, "etag": '"v1"'}


TICKETS = "https://api.example.org/tickets"
PREVIEWS = [
    (at(json_body={"title": "x" * 107}), None, f"POST {TICKETS} with a JSON body of 119 bytes"),
    (at(body="é"), None, f"POST {TICKETS} with a body of 2 bytes"),
    (at(method="GET"), None, f"GET {TICKETS}"),
    (
        at(method="DELETE"),
        SEEN,
        f'DELETE {TICKETS}, if that URL is still as observed (200 OK, 812 bytes, ETag "v1")',
    ),
    (
        at(observe=f"{TICKETS}/7"),
        {"url": f"{TICKETS}/7", "status": 404},
        f"POST {TICKETS}, if {TICKETS}/7 is still as observed (404 Not Found)",
    ),
    (
        at(method="PUT"),
        {"url": TICKETS, "status": 403},
        f"PUT {TICKETS}; its present state cannot be read (403 Forbidden)",
    ),
]


@pytest.mark.parametrize(("arguments", "seen", "preview"), PREVIEWS)
def test_a_preview_shows_the_call_and_the_urls_it_relies_on(arguments, seen, preview):
    assert isinstance(HERE, HttpRequest)
    assert HERE.preview(arguments, seen) == preview


def test_the_planner_sees_the_allowed_hosts_and_the_definition_stays_the_same():
    assert isinstance(HERE, HttpRequest)
    assert "api.example.org, b.example.org:8443" in HERE.advice()
    assert HERE.declaration.definition() == configured().declaration.definition()


def test_without_allowed_hosts_the_tool_reports_the_missing_setting():
    lacking: Callable[[], str | None] = HttpRequest.from_settings(Settings()).lacks

    assert "PLANGATE_HTTP_ALLOWED_HOSTS" in str(lacking())
    assert isinstance(HERE, HttpRequest)
    assert HERE.lacks() is None


def test_a_plan_without_the_argument_has_the_same_json_as_before_it_existed():
    assert "observe" not in json.loads(at().model_dump_json())
