"""A process that has used a Temporal client exits with its own exit code and its complete output.

A process that Ctrl-C stops during its imports does not print a traceback.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plangate.settings import PROJECT


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_exit_code_and_all_output_are_kept():
    ended = run(
        "import logging, sys; from plangate.process_end import end_process; logging.basicConfig()\n"
        "print('written', end=''); logging.warning('logged'); end_process(3)"
    )

    assert ended.returncode == 3
    assert ended.stdout == "written"
    assert "logged" in ended.stderr


def test_no_code_runs_after_it():
    ended = run(
        "import atexit; from plangate.process_end import end_process\n"
        "atexit.register(print, 'too late')\n"
        "try:\n    end_process(0)\n"
        "finally:\n    print('too late')"
    )

    assert (ended.returncode, ended.stdout) == (0, "")


def test_a_closed_pipe_is_not_a_failure():
    ended = run(
        "import sys; from plangate.process_end import end_process; sys.stdout.close(); end_process(0)"
    )

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "imported"), [("worker.py", "uvloop"), ("starter.py", "click"), ("web.py", "click")]
)
def test_ctrl_c_during_the_imports_is_reported_without_a_traceback(program, imported, tmp_path: Path):
    # A shell ignores Ctrl-C for programs in the background, and so would Python.
    (tmp_path / f"{imported}.py").write_text(
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )

    ended = subprocess.run(
        [sys.executable, PROJECT / program],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "Interrupted.\n")
