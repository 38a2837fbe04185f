"""The id of the installation: created with the records and kept in every backup."""

from sqlalchemy import Connection, select

from plangate.domain.errors import RecordsMissing
from plangate.records.tables import installation


def read_installation(connection: Connection) -> str:
    """Return the id, 32 hex digits.

    Raises:
        RecordsMissing: there is no id, or more than one, so no worker has created these records.
    """
    ids = connection.scalars(select(installation.c.id)).all()
    if len(ids) != 1:
        raise RecordsMissing(
            f"The records contain {len(ids)} installations instead of one; restore them from a backup."
        )
    return str(ids[0])
