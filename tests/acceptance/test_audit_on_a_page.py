"""Auditors verify, export a period and find decision times on the pages of a whole installation."""

import asyncio
import csv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from plangate.audit.deciding_times import PlanDecided, deciding_times
from plangate.audit.period_check import PeriodCheck
from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.runs.audit import ACCESS_TRAIL
from plangate.policy.effective_people import people_in_effect, trusted_web
from plangate.policy.people_file import PeopleFile
from plangate.policy.policy_file import policy_in
from plangate.records.rule_texts import record_rules
from plangate.records.trail import read_trail
from plangate.web.database import WebDatabase
from plangate.web.pages.audit import SEE_RULE
from plangate.web.plan_views import KEPT_FOR, Views, stored_views_in
from tests.acceptance.test_passkey_decisions import PHONE
from tests.integration.test_audit_pages import HIDDEN, NOTE
from tests.support.browser import CHROMIUM, axe_finds_nothing, launched_browser
from tests.support.build import NOON
from tests.support.drawn_pages import read_html
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.periods import TRUSTED, RecordedHours, some_hours
from tests.support.plain_browser import PlainBrowser
from tests.support.sealed_records import people
from tests.support.shown_runs import put_run
from tests.support.wait_limit import WAIT_LIMIT

PEOPLE = people().text + '[[person]]\nname = "ada"\nroles = ["auditor"]\n'
POLICY = SEE_RULE + '[default]\nneeds = [{ role = "finance" }]\n'
LONG = "\n".join(f"line {number}" for number in range(40))


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[Inbox]:
    """The inbox with records of four hours in January, and a running worker."""
    some_hours(idle_gate.database)
    listed = tmp_path / "people.toml"
    listed.write_text(PEOPLE)
    idle_gate.directory, idle_gate.policy = PeopleFile(listed), policy_in(POLICY)
    known = people_in_effect(PeopleFile(listed).people(), trusted_web(idle_gate.settings), ())
    record_rules(idle_gate.database, "people", known.text, known.hash, "worker@here")
    async with idle_gate.worker(), open_inbox(idle_gate, seal_seconds=1) as opened:
        yield opened
    idle_gate.database.close()


@asynccontextmanager
async def sealing(gate: Gate) -> AsyncIterator[None]:
    """Seal the records like a worker while the block runs."""

    async def seal() -> None:
        hours = RecordedHours(gate.database)
        while True:
            with suppress(AssertionError):  # nothing has been recorded since
                await asyncio.to_thread(hours.seal, datetime.now(UTC))
            await asyncio.sleep(0.1)

    running = asyncio.create_task(seal())
    yield
    running.cancel()


def accesses(gate: Gate) -> list[tuple[str, str]]:
    with gate.database.read() as connection:
        entries = read_trail(connection, ACCESS_TRAIL)
    return [
        (one.event.look.by, one.event.look.subject)
        for one in entries
        if isinstance(one.event, AccessRecorded)
    ]


async def test_exports_of_a_period_and_of_the_list_of_runs_are_recorded(
    idle_gate: Gate, inbox: Inbox
) -> None:
    visitor = await inbox.signed_in("ada")
    browser = PlainBrowser(visitor)
    await browser.open("/audit")
    token = dict(browser.form("since").fields)["form_token"]
    day = f"{NOON:%Y-%m-%d}"
    form = {"form_token": token, "since": day, "until": day}
    async with sealing(idle_gate):
        answer = await visitor.post("/audit/export", data=form)
    assert answer.headers["content-disposition"] == f'attachment; filename="plangate-{day}-to-{day}.jsonl"'
    check = PeriodCheck(trusted=TRUSTED, people=None, now=datetime.now(UTC))
    assert list(check.findings(line + b"\n" for line in answer.content.splitlines())) == []
    assert (check.totals.runs, check.totals.outcomes) == (8, {"executed": 8})
    assert check.checkpoints is not None
    assert check.checkpoints.is_closed

    listed = await visitor.get("/audit/runs.csv?state=executed")
    rows = list(csv.DictReader(StringIO(listed.text)))
    assert {row["workflow_id"] for row in rows} == {
        "before", "slow", "one", "two", "three", "waiting", "late", "after",
    }  # fmt: skip
    as_json = (await visitor.get("/audit/runs.json?state=executed")).json()
    assert [one["workflow_id"] for one in as_json] == [row["workflow_id"] for row in rows]
    until = f"{NOON + timedelta(days=1):%Y-%m-%d}"
    assert accesses(idle_gate) == [
        ("ada", f"all runs from {day} UTC until {until} UTC"),
        ("ada", "the list of runs as CSV (state=executed)"),
        ("ada", "the list of runs as JSON (state=executed)"),
    ]
    await visitor.aclose()


async def test_a_hidden_run_that_appears_before_the_seal_stops_the_export(
    idle_gate: Gate, inbox: Inbox
) -> None:
    ada = await inbox.signed_in("ada")
    browser = PlainBrowser(ada)
    await browser.open("/audit")
    day = f"{NOON:%Y-%m-%d}"
    form = dict(browser.form("since").fields) | {"since": day, "until": day}
    exporting = asyncio.create_task(ada.post("/audit/export", data=form))
    while not accesses(idle_gate):
        await asyncio.sleep(0.02)
    put_run(idle_gate.database, "private", NOTE, requirement=HIDDEN, at=NOON + timedelta(hours=2))
    async with sealing(idle_gate):
        answer = await exporting
    assert (answer.status_code, "hide runs of this period from you" in answer.text) == (422, True)
    await ada.aclose()


async def test_decision_times_begin_with_the_first_view_of_the_plan(idle_gate: Gate, inbox: Inbox) -> None:
    dana = await inbox.signed_in("dana")
    for texts, press in ((["water the plants"], "Approve"), ([LONG], "Reject")):
        status = await idle_gate.in_review(*texts)
        browser = PlainBrowser(dana)
        await browser.open(f"/runs/{status.workflow_id}")
        await browser.press(press, opened=None)  # as a page with scripts sends it before a section is opened
        await browser.press(press)
        assert "Accepted" in browser.html
    elsewhere = await idle_gate.in_review("feed the cat")
    assert (await idle_gate.decide(elsewhere, by="dana")).accepted

    ada = await inbox.signed_in("ada")
    browser = PlainBrowser(ada)
    await browser.open("/audit/deciders")
    row = [one.text for one in read_html(browser.html).one("tbody").all("td")]
    assert (row[0], row[1][:2], row[3], row[4]) == ("3", "≤ ", "100% of 1", "2 of 3")
    shown = stored_views_in(idle_gate.settings.var_dir / "web.db")
    assert [(one.folds, one.opened) for one in shown] == [(0, 0), (1, 0)]
    await dana.aclose()
    await ada.aclose()


def test_views_are_stored_once_for_each_person_and_plan_and_later_removed(tmp_path: Path) -> None:
    path = tmp_path / "web.db"
    assert stored_views_in(path) == ()
    assert not path.exists()
    database = WebDatabase.at(path)
    views = Views(database.engine)
    views.note_shown("Dana", "run-1", "f", ("a", "b"), NOON)
    views.note_shown("dana", "run-1", "f", (), NOON + timedelta(hours=1))
    views.note_opened("DANA", "run-1", "f", ["b", "nothing", "b"])
    views.note_opened("dana", "run-2", "f", ["b"])
    (one,) = views.shown()
    assert (one.at, one.folds, one.opened) == (NOON, 2, 1)
    assert stored_views_in(path) == (one,)
    answer = PlanDecided(
        by="Dana", workflow_id="run-1", fingerprint="f", at=NOON + timedelta(seconds=3), drafted_at=NOON
    )
    (dana,) = deciding_times([answer], views.shown())
    assert (dana.shown, dana.median_seconds, dana.never_unfolded) == (1, 3, 1)
    views.note_shown("dana", "run-3", "f", (), NOON + KEPT_FOR + timedelta(seconds=1))
    assert [one.workflow_id for one in views.shown()] == ["run-3"]
    database.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no browser found")
async def test_an_auditor_verifies_on_a_phone_and_sees_the_progress(inbox: Inbox) -> None:
    async with launched_browser() as browser:
        page = await browser.new_page(viewport=PHONE)
        page.set_default_timeout(WAIT_LIMIT * 1_000)
        await page.goto(f"{inbox.url}/audit")
        await page.get_by_label("Choose your name").select_option("ada")
        await page.get_by_role("button", name="Sign in").click()
        await axe_finds_nothing(page)
        await page.get_by_role("button", name="Verify now").click()
        await expect(page.get_by_role("progressbar")).to_be_visible()
        await axe_finds_nothing(page)
        await expect(page.get_by_text("Nothing was changed.")).to_be_visible()
        for path in ("verify", "runs", "seals", "deciders"):
            await page.goto(f"{inbox.url}/audit/{path}")
            await axe_finds_nothing(page)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], path
        await page.get_by_role("link", name="Runs").click()
        await expect(page.get_by_role("link", name="waiting")).to_be_visible()
