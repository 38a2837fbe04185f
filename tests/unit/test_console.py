"""Pages on a terminal and in a pipe, with the width of each character and the user's settings."""

import os
import sys
import unicodedata
from collections.abc import Iterator
from io import StringIO, TextIOWrapper

import pytest
from rich.cells import cell_len as rich_cell_len

from plangate.domain.escaping import one_line
from plangate.presentation.cells import cell_len
from plangate.presentation.console import Console
from plangate.presentation.page import Page
from plangate.presentation.table import Column, Table
from tests.support.pseudo_terminal import pseudo_terminal

UNASSIGNED = {"Cn", "Co", "Cs"}


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def page() -> Page:
    made = Page()
    made.heading("Held", "bold red")
    made.field("why", "no answer", "yellow")
    return made


def characters() -> Iterator[str]:
    """All characters that a page shows unescaped."""
    for char in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.category(char) not in UNASSIGNED and one_line(f"a{char}a") == f"a{char}a":
            yield char


def test_no_character_is_wider_than_measured() -> None:
    differing = [char for char in characters() if cell_len(char) != rich_cell_len(char)]
    assert [char for char in differing if cell_len(char) < rich_cell_len(char)] == []
    # Terminals differ in vowel signs that have a place of their own, and in skin tones without a face.
    assert {unicodedata.category(char) for char in differing} == {"Mc", "Sk"}


@pytest.mark.parametrize(
    ("text", "cells"),
    [("", 0), ("Ann", 3), ("é", 1), ("e\u0301", 1), ("東京", 4), ("\u1112\u1161", 2), ("😀", 2)],
)
def test_a_text_is_as_wide_as_its_characters(text: str, cells: int) -> None:
    assert cell_len(text) == cells


def test_a_terminal_shows_colours(page: Page) -> None:
    with pseudo_terminal() as terminal:
        Console(terminal.stream).print(page)
    heading, why = terminal.text.splitlines()
    assert heading == "\x1b[1;31mHeld\x1b[0m"
    assert why == "\x1b[2m  why          \x1b[0m\x1b[33mno answer\x1b[0m"


def test_without_colour_a_terminal_shows_emphasis(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with pseudo_terminal() as terminal:
        Console(terminal.stream).print(page)
    assert terminal.text.splitlines() == ["\x1b[1mHeld\x1b[0m", "\x1b[2m  why          \x1b[0mno answer"]


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_without_codes_gets_none(page: Page, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    with pseudo_terminal() as terminal:
        console = Console(terminal.stream)
        console.print(page)
        assert not console.can_redraw
    assert terminal.text.splitlines() == ["Held", "  why          no answer"]


def test_a_pipe_gets_plain_lines_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = StringIO()
    page = Page()
    page.field("why", "word " * 50 + "end")
    Console(out).print(page)
    Console(out).print(Table(("id", Column("text", is_text=True)), [("a", "word " * 50 + "end")]))
    assert len(out.getvalue().splitlines()) == 4
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize(
    ("columns", "reported", "width"),
    [("", 60, 60), ("100", 60, 100), ("many", 60, 60), ("", 0, 80), ("0", 60, 80)],
)
def test_the_width_is_that_of_the_terminal_or_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, columns: str, reported: int, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pseudo_terminal(reported) as terminal:
        assert Console(terminal.stream).width == width


def hostile_page(text: str) -> Page:
    """A page with the text at each indentation."""
    made = Page()
    made.entry("", text)
    made.note(text, indent=6)
    made.field("summary", text)
    made.words("request", f"{text}\n{text}")
    made.block(text, indent=8, mark="+ ")
    made.arguments({"a": {"long": {"name of an argument": text}}, "body": f"{text}\n{text}"}, indent=6)
    return made


@pytest.mark.parametrize("text", ["Approved " * 30, "x" * 200, "表" * 100, "two  spaces  " * 20, " " * 99])
def test_no_text_reaches_the_left_edge_of_a_narrow_terminal(text: str) -> None:
    for width in (10, 12, 16, 20, 25, 28, 31, 40, 80):
        lines = [f"{row.margin}{row.text}" for row in hostile_page(text).lines(width)]
        assert [line for line in lines if cell_len(line) > width] == []
        assert [line for line in lines[1:] if not line.startswith(" ")] == []


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_escapes_in_its_width(encoding: str) -> None:
    width, pages = 60, [hostile_page("東京 ✓ " * 30), hostile_page("表" * 100)]
    with pseudo_terminal(width) as terminal:
        assert isinstance(terminal.stream, TextIOWrapper)
        terminal.stream.reconfigure(encoding=encoding, errors="backslashreplace")
        console = Console(terminal.stream)
        for page in pages:
            console.print(page)
        console.print(Table(("id", Column("text", is_text=True)), [("a", "東京 " * 30)]))
        assert not console.can_redraw  # the characters of a spinner would be escapes
    lines = terminal.text.splitlines()
    assert "      + \\u2502 \\u6771\\u4eac \\u2713" in terminal.text
    assert [line for line in lines if len(line) > width] == []
    at_the_edge = [line for line in lines if line.startswith(("\\u6771", "\\u8868"))]
    assert len(at_the_edge) == len(pages)  # the first line of each page; none that continues


@pytest.mark.parametrize("width", range(17, 60))
def test_no_empty_line_separates_the_words_of_a_text(width: int) -> None:
    page = Page()
    page.field("to", '["billing@example.org", "customer@example.org"]')
    assert all(row.text.strip() for row in page.lines(width))


def test_a_closed_pipe_is_reported_once(page: Page) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        console = Console(stream)
        with pytest.raises(BrokenPipeError):
            console.print(page)
        console.print(page)
        with pytest.raises(BrokenPipeError):
            stream.close()  # its buffer still has the text that was not read


def test_a_quiet_console_prints_nothing(page: Page) -> None:
    with pseudo_terminal() as terminal:
        console = Console(terminal.stream, quiet=True)
        console.print(page)
        console.show_line("working")
        console.remove_line()
    assert terminal.text == ""
