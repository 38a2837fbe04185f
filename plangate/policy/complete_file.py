"""Read files that people save while a worker reads them, once they have not changed for `UNCHANGED_SECONDS`.

An editor may empty a file before it writes the new content. The first half of a list of people can be valid
TOML in which a person is wrongly active. The content is therefore used only if two conditions are met. First,
the file has not changed for that long, according to its timestamps or, if a file server's clock differs,
according to this process's clock. Second, its size was the same before and after reading, and equals the size
of the content.
"""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from plangate.domain.errors import FileInvalid
from plangate.domain.faults import Fault

MAX_BYTES: Final = 1_000_000
UNCHANGED_SECONDS = 2.0
_POLL_SECONDS: Final = 0.1
_LONGEST_WAIT: Final = 30.0


class _Stamp(NamedTuple):
    """The attributes that change when a file is written to or replaced."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class CompleteFile:
    """One file, read on each call.

    Args:
        path: the file.
        now: returns the time, in seconds since 1970.
        elapsed: returns seconds from a monotonic clock.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], float] = time.time,  # noqa: TID251  compared with file timestamps
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._now = now
        self._elapsed = elapsed
        self._known: tuple[_Stamp, bytes] | None = None
        self._seen: tuple[_Stamp, bytes, float] | None = None

    def read(self) -> bytes | None:
        """Return the content; None while the file is changing.

        Raises:
            FileInvalid: it cannot be opened, or is too large.
        """
        try:
            before = self._stamp()
            if self._known is not None and self._known[0] == before:
                return self._known[1]
            with self._path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
            after = self._stamp()
        except OSError as error:
            raise FileInvalid(str(self._path), [Fault((), f"cannot be opened: {error.strerror}")]) from None
        if len(content) > MAX_BYTES:
            raise FileInvalid(str(self._path), [Fault((), f"has more than {MAX_BYTES:,} bytes")])
        if before != after or len(content) != after.size or not self._is_complete(after, content):
            return None
        self._known = (after, content)
        return content

    def _is_complete(self, stamp: _Stamp, content: bytes) -> bool:
        if self._seen is None or self._seen[:2] != (stamp, content):
            self._seen = (stamp, content, self._elapsed())
        untouched = self._now() - max(stamp.modified, stamp.changed) / 1e9
        return max(untouched, self._elapsed() - self._seen[2]) >= UNCHANGED_SECONDS

    def _stamp(self) -> _Stamp:
        found = os.stat(self._path)  # noqa: PTH116  saves time before each effect
        if not stat.S_ISREG(found.st_mode):  # reading a pipe would never end
            raise FileInvalid(str(self._path), [Fault((), "is not a plain file")])
        return _Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def read_complete(path: Path) -> bytes:
    """Return the content of a file; wait while it is changing.

    Raises:
        FileInvalid: it cannot be opened, is too large, or keeps changing.
    """
    file, ends = CompleteFile(path), time.monotonic() + _LONGEST_WAIT
    while (content := file.read()) is None:
        if time.monotonic() > ends:
            raise FileInvalid(str(path), [Fault((), "keeps changing; wait until nothing writes to it")])
        time.sleep(_POLL_SECONDS)
    return content
