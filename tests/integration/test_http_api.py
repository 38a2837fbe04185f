"""The HTTP API as programs use it, over a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from plangate.audit.evidence import read_bundle
from plangate.domain.runs.audit import ACCESS_TRAIL
from plangate.domain.runs.request import PlanRequest
from plangate.records.queries import trail_on_record
from plangate.web import gate as web_gate
from tests.support.api_calls import call_all
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.inbox import NO_TLS, Inbox, open_inbox

API = "/api/v1/runs"


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened


@asynccontextmanager
async def signed_in(inbox: Inbox, name: str) -> AsyncIterator[httpx.AsyncClient]:
    async with inbox.visitor() as visitor:
        await visitor.post("/sign-in", data={"name": name, "next": "/done"})
        yield visitor


async def test_a_program_submits_reads_decides_and_downloads_the_evidence(gate: Gate, inbox: Inbox) -> None:
    async with signed_in(inbox, "rita") as rita, signed_in(inbox, "dana") as dana:
        plan = notes("water the plants")
        answer = await rita.post(API, json={"id": "plants-1", "plan": plan})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert answer.headers["location"] == f"{API}/plants-1"
        status = await gate.until("in_review", "plants-1")
        assert status.requester == "rita"

        read = (await dana.get(f"{API}/plants-1")).json()
        assert read["fingerprint"] == status.fingerprint
        decision = {"decision": "approve", "plan": read["fingerprint"], "comment": "looks good"}
        refused = (await rita.post(f"{API}/plants-1/decisions", json=decision)).json()
        assert refused["accepted"] is False
        assert (await dana.post(f"{API}/plants-1/decisions", json=decision)).json()["accepted"] is True
        await gate.until("executed", "plants-1")

        evidence = await dana.get(f"{API}/plants-1/evidence")
        assert read_bundle(evidence.content).workflow_id == "plants-1"
        accesses = trail_on_record(gate.database, ACCESS_TRAIL)
        assert [(one.actor, one.event.look.subject) for one in accesses] == [("dana", "plants-1")]  # type: ignore[union-attr]
        assert [one["workflow_id"] for one in (await dana.get(API, params={"list": "done"})).json()] == [
            "plants-1"
        ]
        tools = (await dana.get("/api/v1/tools")).json()
        assert [(one["name"], one["arguments"]) for one in tools] == [("note", ["text"])]


async def test_a_long_poll_returns_once_the_run_changes_and_not_earlier(gate: Gate, inbox: Inbox) -> None:
    status = await gate.in_review("water the plants")
    async with signed_in(inbox, "dana") as dana:
        url = f"{API}/{status.workflow_id}"
        tag = (await dana.get(url)).headers["etag"]
        same = await dana.get(url, params={"wait": 1}, headers={"If-None-Match": tag})
        assert same.status_code == httpx.codes.NOT_MODIFIED
        waiting = asyncio.create_task(dana.get(url, params={"wait": 20}, headers={"If-None-Match": tag}))
        await gate.decide(status, "reject")
        changed = await waiting
        assert changed.json()["state"] == "rejected"
        assert changed.headers["etag"] != tag
        assert (await dana.get(url, params={"wait": 61})).status_code == httpx.codes.UNPROCESSABLE_ENTITY


async def test_a_decision_sent_without_a_worker_is_kept(idle_gate: Gate) -> None:
    async with idle_gate.worker(), open_inbox(idle_gate) as inbox:
        status = await idle_gate.in_review("water the plants")
    async with open_inbox(idle_gate) as inbox, signed_in(inbox, "dana") as dana:
        decision = {"decision": "approve", "plan": status.fingerprint}
        answer = await dana.post(f"{API}/{status.workflow_id}/decisions", json=decision)
        assert answer.status_code == httpx.codes.ACCEPTED
        assert answer.json()["accepted"] is None
        async with idle_gate.worker():
            await idle_gate.until("executed", status.workflow_id)
    idle_gate.database.close()


async def test_runs_of_other_programs_can_be_requested(gate: Gate, inbox: Inbox) -> None:
    async with signed_in(inbox, "dana") as dana:
        for name in ("a/b", "a b", "é", "50%", "a?b", "a#b", "..%2f", "a//b"):
            await gate.api.submit(_request(), name)
            await gate.until("in_review", name)
            path = httpx.URL(f"{inbox.url}{API}/").copy_with(raw_path=f"{API}/{_quoted(name)}".encode())
            assert (await dana.get(path)).json()["workflow_id"] == name


async def test_an_id_that_ends_like_another_address_is_the_id_of_its_own_run(
    gate: Gate, inbox: Inbox
) -> None:
    async with signed_in(inbox, "dana") as dana:
        for name in ("pay", "pay/evidence", "pay/decisions"):
            await gate.api.submit(_request(), name)
            await gate.until("in_review", name)
            assert (await dana.get(f"{API}/{_quoted(name)}")).json()["workflow_id"] == name
            evidence = await dana.get(f"{API}/{_quoted(name)}/evidence")
            assert read_bundle(evidence.content).workflow_id == name


def _request() -> PlanRequest:
    return PlanRequest(requester="rita", plan=notes("water the plants"))


def _quoted(name: str) -> str:
    return quote(name, safe="")


async def test_every_error_is_a_problem_document_with_instructions(gate: Gate, inbox: Inbox) -> None:
    status = await gate.in_review("water the plants")
    one = f"{API}/{status.workflow_id}"
    good = {"decision": "approve", "plan": status.fingerprint}
    async with signed_in(inbox, "dana") as dana, inbox.visitor() as anonymous:
        wrong = [
            (401, await anonymous.get(API)),
            (401, await anonymous.post(f"{one}/decisions", json=good)),
            (404, await dana.get(f"{API}/nosuch")),
            (404, await dana.get("/api/v1/nosuch")),
            (405, await dana.delete(one)),
            (422, await dana.post(API, content=b"{")),
            (422, await dana.post(API, json={})),
            (422, await dana.post(API, json={"request": "x", "requester": "fred"})),
            (422, await dana.post(API, json={"request": "x", "timeout_seconds": "7"})),
            (422, await dana.post(API, json={"request": "x", "id": "-x"})),
            (409, await dana.post(API, json={"request": "x", "id": status.workflow_id})),
            (422, await dana.post(f"{one}/decisions", json={**good, "plan": status.short_fingerprint})),
            (422, await dana.post(f"{one}/decisions", json={**good, "by": "erik"})),
            (422, await dana.post(f"{one}/decisions", json={**good, "step": 1})),
            (422, await dana.post(f"{one}/decisions", json={**good, "decision": "resolve"})),
            (422, await dana.post(f"{one}/decisions", data={"decision": "approve"})),
            (413, await dana.post(API, json={"request": "x" * 1_000_001})),
        ]
    for expected, answer in wrong:
        assert answer.status_code == expected, answer.text
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        problem = answer.json()
        assert problem["status"] == expected
        assert problem["detail"].endswith((".", ":")), problem
        assert "Traceback" not in answer.text


async def test_generated_calls_get_documented_responses(
    gate: Gate, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_gate, "_NOT_FOUND_STEP", 0.001)  # most calls are for a run that does not exist
    status = await gate.in_review("water the plants")
    async with signed_in(inbox, "dana") as dana:
        document = json.loads((await dana.get("/api/v1/openapi.json")).content)
        cookies = dict(dana.cookies)

    def call() -> list[str]:
        with httpx.Client(base_url=inbox.url, cookies=cookies, verify=NO_TLS, timeout=30) as client:
            calls = call_all(document, client, examples=14, ids=[status.workflow_id])
        assert calls.made > 100
        return calls.findings

    assert await asyncio.to_thread(call) == []
