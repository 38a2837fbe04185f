"""Processes that claim steps like workers until they are killed."""

import os

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.audit import Claimed
from plangate.records.database import Database
from plangate.records.stops import StopsCache
from plangate.records.trail import open_trail
from tests.support.record_writer import note, run_ref

TOOLS = ("mail", "pay")


def claim_until_killed(number: int, url: str) -> None:
    """Claim step after step, each in its own transaction, like a worker, until this process is killed."""
    database, seen, index = Database(url), StopsCache(), 0
    while True:
        index += 1
        tool = TOOLS[(number + index) % len(TOOLS)]
        try:
            with database.write() as connection:
                opened = open_trail(connection, run_ref(f"plan-{number}"))
                if seen.read(connection).of(tool) is None:
                    # The auditor of this test finds the tool under this name.
                    event = Claimed(
                        step=1, idempotency_key=tool, fingerprint="f" * 64, attempt=1, stops=seen.number
                    )
                    opened.append(note(f"{os.getpid()}:{index}", event))
        except RecordsUnavailable:
            continue
