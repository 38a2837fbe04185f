"""A neutral page: labelled fields, and quoted blocks that contain untrusted text.

Every row has a margin. If a terminal wraps a row, the rest gets the same margin. Untrusted text therefore
cannot reach the left edge and look like a heading of Plangate, even if it is padded.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Final, assert_never

from plangate.domain.escaping import cut, hosts_in_unicode, is_reordered, many_lines, one_line
from plangate.domain.plans.references import references_in
from plangate.domain.plans.tool import Reference
from plangate.domain.plurals import counted, line_count
from plangate.presentation.cells import cell_len
from plangate.presentation.words import reference_words

LABEL_WIDTH: Final = 12
_WIDEST_LABEL: Final = 26
_BAR: Final = "│ "
_FOLDED_BAR: Final = "┊ "  # continues the previous line; the text has no line break
_NARROWEST: Final = 8  # if there is less room for the text, its indentation is one space
_WIDEST_CHARACTER: Final = 2
_LIST_ON_ONE_LINE: Final = 100
REORDERED: Final = "This contains right-to-left letters and may be shown in a different order; exactly: {}"
EXACT: Final = "status ID --json"
_INDENTATION: Final = re.compile("^ +")
_SHELL_WORDS: Final = re.compile(r"(?:[^\s'\"\\]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\")+|\S")


class Fold(Enum):
    """How to continue a row that is wider than the terminal."""

    AT_SPACES = auto()
    COMMAND = auto()
    """Break between shell words, with a backslash at each line end, so that it can be pasted
    unchanged."""
    NEVER = auto()
    """Put the text on a line of its own and let the terminal wrap it, so that it can be copied whole."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its margin, the margin of its continuation lines, and its escaped text."""

    margin: str
    folded_margin: str
    text: str
    style: str = ""
    margin_style: str = "dim"
    fold: Fold = Fold.AT_SPACES


@dataclass(slots=True)
class Page:
    """Rows in order. Text passed to its methods may be untrusted."""

    rows: list[Row] = field(default_factory=list)

    def heading(self, text: str, style: str = "bold") -> None:
        """Add a heading at the left edge; no other kind of line with untrusted text begins there."""
        self.rows.append(Row("", "  ", one_line(text), style))

    def gap(self) -> None:
        """Add an empty line."""
        self.rows.append(Row("", "", ""))

    def sentence(self, text: str, style: str = "") -> None:
        """Add one of Plangate's own sentences at the left edge."""
        self.rows.append(Row("", "", text, style))

    def entry(self, when: str, text: str, style: str = "", indent: int = 0) -> None:
        """Add an event with its time; continuation lines are slightly indented."""
        margin = " " * indent
        stamp = f"{one_line(when)}  " if when else ""
        self.rows.append(Row(margin, margin + "    ", stamp + one_line(text), style))

    def note(self, text: str, style: str = "dim", indent: int = 2) -> None:
        """Add one of Plangate's own lines below a heading."""
        self.rows.append(Row(" " * indent, " " * (indent + 2), one_line(text), style))

    def field(
        self, label: str, text: str, style: str = "", indent: int = 2, width: int = LABEL_WIDTH
    ) -> None:
        """Add one labelled line."""
        margin = " " * indent + one_line(label).ljust(width) + " "
        self.rows.append(Row(margin, " " * (indent + width + 1), one_line(text), style))

    def words(self, label: str, text: str, indent: int = 2, exact: str = "") -> None:
        """Add untrusted text: on the label's line if it is one line, else as a block below it.

        ``exact`` is the command that prints it unchanged; the command is shown if a screen may reorder the
        text.
        """
        if "\n" in text:
            self.rows.append(Row(" " * indent, "", one_line(label), margin_style="", style="dim"))
            self.block(text, indent + 2)
        else:
            self.field(label, text, indent=indent)
        if exact and is_reordered(text):
            self.note(REORDERED.format(exact), "yellow", indent + 2)

    def block(self, text: str, indent: int = 4, mark: str = "") -> None:
        """Add untrusted lines, each with a bar at its left and a mark before the bar."""
        margin = " " * indent + mark
        for line in many_lines(text).split("\n"):
            self.rows.append(Row(margin + _BAR, " " * len(margin) + _FOLDED_BAR, line))

    def command(self, text: str, indent: int = 4) -> None:
        """Add a command for a shell, to be copied and pasted."""
        margin = " " * indent
        self.rows.append(Row(margin, margin + "    ", one_line(text), "cyan", fold=Fold.COMMAND))

    def line(self, text: str) -> None:
        """Add any other line to be copied and pasted; it is never broken into lines."""
        self.rows.append(Row(" " * 4, "", one_line(text), "cyan", fold=Fold.NEVER))

    def copied(self, label: str, text: str, style: str = "cyan", width: int = LABEL_WIDTH) -> None:
        """Add a labelled address, path or key, to be copied; it is never broken into lines."""
        margin = "  " + label.ljust(width) + " "
        self.rows.append(Row(margin, "", one_line(text), style, fold=Fold.NEVER))

    def arguments(
        self,
        arguments: Mapping[str, Any],
        indent: int = 4,
        limit: int | None = None,
        exact: str = EXACT,
        *,
        has_references: bool = False,
    ) -> None:
        """Add every argument, whole and as JSON: "7" and 7 differ. ``Any`` is a JSON value.

        ``exact`` is the command that prints them unchanged. ``limit`` truncates long values and marks them;
        use it for past events, never for a plan to be approved. With ``has_references``, references are
        described in text.
        """
        references = references_in(arguments) if has_references else {}
        found = list(leaves("", {**arguments, **references}))
        width = max((len(label) for label, _ in found), default=0)
        width = max(LABEL_WIDTH, min(width, _WIDEST_LABEL))
        for label, value in found:
            if isinstance(value, str) and "\n" in value and limit is None:
                size = counted(line_count(value), "line")
                margin = " " * indent
                self.rows.append(Row(margin, margin, f"{one_line(label)} (text of {size})", "dim"))
                self.block(value, indent + 2)
            else:
                shown = _written(value)
                shown = shown if limit is None else cut(shown, limit)
                self.field(label, shown, indent=indent, width=width)
            for line in hosts_in_unicode(_written(value)):
                self.note(str(line), indent=indent + 2)
            if limit is None and (is_reordered(label) or is_reordered(_written(value))):
                self.note(REORDERED.format(exact), "yellow", indent + 2)

    def extend(self, other: "Page") -> None:
        """Add all rows of another page."""
        self.rows.extend(other.rows)

    def lines(self, width: int) -> Iterator[Row]:
        """Yield the rows, wrapped to fit into ``width`` cells, each with its margin."""
        for row in self.rows:
            yield from _folded(row, width)


def _folded(row: Row, width: int) -> Iterator[Row]:
    """Yield the lines of a row, wrapped to fit, each with its margin."""
    if cell_len(row.margin + row.text) <= width:
        yield row
        return
    match row.fold:
        case Fold.COMMAND:
            yield from _broken_command(row, width)
        case Fold.NEVER:
            yield from _labels(row, width)
            yield replace(row, margin=_indent(row.margin))
        case Fold.AT_SPACES if _is_too_narrow(row, width):
            yield from _labels(row, width)
            below = _indent(row.margin) + _FOLDED_BAR
            yield from at_spaces(replace(row, margin=below, folded_margin=below), width)
        case Fold.AT_SPACES:
            yield from at_spaces(row, width)
        case _:
            assert_never(row.fold)


def at_spaces(row: Row, width: int) -> Iterator[Row]:
    """Yield a row, broken at spaces to fit into ``width`` cells, each piece with its margin."""
    margin, folded = row.margin, row.folded_margin
    if width - max(cell_len(margin), cell_len(folded)) < _NARROWEST:
        margin, folded = _INDENTATION.sub(" ", margin), _INDENTATION.sub(" ", folded)
    room = width - max(cell_len(margin), cell_len(folded))
    room = max(room, _WIDEST_CHARACTER)
    for piece in fold(row.text, room):
        yield replace(row, margin=margin, text=piece if cell_len(piece) <= room else piece[:-1])
        margin = folded


def _broken_command(row: Row, width: int) -> Iterator[Row]:
    margin, line = row.margin, ""
    for word in _with_options(_SHELL_WORDS.findall(row.text)):
        if line and cell_len(f"{margin}{line} {word} \\") > width:
            yield replace(row, margin=margin, text=f"{line} \\")
            margin, line = row.folded_margin, word
        else:
            line = f"{line} {word}" if line else word
    yield replace(row, margin=margin, text=line)


def _with_options(words: list[str]) -> Iterator[str]:
    """Yield the words, each option together with its value."""
    option = ""
    for word in words:
        if option and not word.startswith("-"):
            yield f"{option} {word}"
            option = ""
        elif word.startswith("-"):
            if option:
                yield option
            option = word
        else:
            yield word
    if option:
        yield option


def _is_too_narrow(row: Row, width: int) -> bool:
    """Return whether the text is put below its label: there is little room, or a word would be broken."""
    if not row.margin.strip() or row.margin.endswith((_BAR, _FOLDED_BAR)):
        return False
    room = width - cell_len(row.margin)
    return room < width // 2 or max(map(cell_len, row.text.split(" "))) > room


def _labels(row: Row, width: int) -> Iterator[Row]:
    """Yield the label of a row on its own line, if it has one."""
    label = row.margin.strip()
    if label:
        indent = _indent(row.margin)
        alone = Row(indent, indent + "  ", label, row.margin_style)
        yield from at_spaces(alone, width)


def _indent(margin: str) -> str:
    return margin[: len(margin) - len(margin.lstrip())]


def fold(text: str, width: int) -> Iterator[str]:
    """Yield ``text`` in pieces of at most ``width`` cells, broken at spaces if possible.

    The space after a full piece belongs to it, although there is no room for it.
    """
    if cell_len(text) <= width:
        yield text
        return
    start, cells, after_space = 0, 0, 0
    for position, char in enumerate(text):
        size = cell_len(char)
        if cells + size > width + (char == " "):
            end = after_space if after_space > start else position
            yield text[start:end]
            start, cells = end, cell_len(text[end:position])
        cells += size
        if char == " ":
            after_space = position + 1
    yield text[start:]


def leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the innermost values with their paths; a short list of plain values is one value."""
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from leaves(f"{path}.{_name(key)}" if path else _name(key), item)
        case list() if value and not _is_short(value):
            for index, item in enumerate(value):
                yield from leaves(f"{path}[{index}]", item)
        case _:
            yield path, value


def _written(value: Any) -> str:
    return reference_words(value) if isinstance(value, Reference) else json.dumps(value, ensure_ascii=False)


def _is_short(values: list[Any]) -> bool:
    if any(isinstance(value, dict | list) for value in values):
        return False
    return len(json.dumps(values, ensure_ascii=False)) <= _LIST_ON_ONE_LINE


def _name(key: str) -> str:
    """Return a name unchanged if it is unambiguous, else in quotes."""
    plain = key.replace("_", "").replace("-", "")
    return key if plain.isascii() and plain.isalnum() else json.dumps(key, ensure_ascii=False)
