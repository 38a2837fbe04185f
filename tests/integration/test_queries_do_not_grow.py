"""Work for each run or each second needs the same number of queries with many runs as with few."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from plangate.audit.sealing import Sealing, seal_key
from plangate.domain.plans.duplicates import MatchKey
from plangate.notifications.audience_lookup import Readers
from plangate.notifications.ledger import Ledger, Pace
from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.notifier import Notifier
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.records.duplicates import duplicates_of, store_match_keys
from plangate.records.trail import read_state
from tests.support.notified_runs import list_people, mark_sent, put_runs
from tests.support.query_steps import query_steps

FEW, MANY = 40, 240
READERS = Readers("operator", "http://localhost:8088")


class Sent:
    """A channel that accepts every message."""

    async def send(self, sending: Sending, at: datetime) -> Attempted:
        del sending, at
        return Attempted(delivery=Delivery.SENT)


def match_key(number: int) -> MatchKey:
    return MatchKey(step=1, tool="send_email", same=(), digest=f"{number:064}")


async def steps_with(count: int, folder: Path, ended: bool) -> dict[str, Counter[str]]:
    """Return the query steps per kind of work with this many other runs, whose notices have been sent."""
    database = Database(f"sqlite:///{folder / f'{count}.db'}")
    database.migrate()
    list_people(database)
    put_runs(database, count, "other", ended=ended)
    with database.write() as connection:
        for number in range(count):
            name = f"other-{number:06}"
            store_match_keys(connection, name, [match_key(number)], now(), is_first=True, is_hidden=False)
    sealing = Sealing(database, seal_key(folder / "seal.pem"), folder / f"last-{count}.json", 10)
    while sealing.seal() is not None:
        pass
    entering = Ledger(database, READERS, Pace(gather=timedelta(days=1)))
    while entering.messages_to_send([], 1).has_more:
        pass
    entering.release()
    mark_sent(database)
    notifier = Notifier(Ledger(database, READERS, Pace()), Sent())
    await notifier.step()
    counted = {}

    async def poll() -> None:
        await notifier.step()
        await notifier.wait_until_idle()

    with query_steps(database) as counted["a poll without results"]:
        await poll()
    with query_steps(database) as counted["a new run"]:
        put_runs(database, 1, "new")
    with query_steps(database) as counted["a checkpoint"]:
        sealing.seal()
    with query_steps(database) as counted["notices about a new run"]:
        await poll()
        await poll()
    with query_steps(database) as counted["the page of a run"], database.read() as connection:
        read_state(connection, "new-000000")
        duplicates_of(connection, "new-000000", [match_key(7)], now())
    database.close()
    return counted


@pytest.mark.parametrize("ended", [False, True], ids=["open", "ended"])
async def test_no_query_reads_more_rows_with_more_other_runs(tmp_path: Path, ended: bool) -> None:
    few, many = [await steps_with(count, tmp_path, ended) for count in (FEW, MANY)]
    grown = {
        (work, statement): (few[work][statement], steps)
        for work, statements in many.items()
        for statement, steps in statements.items()
        if steps > few[work][statement] * 1.1 + 10
    }
    assert not grown
    assert min(counted.total() for counted in many.values()) > 10
