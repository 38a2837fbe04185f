"""What is said while a person waits: a spinner on a terminal, lines in a pipe, nothing for a machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status as Spinner
from rich.text import Text

from console.exits import fit
from plangate.domain.visible import one_line


class Progress:
    """One line that says what is waited for; it is gone when the block ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""
        self._noted = ""
        self._spinner = Spinner("", console=console) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._spinner:
            self._spinner.stop()

    def update(self, words: str) -> None:
        """Say what is waited for now; in a pipe only when it has changed."""
        changed, self._said = words != self._said, words
        self._noted = ""
        if self._spinner:
            self._spinner.update(Text(one_line(words), overflow="ellipsis", no_wrap=True))
            self._spinner.start()
        elif changed:
            self._console.print(Text(one_line(words)))

    def brief(self, words: str) -> None:
        """Say what will not take long: on a terminal only."""
        if self._spinner:
            self.update(words)

    def note(self, words: str) -> None:
        """Say a thing that stays on the screen, once until something else is said."""
        if words == self._noted:
            return
        self._noted = words
        with self.paused():
            self._console.print(Text(fit(words), style="yellow"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the line away while something else is printed or asked."""
        if self._spinner is None or not self._said:
            yield
            return
        self._spinner.stop()
        try:
            yield
        finally:
            self._spinner.start()
