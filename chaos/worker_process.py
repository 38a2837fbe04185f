"""The workers in the scenarios: `worker.py` as a process that can be suspended or run out of disk space."""

import asyncio
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from plangate.cli.demo import worker_process
from plangate.settings import PROJECT
from tests.support.forked import fork


class WorkerProcess(worker_process.WorkerProcess):
    """One ``worker.py`` with its own log.

    Args:
        is_forked: whether it is forked from a process that has loaded its modules (`tests.support.forked`),
            which saves most of its startup time.
    """

    def __init__(
        self,
        number: int,
        folder: Path,
        environment: Mapping[str, str],
        program: Path = PROJECT / "worker.py",
        *,
        is_forked: bool = False,
    ) -> None:
        if not is_forked:
            super().__init__(number, folder, environment, program)
            return
        self.log = folder / f"worker-{number}.log"
        with self.log.open("wb") as log, Path(os.devnull).open("rb") as devnull:
            files = devnull.fileno(), log.fileno(), log.fileno()
            process = fork(program, environment=environment, files=files, session="own")
        self._process = cast("subprocess.Popen[bytes]", process)

    @property
    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    async def stop(self, limit: float) -> float:
        """Stop it as a supervisor would; return how many seconds this took, at most ``limit``."""
        began = time.monotonic()
        self._process.terminate()
        while self.is_alive and time.monotonic() - began < limit:
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def suspend(self) -> None:
        """Suspend the process; the server will consider it dead."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process."""
        self._process.send_signal(signal.SIGCONT)

    def fill_disk(self, *, full: bool) -> None:
        """Make every write to a file fail, as on a full disk, or allow writes again."""
        limits = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (0 if full else limits[1], limits[1]))

    def memory(self, name: str = "VmRSS") -> int:
        """Return one of its memory figures in megabytes; VmHWM is the peak."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) // 1024
