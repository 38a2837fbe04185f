"""Select one page of a list: the rows to read, the rows to show, and a note on how to see the rest."""

from collections.abc import Sequence
from typing import Any, TypeVar

from plangate.cli.options import PageOptions
from plangate.cli.screen import Screen
from plangate.records.lists import Sort, Wanted

Listed = TypeVar("Listed")


def wanted_rows(page: PageOptions, **filters: Any) -> Wanted:
    """Return the page to read, with one extra row that shows whether there are more."""
    limit = page.limit + 1 if page.limit else None
    return Wanted(sort=Sort(page.sort), limit=limit, skip=page.skip, **filters)


def on_this_page(page: PageOptions, found: Sequence[Listed]) -> Sequence[Listed]:
    """Return the rows to show."""
    return found[: page.limit] if page.limit else found


def note_more_rows(screen: Screen, page: PageOptions, rows: int) -> None:
    """Print how to see the remaining rows, if there are any; ``rows`` of the page were read."""
    if page.limit and rows > page.limit:
        next_page = page.skip + page.limit
        words = f"There are more; --skip {next_page} shows the next ones, --limit 0 shows all."
        screen.write_line(words, "dim")
