"""The program name in printed commands; it depends on how the command line was started."""

import shlex
from pathlib import Path
from typing import Final

_called = ["python starter.py"]
_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")


def program() -> str:
    """Return the program name for commands that people copy."""
    return _called[0]


def call_it(name: str) -> None:
    """Set the program name."""
    _called[0] = name


def script_name(script: str, folder: Path, home: Path) -> str:
    """Return how ``script`` is started in ``folder``, such as 'python ~/plangate/starter.py'."""
    path = Path(script).absolute()
    if path.parent.resolve() == folder.resolve():
        return f"python {shlex.quote(path.name)}"
    if path.is_relative_to(home) and _PLAIN.issuperset(str(path.relative_to(home))):
        return f"python ~/{path.relative_to(home)}"
    return f"python {shlex.quote(str(path))}"
