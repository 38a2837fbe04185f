"""Print a table: aligned columns if they fit, else one block of lines per row.

Cells are never cut. Only columns of running text are wrapped, at spaces. Columns with values to copy are
never wrapped. In a pipe, a row is one line of any length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from plangate.domain.escaping import one_line
from plangate.presentation.cells import cell_len
from plangate.presentation.page import Page, Row, fold

_GAP: Final = "  "
_NARROWEST_TEXT: Final = 16


@dataclass(frozen=True, slots=True)
class Column:
    """One column; with ``is_text``, its cells are wrapped at spaces."""

    name: str
    is_text: bool = False


class Table:
    """Rows of untrusted text.

    Args:
        columns: their names; a plain string is a column that is never wrapped.
        rows: one cell for each column; the first cell identifies the row.
    """

    def __init__(self, columns: Sequence[Column | str], rows: Sequence[Sequence[str]]) -> None:
        self._columns = [Column(one) if isinstance(one, str) else one for one in columns]
        self._rows = [[one_line(cell) for cell in row] for row in rows]

    def lines(self, width: int) -> Iterator[Row]:
        """Yield the lines of the table, at most ``width`` cells wide if that is possible."""
        widths = self._widths(width)
        if widths is None:
            yield from self._records().lines(width)
            return
        yield _line([column.name for column in self._columns], widths, "bold")
        yield _line(["─" * one for one in widths], widths, "dim")
        for row in self._rows:
            cells = [list(fold(cell, one)) for cell, one in zip(row, widths, strict=True)]
            for line in zip_longest(*cells, fillvalue=""):
                yield _line(line, widths)

    def _widths(self, room: int) -> list[int] | None:
        """Return how wide each column may be, or None if they do not fit side by side."""
        widest = [max(map(cell_len, cells)) for cells in self._cells()]
        narrowest = [
            min(width, max(_NARROWEST_TEXT, _longest_word(cells))) if column.is_text else width
            for column, cells, width in zip(self._columns, self._cells(), widest, strict=True)
        ]
        room -= len(_GAP) * (len(widest) - 1)
        if sum(narrowest) > room:
            return None
        widths = list(narrowest)
        for _ in range(min(room, sum(widest)) - sum(widths)):
            # Each spare character of width is given to the column that needs it most.
            narrowed = max(range(len(widths)), key=lambda index: widest[index] - widths[index])
            widths[narrowed] += 1
        return widths

    def _cells(self) -> Iterator[list[str]]:
        for index, column in enumerate(self._columns):
            yield [column.name, *(row[index] for row in self._rows)]

    def _records(self) -> Page:
        page = Page()
        for number, (name, *cells) in enumerate(self._rows):
            if number:
                page.gap()
            page.heading(name)
            for column, cell in zip(self._columns[1:], cells, strict=True):
                if cell:
                    page.field(column.name, cell)
        return page


def _line(cells: Sequence[str], widths: Sequence[int], style: str = "") -> Row:
    padded = (
        cell.rstrip() + " " * (width - cell_len(cell.rstrip()))
        for cell, width in zip(cells, widths, strict=True)
    )
    return Row("", "", _GAP.join(padded).rstrip(), style)


def _longest_word(cells: Sequence[str]) -> int:
    return max(cell_len(word) for cell in cells for word in cell.split(" "))
