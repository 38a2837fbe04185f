"""SQLAlchemy's compiled statements, shared by all SQLite databases of this process.

SQLAlchemy caches them per engine, which is fine for a program with a few databases. But almost every test has
new databases, and would compile each statement again. Each database still has its own file, pool and
connections.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import URL, Engine, create_engine

from plangate.records import sqlite_file
from plangate.web import database


@contextmanager
def shared_statements() -> Iterator[None]:
    """Make the databases that are opened while the block runs share their compiled statements."""
    first = create_engine("sqlite://")
    with first.connect():
        pass  # a dialect reads SQLite's version from its first connection
    compiled: dict[Any, Any] = {}

    def create(url: str | URL, **options: Any) -> Engine:
        engine = create_engine(url, **options)
        engine.dialect = first.dialect  # the key of each compiled statement includes it
        engine.update_execution_options(compiled_cache=compiled)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        for module in (sqlite_file, database):
            patch.setattr(module, "create_engine", create)
        yield
    first.dispose()
