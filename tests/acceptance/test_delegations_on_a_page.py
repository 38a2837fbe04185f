"""A person delegates a role on their page, with a passkey if the rules require it, and ends it."""

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from plangate.audit.inspection import inspect_all
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.audit import DELEGATIONS_TRAIL
from plangate.policy.effective_people import trusted_web
from plangate.policy.people_file import people_in
from plangate.presentation.clock import now
from plangate.records.trail import read_trail
from plangate.web.database import WebDatabase
from plangate.web.sessions import Sessions
from plangate.web.web_key import public_line, web_key
from tests.acceptance.test_passkey_decisions import PHONE
from tests.support.browser import CHROMIUM, add_authenticator, axe_finds_nothing, with_a_passkey
from tests.support.gate import Gate
from tests.support.plain_browser import PlainBrowser
from tests.support.sealed_records import trust
from tests.support.signing_inbox import POLICY, SigningInbox, signing_inbox
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Delegating on a page was not tested: no browser found. Install one (apt-get install chromium) and "
        "run the tests again.",
        allow_module_level=True,
    )
SignIn = Callable[[str, SigningInbox], Coroutine[Any, Any, PlainBrowser]]
FRED = '[[person]]\nname = "fred"\n'


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[SigningInbox]:
    """An inbox whose plans need a signed approval by finance, a role that dana has and may delegate."""
    async with signing_inbox(idle_gate, tmp_path, policy=f'delegable = ["finance"]\n{POLICY}') as opened:
        opened.enroller = FRED
        opened.enrol()
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def plain() -> AsyncIterator[SignIn]:
    """Return a function that signs a person in using a browser without scripts."""
    visitors = []

    async def signed_in_browser(name: str, inbox: SigningInbox) -> PlainBrowser:
        visitors.append(await inbox.inbox.signed_in(name))
        return PlainBrowser(visitors[-1])

    yield signed_in_browser
    for visitor in visitors:
        await visitor.aclose()


async def danas_phone(browser: Browser, inbox: SigningInbox) -> Page:
    """Return a phone browser for Dana, with a valid passkey."""
    context = await browser.new_context(viewport=PHONE, timezone_id="Europe/Berlin", locale="en-GB")
    page = await context.new_page()
    page.set_default_timeout(WAIT_LIMIT * 1_000)
    await add_authenticator(page)
    await with_a_passkey(page, inbox)
    while not await page.get_by_text("Valid", exact=True).is_visible():
        await page.reload()
    return page


def entries(inbox: SigningInbox) -> list[DelegationDecided]:
    with inbox.gate.database.read() as connection:
        found = [one.event for one in read_trail(connection, DELEGATIONS_TRAIL)]
    return [one for one in found if isinstance(one, DelegationDecided)]


def findings(inbox: SigningInbox) -> list[str]:
    listed = people_in(inbox.people.read_text())
    trusted = {"people": listed, "web": trusted_web(inbox.gate.settings)}
    with inbox.gate.database.read() as connection:
        found = inspect_all(connection, trust().model_copy(update=trusted), lambda *_: None).findings
    return [str(one) for one in found]


async def test_a_role_is_delegated_by_passkey_then_used_and_ended_by_passkey(
    browser: Browser, inbox: SigningInbox, plain: SignIn
) -> None:
    page = await danas_phone(browser, inbox)
    day = (now() + timedelta(days=47)).date()
    await page.get_by_label("finance").check()
    await page.get_by_label("To", exact=True).select_option("fred")
    await page.get_by_label(re.compile("^Until the end of this day")).fill(day.isoformat())
    await axe_finds_nothing(page)
    await page.get_by_role("button", name="Delegate").click()
    sentence = f"fred decides for you as finance until {day.day} {day:%b} {day.year}, 23:59"
    await expect(page.locator(".what")).to_contain_text(sentence)
    await axe_finds_nothing(page)
    await page.get_by_role("button", name="Delegate").click()
    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await expect(page.locator(".what")).to_contain_text(sentence)
    await axe_finds_nothing(page)

    (lent,) = entries(inbox)
    order = lent.arrival.order
    assert order is not None
    assert order.signature is not None
    assert order.signature.startswith("passkey.")
    assert lent.approver is not None
    assert lent.approver.assurance is Assurance.SIGNED
    assert order.until is not None
    assert order.until == datetime(day.year, day.month, day.day, 23, 59, tzinfo=ZoneInfo("Europe/Berlin"))

    status = await inbox.gate.in_review("water the plants")
    freds = await plain("fred", inbox)
    assert "Approve" in await freds.open(f"/runs/{status.workflow_id}")
    assert "I decide for dana as finance" in await freds.open("/me")

    await page.goto(f"{inbox.inbox.url}/me")
    await page.get_by_role("button", name="End the delegation: all roles delegated to fred").click()
    await expect(page.get_by_text("fred no longer decides for you as finance")).to_be_visible()
    await axe_finds_nothing(page)
    await page.get_by_role("button", name="End the delegation", exact=True).click()
    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await axe_finds_nothing(page)
    _, ended = entries(inbox)
    assert ended.approver is not None
    assert (ended.verdict.accepted, ended.approver.assurance) == (True, Assurance.SIGNED)
    assert "I decide for dana as finance" not in await freds.open("/me")
    assert findings(inbox) == []
    await inbox.gate.api.withdraw(status.workflow_id, "by rita")
    await page.context.close()


async def test_a_delegation_can_be_ended_after_its_passkey_was_lost(
    browser: Browser, inbox: SigningInbox, plain: SignIn
) -> None:
    page = await danas_phone(browser, inbox)
    day = (now() + timedelta(days=3)).date()
    await page.get_by_label("finance").check()
    await page.get_by_label("To", exact=True).select_option("fred")
    await page.get_by_label(re.compile("^Until the end of this day")).fill(day.isoformat())
    await page.get_by_role("button", name="Delegate").click()
    await page.get_by_role("button", name="Delegate").click()
    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await page.context.close()
    danas = await plain("dana", inbox)
    await danas.open("/me")
    await danas.press("End the delegation")
    assert "end the delegation without a passkey" in danas.html
    await danas.press("End the delegation")  # no passkey has signed it
    assert (danas.status, "no passkey signed it" in danas.html) == (409, True)
    await danas.press("End the delegation without a passkey")
    assert "Accepted" in danas.html
    assert "fred no longer decides for you as finance" in danas.html
    assert [one.verdict.accepted for one in entries(inbox)] == [True, True]
    assert findings(inbox) == []


async def test_without_javascript_the_page_explains_the_requirement_and_sends_nothing(
    browser: Browser, inbox: SigningInbox, plain: SignIn
) -> None:
    page = await danas_phone(browser, inbox)
    await page.context.close()
    danas = await plain("dana", inbox)
    await danas.open("/me")
    day = (now() + timedelta(days=3)).date().isoformat()
    await danas.press("Delegate", roles="finance", to="fred", until=day)
    assert f"{day} 23:59 UTC" in danas.html
    assert "you sign with your passkey, which needs JavaScript" in danas.html
    await danas.press("Delegate")
    assert (danas.status, "no passkey signed it" in danas.html) == (409, True)
    assert entries(inbox) == []


async def test_a_delegation_is_refused_before_it_is_signed(inbox: SigningInbox, plain: SignIn) -> None:
    danas = await plain("dana", inbox)
    day: Callable[[int], str] = lambda days: (now() + timedelta(days=days)).date().isoformat()  # noqa: E731
    for typed, words in (
        ({"roles": None}, "Choose the roles that you delegate."),
        ({"to": ""}, "Choose the person to delegate to."),
        ({"until": "soon"}, "Choose the last day."),
        ({"until": day(-2)}, "has passed; choose a later time"),
        ({"until": day(99)}, "more than 90 days ahead"),
        ({"to": "dana"}, "people cannot stand in for themselves"),
        ({"to": "mallory"}, "mallory is not in the list of people"),
        ({"roles": "legal"}, "dana does not have the role legal"),
        ({}, "none of your passkeys is confirmed yet"),
    ):
        await danas.open("/me")
        fields: dict[str, str | None] = {
            "roles": "finance", "to": "fred", "until": day(3), "reason": "on <leave>", **typed,
        }  # fmt: skip
        await danas.press("Delegate", 0, **fields)
        assert words in danas.html, typed
        assert danas.status in (409, 422)
        assert 'value="on &lt;leave&gt;"' in danas.html
    ritas = await plain("rita", inbox)
    assert "Delegate a role" not in await ritas.open("/me")
    assert entries(inbox) == []


async def test_the_page_refuses_a_request_for_another_person_or_of_another_kind(
    inbox: SigningInbox, plain: SignIn
) -> None:
    ritas = await plain("rita", inbox)
    await ritas.open("/me")
    token = dict(ritas.form("form_token").fields)["form_token"]
    for order in (
        '{"action": "end", "by": "dana", "to": "fred"}',
        '{"action": "away", "by": "rita", "until": "2999-01-01T00:00:00Z"}',
        '{"action": "list", "by": "rita"}',
        "{}",
        "",
    ):
        answer = await ritas.send("/me/lent", "post", [("form_token", token), ("order", order)])
        assert (answer.status_code, "contains no role to delegate" in answer.text) == (403, True)
    assert entries(inbox) == []


async def test_no_passkey_is_required_if_a_typed_name_is_enough(
    idle_gate: Gate, tmp_path: Path, plain: SignIn
) -> None:
    policy = 'delegable = ["finance"]\n[default]\nneeds = [{ role = "finance" }]\n'
    async with signing_inbox(idle_gate, tmp_path, policy=policy) as inbox:
        inbox.enroller = FRED
        inbox.enrol()
        danas = await plain("dana", inbox)
        await danas.open("/me")
        day = (now() + timedelta(days=3)).date().isoformat()
        await danas.press("Delegate", roles="finance", to="fred", until=day, reason="on leave")
        assert "sent as dana, not verified" in danas.html
        await danas.press("Delegate")
        assert "Accepted" in danas.html
        await danas.open("/me")
        await danas.press("End the delegation")
        assert "End the delegation without a passkey" not in danas.html
        await danas.press("End the delegation")
        assert "Accepted" in danas.html
        assert [one.verdict.accepted for one in entries(inbox)] == [True, True]
        assert findings(inbox) == []


async def test_the_inbox_attests_a_delegation_if_a_login_is_enough(idle_gate: Gate, tmp_path: Path) -> None:
    settings = idle_gate.settings
    keys = (public_line(web_key(settings.web_key)),)
    idle_gate.settings = settings.model_copy(update={"web_keys": keys})
    policy = POLICY.replace("signed", "login")
    async with signing_inbox(idle_gate, tmp_path, policy=f'delegable = ["finance"]\n{policy}') as inbox:
        inbox.enroller = FRED
        inbox.enrol()
        database = WebDatabase.at(settings.var_dir / "web.db")
        session = Sessions(database).begin("dana", Assurance.LOGIN, now())
        database.close()
        async with inbox.inbox.visitor() as visitor:
            visitor.cookies.set("plangate", session)
            danas = PlainBrowser(visitor)
            await danas.open("/me")
            day = (now() + timedelta(days=3)).date().isoformat()
            await danas.press("Delegate", roles="finance", to="fred", until=day)
            assert "passkey" not in danas.html
            await danas.press("Delegate")
            assert "Accepted" in danas.html
            await danas.open("/me")
            await danas.press("End the delegation")
            await danas.press("End the delegation")
            assert "Accepted" in danas.html
        proofs = [one.approver.assurance for one in entries(inbox) if one.approver is not None]
        assert proofs == [Assurance.LOGIN, Assurance.LOGIN]
        assert findings(inbox) == []
