"""An enroller confirms another person's passkey on a page, with their own passkey, in a real browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from plangate.domain.people.assurance import Assurance
from plangate.records.key_statements import key_statements
from tests.acceptance.test_passkey_decisions import PHONE
from tests.support.browser import CHROMIUM, add_authenticator, axe_finds_nothing
from tests.support.gate import Gate
from tests.support.signing_inbox import SigningInbox, signing_inbox
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Confirming keys on a page was not tested: no browser found. Install one (apt-get install chromium) "
        "and run the tests again.",
        allow_module_level=True,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[SigningInbox]:
    async with signing_inbox(idle_gate, tmp_path) as opened:
        yield opened


async def on_a_phone(browser: Browser, inbox: SigningInbox, name: str) -> Page:
    """Return a phone browser in which this person is signed in and has proposed a passkey."""
    context = await browser.new_context(viewport=PHONE)
    page = await context.new_page()
    page.set_default_timeout(WAIT_LIMIT * 1_000)
    await add_authenticator(page)
    await page.goto(f"{inbox.inbox.url}/me")
    await page.get_by_label("Choose your name").select_option(name)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Name of the passkey").fill(f"{name}s phone")
    await page.wait_for_load_state()  # otherwise its script does not run, and no passkey is created
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("Proposed: not valid yet")).to_be_visible()
    return page


async def test_a_key_that_an_enroller_confirms_on_a_page_signs_decisions(
    browser: Browser, inbox: SigningInbox
) -> None:
    inbox.enroller = '[[person]]\nname = "erin"\nenroller = true\n'
    inbox.enrol()
    danas, erins = await on_a_phone(browser, inbox, "dana"), await on_a_phone(browser, inbox, "erin")
    await erins.goto(f"{inbox.inbox.url}/enrol")
    await expect(erins.get_by_text("The list of people has no passkey for you")).to_be_visible()
    await expect(erins.get_by_text("--by erin -- dana")).to_be_visible()

    await erins.goto(f"{inbox.inbox.url}/me")
    line = await erins.get_by_text(re.compile("^passkey:")).inner_text()
    inbox.enroller += f'keys = [{{ public = "{line}" }}]\n'
    inbox.enrol()
    read_out = await danas.locator(".thumbprint").inner_text()
    await erins.get_by_role("link", name="Confirm other people's keys").click()
    await axe_finds_nothing(erins)
    await erins.get_by_role("button", name="Compare the key of dana").click()
    assert await erins.locator(".thumbprint").inner_text() == read_out
    await axe_finds_nothing(erins)
    await erins.locator("[name=same]").evaluate("box => { box.required = false }")
    await erins.get_by_role("button", name="Confirm").click()
    await expect(erins.get_by_text("confirm that you have compared the thumbprint")).to_be_visible()
    await erins.get_by_role("button", name="Compare the key of dana").click()
    await erins.get_by_label("dana read exactly this thumbprint to me").check()
    await erins.get_by_role("button", name="Confirm").click()
    await expect(erins.get_by_text("The key is valid for dana from now on.")).to_be_visible()
    await expect(erins.get_by_text("No key is waiting to be confirmed.")).to_be_visible()

    with inbox.gate.database.read() as connection:
        (statement,) = key_statements(connection)
    assert statement.token.startswith("passkey.")
    await danas.goto(f"{inbox.inbox.url}/me")
    while not await danas.get_by_text("Valid", exact=True).is_visible():
        await danas.reload()  # a worker reads the list once a second
    status = await inbox.gate.in_review("water the plants")
    await danas.goto(f"{inbox.inbox.url}/runs/{status.workflow_id}")
    await danas.get_by_role("button", name="Approve").click()
    await danas.get_by_role("button", name="Approve").click()
    await expect(danas.get_by_role("heading", name="Accepted")).to_be_visible()
    after = await inbox.gate.until("executed", status.workflow_id)
    assert [(one.by, one.assurance) for one in after.decisions] == [("dana", Assurance.SIGNED)]
    await danas.context.close()
    await erins.context.close()


async def test_only_an_enroller_sees_and_confirms_proposed_keys(
    browser: Browser, inbox: SigningInbox
) -> None:
    inbox.enrol()
    danas = await on_a_phone(browser, inbox, "dana")
    await danas.goto(f"{inbox.inbox.url}/enrol")
    await expect(danas.get_by_text("You are not an enroller")).to_be_visible()
    visitor = await inbox.inbox.signed_in("dana")
    token = re.search(r'form_token" value="([^"]+)"', (await visitor.get("/me")).text)
    key = re.search(r'name="key" value="([^"]+)"', (await visitor.get("/me")).text)
    assert token is not None
    assert key is not None
    answer = await visitor.post("/enrol/compare", data={"form_token": token[1], "key": key[1]})
    assert (answer.status_code, "is not waiting for your confirmation" in answer.text) == (403, True)
    await visitor.aclose()
    await danas.context.close()
