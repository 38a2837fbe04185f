"""Temporal's Web UI in a real browser: an approver reads the plan, decides, and is not misled."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Frame, Page, expect
from temporalio.client import Client

from plangate.domain.escaping import many_lines
from plangate.domain.plans.plan import Plan
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.status import Status
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.dev_server import EmbeddedServer
from tests.support.browser import CHROMIUM
from tests.support.gate import Gate, build_gate
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "Deciding in Temporal's Web UI was not tested: no browser found. Install one (apt-get install "
        "chromium) and run the tests again.",
        allow_module_level=True,
    )
FIRST_PORT = 28233  # not the port of a developer's own server
HOSTILE = """<img src=x onerror=alert(1)><script>alert(2)</script> [click](http://evil.example) ![i](http://evil.example/i)
# Approved by the board

| safe | yes |
|---|---|
| <a href='javascript:alert(3)'>x</a> | "quoted" -- 1/2 ... (c) & &lt;b&gt; &#60;i&#62; |
```
</code></pre></main><iframe srcdoc="<b>out</b>"></iframe>
````
~~~
<http://evil.example> http://evil.example www.evil.example mail@evil.example **bold** $x$ [^1]
---
\u202elive\u202c zero\u200bwidth \x1b[31mred\x1b[0m   three blanks `tick` ``two`` \\` end"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """A server with the Web UI; the server for the other tests has none."""
    del browser  # without a browser, the tests are skipped
    var_dir = tmp_path_factory.mktemp("web-ui")
    yield await embedded_server.ensure_running(var_dir, first_port=FIRST_PORT)
    await embedded_server.stop(var_dir)


@pytest_asyncio.fixture(loop_scope="session")
async def gate(server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Gate]:
    client = await Client.connect(server.address, data_converter=DATA_CONVERTER)
    built = build_gate(client, tmp_path, f"web-{uuid4().hex[:12]}")
    async with built.worker():
        yield built
    built.database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    opened = await browser.new_page(viewport={"width": 1280, "height": 1200})
    opened.set_default_timeout(WAIT_LIMIT * 1_000)
    yield opened
    await opened.close()


async def open_run(page: Page, server: EmbeddedServer, workflow_id: str) -> None:
    await page.goto(f"{server.ui_url}/namespaces/default/workflows/{workflow_id}")
    await page.get_by_text("User Metadata").click()


async def panel(page: Page, name: str) -> Frame:
    """One of the panels of the tab 'User Metadata', rendered; the page may replace its frame until then."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            frame = page.frame(name=f"user-metadata-{name}")
            if frame is not None and not frame.is_detached() and await frame.locator("main p").count():
                return frame
            await asyncio.sleep(0.05)


async def shown_in(page: Page, name: str) -> str:
    text = await (await panel(page, name)).inner_text("main")
    return text.strip()


async def send_signal(page: Page, name: str, message: str) -> None:
    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send a Signal").click()
    dialog = page.locator("dialog[open], [role=dialog]").filter(visible=True)
    await dialog.get_by_test_id("signal-select-button").click()
    await page.get_by_role("option", name=re.compile(rf"^{name}\b")).filter(visible=True).click()
    field = dialog.get_by_role("textbox", name="Data")
    await field.fill(message)
    await field.press("Tab")
    await asyncio.sleep(0.5)  # leaving the field formats the JSON and moves the button
    await dialog.get_by_role("button", name="Submit").click()
    await expect(dialog).to_be_hidden()


async def test_the_decision_on_the_page_works_in_the_signal_dialog(
    gate: Gate, server: EmbeddedServer, page: Page
) -> None:
    status = await gate.in_review("Refund of 42.50 EUR to Kim", request="Kim's parcel is broken. Refund it!")
    await open_run(page, server, status.workflow_id)
    assert await shown_in(page, "summary") == "Kim's parcel is broken. Refund it!"
    details = await shown_in(page, "details")
    assert details.startswith("rita asked for:\nKim's parcel is broken. Refund it!")
    assert "If it is empty, no worker is running" in details
    shown = await shown_in(page, "current-details")
    assert status.deadline is not None
    assert f"Waiting for a decision until {status.deadline:%Y-%m-%d %H:%M} UTC" in shown
    assert f"Plan {status.short_fingerprint}, revision 1:\nWrite 1 notes" in shown
    assert re.search(r"Step 1 of 1: note\n(?:.*\n)*?text: Refund of 42.50 EUR to Kim\n", shown)
    (ready,) = re.findall(r'\{"by": .*\}', shown)

    await send_signal(page, "approve", ready.replace("YOUR-NAME", "dana"))

    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["Refund of 42.50 EUR to Kim"]
    (decided,) = [
        entry.event for entry in gate.api.trail(status.workflow_id) if isinstance(entry.event, Decided)
    ]
    assert decided.arrival.via == "signal"
    assert decided.arrival.decision is not None
    assert decided.arrival.decision.by == "dana"


async def test_a_decision_without_a_name_is_refused_and_the_page_says_why(
    gate: Gate, server: EmbeddedServer, page: Page
) -> None:
    status = await gate.in_review("one")
    await gate.signal(status, by="")
    await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)
    await open_run(page, server, status.workflow_id)
    shown = await shown_in(page, "current-details")
    assert "unknown sender: approve refused: by: must" in shown


async def test_a_plan_too_long_for_the_page_offers_no_decision_to_paste(
    gate: Gate, server: EmbeddedServer, page: Page
) -> None:
    status = await gate.in_review("Refund 100 ש 7 " + "and more " * 200)
    await open_run(page, server, status.workflow_id)
    shown = await shown_in(page, "current-details")
    assert f"Not all of plan {status.short_fingerprint} is shown here" in shown
    assert f"python starter.py status {status.workflow_id}" in shown
    assert "may be shown in a different order" in shown
    assert '"by"' not in shown
    assert "Send a Signal" not in shown


async def hostile_run(gate: Gate) -> Status:
    step = {"tool": "note", "arguments": {"text": HOSTILE}, "reason": HOSTILE}
    plan = Plan.model_validate({"summary": HOSTILE, "steps": (step,)})
    gate.planner.plans.append(plan)
    status = await gate.in_review(request=HOSTILE)
    await gate.signal(status, comment=HOSTILE, by="eve", plan="0" * 12)
    return await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)


async def test_hostile_text_is_shown_exactly_and_creates_no_elements(
    gate: Gate, server: EmbeddedServer, page: Page
) -> None:
    alerts: list[str] = []
    page.on("dialog", lambda dialog: alerts.append(dialog.message))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    status = await hostile_run(gate)
    await open_run(page, server, status.workflow_id)

    elements: set[str] = set()
    for name in ("summary", "details", "current-details"):
        frame = await panel(page, name)
        elements |= set(await frame.eval_on_selector_all("body *", "all => all.map(one => one.localName)"))
    assert elements <= {"main", "p", "h3", "strong", "em", "code"}
    lines = await frame.eval_on_selector_all("code", "all => all.map(one => one.textContent)")
    drawn = many_lines(HOSTILE).split("\n")
    exact = [f"{line}⏎" for line in drawn[:-1]] + drawn[-1:]
    shown = "\n".join(line.replace("\u00a0", " ") for line in lines)
    assert shown.count("\n".join(exact)) == 1  # in the argument; the other texts have less space
    assert shown.count(exact[0]) == 4
    assert "⟨U+202E⟩live⟨U+202C⟩ zero⟨U+200B⟩width ⟨U+001B⟩[31mred" in shown
    assert not re.search("[\u202e\u200b\x1b]", await frame.inner_text("main"))
    width = await frame.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1], "part of the plan is beyond the edge of its panel"
    assert alerts == []
    assert not [url for url in asked if not url.startswith((server.ui_url, "data:", "blob:"))]


async def test_request_cancellation_withdraws_the_run(gate: Gate, server: EmbeddedServer, page: Page) -> None:
    status = await gate.in_review("one")
    await open_run(page, server, status.workflow_id)
    await page.get_by_role("button", name="Request Cancellation").click()
    dialog = page.locator("dialog[open], [role=dialog]").filter(visible=True)
    await dialog.get_by_role("button", name="Confirm").click()
    result = await gate.result(status.workflow_id)
    assert result.outcome == "withdrawn"
    assert gate.notebook.texts() == []
    assert gate.api.trail(status.workflow_id)[-1].event.kind == "closed"
