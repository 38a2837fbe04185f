"""The output of a command: standard output, standard error, and whether a person can be asked."""

import sys
from dataclasses import dataclass
from typing import Any

from plangate.cli.answer import answer_stream, write_json
from plangate.cli.exits import OutputClosed
from plangate.presentation.console import Console, is_terminal
from plangate.presentation.page import Page


@dataclass(frozen=True, slots=True)
class Screen:
    """The output streams of a command.

    Attributes:
        out: stdout, for the result.
        err: stderr, for progress and questions.
        is_json: whether the whole result is one JSON value, and nothing is written to ``err``.
        can_ask: whether a person can be asked: stdin and stderr are terminals, and --json was not given.
    """

    out: Console
    err: Console
    is_json: bool
    can_ask: bool

    def show(self, page: Page) -> None:
        """Print a page."""
        self.out.print(page)

    def say(self, words: str) -> None:
        """Print a sentence that is already escaped."""
        page = Page()
        page.sentence(words)
        self.show(page)

    def show_on_stderr(self, page: Page) -> None:
        """Print a page on stderr."""
        self.err.print(page)

    def say_on_stderr(self, words: str, style: str = "") -> None:
        """Print a sentence that is already escaped, on stderr."""
        page = Page()
        page.sentence(words, style)
        self.show_on_stderr(page)

    def write_line(self, words: str, style: str = "") -> None:
        """Print a line for people to copy or programs to read; it is never wrapped."""
        self.out.write(self.out.styled(words, style) + "\n")

    def write_plain(self, text: str) -> None:
        """Print an escaped text unchanged, without a line break at its end."""
        self.out.write(text)

    def print_json(self, value: Any) -> None:
        """Print one JSON value, in ASCII: no control character reaches the terminal."""
        write_json(value)


def open_screen(*, as_json: bool = False) -> Screen:
    """Return the screen of this process.

    Raises:
        OutputClosed: stdout is closed.
    """
    stream = answer_stream()
    if stream is None:
        raise OutputClosed("The standard output is closed; open it, or redirect it to a file.")
    return Screen(
        out=Console(stream, quiet=as_json),
        err=Console(sys.stderr, quiet=as_json),
        is_json=as_json,
        can_ask=not as_json and is_terminal(sys.stdin) and is_terminal(sys.stderr),
    )
