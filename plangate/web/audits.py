"""Run audits for the inbox, each in its own process: at most one verification and one other audit."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

import structlog
from pydantic import ValidationError

from plangate.audit.deciding_times import PlanDecided
from plangate.audit.inspection import Inspection
from plangate.presentation.clock import now
from plangate.settings import PROJECT, Settings
from plangate.web.audit_process import BOOT, OutputLine, task_of
from plangate.web.download_buffer import Copy

LONGEST: Final = timedelta(hours=1)
"""How long an audit may take; the command line sets no limit."""
MOST_COPIES: Final = 4
"""The maximum number of exports downloaded at a time; each uses disk space until it is complete."""
LONGEST_LINE: Final = 64_000_000
"""The maximum number of bytes of a line that the process writes."""
_PIECE: Final = 65_536
_log = structlog.get_logger(__name__)


class NotAudited(Exception):
    """An audit failed: ``name`` is the key of the message that explains why, ``reason`` the error in it."""

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


@dataclass(slots=True)
class Verification:
    """A verification that is running or has ended.

    Attributes:
        by: the person who started it.
        done: the number of verified runs.
        of: the total number of runs.
        ended_at: when it ended; None while it is running.
        inspection: the result, once it has succeeded.
        is_trusted: whether this host has a list of the keys that may sign checkpoints.
        fault: why it has no result.
    """

    by: str
    began_at: datetime
    done: int = 0
    of: int = 0
    ended_at: datetime | None = None
    inspection: Inspection | None = None
    is_trusted: bool = False
    fault: NotAudited | None = None

    @property
    def percent(self) -> int:
        """The verified share; a count would include runs that an auditor may not see."""
        return self.done * 100 // self.of if self.of else 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of a period that is about to be written.

    Attributes:
        runs: the ids of its runs.
        is_closed: whether a checkpoint closes the period.
        copy: its bytes; reading them raises NotAudited if it cannot be written completely.
    """

    runs: tuple[str, ...]
    is_closed: bool
    copy: Copy


class Audits:
    """Runs audits of the records in these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reading = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._copies: list[Copy] = []
        self.newest: Verification | None = None

    @property
    def seal_seconds(self) -> int:
        """The interval between two seals of the records."""
        return self._settings.seal_seconds

    @property
    def is_verifying(self) -> bool:
        """Whether a verification is running."""
        return self._running is not None and not self._running.done()

    def verify(self, by: str) -> None:
        """Start verifying everything, unless a verification is already running."""
        if not self.is_verifying:
            self.newest = Verification(by, now())
            self._running = asyncio.create_task(self._verify(self.newest))

    async def decided(self, since: datetime) -> list[PlanDecided]:
        """Return every decision on a plan, for the runs requested since then.

        Raises:
            NotAudited: another audit is reading the records, or this one failed.
        """
        async with self._exclusive(), self._process("decided", since) as process:
            return [said.decided async for said in _output_of(process) if said.decided is not None]

    async def export(self, since: datetime, until: datetime) -> Evidence:
        """Start writing the evidence of a period. Other audits wait for the writing, not the download.

        Raises:
            NotAudited: another audit is reading the records, too many downloads are running, or this one
            failed.
        """
        self._copies = [one for one in self._copies if not one.is_closed]
        if len(self._copies) >= MOST_COPIES:
            raise NotAudited("audit.busy")
        copy = Copy(self._settings.var_dir)
        self._copies.append(copy)
        said: asyncio.Future[OutputLine] = asyncio.get_running_loop().create_future()
        writing = copy.fill(self._export(since, until, copy, said))
        try:
            await asyncio.wait((said, writing), return_when=asyncio.FIRST_COMPLETED)
            if not said.done():
                await writing  # it failed
            first = said.result()
        except BaseException:
            copy.close()
            raise
        return Evidence(first.runs or (), first.is_closed, copy)

    async def close(self) -> None:
        """Stop a running verification."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def _export(
        self, since: datetime, until: datetime, copy: Copy, said: "asyncio.Future[OutputLine]"
    ) -> None:
        async with self._exclusive(), self._process("export", since, until) as process:
            said.set_result(await _next(process))
            async for piece in _pieces(process):
                await copy.add(piece)

    async def _verify(self, one: Verification) -> None:
        try:
            async with self._process("verify") as process:
                async for said in _output_of(process):
                    one.done, one.of = said.done or one.done, said.of or one.of
                    if said.inspection is not None:
                        one.inspection, one.is_trusted = said.inspection, said.is_trusted
        except NotAudited as fault:
            one.fault = fault
        finally:
            one.ended_at = now()
            count = len(one.inspection.findings) if one.inspection else None
            _log.info("The records were verified.", action="web_verified", findings=count)

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        if self._reading.locked():
            raise NotAudited("audit.busy")
        async with self._reading:
            yield

    @asynccontextmanager
    async def _process(
        self,
        what: Literal["verify", "decided", "export"],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Process]:
        """Run the process while the block runs, for at most `LONGEST`."""
        task = task_of(self._settings, what, since, until)
        process = await start_process(BOOT)
        try:
            async with asyncio.timeout(LONGEST.total_seconds()):
                assert process.stdin is not None
                process.stdin.write(task.model_dump_json().encode() + b"\n")
                await process.stdin.drain()
                yield process
        except TimeoutError:
            raise NotAudited("audit.too_long") from None
        except OSError:  # it exited before it read its task
            raise NotAudited("audit.ended") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


async def start_process(code: str) -> Process:
    """Start Python with this code, which reads its task from its standard input."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(PROJECT)), stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE
    )


async def _output_of(process: Process) -> AsyncIterator[OutputLine]:
    """Yield the output lines of a process until it exits."""
    while not (said := await _next(process)).is_end:
        yield said
    yield said


async def _next(process: Process) -> OutputLine:
    assert process.stdout is not None
    try:
        said = OutputLine.model_validate_json(await process.stdout.readline())
    except (ValidationError, ValueError):  # it exited, or its line is too long
        raise NotAudited("audit.ended") from None
    if said.error:
        raise NotAudited("audit.failed", said.error)
    return said


async def _pieces(process: Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    while piece := await process.stdout.read(_PIECE):
        yield piece
    if await process.wait() != 0:
        raise NotAudited("audit.ended")
