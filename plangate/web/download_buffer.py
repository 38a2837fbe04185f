"""Buffer a large file between its writer and a slower download, so that the writer never waits."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from os import SEEK_END
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import Any, Final

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

LONGEST: Final = 3_600.0
"""The maximum duration of a download, in seconds."""
_PIECE: Final = 65_536
_log = structlog.get_logger(__name__)


class Copy:
    """An unnamed temporary file: one task adds to it, and `read` follows at the reader's speed."""

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115  `close` closes it
        self._lock = Lock()
        self._size = 0
        self._grown = asyncio.Event()
        self._adding: asyncio.Future[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the file was deleted."""
        return self._file.closed

    def fill(self, adding: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Start the task that adds the pieces; `read` raises its errors."""
        self._adding = asyncio.create_task(adding)
        self._adding.add_done_callback(self._end)
        return self._adding

    async def add(self, piece: bytes) -> None:
        """Write the next piece."""
        await asyncio.to_thread(self._write, piece)
        self._size += len(piece)
        self._grown.set()

    async def read(self) -> AsyncIterator[bytes]:
        """Yield the bytes until the end, or until the task that adds them fails."""
        assert self._adding is not None
        at, is_whole = 0, False
        while not is_whole:
            self._grown.clear()
            is_whole = self._adding.done()
            while at < self._size:
                piece = await asyncio.to_thread(self._read, at)
                at += len(piece)
                yield piece
            if not is_whole:
                await self._grown.wait()
        await self._adding

    def close(self) -> None:
        """Stop the task that adds to it, and delete the file."""
        if self._adding is not None:
            self._adding.cancel()
        with self._lock:
            self._file.close()

    def _write(self, piece: bytes) -> None:
        with self._lock:
            self._file.seek(0, SEEK_END)
            self._file.write(piece)

    def _read(self, at: int) -> bytes:
        with self._lock:
            self._file.seek(at)
            return self._file.read(min(_PIECE, self._size - at))

    def _end(self, adding: asyncio.Future[None]) -> None:
        if not adding.cancelled():
            adding.exception()  # no one reads a closed copy, so its errors are ignored
        self._grown.set()


class Download(StreamingResponse):
    """Sends a copy, for `LONGEST` seconds at most; an interrupted copy is visibly incomplete."""

    def __init__(self, copy: Copy, name: str, media_type: str) -> None:
        named = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(copy.read(), media_type=media_type, headers=named)
        self._copy = copy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the copy, then delete it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._copy.close()

    async def stream_response(self, send: Send) -> None:
        """Send the copy, or abort the response at the time limit."""
        try:
            async with asyncio.timeout(LONGEST):
                await super().stream_response(send)
        except TimeoutError:
            _log.warning("A download took too long and was aborted.", action="web_download_ended")
