"""The workers of the scenarios: `worker.py` as a process, which can be frozen or run out of disk."""

import asyncio
import resource
import signal
import time
from pathlib import Path

from plangate.cli.demo import worker_process


class WorkerProcess(worker_process.WorkerProcess):
    """One ``worker.py`` with a log of its own."""

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    async def stop(self, patience: float) -> float:
        """Tell it to stop, as a supervisor does; return how many seconds that took, at most ``patience``."""
        began = time.monotonic()
        self._process.terminate()
        while self.is_alive and time.monotonic() - began < patience:
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def freeze(self) -> None:
        """Freeze it where it is; the server will take it for dead."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        self._process.send_signal(signal.SIGCONT)

    def fill_disk(self, *, full: bool) -> None:
        """Let every write to a file fail from now on, or no longer, as on a full disk."""
        limits = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (0 if full else limits[1], limits[1]))

    def memory(self, name: str = "VmRSS") -> int:
        """Return a figure of its memory in megabytes; VmHWM is the most that it ever had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) // 1024
