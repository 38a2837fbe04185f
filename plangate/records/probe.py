"""Find out whether the records can be written to now, by writing what changes nothing.

An open transaction proves little: a full disk is met by the commit alone, and a read-only replica opens
transactions too.
"""

from sqlalchemy import Connection, update

from plangate.records.tables import runs


def prove_writable(connection: Connection, workflow_id: str) -> None:
    """Write what changes nothing on the record; whether it can be kept, the commit says.

    Args:
        connection: a transaction that writes.
        workflow_id: a run whose row PostgreSQL is to write as it was; SQLite passes over what is no change,
            and counts up a number in its file's header that is there for such uses.

    Raises:
        DBAPIError: the database did not take it.
    """
    if connection.dialect.name == "sqlite":
        (count,) = connection.exec_driver_sql("PRAGMA user_version").one()
        connection.exec_driver_sql(f"PRAGMA user_version = {(int(count) + 1) % 2**31}")
    else:
        same = update(runs).where(runs.c.workflow_id == workflow_id)
        connection.execute(same.values(entry_count=runs.c.entry_count))
