"""The output of a command: standard output, standard error, and whether a person can be asked.

On a terminal, output has colour, and `plangate.presentation.page` wraps long lines. In a pipe, it is plain
text without wrapping. Untrusted text reaches a console only as `rich.text.Text`, never as markup.
"""

import sys
from dataclasses import dataclass
from typing import Any, Final, Never

from rich.console import Console
from rich.text import Text

from plangate.cli.answer import answer_stream, write_json
from plangate.cli.exits import OutputClosed
from plangate.presentation.page import Page

_NO_LIMIT: Final = 1_000_000  # columns of a pipe: nothing is wrapped, cut or padded


class _PlainConsole(Console):
    """A console that lets `plangate.cli.exits` handle a broken pipe."""

    def on_broken_pipe(self) -> Never:
        """Raise the error."""
        self.quiet = True
        raise BrokenPipeError


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
        self.out.print(page, crop=False)

    def say(self, words: str) -> None:
        """Print a sentence that is already escaped."""
        page = Page()
        page.sentence(words)
        self.show(page)

    def show_on_stderr(self, page: Page) -> None:
        """Print a page on stderr."""
        self.err.print(page, crop=False)

    def say_on_stderr(self, words: str, style: str = "") -> None:
        """Print a sentence that is already escaped, on stderr."""
        page = Page()
        page.sentence(words, style)
        self.show_on_stderr(page)

    def write_line(self, words: str, style: str = "") -> None:
        """Print a line for people to copy or programs to read; it is never wrapped."""
        self.out.print(Text(words, style=style), soft_wrap=True)

    def write_plain(self, text: str) -> None:
        """Print a text unchanged, without a line break at its end."""
        self.out.print(Text(text), soft_wrap=True, end="")

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
        out=_console(stream, quiet=as_json),
        err=_console(sys.stderr, quiet=as_json),
        is_json=as_json,
        can_ask=not as_json and _is_terminal(sys.stdin) and _is_terminal(sys.stderr),
    )


def _console(stream: Any, *, quiet: bool = False) -> Console:
    is_terminal = _is_terminal(stream)
    return _PlainConsole(
        file=stream,
        width=None if is_terminal else _NO_LIMIT,
        force_terminal=is_terminal,
        highlight=False,
        markup=False,
        emoji=False,
        quiet=quiet or stream is None,
    )


def _is_terminal(stream: Any) -> bool:
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # closed
        return False
