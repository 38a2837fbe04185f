"""Attacks on the inbox in a real browser: hostile text is not run, and no other site can frame a page."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.browser import CHROMIUM
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Attacks on the inbox were not tested: no browser found. Install one (apt-get install chromium) and "
        "run the tests again.",
        allow_module_level=True,
    )
HOSTILE = (
    "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    "<svg onload=\"document.title='run'\"><style>body{display:none}</style>"
    "\"><a href=javascript:document.title='run'>x</a>"
)
WATCH = "addEventListener('securitypolicyviolation', event => (window.broken ??= []).push(event.blockedURI))"


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page()
    opened.set_default_timeout(WAIT_LIMIT * 1_000)
    yield opened
    await opened.close()


async def test_scripts_in_a_plan_are_shown_and_do_not_run(gate: Gate, inbox: Inbox, page: Page) -> None:
    await page.add_init_script(WATCH)
    plan = {
        "summary": HOSTILE,
        "steps": [{"tool": "note", "arguments": {"text": HOSTILE}, "reason": HOSTILE}],
    }
    workflow_id = await gate.submit(plan=plan, request=HOSTILE, requester="rita")
    status = await gate.until("in_review", workflow_id)
    await page.goto(f"{inbox.url}/sign-in?next=/runs/{workflow_id}")
    await page.get_by_label("Your name").fill("dana")
    await page.get_by_role("button", name="Sign in").click()
    heading = page.get_by_role("heading", level=1, name=workflow_id)
    await heading.wait_for()
    assert await heading.is_visible()
    assert "run" not in await page.title() or workflow_id in await page.title()
    assert await page.evaluate("document.querySelectorAll('img, svg, main style, main script').length") == 0
    assert await page.evaluate("window.broken ?? []") == []
    assert HOSTILE in await page.inner_text("main")
    assert status.requester == "rita"


async def test_no_other_site_can_frame_a_page(inbox: Inbox, page: Page) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"<iframe src='{inbox.url}/sign-in'></iframe>".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await page.goto(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        framed = next(one for one in page.frames if one is not page.main_frame)
        assert "Sign in" not in await framed.content()
