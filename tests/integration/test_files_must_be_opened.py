"""A file that the page does not show completely must be downloaded or opened before an approval."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from plangate.domain.plans.attachments import Attachment, observation_of
from plangate.domain.policies.requirement import Need, Requirement
from plangate.records.attachments import keep
from tests.support.drawn_pages import read_html
from tests.support.fresh_records import fresh_records
from tests.support.plain_browser import PlainBrowser
from tests.support.shown_runs import inbox_of_records, plan, put_people, put_run, step

CONTENTS = {
    "list.csv": ("text/csv", b"name,amount"),
    "bill.pdf": ("application/pdf", b"%PDF-1.7"),
    "logo.png": ("image/png", b"\x89PNG\r\n\x1a\nlogo"),
}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, (_, content) in CONTENTS.items()}
BATCH = Requirement(needs=(Need(role="finance", count=1),), batch=True)


@pytest_asyncio.fixture(loop_scope="session")
async def dana(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Serve two runs with the same files, and sign dana in."""
    database = fresh_records(tmp_path / "records.db")
    put_people(database)
    files = [
        Attachment(name=name, sha256=HASHES[name], bytes=len(content), media_type=kind)
        for name, (kind, content) in CONTENTS.items()
    ]
    with database.write() as connection:
        for _, content in CONTENTS.values():
            keep(connection, content)
    for name in ("one", "two"):
        put_run(database, name, plan(step("mail", "Mail it", seen=observation_of(files))), requirement=BATCH)
    async with inbox_of_records(database, tmp_path) as inbox:
        visitor = await inbox.signed_in("dana")
        yield visitor
        await visitor.aclose()
    database.close()


async def approved(dana: httpx.AsyncClient, run: str = "one", **fields: str) -> str:
    """Press Approve in a browser without scripts, and return the page that follows."""
    browser = PlainBrowser(dana)
    await browser.open(f"/runs/{run}")
    await browser.press("Approve", 0, **fields)
    return browser.html


async def fetch(dana: httpx.AsyncClient, name: str, how: str) -> None:
    answer = await dana.get(f"/runs/one/files/{HASHES[name]}{how}")
    assert answer.status_code == httpx.codes.OK


async def test_a_file_counts_as_seen_once_downloaded_and_a_pdf_once_opened_separately(
    dana: httpx.AsyncClient,
) -> None:
    asked = "You have not opened all of them yet"
    await fetch(dana, "bill.pdf", "")  # as the frame of the page does
    assert asked in await approved(dana)
    await fetch(dana, "list.csv", "/download")
    assert asked in await approved(dana)
    await fetch(dana, "bill.pdf", "?alone=true")
    assert "You are approving exactly this:" in await approved(dana)
    assert "You are approving exactly this:" in await approved(dana, "two")  # the same bytes


async def test_a_pdf_read_in_its_frame_counts_as_seen_and_a_script_cannot_confirm_a_download(
    dana: httpx.AsyncClient,
) -> None:
    page = read_html((await dana.get("/runs/one")).text)
    inside = [one.attributes for one in page.all("input", name="inside")]
    assert ["disabled" in one for one in inside] == [True, True]  # a page without scripts sends neither
    csv, pdf = (one["value"] or "" for one in inside)
    assert "You have not opened all of them" in await approved(dana, inside=csv)
    await fetch(dana, "list.csv", "/download")
    assert "You are approving exactly this:" in await approved(dana, inside=pdf)


async def test_files_seen_in_another_session_do_not_count_as_seen(dana: httpx.AsyncClient) -> None:
    for name, how in (("list.csv", "/download"), ("bill.pdf", "/download")):
        await fetch(dana, name, how)
    async with httpx.AsyncClient(base_url=dana.base_url, follow_redirects=True, verify=False) as other:
        await other.post("/sign-in", data={"name": "dana", "next": "/"})
        assert "You have not opened all of them" in await approved(other)
    assert "You are approving exactly this:" in await approved(dana)


async def test_plans_with_unseen_files_cannot_be_approved_together(dana: httpx.AsyncClient) -> None:
    for are_opened in (False, True):
        for name in ("one", "two"):
            browser = PlainBrowser(dana)
            await browser.open(f"/runs/{name}")
            await browser.press("I have read all of it")
        offered = read_html((await dana.get("/")).text).all("section", class_="together")
        assert bool(offered) is are_opened
        await fetch(dana, "list.csv", "/download")
        await fetch(dana, "bill.pdf", "/download")
