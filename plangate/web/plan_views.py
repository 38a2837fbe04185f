"""Keep when a page first showed a plan to a person who may decide on it, and which sections they opened.

Only this web server's pages are covered: reading the plan elsewhere is not recorded. The newest `MOST` views
from the last `KEPT_FOR` are kept.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlalchemy import (
    Connection,
    create_engine,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from plangate.audit.deciding_times import PlanShown
from plangate.domain.people.people import identity
from plangate.web.tables import views

KEPT_FOR: Final = timedelta(days=180)
MOST: Final = 200_000


class Views:
    """Keeps views in the web server's database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note_shown(
        self, person: str, workflow_id: str, fingerprint: str, folds: Sequence[str], now: datetime
    ) -> None:
        """Record when a page first showed a plan to a person; later calls change nothing."""
        at = now.timestamp()
        with self._engine.begin() as connection:
            connection.execute(delete(views).where(views.c.at < at - KEPT_FOR.total_seconds()))
            newest = select(func.max(views.c.number)).scalar_subquery()
            connection.execute(delete(views).where(views.c.number <= newest - MOST))
            connection.execute(
                insert(views)
                .values(
                    person=identity(person),
                    workflow_id=workflow_id,
                    fingerprint=fingerprint,
                    at=at,
                    folds=json.dumps(list(folds)),
                    opened="[]",
                )
                .on_conflict_do_nothing()
            )

    def note_opened(self, person: str, workflow_id: str, fingerprint: str, opened: Iterable[str]) -> None:
        """Record which sections of a shown plan a person has read to the end."""
        this = (
            views.c.person == identity(person),
            views.c.workflow_id == workflow_id,
            views.c.fingerprint == fingerprint,
        )
        with self._engine.begin() as connection:
            row = connection.execute(select(views.c.folds, views.c.opened).where(*this)).one_or_none()
            if row is not None:
                known = [*json.loads(row.opened), *opened]
                kept = [one for one in json.loads(row.folds) if one in known]
                connection.execute(update(views).where(*this).values(opened=json.dumps(kept)))

    def shown(self) -> tuple[PlanShown, ...]:
        """Return every stored view."""
        with self._engine.begin() as connection:
            return _shown(connection)


def stored_views_in(path: Path) -> tuple[PlanShown, ...]:
    """Return every view in the database of a web server on this machine; empty if it cannot be read.

    Nothing is written, and no file is created.
    """
    engine = create_engine(f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            return _shown(connection)
    except DBAPIError:
        return ()
    finally:
        engine.dispose()


def _shown(connection: Connection) -> tuple[PlanShown, ...]:
    return tuple(
        PlanShown(
            who=row.person,
            workflow_id=row.workflow_id,
            fingerprint=row.fingerprint,
            at=datetime.fromtimestamp(row.at, UTC),
            folds=len(json.loads(row.folds)),
            opened=len(json.loads(row.opened)),
        )
        for row in connection.execute(select(views))
    )
