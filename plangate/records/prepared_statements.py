"""Compile frequent statements once per database.

On SQLite they are passed directly to the driver: 0.09 ms each instead of 0.28 ms after a pause, and an
approved step executes sixteen of them (docs/decisions/0021). As elsewhere, SQLAlchemy's column types convert
the values.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from plangate.records.sqlite_file import raw

Values = Mapping[str, Any]
Convert = Callable[[Any], Any]  # converts one value from Python to the driver or back


class StatementResult(NamedTuple):
    """The result of a statement: its named ``rows``, and the number of changed rows."""

    rows: Sequence[Any]
    changed: int

    def one_or_none(self) -> Any:
        """Return the only row, or None if there is no row.

        Raises:
            ValueError: there is more than one.
        """
        (row,) = self.rows or (None,)
        return row


class Prepared:
    """One statement; created at import, and used by any number of databases."""

    def __init__(self, statement: Executable) -> None:
        self._statement: Final = statement
        self._compiled: dict[tuple[str, ...], _Compiled] = {}

    def __call__(self, connection: Connection, *values: Values) -> StatementResult:
        """Execute the statement with these values; with several mappings, once for each.

        Raises:
            sqlite3.Error, DBAPIError: the database refused it.
            ValueError: a value is missing.
        """
        if connection.dialect.name != "sqlite":
            result = connection.execute(self._statement, values)
            rows = result.all() if result.returns_rows else ()
            return StatementResult(rows, result.rowcount)
        driver, dialect = raw(connection), connection.dialect
        answers = [self._for(tuple(each), dialect).executed(driver, each) for each in values]
        return StatementResult(answers[-1].rows, sum(answer.changed for answer in answers))

    def _for(self, names: tuple[str, ...], dialect: Dialect) -> "_Compiled":
        if names not in self._compiled:
            self._compiled[names] = _compiled(self._statement, names, dialect)
        return self._compiled[names]


@dataclass(frozen=True)
class _Compiled:
    """A statement compiled for SQLite."""

    sql: str
    fixed: Values  # values in the statement itself
    parameters: tuple[tuple[str, Convert | None], ...]  # in order
    row: Callable[[Sequence[Any]], Any] | None  # None if it returns no rows

    def executed(self, driver: sqlite3.Connection, values: Values) -> StatementResult:
        given = {**self.fixed, **values}
        cursor = driver.execute(
            self.sql, [convert(given[name]) if convert else given[name] for name, convert in self.parameters]
        )
        return StatementResult(
            [self.row(found) for found in cursor.fetchall()] if self.row else (), cursor.rowcount
        )


def _compiled(statement: Executable, names: Sequence[str], dialect: Dialect) -> _Compiled:
    compiled = cast("SQLCompiler", statement.compile(dialect=dialect, column_keys=list(names)))  # type: ignore[attr-defined]
    places = compiled.positiontup or ()
    missing = [name for name in places if name not in names and compiled.params.get(name) is None]
    if missing:
        raise ValueError(f"no value was given for {', '.join(missing)}")
    return _Compiled(
        sql=str(compiled),
        fixed=compiled.params,
        parameters=tuple(
            (name, _native(compiled.binds[name].type, dialect).bind_processor(dialect)) for name in places
        ),
        row=_row_of(statement, dialect),
    )


def _row_of(statement: Executable, dialect: Dialect) -> Callable[[Sequence[Any]], Any] | None:
    if not getattr(statement, "is_select", False):
        return None
    columns = list(statement.selected_columns)  # type: ignore[attr-defined]
    converters = [_native(column.type, dialect).result_processor(dialect, None) for column in columns]
    made = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]  # noqa: PYI024  names are the table's

    def row(found: Sequence[Any]) -> Any:
        return made._make(
            convert(value) if convert else value for convert, value in zip(converters, found, strict=True)
        )

    return row


def _native(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return kind.dialect_impl(dialect)
