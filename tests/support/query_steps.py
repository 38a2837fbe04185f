"""Count SQLite's steps in queries: they depend on the number of rows read, not on the machine's load."""

import contextlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Connection, event

from plangate.records.database import Database
from plangate.records.sqlite_file import raw


@contextlib.contextmanager
def query_steps(database: Database) -> Iterator[Counter[str]]:
    """Count the instructions of SQLite's virtual machine by statement, in transactions of this database.

    Source: https://www.sqlite.org/c3ref/progress_handler.html
    """
    counted = Counter[str]()
    connections: set[sqlite3.Connection] = set()
    running = [""]

    def started(transaction: Connection) -> None:
        connection = raw(transaction)
        connections.add(connection)
        connection.set_trace_callback(begun)
        connection.set_progress_handler(step, 1)

    def begun(statement: str) -> None:
        running[0] = re.sub(r"'(''|[^'])*'|\b\d+\b", "?", statement)

    def step() -> int:
        counted[running[0]] += 1
        return 0

    engine = database._engine  # noqa: SLF001  only tests and benchmarks count steps
    event.listen(engine, "begin", started)
    try:
        yield counted
    finally:
        event.remove(engine, "begin", started)
        for connection in connections:
            connection.set_trace_callback(None)
            connection.set_progress_handler(None, 1)
