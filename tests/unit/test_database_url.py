"""The database URL may have the usual forms; any other form is refused with the reason."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from plangate.domain.errors import SettingsInvalid
from plangate.records.database_url import PostgresqlPlace, SqlitePlace, read_place


def library_arguments(setting: str) -> dict[str, object]:
    place = read_place(setting)
    assert isinstance(place, PostgresqlPlace)
    dialect: Any = PGDialect_psycopg  # SQLAlchemy's own translation, which has no type annotations
    _, found = dialect().create_connect_args(place.url)
    return {name: value for name, value in {**found, **place.hosts}.items() if name != "context"}


@pytest.mark.parametrize(
    ("setting", "library"),
    [
        ("postgres://u:p@h/d", {"host": "h", "user": "u", "password": "p", "dbname": "d"}),
        ("postgresql+asyncpg://h:7/d", {"host": "h", "port": 7, "dbname": "d"}),
        ("postgresql://u:a#b/c?d,e@h/d", {"host": "h", "user": "u", "password": "a#b/c?d,e", "dbname": "d"}),
        ("postgresql://h/d?sslmode=require", {"host": "h", "dbname": "d", "sslmode": "require"}),
        ("postgresql://h/d?client_encoding=latin1", {"host": "h", "dbname": "d"}),
        (
            "postgresql://u:p,q@one:5,two,[fe80::3]:7/d?sslmode=require",
            {
                "host": "one,two,fe80::3",
                "port": "5,5432,7",
                "user": "u",
                "password": "p,q",
                "dbname": "d",
                "sslmode": "require",
                "target_session_attrs": "read-write",
            },
        ),
        (
            "postgres://one,two/d?target_session_attrs=any",
            {"host": "one,two", "port": "5432,5432", "dbname": "d", "target_session_attrs": "any"},
        ),
    ],
)
def test_postgresql_urls_are_parsed_as_by_other_tools(setting: str, library: dict[str, object]) -> None:
    assert library_arguments(setting) == library


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("postgresql://h/d?pgbouncer=true", "the option pgbouncer, .* pool in session mode"),
        ("postgresql://h/d?ssl=true", "the option ssl, .*sslmode=require"),
        ("postgresql://h/d?schema=plans", "the option schema, .*search_path"),
        ("postgresql://h/d?\u202eoption=1", "the option ⟨U\\+202E⟩option, .*remove it"),
        ("postgresql://one:x,two/d", "several hosts; write them as HOST:PORT,HOST:PORT"),
        ("sqlite:////srv/what?/records.db", r"has a \? .* set PLANGATE_VAR_DIR"),
        ("mysql://h/d", "is for mysql; SQLite and PostgreSQL are supported"),
    ],
)
def test_an_unusable_url_is_explained(setting: str, said: str) -> None:
    with pytest.raises(SettingsInvalid, match=said):
        read_place(setting)


def test_the_hosts_are_shown_and_the_password_is_not() -> None:
    assert read_place("postgres://u:s3cret@one:5,two/d?application_name=s3cret").where == (
        "postgresql+psycopg://u:***@one:5,two:5432/d"
    )


@pytest.mark.parametrize("name", ["what?", "a#b", "100%", "%41", "file:x", "grüße 世界", "a b"])
def test_a_path_may_contain_any_character(name: str) -> None:
    assert read_place(Path("/srv") / name / "records.db") == SqlitePlace(Path("/srv") / name / "records.db")
