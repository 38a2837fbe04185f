"""The programs of this project, forked from a process that has already imported their modules.

Python needs more than a second of CPU time to import the modules of a command or a worker, and the suite
starts about a hundred. Everything else is the same as for `python worker.py`: a separate process with its own
environment, folder and files, in which the program runs from its first line. A test of a start, or of
imports, starts the program itself.
"""

import atexit
import fcntl
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Final, Literal, NoReturn

from plangate.cli import commands
from plangate.settings import PROJECT

Session = Literal["ours", "own", "terminal"]
_LOADED: Final = (
    "worker",
    "starter",
    "plangate.web.app",
    "alembic.command",
    "alembic.config",
    "httpcore",
)

_MESSAGE = 1 << 20
_LAST_FILE = 1024


class Forked:
    """The part of `subprocess.Popen` that the tests use, for a forked process."""

    def __init__(self, pid: int, ended: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return the exit code, minus the signal, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait at most ``timeout`` seconds for the process to exit; return the exit code."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = int(self._ended.recv(16))
            self._ended.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    program: Path,
    *words: str,
    environment: Mapping[str, str],
    files: tuple[int, int, int],
    folder: Path = PROJECT,
    session: Session = "ours",
) -> Forked:
    """Start ``python PROGRAM WORDS`` with these three files, in this folder.

    Args:
        session: with ``"own"``, it does not get our Ctrl-C; with ``"terminal"``, the first file is also its
            terminal.
    """
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "words": [str(program), *words],
        "environment": dict(environment),
        "folder": str(folder),
        "umask": umask,
        "session": session,
    }
    ended, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # keeps two messages separate
    with report:
        socket.send_fds(_template(), [json.dumps(request).encode()], [*files, report.fileno()])
    return Forked(int(ended.recv(16)), ended)


@cache
def _template() -> socket.socket:
    """Start the process that has imported everything; it exits when this process does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        command = [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"]
        process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def serve(file: int) -> None:
    """Fork a program for each message, and report its process id and exit code, until the messages end."""
    gc.disable()
    for name in (*_LOADED, *(f"{commands.__name__}.{one.name}" for one in iter_modules(commands.__path__))):
        import_module(name)
    gc.collect()
    gc.freeze()
    gc.enable()
    requests = socket.socket(fileno=file)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([requests, woken], [], [])
        if woken in ready:
            woken.recv(_MESSAGE)
            _report_exits(running)
        if requests in ready:
            message, files, _, _ = socket.recv_fds(requests, _MESSAGE, 4)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                _run_program(json.loads(message), files[:3])
            for each in files[:3]:
                os.close(each)
            running[pid] = socket.socket(fileno=files[3])
            running[pid].send(str(pid).encode())


def _report_exits(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as report, suppress(BrokenPipeError):
                report.send(str(os.waitstatus_to_exitcode(status)).encode())


def _run_program(request: dict[str, Any], files: list[int]) -> NoReturn:
    """Run the program of this message, in a process that was just forked."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, _LAST_FILE)
        if request["session"] != "ours":
            os.setsid()
        if request["session"] == "terminal":
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.umask(request["umask"])
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        sys.argv = request["words"]
        sys.path[0] = str(Path(sys.argv[0]).parent)
        _open_streams(line_buffering=request["session"] == "terminal")
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  as Python does for an uncaught error
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _open_streams(*, line_buffering: bool) -> None:
    """Open the three streams as Python does at its start."""
    old_in, old_out, old_err = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = os.fdopen(0, encoding=old_in.encoding, errors=old_in.errors, closefd=False)
    for name, old, by_line in (("stdout", old_out, line_buffering), ("stderr", old_err, True)):
        stream = os.fdopen(old.fileno(), "w", encoding=old.encoding, errors=old.errors, closefd=False)
        stream.reconfigure(line_buffering=by_line)
        setattr(sys, name, stream)
