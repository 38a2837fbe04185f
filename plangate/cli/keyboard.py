"""Read lines from the terminal without blocking the event loop.

`input` would block both the event loop and Ctrl-C. `Keyboard.ask` can be cancelled when its question is
obsolete.
"""

import asyncio
import os
import sys
import termios
from typing import Final

from plangate.cli.screen import Screen
from plangate.presentation.page import fold

_CHUNK_SIZE: Final = 65_536
_ROOM_FOR_ANSWER: Final = 2  # room for a space and a letter


class Keyboard:
    """Asks on stderr and reads answers from the terminal, line by line."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._console = screen.err
        self._file = sys.stdin.fileno()
        self._typed = b""

    def discard(self) -> None:
        """Discard text that was typed before a question, because it cannot be an answer to it."""
        self._typed = b""
        termios.tcflush(self._file, termios.TCIFLUSH)

    async def ask(self, question: str) -> str | None:
        """Return the answer without leading and trailing spaces; None at the end of the input (Ctrl-D).

        A question that is wider than the terminal is wrapped at spaces, and leaves room for a short answer.
        Without an answer, its line is ended, so that the next output starts on a line of its own.
        """
        lines = [line.rstrip() for line in fold(question, self._console.width - _ROOM_FOR_ANSWER)]
        self._console.write(self._console.styled("\n".join(lines) + " ", "bold"))
        try:
            while b"\n" not in self._typed:
                chunk = await self._read()
                if not chunk:
                    self._console.write("\n")
                    return None
                self._typed += chunk
        except asyncio.CancelledError:
            self._console.write("\n")
            raise
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    async def confirmed(self, question: str) -> bool:
        """Ask until the answer is yes or no; an empty answer and the end of the input mean no."""
        while True:
            answer = ((await self.ask(f"{question} [y/N]")) or "n").lower()
            if answer in ("y", "yes", "n", "no"):
                return answer in ("y", "yes")
            self._screen.say_on_stderr("Not understood; type y or n.")

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._file, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._file)
        return os.read(self._file, _CHUNK_SIZE)
