"""A terminal for code in this process, and everything that is written to it."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TextIO


@dataclass
class Written:
    """A stream that is a terminal, and what was written to it; this is complete once it is closed.

    Bytes that are written to the descriptor ``keyboard`` are typed; the terminal echoes them.
    """

    stream: TextIO
    keyboard: int
    received: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        return self.received.decode(errors="replace")


@contextmanager
def pseudo_terminal(width: int = 80) -> Iterator[Written]:
    """Open a terminal of this width, and close it when the block ends."""
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))

    def receive() -> None:
        try:
            while piece := os.read(own, 65_536):
                written.received.extend(piece)
        except OSError:  # Linux reports the end of a pseudo-terminal in this way
            pass

    with os.fdopen(other, "w", encoding="utf-8") as stream:
        written = Written(stream, own)
        reader = Thread(target=receive)
        reader.start()
        try:
            yield written
        finally:
            stream.close()
            reader.join()
            os.close(own)
