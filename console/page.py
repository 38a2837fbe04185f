"""A page for people: labelled fields and quoted blocks, in which an outsider's text stays in its place.

Every row has a margin of ours. Where a row is folded on a terminal its rest gets that margin too, so that no
text can reach the left edge and pass for a heading of ours, however it is padded.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from plangate.domain.visible import cut, many_lines, one_line

LABEL_WIDTH: Final = 12
_WIDEST_LABEL: Final = 26
_BAR: Final = "│ "
_FOLDED_BAR: Final = "┊ "  # the line before goes on here; the text has no line break
_NARROWEST: Final = 20
_LIST_ON_ONE_LINE: Final = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its margin, the margin of what is folded, and its text, fit to be shown.

    ``is_command`` leaves the folding to the terminal, so that the line can be copied whole.
    """

    margin: str
    folded_margin: str
    text: str
    style: str = ""
    margin_style: str = "dim"
    is_command: bool = False


@dataclass(slots=True)
class Page:
    """Rows, in order. The text that is given to its methods may come from anywhere."""

    rows: list[Row] = field(default_factory=list)

    def heading(self, text: str, style: str = "bold") -> None:
        """Add a line at the left edge: the only kind that begins there."""
        self.rows.append(Row("", "  ", one_line(text), style))

    def gap(self) -> None:
        """Add an empty line."""
        self.rows.append(Row("", "", ""))

    def note(self, text: str, style: str = "dim", indent: int = 2) -> None:
        """Add a line of our own words below a heading."""
        self.rows.append(Row(" " * indent, " " * (indent + 2), one_line(text), style))

    def field(
        self, label: str, text: str, style: str = "", indent: int = 2, width: int = LABEL_WIDTH
    ) -> None:
        """Add one labelled line."""
        margin = " " * indent + one_line(label).ljust(width) + " "
        self.rows.append(Row(margin, " " * (indent + width + 1), one_line(text), style))

    def words(self, label: str, text: str, indent: int = 2) -> None:
        """Add an outsider's words: on the label's line if they are one line, else as a block below it."""
        if "\n" in text:
            self.rows.append(Row(" " * indent, "", one_line(label), margin_style="", style="dim"))
            self.block(text, indent + 2)
        else:
            self.field(label, text, indent=indent)

    def block(self, text: str, indent: int = 4) -> None:
        """Add an outsider's lines, each with a bar at its left."""
        for line in many_lines(text).split("\n"):
            self.rows.append(Row(" " * indent + _BAR, " " * indent + _FOLDED_BAR, line))

    def command(self, text: str, indent: int = 4) -> None:
        """Add a line to be copied and pasted; it is never folded by us."""
        self.rows.append(Row(" " * indent, "", one_line(text), "cyan", is_command=True))

    def copied(self, label: str, text: str, indent: int = 2, width: int = LABEL_WIDTH) -> None:
        """Add a labelled address, path or key, to be copied; it is never folded by us."""
        margin = " " * indent + label.ljust(width) + " "
        self.rows.append(Row(margin, "", one_line(text), "cyan", is_command=True))

    def arguments(self, arguments: Mapping[str, Any], indent: int = 4, limit: int | None = None) -> None:
        """Add every argument, whole and in JSON's notation: "7" and 7 differ. ``Any`` stands for JSON.

        ``limit`` cuts long values, and says so: for what has happened, never for what is to be approved.
        """
        leaves = list(_leaves("", arguments))
        width = max((len(label) for label, _ in leaves), default=0)
        width = max(LABEL_WIDTH, min(width, _WIDEST_LABEL))
        for label, value in leaves:
            if isinstance(value, str) and "\n" in value and limit is None:
                count = value.count("\n") + 1
                margin = " " * indent
                self.rows.append(Row(margin, margin, f"{one_line(label)} (text of {count} lines)", "dim"))
                self.block(value, indent + 2)
            else:
                shown = json.dumps(value, ensure_ascii=False)
                shown = shown if limit is None else cut(shown, limit)
                self.field(label, shown, indent=indent, width=width)

    def extend(self, other: "Page") -> None:
        """Add all rows of another page."""
        self.rows.extend(other.rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for row in self.rows:
            is_folded = console.is_terminal and not row.is_command
            for number, line in enumerate(_folded(row, options.max_width) if is_folded else [row]):
                margin = line.folded_margin if number else line.margin
                yield Text.assemble(
                    (margin, row.margin_style), (line.text, row.style), overflow="ignore", no_wrap=True
                )


def _folded(row: Row, width: int) -> Iterator[Row]:
    """Yield a row in lines that fit; a margin that leaves no room, for a name can be long, is folded too."""
    margin, text = row.margin, row.text
    if cell_len(margin) > width // 2:
        margin = margin[: len(margin) - len(margin.lstrip())]
        text = row.margin[len(margin) :] + text
    room = width - max(cell_len(margin), cell_len(row.folded_margin))
    for line in fold(text, max(room, _NARROWEST)):
        yield replace(row, margin=margin, text=line)


def fold(text: str, width: int) -> Iterator[str]:
    """Yield ``text`` in pieces of at most ``width`` cells: all of it, broken at blanks if there are any."""
    start, cells, after_blank = 0, 0, 0
    for position, char in enumerate(text):
        size = cell_len(char)
        if cells + size > width:
            end = after_blank if after_blank > start else position
            yield text[start:end]
            start, cells = end, cell_len(text[end:position])
        cells += size
        if char == " ":
            after_blank = position + 1
    yield text[start:]


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what holds no further values, with its path; a short list of plain values is one of them."""
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from _leaves(f"{path}.{_name(key)}" if path else _name(key), item)
        case list() if value and not _is_short(value):
            for index, item in enumerate(value):
                yield from _leaves(f"{path}[{index}]", item)
        case _:
            yield path, value


def _is_short(values: list[Any]) -> bool:
    if any(isinstance(value, dict | list) for value in values):
        return False
    return len(json.dumps(values, ensure_ascii=False)) <= _LIST_ON_ONE_LINE


def _name(key: str) -> str:
    """Return a name as it is where it cannot be mistaken, else in quotes."""
    plain = key.replace("_", "").replace("-", "")
    return key if plain.isascii() and plain.isalnum() else json.dumps(key, ensure_ascii=False)
