"""The tables: created once by many workers, exactly as in tables.py, never partially, never downgraded."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import ClauseElement, Connection, inspect, text

from plangate.domain.errors import OperatorError, RecordsUnavailable
from plangate.records import database as database_module
from plangate.records.database import Database
from plangate.records.tables import metadata
from tests.support.record_writer import exit_codes, in_processes, migrate, note, run_ref, trail, write_down

MIGRATIONS = Path(database_module.__file__).parent / "migrations"


def revisions(database: Database) -> list[str]:
    with database.write() as connection:
        return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def shape(connection: Connection) -> dict[str, Any]:
    """Return the whole schema of a database, with the names of keys, constraints and indexes."""
    inspector = inspect(connection)

    def plain(value: Any) -> Any:
        """Return the text of an index's condition, which is an SQLAlchemy object."""
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return str(value) if isinstance(value, ClauseElement) else value

    def ordered(found: list[Any]) -> list[str]:
        return sorted(str(plain(item)) for item in found)

    return {
        name: [
            ordered([{**column, "type": str(column["type"])} for column in inspector.get_columns(name)]),
            inspector.get_pk_constraint(name),
            ordered(inspector.get_foreign_keys(name)),
            ordered(inspector.get_unique_constraints(name)),
            ordered(inspector.get_indexes(name)),
        ]
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def test_there_is_one_newest_migration(database: Database) -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    assert revisions(database) == scripts.get_heads()


def test_the_migrations_create_exactly_the_declared_tables(database: Database) -> None:
    with database.write() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_the_names_of_keys_and_constraints_match_too(database: Database) -> None:
    with database.write() as connection:
        migrated = shape(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert migrated == shape(connection)
        assert set(migrated) == set(metadata.tables)


def test_workers_that_start_together_create_the_tables_once(database_url: str) -> None:
    assert exit_codes(in_processes(4, migrate, database_url)) == [0] * 4
    database = Database(database_url)
    assert len(revisions(database)) == 1
    write_down(database, run_ref(), note("one"))
    assert len(trail(database)) == 2
    database.close()


def test_workers_that_start_together_leave_existing_tables_unchanged(
    database: Database, database_url: str
) -> None:
    write_down(database, run_ref(), note("one"))
    before = trail(database), revisions(database)
    assert exit_codes(in_processes(3, migrate, database_url)) == [0] * 3
    assert (trail(database), revisions(database)) == before


def test_a_failed_migration_is_rolled_back(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade_and_fail(config: Any, revision: str) -> None:
        upgrade(config, revision)
        config.attributes["connection"].execute(text("SELECT * FROM no_such_table"))

    upgrade = command.upgrade
    monkeypatch.setattr(command, "upgrade", upgrade_and_fail)
    database = Database(database_url)
    with pytest.raises(RecordsUnavailable):
        database.migrate()
    with database.write() as connection:
        assert inspect(connection).get_table_names() == []
    monkeypatch.undo()
    database.migrate()
    assert len(revisions(database)) == 1
    database.close()


def test_tables_of_a_newer_plangate_are_left_unchanged_and_reported(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        OperatorError, match=r"were created by a newer version of Plangate; start that version.*9999"
    ):
        database.migrate()
    assert revisions(database) == ["9999"]


def test_a_folder_that_cannot_be_created_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    database = Database(f"sqlite:///{tmp_path / 'file' / 'records.db'}")
    with pytest.raises(OperatorError, match=r"cannot be created: .*; create it, or set PLANGATE_VAR_DIR"):
        database.migrate()


def test_plangate_may_be_in_a_folder_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = tmp_path / "100% %(here)s"
    strange.mkdir()
    (strange / "migrations").symlink_to(MIGRATIONS)
    monkeypatch.setattr(database_module, "__file__", str(strange / "database.py"))
    database = Database(f"sqlite:///{strange / 'records.db'}")
    database.migrate()
    assert len(revisions(database)) == 1
    database.close()
