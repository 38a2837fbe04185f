"""The inbox in a real browser: an approver reads the plan, decides, and sees the result."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, expect

from plangate.audit.evidence import bundle_findings, read_bundle
from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.people.people import ANYONE
from plangate.domain.runs.audit import ACCESS_TRAIL
from plangate.records.trail import read_trail
from tests.support.browser import CHROMIUM, axe_finds_nothing
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.policies import wants
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Deciding in the inbox was not tested: no browser found. Install one (apt-get install chromium) and "
        "run the tests again.",
        allow_module_level=True,
    )
PHONE = ViewportSize(width=390, height=844)


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page(viewport=PHONE)
    opened.set_default_timeout(WAIT_LIMIT * 1_000)
    yield opened
    await opened.close()


async def sign_in(page: Page, inbox: Inbox, name: str, path: str = "/") -> None:
    await page.goto(f"{inbox.url}{path}")
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Sign in").click()


async def test_an_approver_finds_reads_and_approves_the_plan(gate: Gate, inbox: Inbox, page: Page) -> None:
    status = await gate.in_review("water the plants")
    await sign_in(page, inbox, "dana")
    await page.get_by_role("link", name=status.workflow_id).click()
    await expect(page.get_by_role("heading", level=1, name=status.workflow_id)).to_be_visible()
    await expect(page.get_by_role("region", name="Step 1 of 1")).to_contain_text("water the plants")

    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Confirm")
    await page.get_by_role("button", name="Approve").click()

    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await gate.until("executed", status.workflow_id)
    await page.go_back()  # to the confirmation, which redirects to the result
    await expect(page.get_by_role("heading", name="Accepted")).to_be_visible()
    await page.go_back()
    await expect(page.get_by_role("heading", level=1, name=status.workflow_id)).to_be_visible()
    assert gate.notebook.texts() == ["water the plants"]


async def test_axe_reports_nothing_on_confirmations_and_results(idle_gate: Gate, page: Page) -> None:
    idle_gate.policy = wants((ANYONE, 2))
    async with idle_gate.worker(), open_inbox(idle_gate) as inbox:
        status = await idle_gate.in_review("water the plants", "feed the cat")
        await sign_in(page, inbox, "dana", f"/runs/{status.workflow_id}")
        for choice in ("Approve", "Withdraw approval", "Remove step", "Request changes", "Reject"):
            await page.goto(f"{inbox.url}/runs/{status.workflow_id}")
            await page.get_by_label("Comment").fill("Water the roses, too.")
            await page.get_by_role("button", name=choice).first.click()
            await axe_finds_nothing(page, choice)
            act = "Remove step 1" if choice == "Remove step" else choice
            await page.get_by_role("button", name=act).click()
            await expect(page.get_by_text("Your decision on")).to_be_visible()
            await axe_finds_nothing(page, choice)


async def test_a_link_opens_its_run_after_sign_in(gate: Gate, inbox: Inbox, page: Page) -> None:
    status = await gate.in_review("water the plants")
    await sign_in(page, inbox, "dana", f"/runs/{status.workflow_id}")
    await expect(page.get_by_role("heading", level=1, name=status.workflow_id)).to_be_visible()


async def test_the_requester_sees_no_button_to_approve(gate: Gate, inbox: Inbox, page: Page) -> None:
    status = await gate.in_review("water the plants", requester="rita")
    await sign_in(page, inbox, "rita", f"/runs/{status.workflow_id}")
    await expect(page.get_by_role("button", name="Reject")).to_be_visible()
    await expect(page.get_by_role("button", name="Approve")).to_have_count(0)


async def test_an_export_of_the_evidence_is_recorded_and_can_be_verified(gate: Gate, inbox: Inbox) -> None:
    status = await gate.in_review("water the plants")
    visitor = await inbox.signed_in("dana")
    answer = await visitor.get(f"/runs/{status.workflow_id}/evidence")
    await visitor.aclose()
    named = f'attachment; filename="{status.workflow_id}.evidence.json"'
    assert answer.headers["content-disposition"] == named
    bundle = read_bundle(answer.text)
    findings = list(bundle_findings(bundle, trusted=frozenset(), people=None))
    assert all(one.is_unsealed for one in findings), findings
    with gate.database.read() as connection:
        (look,) = (one.event for one in read_trail(connection, ACCESS_TRAIL))
    assert isinstance(look, AccessRecorded)
    assert (look.look.what, look.look.by, look.look.subject) == ("exported", "dana", status.workflow_id)
