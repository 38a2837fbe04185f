"""Print pages on a terminal, with colours and wrapped lines, or into a pipe as plain text.

Like other programs, a console reads what the user set for their terminal: ``COLUMNS``, ``TERM`` and
``NO_COLOR``. All text must be escaped (`plangate.domain.escaping`), as the text of a page is.
"""

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from threading import RLock
from typing import Final, TextIO

from plangate.presentation.page import Fold, Page, Row, at_spaces
from plangate.presentation.table import Table

_ATTRIBUTES: Final = {"bold": "1", "dim": "2"}
_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_DEFAULT_WIDTH: Final = 80
_ERASE: Final = "\r\x1b[J"  # to the end of the screen: a narrowed terminal has wrapped the line


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is open and a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


class Console:
    """A stream to print to.

    Args:
        stream: where to print.
        width: the columns of its lines; by default those of the terminal, and no limit in a pipe.
        quiet: whether to print nothing.

    Attributes:
        can_redraw: whether it is a terminal that can show colours, all characters, and replace a line.
    """

    def __init__(self, stream: TextIO, *, width: int | None = None, quiet: bool = False) -> None:
        self.stream = stream
        self._width = width
        self._quiet = quiet
        self._lock = RLock()
        self._line = ""
        is_plain = os.name != "posix" or _variable("TERM").lower() in ("dumb", "unknown")
        self._shows_all = _shows_all_characters(stream)
        self.can_redraw = is_terminal(stream) and self._shows_all and not is_plain
        self._codes: Mapping[str, str] = {}
        if self.can_redraw:
            self._codes = _ATTRIBUTES if _variable("NO_COLOR") else _ATTRIBUTES | _COLOURS

    @property
    def width(self) -> int:
        """How many columns a line may have."""
        if self._width is not None:
            return self._width
        if not is_terminal(self.stream):
            return sys.maxsize
        columns = _variable("COLUMNS")
        with suppress(OSError, ValueError):  # the terminal does not report its size
            given = int(columns) if columns.isdigit() else os.get_terminal_size(self.stream.fileno()).columns
            return given or _DEFAULT_WIDTH
        return _DEFAULT_WIDTH

    def print(self, shown: Page | Table) -> None:
        """Print a page or a table."""
        rows = chain.from_iterable(map(self._encodable, shown.lines(self.width)))
        self.write(
            "".join(
                f"{self.styled(row.margin, row.margin_style)}{self.styled(row.text, row.style)}\n"
                for row in rows
            )
        )

    def write(self, text: str) -> None:
        """Print a text as it is, above the line that `show_line` shows.

        Raises:
            BrokenPipeError: the reader has closed the pipe; from now on nothing is printed.
        """
        with self._lock:
            self._send(f"{_ERASE}{text}{self._line}" if self._line else text)

    def styled(self, text: str, style: str) -> str:
        """Return a text with the codes of a style, such as ``bold red``."""
        codes = ";".join(self._codes[word] for word in style.split() if word in self._codes)
        return f"\x1b[{codes}m{text}\x1b[0m" if codes and text else text

    def show_line(self, line: str) -> None:
        """Show one line below everything else; it replaces the previous one.

        The cursor waits at its beginning, so that the echo of a key such as ``^C`` never ends in a new line.
        It stays visible, because a process that is killed or suspended cannot show it again.
        """
        with self._lock:
            self._send(f"{_ERASE if self._line else ''}{line}\r")
            self._line = f"{line}\r"

    def remove_line(self) -> None:
        """Remove the line of `show_line`."""
        with self._lock:
            if self._line:
                self._line = ""
                self._send(_ERASE)

    def _encodable(self, row: Row) -> Iterable[Row]:
        """Return a row as the stream shows it: other characters as escapes, which are wider."""
        if self._shows_all:
            return [row]
        margin, folded, text = map(self._escaped, (row.margin, row.folded_margin or "  ", row.text))
        if row.fold is not Fold.AT_SPACES or len(margin + text) <= self.width:
            return [row]
        return at_spaces(replace(row, margin=margin, folded_margin=folded, text=text), self.width)

    def _escaped(self, text: str) -> str:
        return text.encode(self.stream.encoding, "backslashreplace").decode(self.stream.encoding)

    def _send(self, text: str) -> None:
        if self._quiet:
            return
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            self._quiet = True
            raise


def _shows_all_characters(stream: TextIO) -> bool:
    try:
        "│東😀".encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _variable(name: str) -> str:
    return os.environ.get(name, "")  # noqa: TID251  set by users for every program on their terminal
