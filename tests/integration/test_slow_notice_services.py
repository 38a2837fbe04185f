"""A service that does not respond does not delay other messages: the notifier with the real channels."""

import asyncio
from pathlib import Path

from plangate.notifications.channels import Channels
from plangate.notifications.ledger import MAX_PER_SCHEME
from plangate.notifications.notifier import MAX_IN_PROGRESS, Notifier
from plangate.notifications.timeouts import Timeouts
from plangate.records.database import Database
from tests.support.faulty_server import Answer, ByteByByte, FaultyServer
from tests.support.notice_faults import settings_for
from tests.support.notices import NoticeHarness, StoringChannel
from tests.support.wait_limit import WAIT_LIMIT

_MANY = MAX_IN_PROGRESS + 5


async def test_a_service_that_never_responds_delays_no_other(database: Database, tmp_path: Path) -> None:
    harness = NoticeHarness(database, StoringChannel())
    with FaultyServer(answer=lambda _: Answer(200, "x" * 500)) as hanging, FaultyServer() as quick:
        hanging.plan(ByteByByte(pause=0.5), times=None)
        host, good = (one.url.removeprefix("http://") for one in (hanging, quick))
        harness.list_people(
            '[[person]]\nname = "rita"\n'
            + "".join(
                f'[[person]]\nname = "p{n:03}"\nroles = ["finance"]\nnotify = ["ntfy://{host}/t{n}"]\n'
                for n in range(_MANY)
            )
            + f'[[person]]\nname = "zoe"\nroles = ["finance"]\nnotify = ["json://{good}/hook"]\n'
        )
        notifier = Notifier(harness.ledger, Channels(settings_for(tmp_path), Timeouts(whole=2 * WAIT_LIMIT)))
        await notifier.step()
        harness.put("one")
        notifying = asyncio.create_task(notifier.keep_notifying())
        async with asyncio.timeout(WAIT_LIMIT):
            while not quick.count("POST", "/hook"):
                await asyncio.sleep(0.02)
        assert hanging.count() <= MAX_PER_SCHEME
        hanging.stop()
        notifying.cancel()
        await asyncio.gather(notifying, return_exceptions=True)
