"""The program name in printed commands; it depends on how the command line was started."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Final

_called = ["python starter.py"]
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")


def program() -> str:
    """Return the program name for commands that people copy."""
    return _called[0]


def set_program(name: str) -> None:
    """Set the program name."""
    _called[0] = name


def name_from_here(script: str) -> str:
    """Return how to start ``script`` from the current directory; user or directory may be unknown."""
    folder = home = None
    with suppress(OSError):  # the current directory was deleted
        folder = Path.cwd()
    with suppress(RuntimeError):  # the operating system has no entry for the user, and HOME is not set
        home = Path.home()
    return script_name(script, folder, home)


def script_name(script: str, folder: Path | None, home: Path | None) -> str:
    """Return how to start ``script`` in ``folder``, such as 'python ~/plangate/starter.py'."""
    path = Path(script) if folder is None else Path(script).absolute()
    if folder is not None and path.parent.resolve() == folder.resolve():
        return f"python {shlex.quote(path.name)}"
    if home is not None and path.is_relative_to(home) and _PLAIN.issuperset(str(path.relative_to(home))):
        return f"python ~/{path.relative_to(home)}"
    return f"python {shlex.quote(str(path))}"
