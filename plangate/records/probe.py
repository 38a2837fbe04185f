"""Whether the records can be written to now: asked by writing something that nobody reads.

To open a transaction says little: a full disk is met by a commit alone, and a copy that only reads opens
transactions all the same.
"""

from sqlalchemy import update

from plangate.records.database import Database
from plangate.records.tables import runs


def prove_writable(database: Database, workflow_id: str) -> None:
    """Write one transaction and commit it; what is on the record stays as it is.

    Args:
        database: the records.
        workflow_id: a run whose row PostgreSQL is to write as it was; SQLite passes over what is no change,
            and counts up a number in its file's header that is there for such uses.

    Raises:
        RecordsUnavailable: the database did not take it.
    """
    with database.write() as connection:
        if database.is_sqlite:
            (count,) = connection.exec_driver_sql("PRAGMA user_version").one()
            connection.exec_driver_sql(f"PRAGMA user_version = {(int(count) + 1) % 2**31}")
        else:
            same = update(runs).where(runs.c.workflow_id == workflow_id)
            connection.execute(same.values(entry_count=runs.c.entry_count))
