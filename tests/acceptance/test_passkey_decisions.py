"""Decisions by passkey in a real browser on a phone's screen, with a virtual authenticator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, expect

from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.web.database import WebDatabase
from plangate.web.proposals import Proposals
from tests.support.browser import CHROMIUM, add_authenticator, axe_finds_nothing, signed_in, with_a_passkey
from tests.support.gate import Gate
from tests.support.signing_inbox import SigningInbox, signing_inbox
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Decisions by passkey were not tested: no browser found. Install one (apt-get install chromium) and "
        "run the tests again.",
        allow_module_level=True,
    )
PHONE = ViewportSize(width=390, height=844)


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[SigningInbox]:
    async with signing_inbox(idle_gate, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page(viewport=PHONE)
    opened.set_default_timeout(WAIT_LIMIT * 1_000)
    await add_authenticator(opened)
    yield opened
    await opened.close()


async def test_a_decision_takes_three_taps_from_the_link(page: Page, inbox: SigningInbox) -> None:
    await with_a_passkey(page, inbox)
    status = await inbox.gate.in_review("water the plants")
    taps = 0
    await page.goto(f"{inbox.inbox.url}/runs/{status.workflow_id}")
    await everything_is_on_screen(page, status)

    await page.get_by_role("button", name="Approve").click()
    taps += 1
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Confirm")
    await axe_finds_nothing(page)
    await page.get_by_role("button", name="Approve").click()  # the third tap is the fingerprint
    taps += 2

    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await axe_finds_nothing(page)
    after = await inbox.gate.until("executed", status.workflow_id)
    assert taps <= 3
    assert [(one.by, one.assurance) for one in after.decisions] == [("dana", Assurance.SIGNED)]


async def test_an_edit_is_signed_with_the_hash_of_its_plan(page: Page, inbox: SigningInbox) -> None:
    await with_a_passkey(page, inbox)
    status = await inbox.gate.in_review("water the plants")
    await page.goto(f"{inbox.inbox.url}/runs/{status.workflow_id}/edit")
    await axe_finds_nothing(page)
    await page.get_by_label("text").fill("water the roses")
    await page.get_by_role("button", name="See the changes").click()
    await page.get_by_role("button", name="Replace the plan").click()
    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    after = await inbox.gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    assert (after.author, after.decisions[-1].assurance) == ("dana", Assurance.SIGNED)


async def test_a_browser_without_passkeys_is_reported_before_the_plan_is_read(
    page: Page, inbox: SigningInbox
) -> None:
    await with_a_passkey(page, inbox)
    status = await inbox.gate.in_review("water the plants")
    address = f"{inbox.inbox.url}/runs/{status.workflow_id}"
    await page.goto(address)
    await expect(page.get_by_text("this browser cannot use one")).to_be_hidden()
    await page.add_init_script("delete window.PublicKeyCredential")
    await page.goto(address)
    await expect(page.get_by_text("this browser cannot use one")).to_be_visible()
    await expect(page.get_by_role("link", name="Open in browser")).to_have_attribute("href", address)
    await expect(page.get_by_role("button", name="Copy the link")).to_be_visible()
    drawn = page.get_by_role("img", name="The link to this page as a QR code")
    assert await drawn.evaluate("image => image.naturalWidth") > 0


async def test_a_lost_passkey_is_revoked_with_another_one_and_is_no_longer_valid(
    page: Page, inbox: SigningInbox
) -> None:
    line = await with_a_passkey(page, inbox)
    await page.goto(f"{inbox.inbox.url}/me")
    await expect(page.get_by_text("Valid", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Revoke").click()
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_text("The key is revoked.")).to_be_visible()
    await page.goto(f"{inbox.inbox.url}/me")
    await expect(page.get_by_text("Revoked or expired")).to_be_visible()
    await expect(page.get_by_text(line)).to_be_visible()


async def test_an_invitation_lets_a_person_without_a_login_propose_one_passkey(
    page: Page, inbox: SigningInbox
) -> None:
    token = Proposals(WebDatabase.at(inbox.gate.settings.var_dir / "web.db").engine).invite("dana", now())
    await page.goto(f"{inbox.inbox.url}/invitation/{token}")
    await page.get_by_label("Name of the passkey").fill("phone")
    await page.wait_for_load_state()  # otherwise its script does not run, and no passkey is created
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.get_by_text("Your passkey is proposed, dana.")).to_be_visible()
    await page.goto(f"{inbox.inbox.url}/invitation/{token}")
    await expect(page.get_by_text("This invitation was already used")).to_be_visible()
    await signed_in(page, inbox, "/me")
    await expect(page.get_by_text("Proposed: not valid yet")).to_be_visible()


async def everything_is_on_screen(page: Page, status: Status) -> None:
    """Check that each argument of the plan is on the page, not collapsed."""
    for step in status.steps:
        region = page.get_by_role("region", name=f"Step {step.number} of {len(status.steps)}")
        await expect(region).to_contain_text(step.preview)
        for value in step.arguments.values():
            await expect(region.get_by_text(str(value)).first).to_be_visible()
    await expect(page.locator("details[data-fold]")).to_have_count(0)
