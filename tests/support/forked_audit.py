"""The processes of an inbox's audits, forked from a process that has imported their modules.

Run as a program, it is such a process.
"""

import asyncio
import os
import sys
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.streams import FlowControlMixin
from pathlib import Path
from typing import cast

from plangate.settings import PROJECT
from plangate.web.audits import LONGEST_LINE
from tests.support.forked import Forked, fork


class ForkedAudit:
    """The part of `asyncio.subprocess.Process` that the inbox uses."""

    def __init__(
        self, forked: Forked, stdin: StreamWriter, stdout: StreamReader, pipe: asyncio.BaseTransport
    ) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self.returncode: int | None = None
        self._forked = forked
        self._pipe = pipe

    def kill(self) -> None:
        self._forked.kill()

    async def wait(self) -> int:
        try:
            self.returncode = await asyncio.to_thread(self._forked.wait)
            return self.returncode
        finally:
            self.stdin.close()
            self._pipe.close()


async def start_forked_audit(code: str) -> asyncio.subprocess.Process:
    """Fork a process that runs this code, like `plangate.web.audits.start_process`."""
    loop = asyncio.get_running_loop()
    (read, to), (out, write) = os.pipe(), os.pipe()
    forked = fork(Path(__file__), code, str(PROJECT), environment=os.environ, files=(read, write, 2))
    os.close(read)
    os.close(write)
    written, flow = await loop.connect_write_pipe(FlowControlMixin, os.fdopen(to, "wb"))
    stdout = StreamReader(LONGEST_LINE)
    pipe, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(stdout), os.fdopen(out, "rb"))
    stdin = StreamWriter(written, flow, None, loop)
    return cast("asyncio.subprocess.Process", ForkedAudit(forked, stdin, stdout, pipe))


if __name__ == "__main__":
    exec(sys.argv.pop(1))
