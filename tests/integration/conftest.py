"""Records for the tests of the store: each test runs over SQLite and over PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plangate.records.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'var' / 'records.db'}"
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Records with their tables made and nothing in them."""
    opened = Database(database_url)
    opened.migrate()
    yield opened
    opened.close()
