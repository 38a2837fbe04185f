"""Reading lines from the person at the terminal without stopping everything else.

Python's own `input` would keep the event loop, and with it Ctrl-C, waiting; here a question can be taken back
when what it asks has been settled elsewhere.
"""

import asyncio
import os
import sys
import termios

from rich.console import Console
from rich.text import Text

_AT_ONCE = 65_536


class Keyboard:
    """Asks on stderr, and reads answers from the terminal, line by line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file = sys.stdin.fileno()
        self._typed = b""

    def discard(self) -> None:
        """Forget what was typed before the question: it cannot have been its answer."""
        self._typed = b""
        termios.tcflush(self._file, termios.TCIFLUSH)

    async def ask(self, question: str) -> str | None:
        """Return the answer without its outer blanks, or None where there will never be one (Ctrl-D)."""
        self._console.print(Text(f"{question} ", style="bold"), end="")
        while b"\n" not in self._typed:
            chunk = await self._read()
            if not chunk:
                self._console.print()
                return None
            self._typed += chunk
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._file, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._file)
        return os.read(self._file, _AT_ONCE)
