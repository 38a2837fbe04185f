"""Records as after the first start of a worker: migrated once in this process, and copied for each test."""

from functools import cache
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from plangate.files.private_files import create_private_file, make_private_folder
from plangate.records.database import Database


def fresh_records(path: Path) -> Database:
    """Open the records in this file; a missing file is created, with tables and its own id."""
    make_private_folder(path.parent)
    if create_private_file(path):
        content, installation = _migrated()
        path.write_bytes(content.replace(installation, token_hex(16).encode()))
    return Database(path)


@cache
def _migrated() -> tuple[bytes, bytes]:
    """Return a migrated SQLite file and its installation's id, which a table and an index contain."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "records.db")
        database = Database(path)
        database.migrate()
        installation = database.installation.encode()
        database.close()
        assert list(Path(folder).iterdir()) == [path]
        content = path.read_bytes()
    assert content.count(installation) == 2
    return content, installation
