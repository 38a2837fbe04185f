"""The audit pages, over records as Plangate writes them, without a Temporal server."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fastapi.sse import EventSourceResponse
from sqlalchemy import update

from plangate.domain.people.people import identify
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.viewers import Viewers
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import checked_policy, roles_of_see_rules
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.rule_texts import record_rules
from plangate.records.tables import audit_entries
from plangate.settings import Settings
from plangate.web import audits
from plangate.web.pages.audit import SEE_RULE
from plangate.web.view_rights import ViewRights
from tests.support.audit_edits import disable_guards
from tests.support.drawn_pages import Element, read_html
from tests.support.fresh_records import fresh_records
from tests.support.inbox import Inbox
from tests.support.shown_runs import (
    PEOPLE,
    executed,
    inbox_of_records,
    plan,
    put_people,
    put_run,
    step,
)
from tests.support.wait_limit import WAIT_LIMIT
from tests.support.web_routes import all_routes

pytestmark = pytest.mark.usefixtures("forked_audits")
AUDITED = PEOPLE + '[[person]]\nname = "ada"\nroles = ["auditor"]\n'
NOTE = plan(step("note", "Note it", text="short"))
AUDITORS = Requirement(
    needs=(Need(role="finance", count=1),), seen_by=(Viewers(name="auditors", roles=("auditor",)),)
)
HIDDEN = Requirement(
    needs=(Need(role="finance", count=1),), seen_by=(Viewers(name="private", roles=("board",)),)
)


def put_policy(database: Database, text: str = SEE_RULE) -> None:
    record_rules(database, "policy", text, hashlib.sha256(text.encode()).hexdigest(), "worker@here")


@pytest_asyncio.fixture(loop_scope="session")
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = fresh_records(tmp_path / "records.db")
    put_people(opened, AUDITED)
    put_policy(opened)
    yield opened
    opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(database: Database, tmp_path: Path) -> AsyncIterator[Inbox]:
    async with inbox_of_records(database, tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def ada(inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    visitor = await inbox.signed_in("ada")
    yield visitor
    await visitor.aclose()


async def page_of(visitor: httpx.AsyncClient, path: str, status: int = 200) -> Element:
    answer = await visitor.get(path)
    assert answer.status_code == status, answer.text
    return read_html(answer.text)


async def token_of(visitor: httpx.AsyncClient) -> str:
    page = await page_of(visitor, "/me")
    return page.all("input", name="form_token")[0].attributes["value"] or ""


async def verified(visitor: httpx.AsyncClient, token: str) -> Element:
    """Verify all records, unless this is already in progress, and return the page with the result."""
    started = await visitor.post("/audit/verify", data={"form_token": token})
    assert started.url.path == "/audit/verify"
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            page = await page_of(visitor, "/audit/verify")
            if not page.all("progress"):
                return page
            assert page.all("meta", **{"http-equiv": "refresh"})
            await page_of(visitor, "/open")  # in the meantime, pages respond
            await asyncio.sleep(0.05)


async def test_only_people_with_a_role_in_every_see_rule_see_the_page(
    inbox: Inbox, ada: httpx.AsyncClient
) -> None:
    assert "Verify now" in (await page_of(ada, "/audit")).text
    assert (await page_of(ada, "/")).all("a", href="/audit")
    dana = await inbox.signed_in("dana")
    assert not (await page_of(dana, "/")).all("a", href="/audit")
    for path in (
        "",
        "/verify",
        "/verify/progress",
        "/runs",
        "/runs.csv",
        "/runs.json",
        "/seals",
        "/deciders",
    ):
        page = await page_of(dana, f"/audit{path}", 403)
        assert "list these roles: auditor" in page.text
    token = await token_of(dana)
    for path in ("verify", "export"):
        assert (await dana.post(f"/audit/{path}", data={"form_token": token})).status_code == 403
    await dana.aclose()


async def test_without_auditors_in_the_policy_the_page_suggests_a_valid_addition(
    database: Database, ada: httpx.AsyncClient
) -> None:
    put_policy(database, '[default]\nneeds = [{ role = "finance" }]\n')
    page = await page_of(ada, "/audit", 403)
    assert "The policy defines no auditors" in page.text
    added = page.one("pre").text.lstrip("\n")
    put_policy(database, added)
    assert "Verify now" in (await page_of(ada, "/audit")).text
    assert checked_policy(added, {}, {"auditor"}).see_rules


def test_a_role_in_only_some_of_the_rules_does_not_make_an_auditor() -> None:
    both = SEE_RULE + SEE_RULE.replace('"auditors"', '"board"').replace('"auditor"', '"board"')
    known = people_in('[[person]]\nname = "ada"\nroles = ["auditor"]\n')
    viewer = identify(known, "ada", now()).approver
    assert ViewRights(viewer, True, roles_of_see_rules(SEE_RULE)).is_auditor
    assert not ViewRights(viewer, True, roles_of_see_rules(both)).is_auditor
    assert not ViewRights(None, True, roles_of_see_rules(SEE_RULE)).is_auditor
    for broken in ("", "not = toml = at all", "see = 3", "[see]\nroles = ['auditor']", "[[see]]\nroles = 3"):
        assert not ViewRights(viewer, True, roles_of_see_rules(broken)).is_auditor


async def test_intact_records_are_verified_in_the_background_one_verification_at_a_time(
    database: Database, ada: httpx.AsyncClient
) -> None:
    for number in range(3):
        put_run(database, f"run-{number}", NOTE)
    token = await token_of(ada)
    pages = await asyncio.gather(*(ada.post("/audit/verify", data={"form_token": token}) for _ in range(3)))
    began = {read_html(page.text).one("p", class_="about").text for page in pages}
    assert len(began) == 1
    page = await verified(ada, token)
    assert "Nothing was changed." in page.text
    assert "all runs and entries" in page.text
    assert "started by ada" in page.text
    assert "Last verified by ada" in (await page_of(ada, "/audit")).text


async def test_changes_are_reported_except_in_runs_hidden_from_the_auditor(
    database: Database, ada: httpx.AsyncClient
) -> None:
    put_run(database, "one", NOTE)
    put_run(database, "private", NOTE, requirement=HIDDEN)
    with database.write() as connection:
        disable_guards(connection)
        connection.execute(
            update(audit_entries)
            .where(audit_entries.c.workflow_id.in_(("one", "private")), audit_entries.c.number == 1)
            .values(actor="mallory")
        )
    page = await verified(ada, await token_of(ada))
    assert "The records were changed" in page.text
    findings = page.one("ul", class_="findings")
    assert [one.attributes["href"] for one in findings.all("a")] == ["/runs/one"] * len(findings.all("li"))
    assert "about a run that you may not see" in page.text or "about runs that you may not see" in page.text
    assert "private" not in page.text


async def test_runs_are_listed_and_filtered_without_hidden_ones(
    database: Database, ada: httpx.AsyncClient
) -> None:
    put_run(database, "kims", NOTE, requester="kim")
    put_run(database, "done", NOTE, *executed(database, "done", NOTE), requirement=Requirement())
    put_run(database, "private", NOTE, requirement=HIDDEN)
    for number in range(51):
        put_run(database, f"old-{number:02}", NOTE, requester="dana")

    async def listed(query: str) -> list[str]:
        found = (await page_of(ada, f"/audit/runs?{query}")).all("ul", class_="runs")
        return [one.attributes["href"] or "" for one in found[0].all("a")] if found else []

    assert await listed("by=KIM") == ["/runs/kims"]
    assert await listed("state=executed&since=&settlement=") == ["/runs/done"]
    assert await listed("state=held") == []
    assert await listed("since=2999-01-01") == []
    every = [*(await listed("")), *(await listed("page=2"))]
    assert len(every) == len(set(every)) == 53
    assert "/runs/private" not in every
    # A copy is recorded first, which needs the Temporal server.
    for kind in ("csv", "json"):
        assert (await ada.get(f"/audit/runs.{kind}")).status_code == httpx.codes.SERVICE_UNAVAILABLE


async def test_damaged_runs_are_listed_too(database: Database, ada: httpx.AsyncClient) -> None:
    put_run(database, "one", NOTE)
    with database.write() as connection:
        disable_guards(connection)
        second = (audit_entries.c.workflow_id == "one", audit_entries.c.number == 2)
        connection.execute(update(audit_entries).where(*second).values(event="{}"))
    page = await page_of(ada, "/audit/runs?state=damaged")
    assert "its trail is unreadable" in page.one("ul", class_="runs").text


async def test_deciders_without_decisions_and_invalid_dates(ada: httpx.AsyncClient) -> None:
    assert "No decision has been recorded" in (await page_of(ada, "/audit/deciders?since=yesterday")).text
    token = await token_of(ada)
    for since, until in (("", ""), ("2026-02-01", "2026-01-01"), ("2999-01-01", "2999-01-02")):
        form = {"form_token": token, "since": since, "until": until}
        answer = await ada.post("/audit/export", data=form)
        assert (answer.status_code, "Choose a first and a last day" in answer.text) == (422, True)


async def test_a_period_with_a_hidden_run_is_not_exported(database: Database, ada: httpx.AsyncClient) -> None:
    put_run(database, "private", NOTE, requirement=HIDDEN)
    today = f"{now():%Y-%m-%d}"
    form = {"form_token": await token_of(ada), "since": today, "until": today}
    answer = await ada.post("/audit/export", data=form)
    assert (answer.status_code, "rules of an earlier policy hide runs" in answer.text) == (422, True)


DAYS = ("0001-01-01", "9999-12-31", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "\0")


@pytest.mark.parametrize("day", DAYS)
async def test_any_date_in_a_form_or_query_is_handled(
    database: Database, ada: httpx.AsyncClient, day: str
) -> None:
    put_run(database, "one", NOTE)
    token = await token_of(ada)
    for first, last in ((day, day), ("0001-01-01", day)):
        dates = {"since": first, "from": first, "before": last, "until": last}
        answers = [
            await ada.get(path, params=dates)
            for path in ("/", "/open", "/done", "/audit/runs", "/audit/deciders", "/api/v1/runs")
        ]
        form = {"form_token": token, "to": "dana", **dates}
        answers += [await ada.post(path, data=form) for path in ("/audit/export", "/me/away")]
        for answer in answers:
            is_away = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE  # the Temporal server
            assert answer.status_code < 500 or is_away, (answer.url, dates, answer.text)


def _remove_role(database: Database) -> None:
    put_people(database, AUDITED.replace('roles = ["auditor"]', ""))


def _remove_from_list(database: Database) -> None:
    put_people(database, PEOPLE)


STREAMS = ("/audit/verify/progress", "/runs/{workflow_id:id}/changes")


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("change", [None, _remove_role, _remove_from_list])
async def test_a_stream_ends_once_its_reader_signs_out_or_loses_access(
    database: Database,
    ada: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    change: Callable[[Database], None] | None,
) -> None:
    monkeypatch.setattr(audits, "BOOT", "import sys; sys.stdin.read()")  # an audit that never ends
    put_run(database, "one", NOTE, requirement=AUDITORS)
    token = await token_of(ada)
    await ada.post("/audit/verify", data={"form_token": token})
    async with (
        asyncio.timeout(WAIT_LIMIT),
        ada.stream("GET", path.replace("{workflow_id:id}", "one")) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        if change is None:
            await ada.post("/sign-out", data={"form_token": token})
        else:
            change(database)
        lines = [line async for line in stream.aiter_lines()]
    assert "event: ended" not in lines


def test_no_other_page_streams(tmp_path: Path) -> None:
    found = [
        one.path
        for one in all_routes(Settings(var_dir=tmp_path))
        if getattr(one, "response_class", None) is EventSourceResponse
    ]
    assert sorted(found) == sorted(STREAMS)


async def test_counts_on_audit_pages_exclude_hidden_runs(database: Database, ada: httpx.AsyncClient) -> None:
    token = await token_of(ada)
    put_run(database, "one", NOTE)

    async def shown() -> list[str]:
        await verified(ada, token)
        pages = [
            (await page_of(ada, f"/audit{path}")).text
            for path in ("", "/verify", "/runs", "/seals", "/deciders")
        ]
        return [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", one) for one in pages]

    before = await shown()
    for number in range(3):
        put_run(database, f"private-{number}", NOTE, requirement=HIDDEN)
    assert await shown() == before
