"""The programs of this project as users start them: processes, each with its own environment."""

import codecs
import fcntl
import json
import os
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from time import monotonic, sleep
from typing import Any

from plangate.settings import PROJECT, environment_with
from tests.support.forked import Forked, fork
from tests.support.wait_limit import WAIT_LIMIT

OTHERS = ("TEMPORAL_", "PLANGATE_", "OPENAI_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTEST")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07|\r")


@dataclass
class Ended:
    """The exit code and the output of a program."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def sentence(self) -> str:
        """The one sentence of an error."""
        assert "Traceback" not in self.err
        (line,) = self.err.splitlines()
        return line


Typed = Callable[..., Ended]


@dataclass
class Home:
    """A ``var`` directory with the settings under which programs run."""

    var_dir: Path
    settings: dict[str, str | None] = field(default_factory=dict)

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        # Never the keys of the user who runs the tests.
        keys = str(self.var_dir.with_name(f"{self.var_dir.name}-keys"))
        own = {"PLANGATE_VAR_DIR": str(self.var_dir), "PLANGATE_KEYS_DIR": keys}
        own["PLANGATE_WEB_ADDRESS"] = "off"  # different tests need different ports
        mine: dict[str, str | None] = {**own, **self.settings, **(changes or {})}
        return environment_with(mine, without=OTHERS)

    def starter(
        self,
        *words: str | bytes,
        stdin: bytes | None = None,
        changes: Mapping[str, str | None] | None = None,
        shell_suffix: str = "",
    ) -> Ended:
        """Run ``python starter.py`` with these arguments."""
        command: list[str | bytes] = [sys.executable, str(PROJECT / "starter.py"), *words]
        if shell_suffix:
            command = ["/bin/sh", "-c", f'"$@" {shell_suffix}', "sh", *command]
        done = subprocess.run(
            command,
            input=stdin if stdin is not None else b"",
            capture_output=True,
            env=self.environment(changes),
            timeout=WAIT_LIMIT,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    def forked(
        self, *words: str, changes: Mapping[str, str | None] | None = None, program: str = "starter.py"
    ) -> Ended:
        """Run a program, by default ``starter.py``, in a process that has already imported its modules."""
        with TemporaryFile() as nothing, TemporaryFile() as out, TemporaryFile() as err:
            files = nothing.fileno(), out.fileno(), err.fileno()
            process = fork(PROJECT / program, *words, environment=self.environment(changes), files=files)
            code = process.wait(WAIT_LIMIT)
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read().decode(), err.read().decode())

    def start_forked(self, program: str, *words: str, folder: Path = PROJECT) -> Forked:
        """Start a program in a forked process; its output goes to the same file as with `start`."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        log = self.var_dir / "programs.log"
        with log.open("ab") as file, Path(os.devnull).open("rb") as nothing:
            files = nothing.fileno(), file.fileno(), file.fileno()
            environment = self.environment()
            return fork(PROJECT / program, *words, environment=environment, files=files, folder=folder)

    def start(
        self, *words: str, changes: Mapping[str, str | None] | None = None, folder: Path = PROJECT
    ) -> subprocess.Popen[bytes]:
        """Start any program of the project; its output goes to a file in the var directory."""
        self.var_dir.mkdir(parents=True, exist_ok=True)
        with (self.var_dir / "programs.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                env=self.environment(changes),
            )


@contextmanager
def worker(home: Home, folder: Path = PROJECT) -> Iterator[Forked]:
    """Run a worker, started in ``folder``, with the embedded server of this home."""
    log = home.var_dir / "programs.log"
    written = log.stat().st_size if log.exists() else 0
    process = home.start_forked("worker.py", "--dev", folder=folder)
    try:
        ends = monotonic() + WAIT_LIMIT
        while b'"action": "ready"' not in log.read_bytes()[written:]:
            assert process.poll() is None, log.read_text()
            assert monotonic() < ends, log.read_text()
            sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(WAIT_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Terminal:
    """A program on its own terminal, and the content of its screen."""

    def __init__(
        self, home: Home, *words: str, width: int = 100, program: str = str(PROJECT / "starter.py")
    ) -> None:
        self.screen = ""
        self.written = ""
        self._read_to = 0
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._file, screen = os.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        environment = home.environment({"TERM": "xterm-256color"})
        files = screen, screen, screen
        self._process = fork(Path(program), *words, environment=environment, files=files, session="terminal")
        os.close(screen)

    def sees(self, text: str) -> str:
        """Wait until ``text`` appears after the output read so far; return everything in between."""
        ends = monotonic() + WAIT_LIMIT
        while text not in self.screen[self._read_to :]:
            if not self._read(ends):
                raise AssertionError(f"ended without {text!r}: {self.screen}")
        end = self.screen.index(text, self._read_to) + len(text)
        between, self._read_to = self.screen[self._read_to : end], end
        return between

    def types(self, text: str, *, at_once: bool = False) -> None:
        if not at_once:
            sleep(0.3)  # a prompt discards text that was typed before it, so pause first
        os.write(self._file, text.encode())

    def ends(self) -> int:
        """Wait for the program to exit and return the exit code."""
        ends = monotonic() + WAIT_LIMIT
        while self._read(ends):
            pass
        return self._process.wait(WAIT_LIMIT)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._file)

    def _read(self, ends: float) -> bool:
        readable, _, _ = select.select([self._file], [], [], max(0, ends - monotonic()))
        if not readable:
            raise AssertionError(f"there is no more output: {self.screen}")
        try:
            chunk = os.read(self._file, 65_536)
        except OSError:  # the other end has disconnected
            return False
        self.written += self._decode(chunk)
        self.screen = ESCAPES.sub("", self.written)
        return bool(chunk)
