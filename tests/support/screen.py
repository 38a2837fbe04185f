"""The screen of a terminal: the visible text after a program has written to it.

It supports the sequences that this project's programs send, and fails on any other. Its scrollback is
unlimited.
"""

import re
from dataclasses import dataclass, field

from rich.cells import cell_len

_PIECE = re.compile(r"\x1b\[(?P<args>[0-9;?]*)(?P<final>[a-zA-Z])|(?P<char>.)", re.DOTALL)


@dataclass
class Line:
    """One row; ``is_wrapped``: the terminal continued it on the next row."""

    cells: list[str] = field(default_factory=list)
    is_wrapped: bool = False

    @property
    def text(self) -> str:
        return "".join(self.cells).rstrip()


class Screen:
    """A terminal of this width and unlimited height."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines = [Line()]
        self._row = self._column = 0

    def feed(self, output: str) -> "Screen":
        """Process a program's output; the terminal's line discipline has made ``\\n`` into ``\\r\\n``."""
        for piece in _PIECE.finditer(output):
            if piece["final"]:
                self._control_sequence(piece["args"], piece["final"])
            else:
                self._draw(piece["char"])
        return self

    @property
    def text(self) -> str:
        """The text on the screen, one line per row."""
        return "\n".join(line.text for line in self.lines).rstrip("\n")

    @property
    def wrapped(self) -> list[str]:
        """The lines that are wider than the terminal, each whole."""
        found, whole = [], ""
        for line in self.lines:
            whole += "".join(line.cells)
            if not line.is_wrapped:
                if len(whole) > self.width:
                    found.append(whole)
                whole = ""
        return found

    def _control_sequence(self, args: str, final: str) -> None:
        match final, args:
            case "m", _:
                pass
            case "A", _:
                self._row = max(0, self._row - int(args or 1))
            case "J", "":
                del self.lines[self._row + 1 :]
                del self.lines[self._row].cells[self._column :]
                self.lines[self._row].is_wrapped = False
            case _:
                raise AssertionError(f"the screen does not support CSI {args}{final}")

    def _draw(self, char: str) -> None:
        match char:
            case "\r":
                self._column = 0
            case "\n":
                self._down()
            case _:
                assert char.isprintable(), f"the screen does not support {char!r}"
                size = cell_len(char)
                if not size and self._column:  # a mark on the previous character
                    self.lines[self._row].cells[self._column - 1] += char
                    return
                if self._column + size > self.width:
                    self.lines[self._row].is_wrapped = True
                    self._column = 0
                    self._down()
                cells = self.lines[self._row].cells
                cells.extend(" " * (self._column - len(cells)))
                cells[self._column : self._column + size] = [char, *[""] * (size - 1)]
                self._column += size

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.lines):
            self.lines.append(Line())
