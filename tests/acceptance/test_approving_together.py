"""Several plans approved with one confirmation, in a real browser, with a virtual authenticator."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, expect

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.audit.rule_references import referenced_rules
from plangate.domain.people.assurance import Assurance
from plangate.policy.effective_people import trusted_web
from plangate.policy.people_file import read_people
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from tests.support.browser import CHROMIUM, add_authenticator, axe_finds_nothing, with_a_passkey
from tests.support.gate import Gate
from tests.support.signing_inbox import POLICY, SigningInbox, signing_inbox
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Joint approval was not tested: no browser found. Install one (apt-get install "
        "chromium) and run the tests again.",
        allow_module_level=True,
    )
PHONE = ViewportSize(width=390, height=844)
LONG = "\n".join(f"line {number}" for number in range(60))


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[SigningInbox]:
    async with signing_inbox(idle_gate, tmp_path, policy=f"{POLICY}batch = true\n") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, inbox: SigningInbox) -> AsyncIterator[Page]:
    """Open a phone browser for dana, whose passkey is in the list of people."""
    opened = await browser.new_page(viewport=PHONE)
    opened.set_default_timeout(WAIT_LIMIT * 1_000)
    await add_authenticator(opened)
    await with_a_passkey(opened, inbox)
    yield opened
    await opened.close()


async def test_one_signature_approves_several_plans_each_recorded_on_its_own_trail(
    page: Page, inbox: SigningInbox
) -> None:
    gate = inbox.gate
    runs = [await gate.in_review(text) for text in ("water the plants", f"feed the cat\n{LONG}", "call Kim")]
    for one in runs:
        await page.goto(f"{inbox.inbox.url}/runs/{one.workflow_id}")
        await expect(page.get_by_text("approve this plan together with others")).to_be_visible()
    await page.goto(inbox.inbox.url)
    region = page.get_by_role("region", name="Approve 2 plans together")  # one plan has an unopened section
    await expect(region).to_be_visible()

    await page.goto(f"{inbox.inbox.url}/runs/{runs[1].workflow_id}")
    async with page.expect_response(re.compile("/opened$")):
        await page.get_by_role("button", name="1 long section has not been read to the end").click()
        await page.locator("details[data-fold] .end").scroll_into_view_if_needed()
    await page.goto(inbox.inbox.url)
    region = page.get_by_role("region", name="Approve 3 plans together")
    await axe_finds_nothing(page)
    await region.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("You are approving exactly these 3 plans:")).to_be_visible()
    for text in ("water the plants", "feed the cat", "call Kim"):
        await expect(page.get_by_role("list").get_by_text(text)).to_be_visible()
    await axe_finds_nothing(page)
    await page.get_by_role("button", name="Approve").click()  # then the fingerprint, once

    await expect(page.get_by_role("heading", name="Results of your approvals")).to_be_visible()
    await expect(page.get_by_text("Accepted")).to_have_count(3)
    await page.go_back()  # to the confirmation, which redirects to the results
    await expect(page.get_by_text("Accepted")).to_have_count(3)
    await axe_finds_nothing(page)
    for one in runs:
        after = await gate.until("executed", one.workflow_id)
        assert [(decision.by, decision.assurance, decision.batch) for decision in after.decisions] == [
            ("dana", Assurance.SIGNED, 3)
        ]
        assert findings(inbox, one.workflow_id) == []
        await page.goto(f"{inbox.inbox.url}/runs/{one.workflow_id}")
        await expect(page.get_by_text("signed, one of 3 plans with one confirmation")).to_be_visible()


def findings(inbox: SigningInbox, workflow_id: str) -> list[str]:
    """Return an auditor's findings in the evidence of this run, with the list and the inbox's address."""
    gate = inbox.gate
    with gate.database.read() as connection:
        entries = read_trail(connection, workflow_id)
        made = bundle_of(workflow_id, entries, (), texts_of(connection, referenced_rules(entries)))
    bundle = read_bundle(made.model_dump_json())
    found = bundle_findings(
        bundle, trusted=frozenset(), people=read_people(inbox.people), web=trusted_web(gate.settings)
    )
    return [str(one) for one in found if not one.is_unsealed]
