"""Progress of a waiting command: a spinner on a terminal, lines in a pipe, nothing with --json."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from itertools import cycle
from threading import Event, Thread
from types import TracebackType
from typing import Final, Self

from plangate.cli.exits import fit
from plangate.domain.escaping import one_line
from plangate.presentation.cells import cell_len
from plangate.presentation.console import Console
from plangate.presentation.page import Page

_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS: Final = 0.08


class _Above(StringIO):
    """A stream whose complete lines are printed above the spinner."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._rest = ""

    def write(self, text: str) -> int:
        """Print the lines that are complete, and keep the rest."""
        lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self._console.write(lines + end)
        return len(text)

    def close(self) -> None:
        """Print the rest."""
        if self._rest:
            self.write("\n")


class _Spinner:
    """Draws one line in a thread between `start` and `stop`, cut at the width of the terminal.

    Text that other code prints in the meantime is shown above the line.
    """

    def __init__(self, console: Console) -> None:
        self.words = ""
        self._console = console
        self._stopping = Event()
        self._thread: Thread | None = None
        self._redirected = ExitStack()

    def start(self) -> None:
        """Show the line, unless it is shown."""
        if self._thread is None:
            self._stopping.clear()
            above = _Above(self._console)
            self._redirected.callback(above.close)
            self._redirected.enter_context(redirect_stdout(above))
            self._redirected.enter_context(redirect_stderr(above))
            self._thread = Thread(target=self._draw, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Remove the line, if it is shown."""
        if self._thread is not None:
            self._stopping.set()
            self._redirected.close()
            self._thread.join()
            self._thread = None

    def _draw(self) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed
            try:
                for frame in cycle(_FRAMES):
                    words = _cut(self.words, self._console.width - 2)
                    self._console.show_line(f"{self._console.styled(frame, 'green')} {words}")
                    if self._stopping.wait(_FRAME_SECONDS):
                        break
            finally:
                self._console.remove_line()


class Progress:
    """One line that shows what the command waits for; it is removed when the block ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""
        self._noted = ""
        self._spinner = _Spinner(console) if console.can_redraw else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner:
            self._spinner.stop()

    def update(self, words: str) -> None:
        """Show what the command waits for now; in a pipe, print it only if it changed."""
        changed, self._said = words != self._said, words
        self._noted = ""
        if self._spinner:
            self._spinner.words = one_line(words)
            self._spinner.start()
        elif changed:
            self._console.write(one_line(words) + "\n")

    def brief(self, words: str) -> None:
        """Show a short wait, on a terminal only."""
        if self._spinner:
            self.update(words)

    def note(self, words: str) -> None:
        """Print a sentence that stays on the screen, unless it repeats the previous one."""
        if words == self._noted:
            return
        self._noted = words
        page = Page()
        page.sentence(fit(words), "yellow")
        self._console.print(page)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the line while something else is asked, or printed elsewhere; after an error, for good."""
        if self._spinner is None or not self._said:
            yield
            return
        self._spinner.stop()
        yield
        self._spinner.start()


def _cut(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` cells; an ellipsis shows that something is left out."""
    if cell_len(text) <= width:
        return text
    shown = text[: max(width - 1, 0)]
    while cell_len(shown) >= max(width, 1):
        shown = shown[:-1]
    return shown + "…"
