"""An effect that may have happened is repeated only if the approved observation is still valid (P1, P3)."""

import random
from datetime import timedelta
from typing import Any

import pytest

from activities.tools.http.tool import HttpRequest
from plangate.settings import Settings
from tests.support.clock import clock_ahead
from tests.support.faulty_server import Answer, Dropped, FaultyServer, Request, Says
from tests.support.gate import Gate
from tests.support.repeats import perform, slots

SEED = 4
SAMPLE = 36


async def test_a_call_is_repeated_only_if_the_approved_state_is_still_valid(idle_gate: Gate) -> None:
    drawn = list(slots(random.Random(SEED), SAMPLE))

    assert await perform(idle_gate, drawn) == []
    assert {len(one.calls) for one in drawn} == {1, 2}


class Store:
    """A server of documents; another person changes a document just before it is read for the third time."""

    def __init__(self, other_change: bytes | None) -> None:
        self.other_change = other_change
        self.reads = 0
        self.documents = {"/items/7": b'{"v": 1}'}
        self.calls: list[tuple[str, bytes | None]] = []

    def __call__(self, request: Request) -> Answer:
        if request.method == "GET":
            self.reads += 1
            if self.reads == 3 and self.other_change is not None:
                self.documents[request.path] = self.other_change
        there = self.documents.get(request.path)
        if request.method == "GET":
            return Answer(404) if there is None else Answer(200, there, {"Content-Type": "application/json"})
        self.calls.append((request.method, there))
        if request.method == "PUT":
            self.documents[request.path] = request.body
        elif self.documents.pop(request.path, None) is None:
            return Answer(404)
        return Answer(200)


def calling_once(arguments: dict[str, Any]) -> dict[str, Any]:
    step = {"tool": "http_request", "arguments": arguments, "reason": "r"}
    return {"summary": "One call", "steps": [step]}


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("is_done", [True, False])
@pytest.mark.parametrize("other_change", [b'{"v": "of another person"}', None])
async def test_a_lost_response_never_overwrites_the_change_of_another_person(
    idle_gate: Gate, method: str, is_done: bool, other_change: bytes | None
) -> None:
    gate, store = idle_gate, Store(other_change)
    with FaultyServer(answer=store) as server:
        here = (server.url.removeprefix("http://"),)
        calling = HttpRequest.from_settings(Settings(http_allowed_hosts=here, http_private_hosts=here))
        gate.tools["http_request"] = calling
        arguments: dict[str, Any] = {"method": method, "url": f"{server.url}/items/7"}
        if method == "PUT":
            arguments["json_body"] = {"v": 2}
        server.plan(Dropped(after_effect=is_done), method=method)
        async with gate.worker():
            plan = {
                "summary": "s",
                "steps": [{"tool": "http_request", "arguments": arguments, "reason": "r"}],
            }
            status = await gate.until("in_review", await gate.submit(plan=plan))
            assert (await gate.decide(status)).accepted
            run = status.workflow_id
            if other_change is not None:
                held = await gate.held(run)
                assert held.held is not None
                assert held.steps[0].state == "in_doubt"
                assert "it is not repeated. What http_request relies on has changed" in held.held.why
                assert store.documents["/items/7"] == other_change
            else:
                assert (await gate.result(run)).outcome == "executed"
    assert store.calls == [(method, b'{"v": 1}')] * (is_done or other_change is None)


async def test_nothing_is_repeated_with_a_key_that_may_have_expired(idle_gate: Gate) -> None:
    gate = idle_gate
    transfers: list[str] = []

    def bank(request: Request) -> Answer:
        transfers.append(request.headers["idempotency-key"])
        return Answer(201)

    with FaultyServer(answer=bank) as server:
        here = (server.url.removeprefix("http://"),)
        hosts: dict[str, Any] = {
            "http_allowed_hosts": here,
            "http_private_hosts": here,
            "http_idempotent_hosts": here,
        }
        gate.tools["http_request"] = HttpRequest.from_settings(Settings(**hosts))
        server.plan(Dropped(after_effect=True), method="POST")
        server.plan(Says(answer=Answer(503, {}, {"Retry-After": "3"})), method="POST")
        arguments = {"method": "POST", "url": f"{server.url}/transfers", "json_body": {"amount": 5}}
        async with gate.worker():
            run = await gate.submit(plan=calling_once(arguments), timeout=timedelta(days=9))
            assert (await gate.decide(await gate.until("in_review", run))).accepted
            await gate.until("executing", run, lambda one: "503" in one.steps[0].last_error)
        with clock_ahead(timedelta(hours=60)):
            async with gate.worker():
                held = await gate.held(run)
    assert held.held is not None
    assert held.steps[0].state == "in_doubt"
    assert "Ask the operator of" in held.held.why
    assert len(transfers) == 1
