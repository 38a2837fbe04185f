"""Check that the records can be written now, with a write that changes nothing.

An open transaction is not enough: a full disk causes an error only at the commit, and a read-only replica
also opens transactions.
"""

from sqlalchemy import Connection, update

from plangate.records.tables import runs


def check_writable(connection: Connection, workflow_id: str) -> None:
    """Write without changing any record; the commit shows whether it can be stored.

    Args:
        connection: a write transaction.
        workflow_id: a run whose row is rewritten unchanged in PostgreSQL. SQLite skips such writes, so there
            ``user_version`` in the file's header is incremented.

    Raises:
        DBAPIError: the database refused the write.
    """
    if connection.dialect.name == "sqlite":
        (count,) = connection.exec_driver_sql("PRAGMA user_version").one()
        connection.exec_driver_sql(f"PRAGMA user_version = {(int(count) + 1) % 2**31}")
    else:
        same = update(runs).where(runs.c.workflow_id == workflow_id)
        connection.execute(same.values(entry_count=runs.c.entry_count))
