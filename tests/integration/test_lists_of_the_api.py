"""`GET /api/v1/runs` finds the same runs as the search of the pages, and refuses unknown parameters."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from plangate.domain.policies.requirement import Requirement
from plangate.web.run_lists import STATES
from tests.support.drawn_pages import read_html
from tests.support.fresh_records import fresh_records
from tests.support.shown_runs import executed, inbox_of_records, plan, put_people, put_run, step

API = "/api/v1/runs"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def dana(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    folder: Path = tmp_path_factory.mktemp("lists")
    database = fresh_records(folder / "records.db")
    put_people(database)
    tools, requesters = ("note", "call"), ("rita", "kim")
    for number in range(60):
        shown = plan(step(tools[number % 2], f"Do {number}", text=f"word-{number % 3} of Ann"))
        at = datetime(2026, 5, 1 + number % 5, 23, 30, tzinfo=UTC)
        put_run(database, f"run-{number:02}", shown, requester=requesters[number % 3 == 0], at=at)
    done = plan(step("note", "Do it", text="word-9"))
    put_run(database, "done-1", done, *executed(database, "done-1", done), requirement=Requirement())
    async with inbox_of_records(database, folder) as inbox:
        visitor = await inbox.signed_in("dana")
        yield visitor
        await visitor.aclose()
    database.close()


async def ids(dana: httpx.AsyncClient, **wanted: str | int) -> list[str]:
    answer = await dana.get(API, params={"list": "open", **wanted})
    assert answer.status_code == httpx.codes.OK, answer.text
    return [one["workflow_id"] for one in answer.json()]


async def on_the_page(dana: httpx.AsyncClient, **search: str | int) -> list[str]:
    page = read_html((await dana.get("/open", params=search)).text)
    lists = page.all("ul", class_="runs")
    return [(one.attributes["href"] or "").rpartition("/")[2] for one in (lists[0].all("a") if lists else [])]


@pytest.mark.parametrize(
    ("wanted", "search"),
    [
        ({}, {}),
        ({"page": 2}, {"page": 2}),
        ({"q": "word-1 ANN"}, {"text": "word-1 ANN"}),
        ({"requester": "Kim"}, {"requester": "Kim"}),
        ({"tool": "call"}, {"tool": "call"}),
        ({"state": "in_review"}, {"state": "in_review"}),
        ({"state": "held"}, {"state": "held"}),
        ({"from": "2026-05-02", "until": "2026-05-03"}, {"since": "2026-05-02", "before": "2026-05-03"}),
        (
            {"q": "word-0", "tool": "note", "requester": "kim", "until": "2026-05-04"},
            {"text": "word-0", "tool": "note", "requester": "kim", "before": "2026-05-04"},
        ),
    ],
)
async def test_the_api_lists_the_same_runs_as_the_page(
    dana: httpx.AsyncClient, wanted: dict[str, str | int], search: dict[str, str | int]
) -> None:
    found = await ids(dana, **wanted)
    assert found == await on_the_page(dana, **search)
    assert bool(found) is (wanted != {"state": "held"})


async def test_dates_are_whole_days_and_inclusive(dana: httpx.AsyncClient) -> None:
    found = await ids(dana, **{"from": "2026-05-02", "until": "2026-05-03"})
    assert sorted(found) == sorted(f"run-{number:02}" for number in range(60) if number % 5 in (1, 2))


async def test_the_page_after_the_last_is_empty(dana: httpx.AsyncClient) -> None:
    assert [len(await ids(dana, page=page)) for page in (1, 2, 3)] == [50, 10, 0]


async def test_an_ended_run_has_its_end_time(dana: httpx.AsyncClient) -> None:
    (one,) = (await dana.get(API, params={"list": "done"})).json()
    assert (one["workflow_id"], one["state"]) == ("done-1", "executed")
    assert one["closed_at"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"text": "word"}, {"state": "waiting"}, {"state": ""}, {"from": "1"}, {"from": "2026-02-30"},
        {"until": ""}, {"until": "2026-05-03T00:00:00Z"}, {"page": "0"}, {"page": "x"}, {"list": "mine"},
        {"q": "x" * 201},
    ],
    ids=str,
)  # fmt: skip
async def test_unknown_parameters_are_refused(dana: httpx.AsyncClient, wanted: dict[str, str]) -> None:
    answer = await dana.get(API, params=wanted)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.headers["content-type"] == "application/problem+json"
    assert next(iter(wanted)) in answer.json()["detail"]


async def test_each_filter_is_in_the_openapi_document(dana: httpx.AsyncClient) -> None:
    document = (await dana.get("/api/v1/openapi.json")).json()
    named = {one["name"]: one["schema"] for one in document["paths"][API]["get"]["parameters"]}
    assert {*named} == {"list", "q", "requester", "tool", "state", "from", "until", "page"}
    assert {*STATES} <= {*str(named["state"]).replace("'", " ").split()}
