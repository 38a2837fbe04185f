"""Records for the tests of the store: each test runs with SQLite and with PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plangate.records.database import Database
from plangate.web import audits
from tests.support.forked_audit import start_forked_audit
from tests.support.fresh_records import fresh_records
from tests.support.notices import NoticeHarness, StoringChannel
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, or of one with tables if the test also uses ``database``."""
    has_tables = "database" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "var" / "records.db"
        if has_tables:
            fresh_records(path).close()
        return f"sqlite:///{path}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_records() if has_tables else server.new_database()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Records with empty tables."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def channel() -> StoringChannel:
    """A channel that accepts and stores every message."""
    return StoringChannel()


@pytest.fixture
def harness(database: Database, channel: StoringChannel) -> NoticeHarness:
    """One process that sends notices through ``channel``."""
    return NoticeHarness(database, channel)


@pytest.fixture
def forked_audits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the process of each audit; those of `tests/acceptance/test_audit_on_a_page.py` are started."""
    monkeypatch.setattr(audits, "start_process", start_forked_audit)
