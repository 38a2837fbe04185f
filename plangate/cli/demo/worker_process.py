"""The demo's workers: processes that are started, killed with kill -9, and always stopped at the end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from plangate.domain.errors import OperatorError
from plangate.files.private_files import open_private
from plangate.settings import PROJECT

_READY_SECONDS: Final = 45.0
_END_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.03


class WorkerProcess:
    """One ``worker.py`` process with its log."""

    def __init__(
        self,
        number: int,
        folder: Path,
        environment: Mapping[str, str],
        program: Path = PROJECT / "worker.py",
    ) -> None:
        self.log = folder / f"worker-{number}.log"
        with open(self.log, "wb", opener=open_private) as log:
            self._process = subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, str(program)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches only the demo, which stops its workers
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until the worker accepts work.

        Raises:
            OperatorError: it exited, or did not start in time.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not self._has_printed("ready"):
                    self.check()
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise OperatorError(f"The worker did not start in time; see its log: {self.log}") from None

    def check(self) -> None:
        """Check that the process is running.

        Raises:
            OperatorError: it has exited.
        """
        if self._process.poll() is not None:
            last = (self.log.read_text(errors="replace").strip().splitlines() or ["(its log is empty)"])[-1]
            raise OperatorError(f"The worker has exited: {last}")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Stop it with SIGTERM, or with SIGKILL if it has not exited after `_END_SECONDS`."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _has_printed(self, action: str) -> bool:
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("action") == action:
                    return True
        return False


class Workers:
    """Starts workers of one environment, each with its own number and log."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._workers: list[WorkerProcess] = []

    async def start_worker(self) -> WorkerProcess:
        """Start a worker and return it when it accepts work.

        Raises:
            OperatorError: it does not start.
        """
        worker = WorkerProcess(len(self._workers) + 1, self._folder, self._environment)
        self._workers.append(worker)
        await worker.ready()
        return worker

    def stop_all(self) -> None:
        """Stop all workers that are still running."""
        for worker in self._workers:
            worker.end()


@contextmanager
def run_workers(folder: Path, environment: Mapping[str, str]) -> Iterator[Workers]:
    """Run workers for the duration of the block, and then stop them."""
    workers = Workers(folder, environment)
    try:
        yield workers
    finally:
        workers.stop_all()
