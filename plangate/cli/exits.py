"""Exit a command with an exit code, and with one sentence for every error.

0    done
1    failed: the run failed, or something required is missing
2    wrong usage, or a plan file or request that cannot be used
3    refused: a decision that is not accepted, an id that is taken
130  interrupted by Ctrl-C
141  the reader of the output has closed the pipe

Imports few modules, because ``--help`` uses it.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Final

from plangate.cli.answer import write_error
from plangate.domain.errors import IdInUse, PlangateError, PlanInvalid, Refused, RequestInvalid
from plangate.domain.escaping import one_line
from plangate.extras import missing_extra

Act = Callable[[], int]
_MARKS: Final = re.compile("(⟨U\\+[0-9A-F]{4,6}⟩)")


class Exit(IntEnum):
    """The exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    INTERRUPTED = 130
    NO_READER = 141


class WrongUsage(PlangateError):
    """The command line cannot be used; the message explains what to type instead."""


class Interrupted(PlangateError):
    """Ctrl-C stopped the command; the message says what continues to run."""


class OutputClosed(PlangateError):
    """The standard output is closed."""


def fill_closed_streams() -> None:
    """Open /dev/null for closed standard streams, so that no other file gets their descriptors."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115  it stays open as long as the program runs


def guarded(act: Act) -> int:
    """Run ``act`` and return its exit code; print one sentence on stderr for an error."""
    try:
        code = act()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return end_with("Interrupted.", Exit.INTERRUPTED)
    except PlangateError as error:
        return end_with(str(error), exit_of(error))
    except ModuleNotFoundError as error:
        _show_traceback_if_wanted()
        return end_with(missing_extra(error, "This command") or _unforeseen(error), Exit.FAILED)
    except BrokenPipeError:
        _discard_output()
        return Exit.NO_READER
    except OSError as error:
        _show_traceback_if_wanted()
        return end_with(_os_sentence(error), Exit.FAILED)
    except Exception as error:  # noqa: BLE001  the last handler: every error becomes a sentence
        _show_traceback_if_wanted()
        return end_with(_unforeseen(error), Exit.FAILED)
    return code


def exit_of(error: PlangateError) -> Exit:
    """Return the exit code for an error that Plangate raises."""
    match error:
        case WrongUsage() | PlanInvalid() | RequestInvalid():
            return Exit.USAGE
        case IdInUse() | Refused():
            return Exit.REFUSED
        case Interrupted():
            return Exit.INTERRUPTED
        case _:
            return Exit.FAILED


def end_with(sentence: str, code: Exit) -> int:
    """Print one sentence on stderr, and as JSON if that is expected, and return the exit code."""
    with suppress(OSError, ValueError):  # if standard output is closed, only the exit code reports it
        write_error(sentence, code)
    try:
        if sys.stderr is not None:
            sys.stderr.write(fit(sentence) + "\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        pass  # the exit code still reports the error
    _flush_or_discard()
    return code


def fit(sentence: str) -> str:
    """Return a sentence that is safe on a terminal; a ``⟨U+202E⟩`` in it is not escaped again."""
    parts = _MARKS.split(sentence)
    return "".join(part if _MARKS.fullmatch(part) else one_line(part) for part in parts)


def _os_sentence(error: OSError) -> str:
    what = error.strerror or type(error).__name__
    where = f" ({error.filename})" if error.filename else ""
    return f"The operating system refused{where}: {what}; set PLANGATE_LOG_LEVEL=debug to see where."


def _unforeseen(error: Exception) -> str:
    detail = str(error).strip().splitlines()
    said = f": {detail[0]}" if detail else ""
    return (
        f"An unexpected error occurred ({type(error).__name__}{said}); "
        "run it again with PLANGATE_LOG_LEVEL=debug to see where, and report that."
    )


def _show_traceback_if_wanted() -> None:
    from plangate.settings import load_settings  # noqa: PLC0415  slow to import, seldom needed

    try:
        if load_settings().log_level == "debug" and sys.stderr is not None:
            sys.stderr.write(traceback.format_exc())
    except (PlangateError, OSError, ValueError):
        pass  # ignored, because the error message that follows is more important


def _flush_or_discard() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        _discard_output()


def _discard_output() -> None:
    """Send buffered output to /dev/null, because Python would otherwise report an error at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.close(devnull)
