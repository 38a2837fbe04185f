"""Lists show the step at which a run is held, and the skipped steps of executed runs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from plangate.domain.decisions.decision import Choice, Decision, Verdict
from plangate.domain.people.people import identify
from plangate.domain.plans.plan import Audience, Plan, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Requirement
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Event,
    Held,
    Outcome,
    StepDone,
    StepInDoubt,
)
from plangate.domain.runs.status import status_of
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.web.results import Result, ResultKind
from plangate.web.run_lists import Line
from plangate.web.run_view import view_of
from tests.support.build import HOUR, arrival, drafted, state_after
from tests.support.drawn_pages import Element, read_html, render
from tests.support.fresh_records import fresh_records
from tests.support.shown_runs import inbox_of_records, plan, put_people, put_run, step

PLAN = plan(
    step("refund", "Refund 42.50 EUR to Ana", amount=42.5, currency="EUR"),
    step("mail", "Email Ana", text="Dear Ana"),
    step("note", "Note it", text="done"),
)


def fingerprint(database: Database, name: str, shown: Plan) -> str:
    return fingerprint_of(shown, 1, name, Audience(installation=database.installation, namespace="default"))


def done(database: Database, name: str, number: int) -> tuple[Event, Event]:
    plan_id = fingerprint(database, name, PLAN)
    claimed = Claimed(
        step=number, fingerprint=plan_id, idempotency_key=f"{name}:{plan_id}:{number}", attempt=1
    )
    return claimed, StepDone(step=number, receipt=Receipt(summary="done"))


def held(database: Database, name: str) -> list[Event]:
    """Return the events until a run is held at its second step."""
    claimed, _ = done(database, name, 2)
    why = "It is not known whether the mail was sent."
    plan_id = fingerprint(database, name, PLAN)
    return [
        *done(database, name, 1),
        claimed,
        StepInDoubt(step=2, reason=why),
        Held(number=1, step=2, fingerprint=plan_id, why=why, held_at=now(), deadline=now() + HOUR),
    ]


def skipped(database: Database, name: str) -> list[Event]:
    """Return the events of a run whose second step is skipped."""
    sent = arrival(
        "resolve", by="dana", plan=fingerprint(database, name, PLAN), step=2, resolution="skip",
        at=now(), comment="Ana has a letter",
    )  # fmt: skip
    resolved = Decided(arrival=sent, verdict=Verdict(accepted=True, reason="step 2 is skipped"))
    return [
        *held(database, name),
        resolved,
        *done(database, name, 3),
        Closed(outcome=Outcome.EXECUTED, reason="step 2 was skipped"),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dana(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    folder: Path = tmp_path_factory.mktemp("standing")
    database = fresh_records(folder / "records.db")
    put_people(database)
    for name, events in (("held-1", held), ("skipped-1", skipped)):
        put_run(database, name, PLAN, *events(database, name), requirement=Requirement())
    async with inbox_of_records(database, folder) as inbox:
        visitor = await inbox.signed_in("dana")
        yield visitor
        await visitor.aclose()
    database.close()


def words(element: Element) -> str:
    return " ".join(element.text.split())


async def line_of(dana: httpx.AsyncClient, path: str) -> str:
    (found,) = read_html((await dana.get(path)).text).one("ul", class_="runs").all("li")
    return words(found)


async def test_a_held_run_is_listed_with_its_held_step_and_its_state(dana: httpx.AsyncClient) -> None:
    for path in ("/held", "/open", "/"):
        line = await line_of(dana, path)
        assert line.startswith("Held at step 2 of 3: Email Ana held-1"), line
        assert "· held ·" in line
        assert "Refund" not in line


async def test_an_executed_run_is_listed_with_its_skipped_step(dana: httpx.AsyncClient) -> None:
    assert "· executed, step 2 was skipped ·" in await line_of(dana, "/done")
    state = read_html((await dana.get("/runs/skipped-1")).text).one("p", class_="state")
    assert words(state).split(" ", 1) == ["executed", "step 2 was skipped"]  # once
    assert state.all(class_="executed") == []


async def test_the_api_returns_the_same(dana: httpx.AsyncClient) -> None:
    (ended,) = (await dana.get("/api/v1/runs", params={"list": "done"})).json()
    (stopped,) = (await dana.get("/api/v1/runs", params={"list": "held"})).json()
    assert (ended["skipped"], ended["held_step"]) == ([2], 0)
    assert (stopped["held_step"], stopped["preview"]) == (2, "Email Ana")


def test_the_link_to_the_next_run_says_where_it_is_held() -> None:
    status = status_of(state_after(drafted()), source="records")
    status = status.model_copy(update={"state": "rejected"})
    view = view_of(status, identify(None, "dana", now()))
    decision = Decision(decision=Choice.REJECT, by="dana", plan=status.fingerprint or "")
    line = Line("held-1", "Email Ana", 2, "rita", "held", None, held_step=2)
    result = Result(ResultKind.ACCEPTED, "the run ends: rejected")
    more: dict[str, Any] = {"confirmation": None, "name": "reject", "next_run": line, "replaced": None}
    page = read_html(render("verdict.html", run=view, decision=decision, result=result, **more))
    assert "Next run that waits for you: Held at step 2 of 3: Email Ana held" in words(page)
    assert "With this decision the run has ended: rejected" in words(page)
