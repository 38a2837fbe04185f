"""Progress of a waiting command: a spinner on a terminal, lines in a pipe, nothing with --json."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from plangate.cli.exits import fit
from plangate.domain.escaping import one_line
from plangate.presentation.page import Page

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAMES_A_SECOND: Final = 12.5


class _Spinner:
    """One line, cut at the width of the terminal.

    rich's own spinner wraps a long line. When it restarts below new output, it first clears as many lines as
    it had before, which erases the newest output.
    """

    def __init__(self) -> None:
        self.words = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        frame = _FRAMES[int(console.get_time() * _FRAMES_A_SECOND) % len(_FRAMES)]
        yield Text.assemble((frame, "green"), " ", self.words, no_wrap=True, overflow="ellipsis")


class Progress:
    """One line that shows what the command waits for; it is removed when the block ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""
        self._noted = ""
        self._spinner = _Spinner()
        self._live = (
            Live(self._spinner, console=console, transient=True, refresh_per_second=_FRAMES_A_SECOND)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, words: str) -> None:
        """Show what the command waits for now; in a pipe, print it only if it changed."""
        changed, self._said = words != self._said, words
        self._noted = ""
        if self._live:
            self._spinner.words = one_line(words)
            self._live.start()
        elif changed:
            self._console.print(Text(one_line(words)))

    def brief(self, words: str) -> None:
        """Show a short wait, on a terminal only."""
        if self._live:
            self.update(words)

    def note(self, words: str) -> None:
        """Print a sentence that stays on the screen, unless it repeats the previous one."""
        if words == self._noted:
            return
        self._noted = words
        page = Page()
        page.sentence(fit(words), "yellow")
        with self.paused():
            self._console.print(page, crop=False)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the line while something else is printed or asked."""
        if self._live is None or not self._said:
            yield
            return
        self._live.stop()
        try:
            yield
        finally:
            self._live.start()
