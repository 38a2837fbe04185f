"""Large files that are created and downloaded at different speeds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from starlette.types import Message

from plangate.settings import Settings
from plangate.web import audits as web_audits
from plangate.web import download_buffer
from plangate.web.audits import Audits, Evidence, NotAudited
from plangate.web.download_buffer import Copy, Download
from tests.support.build import NOON
from tests.support.fresh_records import fresh_records
from tests.support.periods import SINCE, UNTIL, examined, some_hours
from tests.support.wait_limit import WAIT_LIMIT

SCOPE = {"type": "http", "asgi": {"spec_version": "2.3"}}


async def read_all(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([one async for one in pieces])


async def add_pieces(copy: Copy, pieces: list[bytes], rng: Random) -> None:
    for piece in pieces:
        await copy.add(piece)
        if rng.random() < 0.5:
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(20))
async def test_a_reader_gets_the_bytes_in_order_at_any_speed(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    pieces = [rng.randbytes(rng.choice((0, 1, 1_000, 200_000))) for _ in range(rng.randint(0, 30))]
    copy = Copy(tmp_path)
    filling = copy.fill(add_pieces(copy, pieces, rng))
    if rng.random() < 0.5:
        await filling
    found = b""
    async for piece in copy.read():
        found += piece
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    assert found == b"".join(pieces)
    copy.close()
    assert list(tmp_path.iterdir()) == []


async def test_an_error_in_the_producer_reaches_the_reader_after_its_output(tmp_path: Path) -> None:
    async def make(copy: Copy) -> None:
        await copy.add(b"some")
        raise NotAudited("audit.ended")

    copy = Copy(tmp_path)
    copy.fill(make(copy))
    read = copy.read()
    assert await anext(read) == b"some"
    with pytest.raises(NotAudited):
        await anext(read)
    copy.close()


@pytest.mark.parametrize("disconnects", [True, False])
async def test_an_unread_download_ends_together_with_its_producer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disconnects: bool
) -> None:
    monkeypatch.setattr(download_buffer, "LONGEST", 2 * WAIT_LIMIT if disconnects else 0.05)
    left, sent = asyncio.Event(), list[Message]()

    async def make(copy: Copy) -> None:
        while True:
            await copy.add(b"x")

    async def receive() -> Message:
        if not disconnects:
            await asyncio.Event().wait()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        left.set()
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()  # the browser stops reading

    copy = Copy(tmp_path)
    filling = copy.fill(make(copy))
    async with asyncio.timeout(WAIT_LIMIT):
        await Download(copy, "name", "text/plain")(SCOPE, receive, send)
        with suppress(asyncio.CancelledError):
            await filling
    assert copy.is_closed
    assert filling.cancelled()
    assert all(message.get("more_body", True) for message in sent)  # the file must not look complete


@pytest.mark.usefixtures("forked_audits")
async def test_other_audits_do_not_wait_for_downloads_and_few_exports_wait_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_audits, "MOST_COPIES", 2)
    database = fresh_records(tmp_path / "records.db")
    some_hours(database)
    audits = Audits(Settings(var_dir=tmp_path))
    period = SINCE, UNTIL
    both = await asyncio.gather(audits.export(*period), audits.export(*period), return_exceptions=True)
    assert {type(one) for one in both} == {Evidence, NotAudited}
    made = [one for one in both if isinstance(one, Evidence)]
    while len(made) < 2:
        with suppress(NotAudited):  # the previous one is still being written
            made.append(await audits.export(*period))
        await asyncio.sleep(0.05)
    while True:
        with suppress(NotAudited):
            assert await audits.decided(NOON) != []
            break
        await asyncio.sleep(0.05)
    with pytest.raises(NotAudited, match=r"audit\.busy"):
        await audits.export(*period)
    for one in made:
        lines = (await read_all(one.copy.read())).splitlines(keepends=True)
        check, findings = examined(lines)
        assert (check.totals.runs > 0, findings) == (True, [])
        one.copy.close()
    again = await audits.export(*period)
    again.copy.close()
    await audits.close()
    database.close()
