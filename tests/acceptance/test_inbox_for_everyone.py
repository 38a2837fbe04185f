"""The inbox is accessible: with only a keyboard, with a screen reader, with large text, in dark mode."""

# ruff: noqa: RUF001  these letters are intended

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from plangate.domain.escaping import many_lines, one_line
from plangate.domain.policies.requirement import Requirement
from tests.support.browser import CHROMIUM, axe_finds_nothing
from tests.support.fresh_records import fresh_records
from tests.support.inbox import Inbox
from tests.support.shown_runs import executed, inbox_of_records, plan, put_people, put_run, step
from tests.support.visual_tricks import tricks
from tests.support.wait_limit import WAIT_LIMIT

if CHROMIUM is None:
    pytest.skip(
        "The accessibility of the inbox was not tested: no browser found. Install one (apt-get install "
        "chromium) and run the tests again.",
        allow_module_level=True,
    )
PAGES = (
    "/",
    "/open?text=x&page=1",
    "/held",
    "/done",
    "/runs/long",
    "/runs/done",
    "/runs/long/trail",
    "/runs/long/proof",
    "/runs/short/edit",
    "/runs/short/edit?notation=json",
    "/me",
    "/invitation/used",
)
LONG = "\n".join(f"line {number} of a long text" for number in range(40))
TEXTS = [one.text for one in tricks() if len(one.text) < 400 and one.text.count("\n") < 6]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def inbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Inbox]:
    folder: Path = tmp_path_factory.mktemp("everyone")
    database = fresh_records(folder / "records.db")
    put_people(database)
    mail = step(
        "send_email",
        "Email 1 recipient: kim@xn--80ak6aa92e.com",
        "why",
        {"seen": LONG},
        to=["kim@xn--80ak6aa92e.com"],
        cc=[],
        body=LONG,
    )
    put_run(database, "long", plan(mail, step(preview="Note pаypal", text="short")), request="Tell Kim")
    put_run(database, "short", plan(step(preview="Note it", text="short")))
    done = plan(step(preview="Note it", text="short"))
    put_run(database, "done", done, *executed(database, "done", done), requirement=Requirement())
    marked = (step(preview="Note it", text=f"pаypal{number} is not PayPal") for number in range(16))
    put_run(database, "marked", plan(*marked))
    put_run(
        database,
        "tricks",
        plan(step(preview="Note", **{f"t{number}": text for number, text in enumerate(TEXTS)})),
    )
    async with inbox_of_records(database, folder) as served:
        yield served
    database.close()


async def open_page(browser: Browser, inbox: Inbox, path: str = "/", **more: object) -> Page:
    context = await browser.new_context(**{"viewport": {"width": 390, "height": 844}, **more})  # type: ignore[arg-type]
    page = await context.new_page()
    page.set_default_timeout(WAIT_LIMIT * 1_000)
    await page.goto(f"{inbox.url}{path}")
    await page.get_by_label("Your name").or_(page.locator("select")).first.select_option("dana")
    await page.locator("main button").click()
    await expect(page.locator("form.who")).to_be_visible()
    await page.wait_for_load_state()  # including its scripts
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_reports_nothing_on_any_page(browser: Browser, inbox: Inbox, scheme: str) -> None:
    page = await open_page(browser, inbox, color_scheme=scheme)
    for path in PAGES if scheme == "light" else ("/", "/runs/long", "/runs/done"):
        await page.goto(f"{inbox.url}{path}")
        await axe_finds_nothing(page, path)
    await page.context.close()


@pytest.mark.parametrize("locale", ["en", "de"])
async def test_no_page_scrolls_sideways_on_a_phone_at_200_percent(
    browser: Browser, inbox: Inbox, locale: str
) -> None:
    page = await open_page(browser, inbox, locale=locale, viewport={"width": 195, "height": 422})
    for path in (*PAGES, "/runs/tricks"):
        await page.goto(f"{inbox.url}{path}")
        wide, available = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert wide <= available, path
    await page.context.close()


async def test_everything_works_with_only_the_keyboard(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox, viewport={"width": 1200, "height": 800})
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Request changes")
    await page.keyboard.press("?")
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("k")
    first = await page.locator(".runs a").first.get_attribute("href")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{inbox.url}{first}")
    await page.goto(f"{inbox.url}/runs/long")
    await page.keyboard.press("j")
    await expect(page.get_by_role("region", name="Step 1 of 2")).to_be_focused()
    await page.get_by_label("Comment").fill("jar? cede")  # text, not keyboard shortcuts
    await page.goto(f"{inbox.url}/runs/long")
    await page.keyboard.press("n")
    await expect(page.locator("details[data-fold][open]")).to_have_count(1)
    await page.goto(f"{inbox.url}/runs/short")
    await page.keyboard.press("a")
    await expect(page.get_by_role("button", name="Approve")).to_be_focused()  # nothing has been pressed yet
    await page.keyboard.press("r")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Reject")
    await page.context.close()


async def test_long_texts_are_collapsed_and_the_bar_links_to_them(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox, "/runs/long")
    assert await page.locator("details[data-fold][open]").count() == 0
    await page.get_by_role("button", name="2 long sections have not been read to the end").click()
    opened = page.locator("details[data-fold][open]")
    await expect(opened).to_have_count(1)
    await opened.locator("summary").click()  # collapsed again before its end was on the screen
    await expect(page.locator("[data-folds-left]")).to_contain_text("2 long sections")
    for _ in range(20):  # the bar links to each text
        if await page.locator("[data-folds-left]").is_hidden():
            break
        with suppress(PlaywrightTimeoutError):  # the bar disappeared, because the text's end came into view
            await page.locator("[data-folds-left] button").click(timeout=1_000)
        await page.wait_for_timeout(100)
    await expect(page.locator("[data-folds-left]")).to_be_hidden()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Confirm")
    await page.context.close()


async def test_a_short_plan_and_its_buttons_are_on_the_first_screen_of_a_phone(
    browser: Browser, inbox: Inbox
) -> None:
    page = await open_page(browser, inbox, "/runs/short")
    bar, steps = page.locator(".bar"), page.locator("section.step")
    bar_box, step_box = await bar.bounding_box(), await steps.last.bounding_box()
    assert bar_box is not None
    assert step_box is not None
    assert bar_box["y"] + bar_box["height"] <= 844 + 1
    assert step_box["y"] + step_box["height"] <= bar_box["y"]
    for button in await bar.get_by_role("button").all():
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    await page.context.close()


async def test_the_buttons_are_completely_visible_below_many_warnings(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox, "/runs/marked")
    marks, bar = await page.locator(".marks").bounding_box(), await page.locator(".bar").bounding_box()
    assert marks is not None
    assert bar is not None
    assert marks["y"] + marks["height"] > 844
    assert bar["y"] + bar["height"] <= 844 + 1
    await page.context.close()


async def test_a_phone_shows_the_product_before_the_sign_in(browser: Browser, inbox: Inbox) -> None:
    page = await browser.new_page(viewport={"width": 390, "height": 844})
    await page.goto(f"{inbox.url}/runs/short")
    await expect(page.get_by_role("link", name="Plangate")).to_be_visible()
    await page.context.close()


async def test_the_start_of_a_plan_is_entered_in_the_readers_time_zone(
    browser: Browser, inbox: Inbox
) -> None:
    page = await open_page(browser, inbox, "/runs/short/edit", timezone_id="Asia/Tokyo")
    await page.get_by_label("Not before").fill("2031-05-06T07:08")
    await page.get_by_role("button", name="See the changes").click()
    await expect(page.locator("ins time")).to_have_attribute("datetime", "2031-05-05T22:08:00+00:00")
    await page.go_back()
    await expect(page.get_by_label("Not before")).to_have_value(re.compile("|2031-05-06T07:08"))
    await page.get_by_label("Not before").fill("2031-05-06T07:08")
    await page.get_by_label("summary").fill("")  # an error
    await page.get_by_role("button", name="See the changes").click()
    await expect(page.get_by_label("Not before")).to_have_value("2031-05-06T07:08")
    await page.context.close()


async def test_times_are_in_the_readers_time_zone(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox, "/runs/short", timezone_id="Asia/Tokyo", locale="en-GB")
    await expect(page.locator("time").first).to_contain_text("GMT+9")
    await page.context.close()


async def test_without_javascript_nothing_is_collapsed(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox, "/runs/long", java_script_enabled=False)
    await expect(page.get_by_role("region", name="Step 1 of 2")).to_contain_text("line 39 of a long text")
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Confirm")
    await page.context.close()


async def test_a_browser_shows_deceptive_text_exactly(browser: Browser, inbox: Inbox) -> None:
    page = await open_page(browser, inbox)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    await page.goto(f"{inbox.url}/runs/tricks")
    shown = await page.eval_on_selector_all(
        "section.step .values > div",
        "all => all.map(one => [one.querySelector('dt').innerText,"
        " (one.querySelector('dd pre') || one.querySelector('dd code, dd .text')).innerText])",
    )
    assert len(shown) == len(TEXTS)
    for name, drawn in shown:
        text = TEXTS[int(name.removeprefix("t"))]
        in_json = drawn.startswith('"') and drawn.endswith('"') and drawn != text
        assert drawn == (one_line(json.dumps(text, ensure_ascii=False)) if in_json else many_lines(text))
    assert all(url.startswith(inbox.url) for url in asked)
    await page.context.close()
