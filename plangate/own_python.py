"""Prepare Python for a program: use the packages in `.venv`, and report Ctrl-C without a traceback.

Imports only the standard library, because other packages may not be installed when it runs.
"""

import gc
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

_PROJECT = Path(__file__).resolve().parent.parent
ALLOCATIONS = 20_000
"""The number of objects, allocated minus freed, at which Python collects garbage; by default 700."""
_NEEDED = ("temporalio", "click")
_INTERRUPTED = 130  # as in `plangate.cli.exits`, which cannot be imported yet


def use_own_python() -> None:
    """Restart in the project's `.venv` if packages are missing; if it cannot, print what to do and exit.

    Also print only ``Interrupted.`` on Ctrl-C, because the imports take about a second. Also make Python
    collect garbage less often, because that takes 20% of the import time and frees nothing.
    """
    sys.excepthook = _report_uncaught
    gc.set_threshold(ALLOCATIONS)
    if all(find_spec(name) for name in _NEEDED):
        return
    own = _PROJECT / ".venv" / "bin" / "python"
    is_own = Path(sys.prefix) == own.parent.parent
    if own.exists() and not is_own:
        os.execv(own, [str(own), *sys.argv])  # noqa: S606  our own interpreter, with our own arguments
    sys.stderr.write("Plangate is not installed yet; run `make install` in its folder first.\n")
    sys.exit(1)


def _report_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write("Interrupted.\n")
        sys.stderr.flush()
        os._exit(_INTERRUPTED)  # as `plangate.process_end` does
    sys.__excepthook__(kind, error, traceback)
