"""The edit form has the tools' fields, and shows their errors before a confirmation."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from activities.tools.email.tool import SendEmail
from plangate.domain.runs.status import Status
from plangate.records.tool_descriptions import descriptions_of
from plangate.settings import Settings
from tests.support.drawn_pages import Element, read_html
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.plain_browser import PlainBrowser


@pytest.fixture
def gate(idle_gate: Gate, tmp_path: Path) -> Gate:
    idle_gate.tools["send_email"] = SendEmail.from_settings(Settings(var_dir=tmp_path))
    return idle_gate


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened
    gate.database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def dana(inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    visitor = await inbox.signed_in("dana")
    yield visitor
    await visitor.aclose()


async def mail(gate: Gate, *others: str) -> Status:
    """Start a run with notes and then a mail."""
    sent = {"to": ["ann@example.org"], "subject": "Hi", "body": "Hello"}
    steps: list[dict[str, Any]] = [{"tool": "note", "arguments": {"text": text}} for text in others]
    plan = {"summary": "Tell Ann", "steps": [*steps, {"tool": "send_email", "arguments": sent}]}
    return await gate.until("in_review", await gate.submit(plan=plan))


async def editor(dana: httpx.AsyncClient, status: Status) -> PlainBrowser:
    browser = PlainBrowser(dana)
    await browser.open(f"/runs/{status.workflow_id}")
    await browser.press("Edit")
    return browser


def field(page: Element, label: str) -> Element:
    (found,) = [one for one in page.all("label") if one.text.partition(" (")[0].strip() == label]
    name = found.attributes["for"] or ""
    (control,) = [one for kind in ("input", "textarea", "select") for one in page.all(kind, name=name)]
    return control


async def test_the_fields_are_those_of_the_tool_with_its_descriptions(
    gate: Gate, dana: httpx.AsyncClient
) -> None:
    async with gate.worker():
        page = read_html((await editor(dana, await mail(gate))).html)
    to = field(page, "to")
    assert to.attributes["aria-required"] == "true"
    helped = (to.attributes["aria-describedby"] or "").split()
    assert [page.one("p", id=one).text for one in helped] == ["plain addresses such as dana@example.org"]
    assert field(page, "cc").tag == "textarea"  # one line per address, although there is no address yet
    assert "aria-required" not in field(page, "cc").attributes


async def test_an_invalid_address_is_an_error_of_its_field_before_the_confirmation(
    gate: Gate, dana: httpx.AsyncClient
) -> None:
    async with gate.worker():
        status = await mail(gate, "first", "second")
        browser = await editor(dana, status)
        await browser.press("See the changes", s3_1="ann@example.org\nBob <bob@example.org>", strike_1="yes")
        assert browser.status == httpx.codes.UNPROCESSABLE_ENTITY
        page = read_html(browser.html)
        assert field(page, "to").attributes["aria-invalid"] == "true"
        (fault,) = [one.text for one in page.all("p", class_="fault") if one.attributes.get("id")]
        assert "is not a plain address such as dana@example.org" in fault
        assert "Bob &lt;bob@example.org&gt;" in browser.html
        assert (await gate.api.status(status.workflow_id)).decisions == ()
        await browser.press("See the changes", s3_1="bob@example.org")
        assert "bob@example.org" in browser.html
        assert "no worker" not in browser.html.lower()
        await browser.press("Replace the plan")
        assert "Accepted" in browser.html


async def test_an_error_in_json_appears_above_it(gate: Gate, dana: httpx.AsyncClient) -> None:
    async with gate.worker():
        browser = await editor(dana, await mail(gate))
        await browser.open(f"{browser.path}?notation=json")
        whole = dict(browser.form("whole").fields)["whole"]
        await browser.press("See the changes", whole=whole.replace("ann@example.org", "ann"))
    assert "step 1, to[0]: is not a plain address" in browser.html
    assert browser.status == httpx.codes.UNPROCESSABLE_ENTITY


async def test_without_a_worker_only_the_schema_is_checked_and_the_page_states_this(
    gate: Gate, dana: httpx.AsyncClient
) -> None:
    async with gate.worker():
        status = await mail(gate)
        browser = await editor(dana, status)
    await browser.press("See the changes", s1_1="")
    assert "must not be empty" in browser.html
    await browser.press("See the changes", s1_1="ann")
    assert "the tools have not checked this plan yet" in browser.html
    html, address = browser.html, browser.address
    assert address.endswith("?unchecked=1")
    assert await browser.open(address) == html  # where the back button leads


async def test_a_tools_schema_is_stored_under_the_definition_in_the_plan(
    gate: Gate, dana: httpx.AsyncClient
) -> None:
    async with gate.worker():
        status = await mail(gate, "first")
    assert status.plan is not None
    definitions = [step.definition for step in status.plan.steps]
    with gate.database.read() as connection:
        found = descriptions_of(connection, definitions)
    assert [found[one].name for one in definitions] == ["note", "send_email"]
    tools = (await dana.get("/api/v1/tools")).json()
    assert {one["name"]: one["schema"]["required"] for one in tools} == {
        "note": ["text"],
        "send_email": ["to", "subject", "body"],
    }
