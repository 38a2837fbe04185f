"""A real browser, if one is installed."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, Page, async_playwright, expect

from plangate.settings import PROJECT
from tests.support.signing_inbox import SigningInbox
from tests.support.wait_limit import WAIT_LIMIT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_AXE = PROJECT / "tests" / "support" / "axe" / "axe.min.js"
# Playwright disables these features with the same flag, of which Chromium uses only the last.
_OF_PLAYWRIGHT = (
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "TcpPortRandomizationWin",
    "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
# The suggestions of the address bar are pages too: they take half of the processor time of a new window.
_SUGGESTIONS = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup")
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    f"--disable-features={','.join((*_OF_PLAYWRIGHT, *_SUGGESTIONS))}",
)  # fmt: skip
expect.set_options(timeout=WAIT_LIMIT * 1_000)  # five seconds by default


@asynccontextmanager
async def launched_browser() -> AsyncIterator[Browser]:
    """Run a headless browser while the block runs."""
    as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*as_root, *FLAGS])
        yield launched
        await launched.close()


async def add_authenticator(page: Page) -> None:
    """Give a page a separate authenticator, whose user is always present and verified."""
    session = await page.context.new_cdp_session(page)
    await session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    await session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


async def axe_finds_nothing(page: Page, where: str = "") -> None:
    """Check that axe finds nothing on a page; otherwise, fail with the rule and the first violation."""
    await page.evaluate(_AXE.read_text(encoding="utf-8"))
    found = await page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == [], where


async def signed_in(page: Page, inbox: SigningInbox, path: str) -> None:
    await page.goto(f"{inbox.inbox.url}{path}")
    await page.get_by_label("Choose your name").select_option("dana")
    await page.get_by_role("button", name="Sign in").click()


async def with_a_passkey(page: Page, inbox: SigningInbox) -> str:
    """Propose a passkey as dana, and add it to the list of people."""
    await signed_in(page, inbox, "/me")
    await page.get_by_label("Name of the passkey").fill("phone")
    await page.wait_for_load_state()  # otherwise its script does not run, and no passkey is created
    await page.get_by_role("button", name="Add a passkey").click()
    line = await page.get_by_text(re.compile("^passkey:")).inner_text()
    inbox.enrol(line)
    return line
